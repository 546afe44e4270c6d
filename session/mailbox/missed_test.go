package mailbox

import (
	"errors"
	"testing"

	"github.com/roostpush/roost/session"
)

// restarted is a world whose node has crashed with messages in the store, and whose pass over
// it has not begun.
func restarted(cfg Config, messages int) (w *world, pass job) {
	w = newWorld(cfg)
	w.work()
	for range messages {
		w.post(Push{Device: "d"})
	}
	w.store.sync()
	w.crash()
	return w, w.mailbox.queue.pop(false)
}

// TestMissedRightAfterARestart: before the pass over the store has come to the device, what
// waits is read for it alone, and counted once when the pass does.
func TestMissedRightAfterARestart(t *testing.T) {
	w, pass := restarted(testConfig(), 3)
	for _, device := range []string{"d", "e"} {
		want := map[string]int{"d": 3}[device]
		told := 0
		if !w.mailbox.Learn(address(device), func() {
			told++
			if n := w.mailbox.Missed(address(device)); n != want {
				t.Errorf("%s has missed %d, want %d", device, n, want)
			}
		}) {
			t.Fatal("nobody reads")
		}
		if told > 0 {
			t.Fatal("it is known without a read")
		}
		w.work()
		if told != 1 {
			t.Fatalf("told %d times", told)
		}
		if w.mailbox.Learn(address(device), func() { t.Error("told of what is known") }) {
			t.Error("what is known is read again")
		}
	}
	pass.work(&worker{})
	if n := w.mailbox.Missed(address("d")); n != 3 {
		t.Errorf("after the pass %d, want 3", n)
	}
	if w.mailbox.Learn(address("f"), func() { t.Error("told after the pass") }) {
		t.Error("the store is read after the pass")
	}
	w.mailbox.Opened(address("d"), w.connect("d"))
	w.settle()
	if s := w.mailbox.Stats(); s.Waiting != 0 || s.Devices != 0 || s.MissedUnread != 0 || len(w.wrong) > 0 {
		t.Errorf("%+v %v", s, w.wrong)
	}
}

// TestMissedIsAskedTwice: two connections of a device come at once, and both hear.
func TestMissedIsAskedTwice(t *testing.T) {
	w, _ := restarted(testConfig(), 1)
	told := 0
	for range 2 {
		if !w.mailbox.Learn(address("d"), func() { told++ }) {
			t.Fatal("nobody reads")
		}
	}
	for w.work() {
	}
	if told != 2 || w.store.reads > 2 {
		t.Errorf("told %d, after %d reads", told, w.store.reads)
	}
}

// TestMissedOfASlowStore: who asks hears in time, whatever the store does.
func TestMissedOfASlowStore(t *testing.T) {
	cfg := testConfig()
	cfg.MissedMax, cfg.MissedTimeoutMS = 2, 500
	w, _ := restarted(cfg, 1)
	told := 0
	tell := func() { told++ }
	for _, device := range []string{"d", "e"} {
		if !w.mailbox.Learn(address(device), tell) {
			t.Fatal("nobody reads")
		}
	}
	if w.mailbox.Learn(address("f"), tell) {
		t.Error("missed_max does not hold")
	}
	w.tick(499)
	if told != 0 {
		t.Fatal("told too early")
	}
	w.tick(1)
	if told != 2 || w.mailbox.Stats().MissedUnread != 3 {
		t.Fatalf("told %d, %+v", told, w.mailbox.Stats())
	}
	for w.work() {
	}
	w.tick(1)
	if told != 2 {
		t.Errorf("told %d times", told)
	}
	if !w.mailbox.Learn(address("f"), tell) {
		t.Error("there is room again, and nobody reads")
	}
}

// TestMissedOfABrokenStore: a read that fails is no reason to keep a device waiting.
func TestMissedOfABrokenStore(t *testing.T) {
	w, _ := restarted(testConfig(), 1)
	w.store.unread = errors.New("stalled")
	told := 0
	if !w.mailbox.Learn(address("d"), func() { told++ }) || !w.work() || told != 1 {
		t.Fatalf("told %d times", told)
	}
	w.store.unread = nil
	w.mailbox.Opened(address("d"), w.connect("d"))
	w.settle()
	if s := w.mailbox.Stats(); told != 1 || s.MissedUnread != 1 || s.Waiting != 0 {
		t.Errorf("told %d times, %+v", told, s)
	}
}

// TestLearningTakesNoTurn: what is only read waits for nobody's turn.
func TestLearningTakesNoTurn(t *testing.T) {
	w, _ := restarted(testConfig(), 1)
	w.mailbox.turns = noTurns{}
	told := false
	w.mailbox.Learn(address("d"), func() { told = true })
	if w.work(); !told || w.mailbox.Missed(address("d")) != 1 {
		t.Error("it waits for a turn")
	}
}

// noTurns has no turn for anybody.
type noTurns struct{}

func (noTurns) Turn(session.Priority, string, func(func())) bool { return false }
