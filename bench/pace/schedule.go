package pace

import "math"

// Schedule is one loop's share of a steady load. Every loop of every process has
// the same StartNS and PerSecond and its own Offset, and takes every Stride-th
// item, so that together they produce each item once, evenly spaced.
//
// It is a value; any goroutine may use its copy.
type Schedule struct {
	StartNS   int64   // time of item 0, in nanoseconds of the caller's clock
	PerSecond float64 // items a second over all shares; must be positive
	Stride    int64   // number of shares; at least 1
	Offset    int64   // this share, 0 to Stride-1
}

// Item returns the number, over all shares, of this share's i-th item.
func (s Schedule) Item(i int64) int64 { return s.Offset + i*s.Stride }

// At returns the intended start of this share's i-th item. It is computed from
// the item's number and not from the item before, so that rounding never adds up.
func (s Schedule) At(i int64) int64 {
	return s.StartNS + int64(math.Round(float64(s.Item(i))*1e9/s.PerSecond))
}

// Due returns how many of this share's items were meant to start at nowNS or before.
func (s Schedule) Due(nowNS int64) int64 {
	if nowNS < s.StartNS {
		return 0
	}
	// The division may be off by one item through rounding; At decides.
	item := int64(float64(nowNS-s.StartNS) * s.PerSecond / 1e9)
	n := (item-s.Offset)/s.Stride + 1
	n = max(n, 0)
	for n > 0 && s.At(n-1) > nowNS {
		n--
	}
	for s.At(n) <= nowNS {
		n++
	}
	return n
}

// Share returns how many of total items belong to the share at offset.
func Share(total, stride, offset int64) int64 {
	if total <= offset {
		return 0
	}
	return (total-offset-1)/stride + 1
}
