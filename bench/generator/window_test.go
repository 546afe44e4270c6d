package generator

import (
	"testing"
	"time"

	"github.com/roostpush/roost/bench/tally"
)

// TestWindow: of ten windows one is spoiled by a pause, and the median is none the worse;
// a window lasts until it has enough to tell a percentile by.
func TestWindow(t *testing.T) {
	var w window
	var since tally.Tally
	now := int64(time.Hour)
	for i := range 10 {
		for n := range 2 * windowLeast {
			took := int64(n+1) * 1_000 // of 2,000: the 1,980th is 1.98 ms
			if i == 4 {
				took = int64(50 * time.Millisecond)
			}
			w.record(&since, tally.RelayWindow, took, now)
			now += int64(windowTime)/(2*windowLeast-1) + 1
		}
		now += int64(windowTime) // to the next second half
	}
	h := since.Timing(tally.RelayWindow)
	if got := h.Count(); got != 10 {
		t.Fatalf("%d windows, want 10", got)
	}
	for percent, want := range map[float64]time.Duration{50: 1_980 * time.Microsecond, 100: 50 * time.Millisecond} {
		if got := h.Quantile(percent); got < want-want/500 || got > want+want/500 {
			t.Errorf("p%v of the windows is %v, want %v", percent, got, want)
		}
	}
	for range windowLeast - 1 {
		w.record(&since, tally.RelayWindow, 1, now)
		now += int64(windowTime)
	}
	if got := since.Timing(tally.RelayWindow).Count(); got != 10 {
		t.Error("a window with less than its least ended")
	}
}
