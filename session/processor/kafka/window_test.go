package kafka

import (
	"testing"

	"pgregory.net/rapid"
)

// TestWindowModel finishes records in any order, cuts the log back at times, and holds
// the commit point against the obvious rule: the least offset that is not final.
func TestWindowModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWindow("t", 0)
		type open struct {
			sequence uint64
			offset   int64
			alive    bool // its offset is still its own
		}
		var inWork []open
		offset, fetched := rapid.Int64Range(0, 5).Draw(t, "begin"), false
		begin := offset
		last := int64(-1)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				offset += rapid.Int64Range(0, 3).Draw(t, "hole")
				if !fetched {
					begin = offset
				}
				fetched = true
				s := w.add(offset, 1)
				if !w.take() {
					t.Fatal("an open window took nothing")
				}
				inWork = append(inWork, open{s, offset, true})
				last = offset
				offset++
			},
			"cut": func(t *rapid.T) {
				if last < 1 {
					t.Skip("nothing to cut")
				}
				offset = rapid.Int64Range(0, last).Draw(t, "to")
				for i := range inWork {
					inWork[i].alive = false
				}
				s := w.add(offset, 2)
				w.take()
				inWork = append(inWork, open{s, offset, true})
				begin, last = offset, offset
				offset++
			},
			"finish": func(t *rapid.T) {
				if len(inWork) == 0 {
					t.Skip("nothing in work")
				}
				i := rapid.IntRange(0, len(inWork)-1).Draw(t, "which")
				if _, late := w.finish(inWork[i].sequence); late {
					t.Fatal("late in an open window")
				}
				inWork = append(inWork[:i], inWork[i+1:]...)
			},
			"commit": func(t *rapid.T) {
				if p, ok := w.due(); ok {
					w.settled(p)
					if _, again := w.due(); again {
						t.Fatal("due again at once")
					}
				}
			},
			"": func(t *rapid.T) {
				if !fetched {
					if _, ok := w.due(); ok {
						t.Fatal("due before anything was fetched")
					}
					return
				}
				want, unfinished := int64(0), false
				for _, o := range inWork {
					if o.alive && (!unfinished || o.offset < want) {
						want, unfinished = o.offset, true
					}
				}
				p, _ := w.due()
				switch {
				case unfinished && p.offset > want:
					t.Fatalf("commits %d, but %d is not final", p.offset, want)
				case !unfinished && p.offset != last+1:
					t.Fatalf("commits %d when all up to %d are final", p.offset, last)
				case p.offset < begin:
					t.Fatalf("commits %d, before the first record %d", p.offset, begin)
				}
				if got := w.left(); got != len(inWork) {
					t.Fatalf("%d are left, want %d", got, len(inWork))
				}
				if got := w.lag(); got != uint64(last+1-p.offset) {
					t.Fatalf("lag is %d, want %d", got, last+1-p.offset)
				}
			},
		})
	})
}

func TestWindowReachesTheHole(t *testing.T) {
	w := newWindow("t", 0)
	for _, offset := range []int64{10, 20, 30} {
		w.add(offset, 7)
		w.take()
	}
	w.finish(0)
	if p, ok := w.due(); !ok || p != (point{11, 7}) {
		t.Errorf("after the first: %v %v", p, ok)
	}
	w.finish(2)
	if p, _ := w.due(); p.offset != 11 {
		t.Errorf("the third must wait for the second: %v", p)
	}
	w.finish(1)
	if p, _ := w.due(); p != (point{31, 7}) || w.len() != 0 {
		t.Errorf("after all: %v, %d left", p, w.len())
	}
}

func TestWindowSettlesOnlyWhatWasCommitted(t *testing.T) {
	w := newWindow("t", 0)
	w.add(0, 0)
	w.add(1, 0)
	w.take()
	w.take()
	w.finish(0)
	p, _ := w.due()
	w.finish(1) // while the commit is on its way
	w.settled(p)
	if p, ok := w.due(); !ok || p.offset != 2 {
		t.Errorf("the second must still be due: %v %v", p, ok)
	}
}

func TestWindowClosed(t *testing.T) {
	w := newWindow("t", 0)
	w.add(0, 0)
	w.add(1, 0)
	w.take()
	idle := w.close()
	select {
	case <-idle:
		t.Fatal("idle while the sink has a record")
	default:
	}
	if w.take() {
		t.Error("a closed window let a record go")
	}
	if _, late := w.finish(0); !late {
		t.Error("a result after the close is late")
	}
	<-idle
	<-w.close()
	if p, ok := w.due(); !ok || p.offset != 1 {
		t.Errorf("what became final while the close waited is committed: %v %v", p, ok)
	}
}

func TestWindowRewinds(t *testing.T) {
	w := newWindow("t", 0)
	for offset := range int64(5) {
		w.add(offset, 1)
		w.take()
	}
	w.reaches(100)
	w.add(2, 2) // the log was cut back to 2
	w.take()
	if n := w.rewound(); n != 1 || w.rewound() != 0 {
		t.Errorf("%d rewinds", n)
	}
	w.finish(4) // of the records that are gone
	if p, ok := w.due(); !ok || p.offset != 2 || w.lag() != 1 {
		t.Errorf("commits %v %v, lag %d", p, ok, w.lag())
	}
	w.finish(5)
	if p, _ := w.due(); p.offset != 3 {
		t.Errorf("commits %v", p)
	}
}

func TestWindowAllocatesNothing(t *testing.T) {
	w := newWindow("t", 0)
	offset := int64(0)
	if n := testing.AllocsPerRun(1000, func() {
		s := w.add(offset, 1)
		w.take()
		w.finish(s)
		offset++
	}); n != 0 {
		t.Errorf("%v allocations for a record", n)
	}
}
