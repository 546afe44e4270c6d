package processor

import (
	"fmt"
	"testing"

	"github.com/roostpush/roost/session"
)

func TestRepeatedRecordHasTheResultOfTheFirst(t *testing.T) {
	again := func(r Result) Result { r.Repeated = true; return r }
	poison := &Reject{"forbidden", "no"}
	for name, result := range map[string]Result{
		"one kind": came(session.Written, session.Written),
		"mixed":    came(session.Written, session.Offline, session.Offline),
		"nobody":   came(),
		"rejected": {Reject: poison},
		"kept":     {Counts: came(session.Queued).Counts, ID: session.ID{Origin: session.Origin{Node: "n", Epoch: 3}, Number: 9}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Default())
			record := func() *Record { return &Record{Account: "a", ID: "1", Payload: []byte("x")} }
			first, second, third := w.take(record()), w.take(record()), w.take(record())
			if w.begun != 1 || len(*second) != 0 {
				t.Fatalf("%d attempts, results %v", w.begun, *second)
			}
			w.end(result)
			only(t, first, result)
			only(t, second, again(result))
			only(t, third, again(result))
			only(t, w.take(record()), again(result))
			if s := w.p.Stats(); w.begun != 1 || s.Repeated != 3 || s.IDs != 1 || s.Records != (ByLane{}) {
				t.Errorf("%d attempts, stats %+v", w.begun, s)
			}
			w.pass(w.p.cfg.IdempotencyAge.Milliseconds())
			w.take(record())
			if s := w.p.Stats(); w.begun != 2 || s.IDs != 0 || s.IDsForgotten != 0 {
				t.Errorf("it is remembered for longer than the window: %d attempts, stats %+v", w.begun, s)
			}
		})
	}
}

func TestIDNamesOneMessage(t *testing.T) {
	base := Record{Account: "a", Device: "d", ID: "1", TTLMS: 60_000, Payload: []byte("x")}
	for name, change := range map[string]func(*Record){
		"account": func(r *Record) { r.Account = "b" },
		"device":  func(r *Record) { r.Device = "" },
		"topic":   func(r *Record) { r.Account, r.Device, r.Topic = "", "", "t" },
		"payload": func(r *Record) { r.Payload = []byte("y") },
		"kind":    func(r *Record) { r.Kind = session.Binary },
		"ttl":     func(r *Record) { r.TTLMS = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Default())
			first, other := base, base
			w.take(&first)
			change(&other)
			for range 2 { // while it is on its way, and when it has its result
				reused := other
				results := w.take(&reused)
				if len(*results) != 1 || (*results)[0].Reject == nil || (*results)[0].Reject.Code != CodeIDReused {
					t.Errorf("results are %v", *results)
				}
				if len(w.attempts) > 0 {
					w.end(came(session.Written))
				}
			}
			other.IDScope = "elsewhere"
			if w.take(&other); w.begun != 2 {
				t.Error("the same id in another scope is another one")
			}
		})
	}
}

func TestWhatMayPassIsNotRemembered(t *testing.T) {
	w := newWorld(t, Default())
	results := w.take(&Record{Account: "a", ID: "1"})
	for len(*results) == 0 {
		if len(w.attempts) > 0 {
			w.end(came(session.Unreachable))
		}
		w.pass(50)
	}
	begun := w.begun
	if w.take(&Record{Account: "a", ID: "1"}); w.begun != begun+1 || w.p.Stats().IDs != 0 {
		t.Error("an outcome that may be another next time was remembered")
	}
}

func TestIDsAreBounded(t *testing.T) {
	cfg := Default()
	cfg.IdempotencyIDsMax = 10
	w := newWorld(t, cfg)
	for i := range 30 {
		w.take(&Record{Account: "a", ID: fmt.Sprint(i)})
		w.end(came(session.Written))
	}
	if s := w.p.Stats(); s.IDs != 10 || s.IDsForgotten != 20 || len(w.p.ids.all) != 10 {
		t.Errorf("%d ids, %d forgotten", s.IDs, s.IDsForgotten)
	}
	for i := range 30 {
		begun := w.begun
		r := w.take(&Record{Account: "a", ID: fmt.Sprint(29 - i)})
		if repeated := i < 10; (w.begun == begun) != repeated || repeated && !(*r)[0].Repeated {
			t.Errorf("record %d: %d attempts more", 29-i, w.begun-begun)
		}
	}
}
