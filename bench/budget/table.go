package budget

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	// memory takes to answer, for the life of the process: of a few with the same program one may take
	// nearly twice as long as the others. So there are several, and the median counts.
	lookupProcesses = 3

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
	for range lookupProcesses {
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
	return append([]Row{lookupRow(runs)}, append(tableRows(g), held)...), errors.Join(b.keep("budget-look-up", runs), b.keep("budget-table", g))
}

// lookupRow judges the process of some whose look-ups took the median.
func lookupRow(runs []goBench) Row {
	lookup := Row{What: whatLookup, Budget: "≤ 150 ns of CPU an independent one, no allocation", Limit: lookupMaxNS}
	const each, figure = "Lookup/independent/writing", "cpu-ns/op"
	slices.SortStableFunc(runs, func(a, b goBench) int { return cmp.Compare(a[each][figure], b[each][figure]) })
	var all []string
	for _, g := range runs {
		all = append(all, fmt.Sprintf("%.0f", g.at(&lookup, each, figure)))
	}
	g := runs[len(runs)/2]
	lookup.Value = g[each][figure]
	lookup.Figure = fmt.Sprintf("%.0f ns of CPU (%.0f ns passed; processes, ns: %s), a dependent one %.0f ns; the writer made %.0f changes a second", lookup.Value,
		g.at(&lookup, each, "ns/op"), strings.Join(all, ", "), g.at(&lookup, "Lookup/dependent/writing", "cpu-ns/op"), g.at(&lookup, each, "changes/s"))
	lookup.Floor = fmt.Sprintf("one load from an array of that size: %.0f ns, a dependent one %.0f ns",
		g.at(&lookup, "Lookup/floor/independent", "cpu-ns/op"), g.at(&lookup, "Lookup/floor/dependent", "cpu-ns/op"))
	if n := g.at(&lookup, each, "allocs/op"); n > 0 {
		lookup.Verdict, lookup.Note = Broken, fmt.Sprintf("%.0f allocations", n)
	}
	return lookup
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
