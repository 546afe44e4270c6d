//go:build race

package sim

// Under the race detector a seed takes ten times as long, and there are no goroutines in
// it: two are enough.
func init() { *seeds = 2 }
