package main

import "time"

// rhythm picks from the ticks of a clock those that a step is due at. The first
// tick has a step.
type rhythm struct {
	every, next time.Duration
}

// due reports whether a step is due, which is within an eighth of it: ticks of the same
// length come a little early and late. Steps that were missed are not made up for.
func (r *rhythm) due(now time.Duration) bool {
	if now < r.next-r.every/8 {
		return false
	}
	r.next = max(r.next+r.every, now+r.every/2)
	return true
}
