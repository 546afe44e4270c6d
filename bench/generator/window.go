package generator

import (
	"slices"
	"time"

	"github.com/roostpush/roost/bench/tally"
)

// HOT PATH

const (
	windowTime  = 100 * time.Millisecond
	windowLeast = 1_000 // values, or the percentile were that of a handful
)

// window gathers latencies for a tenth of a second and records their 99th percentile. A
// machine that takes a core away for 20 ms now and then spoils a window or two and, of all
// messages together, more than the hundredth that a percentile leaves out. It belongs to a
// loop's phase; the zero value is ready.
type window struct {
	endNS  int64
	values []int64
}

// record adds a latency that was noticed at nowNS.
func (w *window) record(since *tally.Tally, timer tally.Timer, ns, nowNS int64) {
	if w.endNS == 0 {
		w.endNS = nowNS + int64(windowTime)
	}
	w.values = append(w.values, ns)
	if nowNS < w.endNS || len(w.values) < windowLeast {
		return
	}
	slices.Sort(w.values)
	since.Record(timer, w.values[(len(w.values)*99+99)/100-1])
	w.values, w.endNS = w.values[:0], 0
}
