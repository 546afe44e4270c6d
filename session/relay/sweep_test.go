package relay

import "testing"

// TestSweepForgetsWhatIsAnswered: a promise that waits keeps none in memory that came after it
// and are answered.
func TestSweepForgetsWhatIsAnswered(t *testing.T) {
	s := promises{}
	waits := &promise{of: &s, deadlineMS: 5000}
	s.list = []*promise{waits}
	for range 100 {
		p := &promise{of: &s, deadlineMS: 6000}
		p.answered.Store(true)
		s.list = append(s.list, p)
	}
	s.sweep(1000)
	if len(s.list) != 1 || s.list[0] != waits {
		t.Errorf("%d are left of 1 that waits and 100 that are answered", len(s.list))
	}
}
