//go:build linux

package experiment

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
)

func smallDensity(program string) Density {
	d := DefaultDensity(program)
	d.Devices, d.Settle, d.Quiet, d.Sources = 100, 50*time.Millisecond, 50*time.Millisecond, "127.0.1.1-127.0.1.2"
	return d
}

func TestDensityOfARealNode(t *testing.T) {
	d := smallDensity(buildRoost(t))
	d.Kept = t.TempDir()
	var notes []string
	r, err := d.Fill(context.Background(), t.TempDir(), nil, nil, func(s string) { notes = append(notes, s) })
	if err != nil {
		t.Fatal(err)
	}
	if r.Opened != 100 || r.Alive != 100 || r.UpgradeSuccess != 1 || !r.allUp() || !r.allAlive() {
		t.Errorf("%d opened, %d alive, success %g, %d and %d sessions", r.Opened, r.Alive, r.UpgradeSuccess, r.Full.Sessions, r.Proved.Sessions)
	}
	if r.Base.Sessions != 1 || r.Base.Process.RSSBytes < 1<<20 || r.Base.KernelBytes <= 0 || r.HeapLiveBytes < 1<<20 {
		t.Errorf("implausible: %+v", r.Base)
	}
	if r.Collection.Pauses.Count < 1 || r.Collection.Pauses.Max < r.Collection.Pauses.P50 || r.Collection.CPU <= 0 {
		t.Errorf("the collection that was asked for is %+v", r.Collection)
	}
	for name, want := range map[string]string{"density-100-heap.txt": "heap profile:", "density-100-metrics.txt": "roost_sessions 100\n"} {
		if text, err := os.ReadFile(filepath.Join(d.Kept, name)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s without %q (%v)", name, want, err)
		}
	}
	if len(notes) < 6 {
		t.Errorf("too quiet: %q", notes)
	}
}

// A node that cannot take every device, and one that dies, give a result that says so.
func TestDensityOfANodeThatFails(t *testing.T) {
	program := buildRoost(t)
	t.Run("full", func(t *testing.T) {
		d := smallDensity(program)
		d.Extra = []string{"--max-connections", "60"}
		r, err := d.Fill(context.Background(), t.TempDir(), nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Held || r.Failed < 39 || r.Opened > 60 || r.Opened+r.Failed != 100 {
			t.Errorf("held %v, %d opened, %d failed", r.Held, r.Opened, r.Failed)
		}
	})
	t.Run("killed", func(t *testing.T) {
		d := smallDensity(program)
		d.Quiet = time.Minute
		var node int
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		r, err := d.Fill(ctx, t.TempDir(), nil, nil, func(note string) {
			if _, rest, ok := strings.Cut(note, "is ready after"); ok {
				node = lastNumber(rest)
			}
			if strings.Contains(note, "devices are connected") {
				if p, err := os.FindProcess(node); err == nil {
					_ = p.Kill()
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		r.WriteText(&text)
		if r.Held || r.Run.Early == "" || !strings.Contains(text.String(), "ended early") {
			t.Errorf("held %v, early %q:\n%s", r.Held, r.Run.Early, text.String())
		}
	})
}

func lastNumber(s string) (n int) {
	for _, c := range s[strings.LastIndexByte(s, ' ')+1:] {
		n = n*10 + int(c-'0')
	}
	return n
}

func TestDensityArithmetic(t *testing.T) {
	const n = 1001
	made := func() *DensityResult {
		r := &DensityResult{Devices: n, ProcessBytesMax: 600, TotalBytesMax: 5000, HeapLiveBytes: 300 * n}
		r.Base = DensityReading{Sessions: 1, KernelBytes: 50 << 20, Process: Resident{RSSBytes: 20 << 20}, Memory: Memory{Slab: 1 << 20}}
		r.Full = DensityReading{Sessions: n, KernelBytes: 50<<20 + 8_800_000, Process: Resident{RSSBytes: 20<<20 + 600_000}, Memory: Memory{Slab: 1<<20 + 8_000_000}}
		r.Proved.Sessions = n
		return r
	}
	run := func(opened, failed, proved int64) *report.Result {
		open := report.Phase{Phase: generator.Phase{Kind: generator.Open}, Wall: 2 * time.Second, Tally: &tally.Tally{}}
		open.Tally.Add(tally.Attempted, opened+failed)
		open.Tally.Add(tally.Opened, opened)
		open.Tally.Add(tally.Failed, failed)
		open.Tally.Add(tally.Proved, proved)
		return &report.Result{Phases: []report.Phase{open}, Total: open.Tally}
	}
	r := made()
	r.count(run(n, 0, n))
	if r.Process != 600 || r.Kernel != 4400 || r.KernelSlab != 4000 || r.Total != 5000 || r.HeapLive != 300 || r.PerSecond != n/2.0 || !r.Held {
		t.Errorf("%+v", r)
	}
	for _, c := range []struct {
		name  string
		spoil func(*DensityResult) *report.Result
	}{
		{"one upgrade failed", func(*DensityResult) *report.Result { return run(n-1, 1, n-1) }},
		{"one is dead", func(*DensityResult) *report.Result { return run(n, 0, n-1) }},
		{"the node forgot one", func(r *DensityResult) *report.Result { r.Proved.Sessions--; return run(n, 0, n) }},
		{"process", func(r *DensityResult) *report.Result { r.Full.Process.RSSBytes += n; return run(n, 0, n) }},
		{"kernel", func(r *DensityResult) *report.Result { r.Full.KernelBytes += 2 * n; return run(n, 0, n) }},
		{"no reading", func(r *DensityResult) *report.Result { r.Full = DensityReading{}; return run(n, 0, n) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := made()
			r.count(c.spoil(r))
			if r.Held {
				t.Errorf("holds: %+v", r)
			}
		})
	}
}

func TestKernelBytesIsWhatNobodyElseHas(t *testing.T) {
	kb := parseKB("MemTotal:  100 kB\nHugePages_Total:   7\nOdd: x kB\n")
	if len(kb) != 1 || kb["MemTotal"] != 100<<10 {
		t.Errorf("%v", kb)
	}
	if n := (Memory{Total: 100, Free: 50, Anon: 20, Cached: 10}).KernelBytes(); n != 20 {
		t.Errorf("%d bytes", n)
	}
	if m, err := readMemory(); err != nil || m.KernelBytes() <= 0 || m.KernelBytes() >= m.Total {
		t.Errorf("%+v, %v", m, err)
	}
	if r, err := readResident(os.Getpid()); err != nil || r.AnonBytes <= 0 || r.PeakBytes < r.RSSBytes || r.PageTableBytes <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestParseNetwork(t *testing.T) {
	softnet := "00001234 0000000a 00000000\n00000001 00000006 00000000\n"
	snmp := "Ip: Forwarding RetransSegs\nIp: 1 99\nTcp: RtoMin OutSegs RetransSegs InErrs\nTcp: 200 5 17 3\nUdp: RetransSegs\nUdp: 4\n"
	if n := parseNetwork(softnet, snmp); n != (Network{Dropped: 16, Retransmits: 17}) {
		t.Errorf("%+v", n)
	}
	if n := parseNetwork("", ""); n != (Network{}) {
		t.Errorf("%+v", n)
	}
	if _, err := readNetwork(); err != nil {
		t.Error(err)
	}
}

func TestPausesFromBuckets(t *testing.T) {
	text := func(counts ...float64) Metrics {
		m := Metrics{values: map[string]float64{"go_gc_pauses_seconds_other": 9}}
		for i, le := range []string{"1e-05", "0.0001", "0.001", "+Inf"} {
			m.values[`go_gc_pauses_seconds_bucket{le="`+le+`"}`] = counts[i]
		}
		return m
	}
	for _, c := range []struct {
		name          string
		before, after Metrics
		want          Distribution
	}{
		{"none", text(5, 5, 5, 5), text(5, 5, 5, 5), Distribution{}},
		{"since the start", Metrics{}, text(1, 98, 100, 100), Distribution{100, 100 * time.Microsecond, time.Millisecond, time.Millisecond}},
		{"since the last look", text(1, 98, 100, 100), text(3, 100, 102, 102), Distribution{2, 10 * time.Microsecond, 10 * time.Microsecond, 10 * time.Microsecond}},
		{"beyond the last bucket", Metrics{}, text(0, 0, 0, 1), Distribution{1, time.Millisecond, time.Millisecond, time.Millisecond}},
		{"no metric", Metrics{}, Metrics{}, Distribution{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.after.Since(c.before, pausesMetric); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}
