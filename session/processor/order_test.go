package processor

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
)

// story is what the model knows of one record.
type story struct {
	number   int // in the order of Take
	record   *Record
	results  []Result
	attempts int
}

// TestRecordsOfAKeyKeepTheirOrder draws records, ends of attempts, pauses and time, and
// holds what Take promises: one result for each record; those with one key one after the
// other, each attempted only when all before it have their result; nothing begun while
// paused, nothing pushed past its ttl, nothing pushed again that had a final result.
func TestRecordsOfAKeyKeepTheirOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Default()
		cfg.Concurrency, cfg.AccountConcurrency = 5, 2
		cfg.High.Concurrency, cfg.Normal.Concurrency, cfg.Low.Concurrency = 2, 2, 2
		cfg.Normal.RecordsMax = 12
		w := newWorld(t, cfg)
		var stories []*story
		of := map[*Record]*story{}
		seen := 0 // attempts looked at
		look := func(t *rapid.T) {
			for _, a := range w.attempts[min(seen, len(w.attempts)):] {
				s := of[a.record]
				if s.attempts++; s.attempts != a.number {
					t.Fatalf("record %d: attempt %d says it is %d", s.number, s.attempts, a.number)
				}
				if len(s.results) > 0 {
					t.Fatalf("record %d was pushed after its result", s.number)
				}
				if a.record.TTLMS > 0 && w.wall >= a.record.SentMS+a.record.TTLMS {
					t.Fatalf("record %d was pushed past its ttl", s.number)
				}
				for _, earlier := range stories[:s.number] {
					if a.record.Key != 0 && earlier.record.Key == a.record.Key && earlier.record.Priority == a.record.Priority && len(earlier.results) == 0 {
						t.Fatalf("record %d was pushed before record %d, with its key, had its result", s.number, earlier.number)
					}
				}
			}
			seen = len(w.attempts)
		}
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				s := &story{number: len(stories), record: &Record{
					Account:  rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "account"),
					Priority: session.Priority(rapid.IntRange(0, 2).Draw(t, "lane")),
					Key:      uint64(rapid.IntRange(0, 3).Draw(t, "key")),
					TTLMS:    int64(rapid.SampledFrom([]int{0, 300, 2000, 60_000}).Draw(t, "ttl")),
				}}
				of[s.record] = s
				held := 0
				for _, other := range stories {
					if len(other.results) == 0 && other.record.Priority == session.PriorityNormal {
						held++
					}
				}
				normal := s.record.Priority == session.PriorityNormal
				ok := w.p.Take(s.record, func(r Result) { s.results = append(s.results, r) })
				if normal && held >= 12 && ok || (!normal || held < 10) && !ok {
					t.Fatalf("taken: %v with %d records", ok, held)
				}
				if ok {
					stories = append(stories, s)
					w.pump()
				}
				look(t)
			},
			"end": func(t *rapid.T) {
				if len(w.attempts) == 0 {
					t.Skip("no attempt is on its way")
				}
				i := rapid.IntRange(0, len(w.attempts)-1).Draw(t, "which")
				a := w.attempts[i]
				w.attempts = slices.Delete(w.attempts, i, i+1)
				seen = len(w.attempts)
				o := rapid.SampledFrom([]session.Outcome{session.Written, session.Offline, session.Overloaded, session.Unreachable, session.Lost, session.Timeout}).Draw(t, "outcome")
				a.done(came(o))
				w.pump()
				look(t)
			},
			"time": func(t *rapid.T) {
				for range rapid.IntRange(1, 10).Draw(t, "times 50 ms") {
					w.pass(50)
					look(t)
				}
			},
			"pause": func(t *rapid.T) { w.p.Pause(rapid.SampledFrom([]Reason{Draining, StoreStalled}).Draw(t, "reason")) },
			"resume": func(t *rapid.T) {
				w.p.Resume(rapid.SampledFrom([]Reason{Draining, StoreStalled}).Draw(t, "reason"))
				w.pump()
				look(t)
			},
			"": func(t *rapid.T) {
				if before := w.begun; w.p.Paused() {
					if w.pump(); w.begun != before {
						t.Fatal("an attempt was begun while paused")
					}
				}
			},
		})
		// In the end everybody hears.
		w.p.Resume(Draining)
		w.p.Resume(StoreStalled)
		w.pump()
		for len(w.attempts) > 0 || w.p.Stats().Retrying > 0 {
			for len(w.attempts) > 0 {
				w.end(came(session.Written))
			}
			w.pass(500)
		}
		for _, s := range stories {
			if len(s.results) != 1 {
				t.Fatalf("record %d has %d results", s.number, len(s.results))
			}
		}
		if s := w.p.Stats(); s.Records != (ByLane{}) || s.Bytes != (ByLane{}) || s.Waiting != (ByLane{}) || s.Running != (ByLane{}) {
			t.Fatalf("nothing is left, and yet %+v", s)
		}
		for i := range w.p.schedule.lanes {
			if l := &w.p.schedule.lanes[i]; len(l.accounts) != 0 || len(l.keys) != 0 || l.held != (list{}) {
				t.Fatalf("the lane %v keeps %d accounts and %d keys", l.priority, len(l.accounts), len(l.keys))
			}
		}
	})
}

// TestKeysOfTwoLanesAreTwo holds that an important record does not wait for the queue of
// unimportant ones to the same device.
func TestKeysOfTwoLanesAreTwo(t *testing.T) {
	w := newWorld(t, Default())
	for range 10 {
		w.take(&Record{Account: "a", Key: 7, Priority: session.PriorityLow})
	}
	w.take(&Record{Account: "a", Key: 7, Priority: session.PriorityHigh})
	if len(w.attempts) != 2 || w.attempts[1].record.Priority != session.PriorityHigh {
		t.Errorf("%d attempts are on their way", len(w.attempts))
	}
}
