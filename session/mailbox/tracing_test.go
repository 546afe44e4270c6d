package mailbox

import (
	"fmt"
	"slices"
	"testing"

	"github.com/roostpush/roost/session"
)

// trail writes events down.
type trail struct{ text []string }

func (tr *trail) Note(e session.Event) {
	tr.text = append(tr.text, fmt.Sprintf("%d %s %s %s%d %v", e.ID.Number, e.Step, e.Outcome, e.Device, e.Devices, e.Traced))
}

func (tr *trail) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(tr.text, want) {
		t.Errorf("noted %q, want %q", tr.text, want)
	}
	tr.text = nil
}

// What a push goes through is noted; what the router does with it the router notes.
func TestTrace(t *testing.T) {
	w := newWorld(Default())
	tr := new(trail)
	w.mailbox.tracer = tr
	w.work() // the pass
	first := w.number + 1
	note := func(n session.MessageID, rest string) string { return fmt.Sprint(first+n) + " " + rest }
	w.post(Push{Device: "d1", Trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})
	tr.expect(t, note(0, "accepted pending d10 true"))
	w.store.sync()
	tr.expect(t, note(0, "stored pending d10 true"), note(0, "became queued d10 true"))
	w.mailbox.Acked(address("d1"), session.ID{Origin: session.Origin{Node: "n1", Epoch: w.epoch}, Number: first})
	tr.expect(t, note(0, "became acked d10 true"))

	w.post(Push{Device: "d1", ExpiresMS: w.nowMS + 1000})
	w.store.sync()
	w.pass(60_000)
	w.mailbox.Tick(w.steadyMS, w.nowMS)
	tr.expect(t, note(1, "accepted pending d10 false"), note(1, "stored pending d10 false"), note(1, "became queued d10 false"), note(1, "became expired d10 false"))

	w.post(Push{Device: "d1", Payload: make([]byte, w.cfg.DeviceBytesMax+1)})
	tr.expect(t, note(2, "accepted pending d10 false"), note(2, "refused too_large d10 false"))
	w.check(t)
}
