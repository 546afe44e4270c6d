package protocol

import "sync/atomic"

// gcra is a rate limit in one word: the theoretical arrival time of the next conforming
// request (ITU-T I.371, generic cell rate algorithm, virtual scheduling).
type gcra struct {
	tat       atomic.Int64
	emission  int64 // nanoseconds between two at the rate
	tolerance int64 // how far ahead of it a burst may be
}

func newGCRA(perSecond, burst int) gcra {
	e := int64(1e9) / int64(perSecond)
	return gcra{emission: max(1, e), tolerance: max(1, e) * int64(burst-1)}
}

// take reports whether one more conforms at that time. Any goroutine.
func (g *gcra) take(now int64) bool {
	for {
		tat := g.tat.Load()
		next, ok := conform(tat, now, g.emission, g.tolerance)
		if !ok {
			return false
		}
		if g.tat.CompareAndSwap(tat, next) {
			return true
		}
	}
}

// conform is the algorithm: next replaces the arrival time when ok.
func conform(tat, now, emission, tolerance int64) (next int64, ok bool) {
	if tat < now {
		tat = now
	}
	if tat-now > tolerance+emission {
		tat = now // no arrival can be that far ahead: the clock was set back
	}
	if tat-now > tolerance {
		return tat, false
	}
	return tat + emission, true
}
