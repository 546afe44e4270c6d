package generator

import "time"

// Clock reads the machine's monotonic clock in nanoseconds. All processes of a run
// see the same time, so that intended starts can be agreed on. It is a value and may
// be used anywhere.
type Clock struct {
	base   time.Time
	baseNS int64
}

// NewClock returns a clock. The kernel's clock is read once and Go's cheaper one
// (no system call) added to it.
func NewClock() Clock { return Clock{base: time.Now(), baseNS: monotonicNS()} }

// Now returns the time in nanoseconds; its zero is somewhere before the machine started.
func (c Clock) Now() int64 { return c.baseNS + int64(time.Since(c.base)) }
