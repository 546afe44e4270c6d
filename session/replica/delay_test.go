package replica

import (
	"math"
	"testing"

	"github.com/roostpush/roost/session/wire"
)

// recorder is a link that keeps the deltas' times.
type recorder struct {
	calm
	times []uint64
}

func (l *recorder) Send(_ string, message any) bool {
	if d, ok := message.(*wire.Delta); ok {
		l.times = append(l.times, d.AtMS)
	}
	return true
}

// A delta says when the oldest change came about that had to wait for it.
func TestDeltaSaysWhenItsOldestChangeCame(t *testing.T) {
	r, _ := solitary(t, 1000)
	links := &recorder{calm: calm{peers: []string{"author"}}}
	r.Links = links
	r.cfg.BatchChanges, r.cfg.BatchMS = 4, 50
	r.Opened(1, 1, 10_000) // alone: at once
	r.Opened(2, 1, 10_010)
	r.Opened(3, 1, 10_020)
	r.Tick(10_060) // both waited
	for i := range uint64(4) {
		r.Opened(10+i, 1, 10_070+int64(i)) // the last one fills a batch
	}
	r.Tick(20_000) // nothing waits
	want := []uint64{10_000, 10_010, 10_070}
	if len(links.times) != len(want) {
		t.Fatalf("%v, want %v", links.times, want)
	}
	for i := range want {
		if links.times[i] != want[i] {
			t.Errorf("delta %d is of %d, want %d", i, links.times[i], want[i])
		}
	}
}

// Only a delta that was applied at once tells a delay.
func TestDelaysAreCounted(t *testing.T) {
	r, _ := solitary(t, 1000)
	change := func(seq, atMS uint64, nowMS int64) {
		t.Helper()
		d := wire.Delta{Author: theAuthor, First: seq, AtMS: atMS, Changes: []wire.Change{{Address: seq, Account: 1, Version: 1}}}
		if err := r.Receive("author", &d, nowMS); err != nil {
			t.Fatal(err)
		}
	}
	change(1, 1000, 1000)
	change(2, 1000, 1001)
	change(3, 1000, 1020)
	change(4, 1000, 1021)
	change(5, 2000, 1000)  // clocks differ
	change(6, 1000, 99999) // above all bounds
	change(7, 0, 99999)    // sent again
	change(7, 1000, 1200)  // known already
	change(9, 1000, 1200)  // before its turn
	s := r.Stats().DelayStats
	got := map[string]uint64{}
	for i, n := range s.Delays {
		got[s.Delays.Label(i)] = n
	}
	for le, want := range map[string]uint64{"0.001": 3, "0.015": 3, "0.02": 4, "0.03": 5, "5": 5, "+Inf": 6} {
		if got[le] != want {
			t.Errorf("up to %s: %d, want %d", le, got[le], want)
		}
	}
	if s.Delayed != 6 || math.Abs(s.DelaySum-99.041) > 1e-6 {
		t.Errorf("%d delays of %v s", s.Delayed, s.DelaySum)
	}
}
