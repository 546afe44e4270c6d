package processor

import (
	"fmt"
	"testing"

	"github.com/roostpush/roost/session"
)

func drop(Result) {}

// fill hands in n records of an account. It begins nothing.
func (w *world) fill(account string, p session.Priority, n int) {
	w.t.Helper()
	for range n {
		if !w.p.Take(&Record{Account: account, Priority: p}, drop) {
			w.t.Fatalf("the lane %v is full", p)
		}
	}
}

// TestNoisyAccountDelaysNobody counts attempts, not time: before the one record of the
// quiet account every noisy one may begin a single attempt, once it has its places.
func TestNoisyAccountDelaysNobody(t *testing.T) {
	for _, noisy := range []int{1, 20, 100} {
		t.Run(fmt.Sprint(noisy), func(t *testing.T) {
			w := newWorld(t, Default())
			for i := range noisy {
				w.fill(fmt.Sprint("noisy-", i), session.PriorityNormal, 10_000/noisy)
			}
			w.pump()
			running := w.begun
			if most := min(noisy*w.p.cfg.AccountConcurrency, w.p.cfg.Normal.Concurrency); running != most {
				t.Fatalf("%d attempts are on their way, want %d", running, most)
			}
			quiet := w.take(&Record{Account: "quiet"})
			for len(*quiet) == 0 {
				if w.begun > running+noisy+1 {
					t.Fatalf("%d attempts of others were begun before the quiet one's", w.begun-running)
				}
				for i, a := range w.attempts {
					if a.record.Account == "quiet" {
						w.attempts[0], w.attempts[i] = a, w.attempts[0]
					}
				}
				w.end(came(session.Written))
			}
		})
	}
}

// TestSlowAccountHoldsItsOwnPlacesOnly has an account whose attempts never end.
func TestSlowAccountHoldsItsOwnPlacesOnly(t *testing.T) {
	w := newWorld(t, Default())
	w.fill("slow", session.PriorityHigh, 10_000)
	w.pump()
	slow := len(w.attempts)
	if slow != w.p.cfg.AccountConcurrency {
		t.Fatalf("%d attempts of one account are on their way", slow)
	}
	w.attempts = nil
	for i := range 1000 {
		results := w.take(&Record{Account: fmt.Sprint("account-", i), Priority: session.PriorityHigh})
		w.end(came(session.Written))
		only(t, results, came(session.Written))
	}
}

func TestLanesShareByWeight(t *testing.T) {
	cfg := Default()
	cfg.Concurrency, cfg.AccountConcurrency = 3, 1
	cfg.High.Concurrency, cfg.Normal.Concurrency, cfg.Low.Concurrency = 1, 1, 1
	w := newWorld(t, cfg)
	w.p.schedule.runningMax = 1 // so that the weights alone decide
	for p := range session.Priority(session.PriorityCount) {
		w.fill("a", p, 2000)
	}
	w.pump()
	var begun [session.PriorityCount]int
	sinceLow := 0
	for range 1300 {
		p := w.end(came(session.Written)).record.Priority
		begun[p]++
		if sinceLow++; p == session.PriorityLow {
			sinceLow = 0
		}
		if sinceLow > 13 {
			t.Fatal("13 attempts were begun and none of the lane low, although it has some")
		}
	}
	for p, want := range map[session.Priority]int{session.PriorityHigh: 800, session.PriorityNormal: 400, session.PriorityLow: 100} {
		if n := begun[p]; n < want-1 || n > want+1 {
			t.Errorf("the lane %v began %d of 1300, want %d", p, n, want)
		}
	}
}

// TestIdleLaneSavesNothingUp holds that a lane that was empty gets its share from now on,
// not what it did not use.
func TestIdleLaneSavesNothingUp(t *testing.T) {
	cfg := Default()
	w := newWorld(t, cfg)
	w.p.schedule.runningMax = 1
	w.fill("a", session.PriorityLow, 2000)
	w.pump()
	for range 1000 {
		w.end(came(session.Written))
	}
	w.fill("a", session.PriorityHigh, 1000)
	high := 0
	for range 90 {
		if w.end(came(session.Written)).record.Priority == session.PriorityHigh {
			high++
		}
	}
	if high < 78 || high > 81 {
		t.Errorf("the lane high began %d of 90, want 80", high)
	}
}

// TestSlowLanesLeaveTheThirdItsPlace has two lanes full of attempts that never end.
func TestSlowLanesLeaveTheThirdItsPlace(t *testing.T) {
	for third := range session.Priority(session.PriorityCount) {
		w := newWorld(t, Default())
		for p := range session.Priority(session.PriorityCount) {
			for i := range 1000 {
				if p != third {
					w.fill(fmt.Sprint(i), p, 2)
				}
			}
		}
		w.pump()
		w.attempts = nil
		results := w.take(&Record{Account: "a", Priority: third})
		w.end(came(session.Written))
		only(t, results, came(session.Written))
	}
}

func TestTurnsTakeTheirTurn(t *testing.T) {
	cfg := Default()
	cfg.AccountConcurrency, cfg.Normal.TurnsMax = 1, 2
	w := newWorld(t, cfg)
	w.fill("a", session.PriorityNormal, 1)
	var ends []func()
	run := func(done func()) { ends = append(ends, done) }
	for i := range 3 {
		if ok := w.p.Turn(session.PriorityNormal, "a", run); ok != (i < 2) {
			t.Errorf("turn %d: %v", i, ok)
		}
	}
	w.pump()
	for want := range 3 {
		if len(ends) != want {
			t.Fatalf("%d turns were given, want %d", len(ends), want)
		}
		if want == 0 {
			w.end(came(session.Written))
		} else {
			ends[want-1]()
			w.pump()
		}
		if want == 1 && !w.p.Turn(session.PriorityNormal, "a", run) {
			t.Error("a turn that is over counts still")
		}
	}
	if s := w.p.Stats(); s.Turns[session.PriorityNormal] != 3 || s.TurnsRefused[session.PriorityNormal] != 1 || s.TurnsHeld[session.PriorityNormal] != 1 {
		t.Errorf("stats are %+v", s)
	}
}
