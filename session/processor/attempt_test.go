package processor

import (
	"testing"
	"time"

	"github.com/roostpush/roost/session"
)

func TestResultsAreFinalOrTriedAgain(t *testing.T) {
	const (
		written, queued, offline = session.Written, session.Queued, session.Offline
		full, unreachable        = session.Overloaded, session.Unreachable
		lost, timeout            = session.Lost, session.Timeout
	)
	for name, c := range map[string]struct {
		result       Result
		now, withTTL bool // tried again without a ttl, and with one
	}{
		"written":                         {came(written), false, false},
		"queued":                          {came(queued), false, false},
		"offline":                         {came(offline), false, false},
		"too large":                       {came(session.TooLarge), false, false},
		"nobody":                          {came(), false, false},
		"rejected":                        {Result{Reject: &Reject{"x", "y"}}, false, false},
		"overloaded":                      {came(full), true, true},
		"unreachable":                     {came(unreachable), true, true},
		"all that may pass":               {came(full, unreachable, full), true, true},
		"lost, which may have arrived":    {came(lost), false, true},
		"timeout, which may have arrived": {came(timeout), false, true},
		"one device has it":               {came(written, full), false, false},
		"one device is offline":           {came(offline, unreachable), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			for ttl, again := range map[int64]bool{0: c.now, 60_000: c.withTTL} {
				w := newWorld(t, Default())
				results := w.take(&Record{Account: "a", TTLMS: ttl})
				w.end(c.result)
				if !again {
					only(t, results, c.result)
					w.pass(20_000)
					if w.begun != 1 {
						t.Errorf("ttl %d: %d attempts after a final result", ttl, w.begun)
					}
					continue
				}
				if len(*results) != 0 || len(w.attempts) != 0 {
					t.Errorf("ttl %d: results %v and %d attempts at once, want a backoff", ttl, *results, len(w.attempts))
				}
				w.pass(400)
				if a := w.end(came(written)); a.number != 2 {
					t.Errorf("ttl %d: the attempt says it is number %d", ttl, a.number)
				}
				only(t, results, came(written))
			}
		})
	}
}

func TestBackoffGrowsWithinItsBounds(t *testing.T) {
	cfg := Default()
	cfg.RetryMin, cfg.RetryMax = 200*time.Millisecond, 3*time.Second
	p := New(cfg, nil, nil, nil)
	for attempts, most := range map[int]int64{1: 200, 2: 400, 3: 800, 4: 1600, 5: 3000, 6: 3000, 1000: 3000} {
		seen := map[int64]bool{}
		for range 500 {
			ms := p.backoffMS(attempts)
			if ms < most/2 || ms > most {
				t.Fatalf("after %d attempts %d ms, want %d to %d", attempts, ms, most/2, most)
			}
			seen[ms] = true
		}
		if len(seen) < 50 {
			t.Errorf("after %d attempts only %d different backoffs of 500", attempts, len(seen))
		}
	}
}

func TestRecordExpires(t *testing.T) {
	t.Run("before it is its turn", func(t *testing.T) {
		w := newWorld(t, Default())
		only(t, w.take(&Record{Account: "a", SentMS: w.wall - 5000, TTLMS: 5000}), came(session.Expired))
		if w.begun != 0 {
			t.Error("it was pushed all the same")
		}
	})
	t.Run("while it is tried again", func(t *testing.T) {
		w := newWorld(t, Default())
		w.p.cfg.RetryMin = 900 * time.Millisecond // so that a whole backoff would end too late
		results := w.take(&Record{Account: "a", SentMS: w.wall - 4000, TTLMS: 5000})
		began := w.steady
		for len(*results) == 0 && w.steady < began+60_000 {
			if len(w.attempts) > 0 {
				w.end(came(session.Overloaded, session.Unreachable))
			}
			w.pass(10)
		}
		if took := w.steady - began; took < 1000 || took > 1100 {
			t.Errorf("it took %d ms, and 1,000 ms of its ttl were left", took)
		}
		only(t, results, came(session.Expired, session.Expired))
		if w.begun != 2 {
			t.Errorf("%d attempts in a second", w.begun)
		}
		if s := w.p.Stats(); s.Outcomes[session.Expired] != 2 {
			t.Errorf("%d are counted as expired", s.Outcomes[session.Expired])
		}
	})
	t.Run("while an attempt is on its way", func(t *testing.T) {
		w := newWorld(t, Default())
		results := w.take(&Record{Account: "a", TTLMS: 5000})
		w.pass(6000)
		w.end(came(session.Timeout))
		only(t, results, came(session.Expired))
	})
	t.Run("not because its producer's clock is behind or ahead", func(t *testing.T) {
		w := newWorld(t, Default())
		r := &Record{Account: "a", SentMS: w.wall + 3_600_000, TTLMS: 5000}
		results := w.take(r)
		if r.SentMS != w.wall {
			t.Errorf("sent %d ms from now", r.SentMS-w.wall)
		}
		w.pass(6000)
		w.end(came(session.Overloaded))
		only(t, results, came(session.Expired))
	})
	t.Run("never without a ttl, however old it is", func(t *testing.T) {
		w := newWorld(t, Default())
		results := w.take(&Record{Account: "a", SentMS: 1})
		w.end(came(session.Written))
		only(t, results, came(session.Written))
	})
}

func TestRetriesEnd(t *testing.T) {
	cfg := Default()
	cfg.RetryFor, cfg.HoldMax = 2*time.Second, 5*time.Second
	for name, c := range map[string]struct {
		ttl, after int64
	}{
		"without a ttl after retry_for": {0, 2000},
		"with a ttl after hold_max":     {3_600_000, 5000},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, cfg)
			results := w.take(&Record{Account: "a", TTLMS: c.ttl})
			began := w.steady
			for len(*results) == 0 {
				if w.steady > began+c.after+200 {
					t.Fatalf("no result after %d ms", w.steady-began)
				}
				if len(w.attempts) > 0 {
					w.end(came(session.Unreachable))
				} else {
					w.pass(50)
				}
			}
			only(t, results, came(session.Unreachable))
			if took := w.steady - began; took < c.after {
				t.Errorf("it was given up after %d ms of %d", took, c.after)
			}
			if s := w.p.Stats(); s.Exhausted != 1 || s.Retries[session.PriorityNormal] == 0 || s.Retrying != 0 {
				t.Errorf("stats are %+v", s)
			}
		})
	}
}

func TestDoneTwiceIsCaught(t *testing.T) {
	w := newWorld(t, Default())
	w.take(&Record{Account: "a"})
	done := w.attempts[0].done
	done(came(session.Overloaded))
	defer func() {
		if recover() == nil {
			t.Error("a second done went unnoticed")
		}
	}()
	done(came(session.Written))
}
