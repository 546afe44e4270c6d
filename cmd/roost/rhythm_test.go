package main

import (
	"testing"
	"time"
)

// TestRhythm: each step comes once for its time, with ticks that come early and late, and
// with others than it was made for.
func TestRhythm(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		name  string
		ticks []time.Duration
		due   []bool
	}{
		{"its own length, early and late", []time.Duration{3 * ms, 252 * ms, 501 * ms, 749 * ms, 1030 * ms, 1251 * ms}, []bool{true, true, true, true, true, true}},
		{"shorter", []time.Duration{0, 100 * ms, 200 * ms, 300 * ms, 400 * ms, 500 * ms}, []bool{true, false, false, true, false, true}},
		{"longer", []time.Duration{0, 1000 * ms, 2000 * ms}, []bool{true, true, true}},
		{"stopped for long", []time.Duration{0, 10000 * ms, 10010 * ms, 10250 * ms, 10500 * ms}, []bool{true, true, false, true, true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := rhythm{every: 250 * ms}
			for i, now := range tc.ticks {
				if due := r.due(now); due != tc.due[i] {
					t.Errorf("at %v: due %v", now, due)
				}
			}
		})
	}
}
