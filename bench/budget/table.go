package budget

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	whatLookup  = "look-up in the routing table at 10 million entries, a writer running"
	whatBytes   = "an entry of the routing table, worst of 5 to 12 million, growth included"
	whatIndexed = "the same with the account index"
	whatHeld    = "100 million entries of the routing table"
	whatChanges = "changes applied to a table of 10 million on one core"
	whatStorm   = "a change in a 3-node cluster under 20,000 reconnects a second, until it is in the others' tables"
	whatJoin    = "a new node gets 10 million entries"
)

// The budgets of the table. They are measured by Go benchmarks: so many devices are not
// to be had here through sockets.
const (
	lookupMaxNS    = 150.0
	bytesMax       = 24.0
	indexedMax     = 40.0
	heldMaxGB      = 4.0
	changesMin     = 1_000_000.0
	stormMaxMS     = 200.0
	joinMaxSeconds = 30.0

	// Where the kernel and its host put a table of some hundred megabytes decides how long its
	// memory takes to answer, for the life of the process, and who shares the core with this
	// machine decides how many loads wait for it at once, for some seconds. So there are several
	// processes; of each the slices count that its floor calls quiet, and the median of those
	// processes whose quiet floor is quietFloor times the least one or less. Fewer than
	// lookupProcesses of them, or a median above the limit, and there are more, up to lookupMost.
	lookupProcesses = 3
	lookupMost      = 12
	quietFloor      = 1.15 // as in package route's slices_test.go

	// Alternatives of their own: a benchmark of fewer levels than its pattern has is not measured.
	lookupPattern = "^BenchmarkLookup$/^(floor|independent|dependent)$/^(independent|dependent|writing)$"
	tablePattern  = "^BenchmarkChange$/^together$|^BenchmarkBytes$/^indexed="
	heldFile      = "route-100m.txt" // written by make bench-route-100m
)

// runTable runs package route's benchmarks, and reads what it was at 100 million.
func runTable(ctx context.Context, b *board) ([]Row, error) {
	held, err := heldRow(b.cfg.Results)
	if err != nil {
		return nil, err
	}
	var runs []goBench
	for len(runs) < lookupProcesses || len(runs) < lookupMost && !lookupKnown(runs) {
		var g goBench
		if g, err = runGoBench(ctx, b.cfg.RouteBench, lookupPattern, b.cfg.GoBenchTime); err != nil {
			break
		}
		runs = append(runs, g)
	}
	var g goBench
	if err == nil {
		g, err = runGoBench(ctx, b.cfg.RouteBench, tablePattern, b.cfg.GoBenchTime)
	}
	switch {
	case errors.Is(err, errNotBuilt):
		return append(notBuilt(whatLookup, whatBytes, whatIndexed, whatChanges), held), nil
	case err != nil:
		return nil, err
	}
	lookup, disturbed := lookupRow(runs)
	return append([]Row{lookup}, append(tableRows(g), held)...), errors.Join(disturbed, b.keep("budget-look-up", runs), b.keep("budget-table", g))
}

// lookupKnown says that another process is not needed to judge look-ups.
func lookupKnown(runs []goBench) bool {
	row, _ := lookupRow(runs)
	return row.judge().Verdict == Held
}

const lookupEach = "Lookup/independent/writing"

// quietRuns are the processes that had a quiet floor, by what a look-up took, the least first.
func quietRuns(runs []goBench) (quiet []goBench) {
	const floor, figure = "quiet-floor-ns", "quiet-ns/op"
	least := math.Inf(1)
	for _, g := range runs {
		if ns, ok := g[lookupEach][floor]; ok { // one without a quiet slice has none
			least = min(least, ns)
		}
	}
	for _, g := range runs {
		if ns, ok := g[lookupEach][floor]; ok && ns <= quietFloor*least {
			quiet = append(quiet, g)
		}
	}
	slices.SortStableFunc(quiet, func(a, b goBench) int { return cmp.Compare(a[lookupEach][figure], b[lookupEach][figure]) })
	return quiet
}

// lookupRow judges the process whose look-ups took the median, in its quiet slices. Too few
// that were quiet say nothing, whatever they took: one alone may be where memory is fast.
func lookupRow(runs []goBench) (lookup Row, disturbed error) {
	lookup = Row{What: whatLookup, Budget: "≤ 150 ns of CPU an independent one, no allocation", Limit: lookupMaxNS}
	figures := func(unit string) string {
		var all []string
		for _, g := range runs {
			if v, ok := g[lookupEach][unit]; ok {
				all = append(all, fmt.Sprintf("%.0f", v))
			} else {
				all = append(all, "none")
			}
		}
		return strings.Join(all, ", ")
	}
	each, whole, share, floors := figures("quiet-ns/op"), figures("cpu-ns/op"), figures("quiet-%"), figures("quiet-floor-ns")
	quiet := quietRuns(runs)
	if len(quiet) == 0 {
		lookup.Figure = "of CPU in all slices, ns: " + whole
		return lookup, lookup.excuse(fmt.Sprintf("no process of %d had a quiet slice", len(runs)))
	}
	g := quiet[len(quiet)/2]
	lookup.Value = g[lookupEach]["quiet-ns/op"]
	lookup.Figure = fmt.Sprintf("%.0f ns of CPU while nobody disturbs the floor, the median of %d processes (each, ns: %s; with what others do to this core: %s; quiet, %%: %s), a dependent one %.0f ns; the writer made %.0f changes a second, %.0f in quiet slices",
		lookup.Value, len(quiet), each, whole, share, g.at(&lookup, "Lookup/dependent/writing", "cpu-ns/op"), g.at(&lookup, lookupEach, "changes/s"), g.at(&lookup, lookupEach, "quiet-changes/s"))
	lookup.Floor = fmt.Sprintf("one load from an array of that size, between slices: %.0f ns (processes, ns: %s); before, without a writer: %.0f ns, a dependent one %.0f ns",
		g.at(&lookup, lookupEach, "quiet-floor-ns"), floors, g.at(&lookup, "Lookup/floor/independent", "cpu-ns/op"), g.at(&lookup, "Lookup/floor/dependent", "cpu-ns/op"))
	switch n := g.at(&lookup, lookupEach, "allocs/op"); {
	case n > 0:
		lookup.Verdict, lookup.Note = Broken, fmt.Sprintf("%.0f allocations", n)
	case lookup.Verdict == "" && len(quiet) < lookupProcesses:
		disturbed = lookup.excuse(fmt.Sprintf("only %d of %d processes had a floor within %g x of the least", len(quiet), len(runs), quietFloor))
	}
	return lookup, disturbed
}

func tableRows(g goBench) []Row {
	bytes := Row{What: whatBytes, Budget: "≤ 24 B", Limit: bytesMax}
	bytes.Value = g.at(&bytes, "Bytes/indexed=false", "B/entry")
	bytes.Figure = fmt.Sprintf("%.1f B, at %.0f entries", bytes.Value, g.at(&bytes, "Bytes/indexed=false", "entries-at-worst"))
	indexed := Row{What: whatIndexed, Budget: "≤ 40 B", Limit: indexedMax}
	indexed.Value = g.at(&indexed, "Bytes/indexed=true", "B/entry")
	indexed.Figure = fmt.Sprintf("%.1f B, at %.0f entries", indexed.Value, g.at(&indexed, "Bytes/indexed=true", "entries-at-worst"))
	changes := Row{What: whatChanges, Budget: "≥ 1,000,000 a second", Limit: 1e9 / changesMin}
	changes.Value = g.at(&changes, "Change/together", "cpu-ns/op")
	changes.Figure = fmt.Sprintf("%.0f a second: %.0f ns of CPU each, %.0f ns passed", 1e9/max(changes.Value, 1), changes.Value, g.at(&changes, "Change/together", "ns/op"))
	return []Row{bytes, indexed, changes}
}

// heldRow reads what make bench-route-100m printed, if it was run: it takes some minutes
// and is not part of this.
func heldRow(results string) (Row, error) {
	row := Row{What: whatHeld, Budget: "≤ 4 GB", Limit: heldMaxGB, Verdict: NotHere, Figure: "not run: make bench-route-100m"}
	path := filepath.Join(results, heldFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || results == "" {
		return row, nil
	}
	if err != nil {
		return row, fmt.Errorf("budget: %w", err)
	}
	row.Verdict, row.Note = "", "from an earlier run of make bench-route-100m"
	if info, err := os.Stat(path); err == nil {
		row.Note += " at " + info.ModTime().Format("2006-01-02 15:04:05")
	}
	g := parseGoBench(text)
	row.Value = g.at(&row, "Held", "GB")
	row.Figure = fmt.Sprintf("%.2f GB, %.1f B each with the account index", row.Value, g.at(&row, "Held", "B/entry"))
	return row, nil
}

// runMany runs the benchmarks of whole nodes whose devices have no sockets.
func runMany(ctx context.Context, b *board) ([]Row, error) {
	storms, err := runGoBench(ctx, b.cfg.ClusterBench, "^BenchmarkStorm$", b.cfg.StormReconnects)
	if errors.Is(err, errNotBuilt) {
		return notBuilt(whatStorm, whatJoin), nil
	}
	if err != nil {
		return nil, err
	}
	joins, err := runGoBench(ctx, b.cfg.ClusterBench, "^BenchmarkJoin$", "1x")
	if err != nil {
		return nil, err
	}
	storm := Row{What: whatStorm, Budget: "p99 < 200 ms", Limit: stormMaxMS - 1e-9, timed: true}
	storm.Value = storms.at(&storm, "Storm", "p99-ms")
	storm.Figure = fmt.Sprintf("p99 ≤ %g ms, p50 ≤ %g ms at %.0f reconnects a second, three nodes in one process with real links (upper bounds of buckets)",
		storm.Value, storms.at(&storm, "Storm", "p50-ms"), storms.at(&storm, "Storm", "reconnects/s"))
	join := Row{What: whatJoin, Budget: "< 30 s", Limit: joinMaxSeconds - 1e-9, timed: true}
	join.Value = joins.at(&join, "Join", "s/join")
	join.Figure = fmt.Sprintf("%.1f s, %.1f s of CPU of both nodes: finding each other, linking, the snapshot", join.Value, joins.at(&join, "Join", "cpu-s/join"))
	return []Row{storm, join}, nil
}
