package processor

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
)

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestLaneTakesNoMoreThanItMay(t *testing.T) {
	for name, c := range map[string]struct{ largest, bytes, taken, room int }{
		"records":        {100, 10, 16, 14},
		"bytes":          {100, 100, 10, 8},
		"large payloads": {500, 100, 10, 5},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Default()
			cfg.PayloadBytesMax = c.largest
			cfg.Normal.RecordsMax, cfg.Normal.BytesMax = 16, 1000
			w := newWorld(t, cfg)
			record := func() *Record { return &Record{Account: "a", Payload: make([]byte, c.bytes)} }
			taken := 0
			for w.p.Take(record(), drop) {
				taken++
			}
			if taken != c.taken {
				t.Errorf("%d were taken, want %d", taken, c.taken)
			}
			if s := w.p.Stats(); s.Refused[session.PriorityNormal] != 1 || s.Records[session.PriorityNormal] != uint64(taken) || s.Bytes[session.PriorityNormal] != uint64(taken*c.bytes) {
				t.Errorf("stats are %+v", s)
			}
			room := w.p.Room(session.PriorityNormal)
			if isClosed(room) || !isClosed(w.p.Room(session.PriorityHigh)) {
				t.Error("the lane normal has no room, the lane high has")
			}
			w.pump()
			for taken > c.room {
				if isClosed(room) {
					t.Fatalf("there is room with %d records, want with %d", taken, c.room)
				}
				if w.p.Take(record(), drop) {
					t.Fatalf("one more was taken with %d, before there is room", taken)
				}
				w.end(came(session.Written))
				taken--
			}
			if !isClosed(room) || !isClosed(w.p.Room(session.PriorityNormal)) || !w.p.Take(&Record{Account: "a", Payload: make([]byte, c.largest)}, drop) {
				t.Error("there is no room for a payload of any size")
			}
		})
	}
}

func TestPayloadTooLargeIsPoison(t *testing.T) {
	cfg := Default()
	w := newWorld(t, cfg)
	results := w.take(&Record{Account: "a", Payload: make([]byte, cfg.PayloadBytesMax+1)})
	if len(*results) != 1 || (*results)[0].Reject == nil || (*results)[0].Reject.Code != CodePayloadTooLarge {
		t.Errorf("results are %v", *results)
	}
	w.take(&Record{Account: "a", Payload: make([]byte, cfg.PayloadBytesMax)})
	if s := w.p.Stats(); w.begun != 1 || s.Rejected != 1 {
		t.Errorf("%d attempts, %d rejected", w.begun, s.Rejected)
	}
}

func TestPauseLosesNothing(t *testing.T) {
	w := newWorld(t, Default())
	first := w.take(&Record{Account: "a"})
	w.p.Pause(Draining)
	w.p.Pause(StoreStalled)
	w.p.Pause(Draining)
	second := w.take(&Record{Account: "a"})
	expired := w.take(&Record{Account: "a", TTLMS: 1000})
	w.end(came(session.Overloaded)) // what was on its way goes on
	w.pass(60_000)
	w.p.Resume(Draining)
	if w.pump(); w.begun != 1 || !w.p.Paused() {
		t.Errorf("%d attempts, want 1 until both reasons are gone", w.begun)
	}
	if s := w.p.Stats(); s.Pauses != (ByReason{1, 1}) || s.Paused != (ByReason{0, 1}) {
		t.Errorf("stats are %+v", s)
	}
	w.p.Resume(StoreStalled)
	w.pump()
	if w.p.Paused() || len(w.attempts) != 2 {
		t.Fatalf("%d attempts are on their way after the pause", len(w.attempts))
	}
	for len(w.attempts) > 0 {
		w.end(came(session.Written))
	}
	only(t, first, came(session.Written)) // retry_for was over, and yet it was tried
	only(t, second, came(session.Written))
	only(t, expired, came(session.Expired))
}

func TestEndGivesUpWhatWaits(t *testing.T) {
	cfg := Default()
	cfg.AccountConcurrency = 3
	w := newWorld(t, cfg)
	retried := w.take(&Record{Account: "a", ID: "r"})
	w.end(came(session.Overloaded))
	running := w.take(&Record{Account: "a", ID: "x"})
	same := w.take(&Record{Account: "a", ID: "x"})
	failing := w.take(&Record{Account: "a", Key: 1})
	behind := w.take(&Record{Account: "a", Key: 1})
	w.take(&Record{Account: "a"})
	waiting := w.take(&Record{Account: "a"})
	if !w.p.Turn(session.PriorityNormal, "a", func(func()) { t.Error("a turn was given after the end") }) {
		t.Error("a turn was refused")
	}
	w.p.schedule.lanes[session.PriorityLow].cfg.RecordsMax = 1
	w.fill("a", session.PriorityLow, 1)
	if w.p.Take(&Record{Account: "a", Priority: session.PriorityLow}, drop) {
		t.Error("the lane low takes more than it may")
	}
	full := w.p.Room(session.PriorityLow)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w.p.Run(ctx)
	if isClosed(full) {
		t.Error("there is room after the end")
	}
	for name, results := range map[string]*[]Result{"retried": retried, "same": same, "behind": behind, "waiting": waiting} {
		t.Run(name, func(t *testing.T) { only(t, results, Result{GivenUp: true}) })
	}
	if len(*running) != 0 {
		t.Errorf("an attempt on its way was given up: %v", *running)
	}
	w.end(came(session.Written))
	w.end(came(session.Overloaded))
	w.end(came(session.Written))
	only(t, running, came(session.Written))
	only(t, failing, Result{GivenUp: true})
	if w.begun != 4 || w.p.Take(&Record{Account: "a"}, drop) || w.p.Turn(session.PriorityNormal, "a", nil) || isClosed(w.p.Room(session.PriorityNormal)) {
		t.Errorf("%d attempts; it takes records or turns after its end", w.begun)
	}
	w.pass(1000)
	if s := w.p.Stats(); s.GivenUp != 6 || s.Records != (ByLane{}) || s.Running != (ByLane{}) || s.TurnsHeld != (ByLane{}) {
		t.Errorf("stats are %+v", s)
	}
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"concurrency is 2: it must be 3 to":                        func(c *Config) { c.Concurrency = 2 },
		"account_concurrency is 0":                                 func(c *Config) { c.AccountConcurrency = 0 },
		"attempt_timeout is 0s: it must be 10ms to 10m0s":          func(c *Config) { c.AttemptTimeout = 0 },
		"retry_min is 1ms: it must be 100ms to 1m0s":               func(c *Config) { c.RetryMin = time.Millisecond },
		"retry_max is 150ms: it must be 200ms to":                  func(c *Config) { c.RetryMax = 150 * time.Millisecond },
		"retry_for is 0s":                                          func(c *Config) { c.RetryFor = 0 },
		"hold_max is 0s":                                           func(c *Config) { c.HoldMax = 0 },
		"idempotency_age is 0s":                                    func(c *Config) { c.IdempotencyAge = 0 },
		"idempotency_ids_max is 0":                                 func(c *Config) { c.IdempotencyIDsMax = 0 },
		"payload_bytes_max is 0":                                   func(c *Config) { c.PayloadBytesMax = 0 },
		"low.weight is 0: it must be 1 to 1000":                    func(c *Config) { c.Low.Weight = 0 },
		"high.records_max is 0":                                    func(c *Config) { c.High.RecordsMax = 0 },
		"normal.turns_max is 0":                                    func(c *Config) { c.Normal.TurnsMax = 0 },
		"normal.bytes_max is 1048576: it must be 2097152 to":       func(c *Config) { c.Normal.BytesMax = 1 << 20 },
		"low.concurrency is 1024: it must be 1 to 1022":            func(c *Config) { c.Low.Concurrency = 1024 },
		"normal.concurrency and low.concurrency are 1024 together": func(c *Config) { c.Normal.Concurrency = 524 },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
