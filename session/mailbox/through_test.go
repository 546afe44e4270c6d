package mailbox

import (
	"fmt"
	"slices"
	"testing"

	"github.com/roostpush/roost/session"
)

// receive has everything that is on its way arrive, and returns the ids in the order of the
// stream; nothing is acknowledged.
func (w *world) receive() (ids []session.ID) {
	for again := true; again; {
		again = w.work()
		for len(w.flying) > 0 {
			f := w.flying[0]
			w.arrive(f)
			w.hear(f)
			ids = append(ids, f.message.ID)
			again = true
		}
	}
	return ids
}

// fates returns the outcomes of messages in the store.
func (w *world) fates(ids []session.ID) (list []string) {
	w.store.sync()
	for _, id := range ids {
		_, fates, _, _ := w.store.Fates(id)
		list = append(list, fates[0].Outcome.String())
	}
	return list
}

// TestAckedThrough: high goes before low, so that the ids on the stream are not in order; the
// one received last acknowledges what went before it, and nothing behind it.
func TestAckedThrough(t *testing.T) {
	for n, want := range []string{"[acked queued queued queued]", "[acked acked queued queued]", "[acked acked acked queued]", "[acked acked acked acked]"} {
		w := newWorld(testConfig())
		w.work()
		for _, p := range []session.Priority{session.PriorityLow, session.PriorityHigh, session.PriorityNormal, session.PriorityHigh} {
			w.post(Push{Device: "tv", Priority: p})
		}
		w.store.sync()
		w.open("tv")
		got := w.receive()
		if len(got) != 4 || slices.IsSortedFunc(got, compareIDs) {
			t.Fatalf("the stream got %v", got)
		}
		if !w.mailbox.AckedThrough(address("tv"), got[n]) {
			t.Error("the message is not known")
		}
		if state := fmt.Sprint(w.fates(got)); state != want {
			t.Errorf("after message %d: %s, want %s", n, state, want)
		}
		w.got = nil
		w.open("tv")
		if again := w.receive(); !slices.Equal(again, got[n+1:]) {
			t.Errorf("the next stream gets %v instead of %v", again, got[n+1:])
		}
		w.check(t)
	}
}

// TestAckedThroughSessions: of two streams of a device only the one counts that the message
// went to, and what is on its way still may not have arrived.
func TestAckedThroughSessions(t *testing.T) {
	w := newWorld(testConfig())
	w.work()
	w.postAll(Push{Device: "tv"}, Push{Device: "tv"})
	w.open("tv")
	first := w.receive()
	w.postAll(Push{Device: "tv"})
	for w.work() {
	}
	onItsWay := w.flying[0]
	if w.mailbox.AckedThrough(address("tv"), onItsWay.message.ID); len(w.mailbox.shards[0].boxes[address("tv")].items) != 2 {
		t.Error("a message whose outcome is not known acknowledges others")
	}
	w.got = nil
	w.open("tv")
	for w.work() {
	}
	w.hear(w.flying[0]) // arrived nowhere
	if state := fmt.Sprint(w.fates(first)); state != "[queued queued]" {
		t.Errorf("%s", state)
	}
}

// TestAckedThroughWhatIsNotKept: a message that is not kept has a number of this node too, and
// the stream had before it what the kernel had when that was made.
func TestAckedThroughWhatIsNotKept(t *testing.T) {
	w := newWorld(testConfig())
	w.work()
	w.open("tv")
	w.postAll(Push{Device: "tv"})
	before := w.receive()
	plain := w.mailbox.newID()
	w.postAll(Push{Device: "tv"})
	behind := w.receive()
	elsewhere := plain
	elsewhere.Node = "n2"
	w.mailbox.AckedThrough(address("tv"), elsewhere)
	if state := fmt.Sprint(w.fates(append(before, behind...))); state != "[queued queued]" {
		t.Errorf("of another node: %s", state)
	}
	w.mailbox.AckedThrough(address("tv"), plain)
	if state := fmt.Sprint(w.fates(append(before, behind...))); state != "[acked queued]" {
		t.Errorf("of this node: %s", state)
	}
}

// TestPatience: a device that never acknowledges gets everything all the same, once, in order.
func TestPatience(t *testing.T) {
	cfg := testConfig()
	cfg.WindowMessages, cfg.WindowPatienceMS = 4, 5000
	w := newWorld(cfg)
	w.work()
	var posts []Push
	for range 10 {
		posts = append(posts, Push{Device: "tv"})
	}
	w.postAll(posts...)
	w.open("tv")
	all := w.receive()
	if len(all) != 4 {
		t.Fatalf("%d messages are sent at once", len(all))
	}
	if w.tick(4000); len(w.receive()) != 0 {
		t.Error("the window is open before its time")
	}
	for range 3 {
		w.tick(3000)
		all = append(all, w.receive()...)
		w.tick(3000)
		all = append(all, w.receive()...)
	}
	if len(all) != 10 || !slices.IsSortedFunc(all, compareIDs) || w.mailbox.Stats().Passed < 6 {
		t.Errorf("%v are sent, %d passed", all, w.mailbox.Stats().Passed)
	}
	if n := w.mailbox.Missed(address("tv")); n != 10 {
		t.Errorf("%d are kept", n)
	}
	for _, b := range w.mailbox.shards[0].boxes {
		if b.inFlight < 0 || int(b.inFlight) > 4 {
			t.Errorf("%d are in flight", b.inFlight)
		}
	}
	w.settle()
	w.check(t)
}

// TestFatesOfTheMoment: the store has not committed yet that a message was settled.
func TestFatesOfTheMoment(t *testing.T) {
	w := newWorld(testConfig())
	w.work()
	w.open("d")
	w.postAll(Push{Device: "d"})
	id := w.receive()[0]
	w.mailbox.Acked(address("d"), id)
	list, found, err := w.mailbox.Fates(id)
	if !found || err != nil || list[0].Outcome != session.Acked || list[0].AtMS != w.nowMS {
		t.Errorf("%v %v %v", list, found, err)
	}
}
