package mailbox

import (
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// TestLateOutcomeOfAnEarlierAttempt: now this session and now that one seems to be the
// device's, and the end of the first attempt on a session is not taken for that of the second.
func TestLateOutcomeOfAnEarlierAttempt(t *testing.T) {
	w := newWorld(testConfig())
	settle := func() {
		for w.work() {
		}
	}
	seems := func(version uint64) {
		w.online[address("d")] = version
		w.mailbox.Opened(address("d"), version)
		settle()
	}
	settle()
	w.postAll(Push{Device: "d"})
	settle()
	seems(7)
	seems(8)
	w.online[address("d")] = 7
	w.mailbox.Closed(address("d")) // whoever looks is told of the first one again
	settle()
	if len(w.flying) != 3 {
		t.Fatalf("%d attempts, not 3", len(w.flying))
	}
	first, third := w.flying[0], w.flying[2]
	first.outcome = session.Lost
	w.hear(first)
	settle()
	if len(w.flying) != 2 || w.pauses() {
		t.Fatalf("%d attempts are under way, not 2; the device is left alone: %v", len(w.flying), w.pauses())
	}
	w.arrive(third)
	w.hear(third)
	settle()
	if late := w.mailbox.Stats().Late; late != 1 || len(w.flying) != 1 {
		t.Errorf("%d late outcomes, %d attempts under way", late, len(w.flying))
	}
	w.check(t)
}

// TestPassedOnLog: what a peer passes on of another node's log names devices without their
// accounts, openings and ends.
func TestPassedOnLog(t *testing.T) {
	w := newTown(t, homesTest, "a", "b", "h")
	e := w.push("a", Push{Device: "phone", Payload: []byte("x")})
	w.work()
	w.nodes["b"].here = true
	address, _ := townHash("alice", "phone")
	w.nodes["h"].homes.Online([]wire.Change{{Address: address, Version: 1, Closed: true}})
	w.work()
	e.want(t, "kept 1 pending ", "phone queued", "phone written")
}
