package mailbox

import (
	"testing"

	"github.com/roostpush/roost/session"
)

const hourMS = 3_600_000

// TestClockSetBackDoesNotStall: what is tried again after a pause is tried again, whatever
// has been done to the wall clock meanwhile.
func TestClockSetBackDoesNotStall(t *testing.T) {
	for _, byMS := range []int64{-hourMS, -24 * 365 * hourMS, 0, hourMS / 2} {
		w := newWorld(testConfig())
		w.work()
		w.busy = 1
		w.mailbox.Opened(address("d"), w.connect("d"))
		w.post(Push{Device: "d"})
		w.store.sync()
		w.hear(w.flying[0])
		if !w.pauses() {
			t.Fatal("there is no pause")
		}
		w.nowMS += byMS
		for range 10 { // ten times the pause, which is 100 ms
			w.tick(100)
		}
		for w.work() {
		}
		if len(w.flying) != 1 {
			t.Errorf("clock set by %d ms: the device is not tried again", byMS)
		}
	}
}

// TestClockSetBackAndPatience: the window makes room for what comes after by the time that
// has passed.
func TestClockSetBackAndPatience(t *testing.T) {
	cfg := testConfig()
	cfg.WindowMessages, cfg.WindowPatienceMS = 1, 1000
	w := newWorld(cfg)
	w.work()
	w.mailbox.Opened(address("d"), w.connect("d"))
	for range 2 {
		w.post(Push{Device: "d"})
		w.store.sync()
	}
	w.arrive(w.flying[0])
	w.hear(w.flying[0])
	w.nowMS -= hourMS
	for range 20 {
		w.tick(100)
	}
	for w.work() {
	}
	if len(w.flying) != 1 {
		t.Error("the second message does not pass the first, which is not acknowledged")
	}
}

// TestExpiryFollowsTheWallClock: a message expires when the wall clock says so, also when
// that was set.
func TestExpiryFollowsTheWallClock(t *testing.T) {
	for _, c := range []struct {
		name            string
		byMS            int64
		aliveMS, deadMS int64 // after the setting
	}{
		{name: "forward, beyond it", byMS: hourMS, aliveMS: -1, deadMS: 300},
		{name: "forward, before it", byMS: hourMS - 5000, aliveMS: 4900, deadMS: 400},
		{name: "back", byMS: -hourMS, aliveMS: 2*hourMS - 100, deadMS: 400},
		{name: "not at all", byMS: 0, aliveMS: hourMS - 100, deadMS: 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(testConfig())
			w.work()
			w.post(Push{Device: "d", ExpiresMS: w.nowMS + hourMS})
			w.store.sync()
			w.nowMS += c.byMS
			if c.aliveMS > 0 {
				w.tick(c.aliveMS)
				if n := w.mailbox.Missed(address("d")); n != 1 {
					t.Fatalf("%d wait before it is over", n)
				}
			}
			w.tick(c.deadMS)
			if w.mailbox.waiting.Load() != 0 {
				t.Error("it waits when it is over")
			}
		})
	}
}

// TestFateOfWrittenIsOfTheWallClock: since when a message is written is told in Unix time.
func TestFateOfWrittenIsOfTheWallClock(t *testing.T) {
	w := newWorld(testConfig())
	w.work()
	w.mailbox.Opened(address("d"), w.connect("d"))
	w.post(Push{Device: "d"})
	w.store.sync()
	id := w.flying[0].message.ID
	w.arrive(w.flying[0])
	w.hear(w.flying[0])
	since := w.nowMS
	w.tick(700)
	list, _, _ := w.mailbox.Fates(id)
	if len(list) != 1 || list[0].Outcome != session.Written || list[0].AtMS != since {
		t.Errorf("%+v, want written at %d", list, since)
	}
}
