//go:build linux

package budget

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkOfATest is what TestGoBenches runs.
func BenchmarkOfATest(b *testing.B) {
	b.Run("one/here", func(b *testing.B) {
		for b.Loop() {
			time.Sleep(time.Microsecond)
		}
		var mask unix.CPUSet
		if err := unix.SchedGetaffinity(0, &mask); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(mask.Count()), "cores")
	})
	b.Run("fails", func(b *testing.B) { b.Error("on purpose") })
}

func TestGoBenches(t *testing.T) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	g, err := runGoBench(t.Context(), os.Args[0], "^BenchmarkOfATest$/^one$", "1x")
	if err != nil {
		t.Fatal(err)
	}
	row := Row{}
	if ns, cores := g.at(&row, "OfATest/one/here", "ns/op"), g.at(&row, "OfATest/one/here", "cores"); ns < 1000 || cores < float64(all.Count()) || row.Verdict != "" {
		t.Errorf("%v of %d cores, %+v", g, all.Count(), row)
	}
	if g.at(&row, "OfATest/one/here", "parsecs"); row.judge().Verdict != Broken {
		t.Errorf("a figure that is not there: %+v", row)
	}
	if _, err := runGoBench(t.Context(), os.Args[0], "^BenchmarkOfATest$/^fails$", "1x"); err == nil {
		t.Error("a benchmark that fails is taken")
	}
	if _, err := runGoBench(t.Context(), "/no/such/file", "x", "1x"); !errors.Is(err, errNotBuilt) {
		t.Errorf("a program that is not there: %v", err)
	}
}

const tableText = `BenchmarkLookup/floor/independent-2      50000000   21 ns/op   20 cpu-ns/op   0 B/op   0 allocs/op
BenchmarkLookup/floor/dependent-2         9000000   101 ns/op   100 cpu-ns/op   0 B/op   0 allocs/op
BenchmarkLookup/independent/writing-2     7300000   160 ns/op   1000000 changes/s   155 cpu-ns/op   50.0 quiet-%   900000 quiet-changes/s   34.0 quiet-floor-ns   150 quiet-ns/op   0 B/op   0 allocs/op
BenchmarkLookup/dependent/writing-2       2500000   400 ns/op   1000000 changes/s   390 cpu-ns/op   0 B/op   0 allocs/op
BenchmarkChange/together-2                1400000   1010 ns/op   990000 changes/s   1000 cpu-ns/op   0 B/op   0 allocs/op
BenchmarkBytes/indexed=false-2   1   24.00 B/entry   5000000 entries-at-worst   100 B/op   3 allocs/op
BenchmarkBytes/indexed=true-2    1   33.1 B/entry   5000000 entries-at-worst   100 B/op   3 allocs/op
PASS
`

func TestTheTableIsJudged(t *testing.T) {
	const each = "Lookup/independent/writing"
	type process struct{ ns, floor float64 }
	lookup := func(all ...process) (Row, bool) {
		var runs []goBench
		for _, x := range all {
			g := parseGoBench([]byte(tableText))
			g[each]["quiet-ns/op"], g[each]["quiet-floor-ns"] = x.ns, x.floor
			if x == (process{}) {
				delete(g[each], "quiet-ns/op")
				delete(g[each], "quiet-floor-ns")
			}
			runs = append(runs, g)
		}
		row, err := lookupRow(runs)
		if (row.Verdict == Invalid) != errors.Is(err, errMachine) {
			t.Errorf("%+v: %v", row, err)
		}
		return row.judge(), lookupKnown(runs)
	}
	for _, c := range []struct {
		name  string
		all   []process
		want  Verdict
		known bool
		text  string
	}{
		{"the median holds", []process{{260, 34}, {149.9, 34}, {120, 34}}, Held, true, "150 ns of CPU while nobody disturbs the floor, the median of 3 processes (each, ns: 260, 150, 120; with what others do to this core: 155, 155, 155; quiet, %: 50, 50, 50)"},
		{"the median is above", []process{{150.1, 34}, {260, 34}, {120, 34}}, Broken, false, ""},
		{"cheap look-ups are no excuse for the floor of their process", []process{{170, 34}, {100, 40}, {160, 34}, {165, 34}}, Broken, false, "median of 3 processes"},
		{"two were never quiet: more are measured", []process{{260, 40}, {120, 34}, {260, 56}}, Invalid, false, "median of 1 processes"},
		{"two are too few", []process{{120, 34}, {120, 34}, {120, 40}}, Invalid, false, "median of 2 processes"},
		{"what is just quiet counts", []process{{100, 39}, {120, 34}, {149, 34.5}}, Held, true, "120 ns"},
		{"too few were quiet", []process{{170, 34}, {260, 40}, {260, 56}}, Invalid, false, ""},
		{"one has no quiet slice", []process{{}, {120, 34}, {149, 34.5}, {100, 34}}, Held, true, "each, ns: none, 120, 149, 100"},
		{"none has a quiet slice", []process{{}, {}, {}}, Invalid, false, "in all slices, ns: 155, 155, 155"},
		{"the floor is the same in all", []process{{170, 56}, {165, 56}, {160, 57}}, Broken, false, ""},
	} {
		if got, known := lookup(c.all...); got.Verdict != c.want || known != c.known || !strings.Contains(got.Figure, c.text) {
			t.Errorf("%s: %+v, known: %v", c.name, got, known)
		}
	}
	for _, row := range tableRows(parseGoBench([]byte(tableText))) {
		if got := row.judge(); got.Verdict != Held {
			t.Errorf("%+v", got)
		}
	}
	spoiled := parseGoBench([]byte(tableText))
	spoiled["Change/together"]["cpu-ns/op"] = 1000.1
	spoiled["Bytes/indexed=false"]["B/entry"] = 24.1
	delete(spoiled, "Bytes/indexed=true")
	for _, row := range tableRows(spoiled) {
		if got := row.judge(); got.Verdict != Broken {
			t.Errorf("%+v", got)
		}
	}
	allocates := parseGoBench([]byte(tableText))
	allocates[each]["allocs/op"] = 1
	if got, _ := lookupRow([]goBench{allocates}); got.Verdict != Broken {
		t.Errorf("%+v", got)
	}
}

func TestHundredMillionEntriesAreReadFromAnEarlierRun(t *testing.T) {
	dir := t.TempDir()
	if row, err := heldRow(dir); err != nil || row.judge().Verdict != NotHere {
		t.Errorf("%+v, %v", row, err)
	}
	for text, want := range map[string]Verdict{
		"BenchmarkHeld-2  2000000  32.8 B/entry  3.280 GB  3.3 GB-process\n": Held, "BenchmarkHeld-2  1  41 B/entry  4.1 GB  4.2 GB-process\n": Broken, "FAIL\n": Broken,
	} {
		if err := os.WriteFile(filepath.Join(dir, heldFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if row, err := heldRow(dir); err != nil || row.judge().Verdict != want {
			t.Errorf("%q: %+v, %v", text, row, err)
		}
	}
}

func TestKafkaIsJudgedByItsFloor(t *testing.T) {
	all := kafkaRounds{floors: floors{Floor: []float64{8000, 9000, 8000}}, Polled: []float64{900}, Record: []float64{14_000, 60_000, 13_900}, Rate: []float64{1, 2, 3}}
	if row := kafkaRow(defaultKafka(), all).judge(); row.Verdict != Held || row.Value != 6000 {
		t.Errorf("%+v", row)
	}
	all.Record[2] = 14_100
	if row := kafkaRow(defaultKafka(), all).judge(); row.Verdict != Broken {
		t.Errorf("%+v", row)
	}
	all.Record[2], all.Wrong = 13_900, "9 of 10 records were written"
	if row := kafkaRow(defaultKafka(), all).judge(); row.Verdict != Broken || row.Note != all.Wrong {
		t.Errorf("%+v", row)
	}
}

// The node whose messages wait is on the servers' core, not on the generator's, which a
// child inherits.
func TestTheMailboxsNodeIsOnTheServersCore(t *testing.T) {
	cfg := Default()
	cfg.ServerCPU, cfg.OwnCPU, cfg.Roost = 5, 6, "a/program"
	if h := (&board{cfg: cfg}).hoard(); h.Core != 5 || h.Program != "a/program" {
		t.Errorf("%+v", h)
	}
}
