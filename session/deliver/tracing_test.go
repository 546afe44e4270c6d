package deliver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// lastEvent keeps the last event.
type lastEvent struct{ session.Event }

func (l *lastEvent) Note(e session.Event) { l.Event = e }

// trail writes events down.
type trail struct{ text []string }

func (tr *trail) Note(e session.Event) {
	line := e.Step.String()
	if e.Outcome != session.Pending {
		line += " " + e.Outcome.String()
	}
	if e.Device != "" {
		line += " " + e.Device
	}
	if e.Devices > 0 {
		line += fmt.Sprint(" ", e.Devices)
	}
	if e.Peer != "" {
		line += "@" + e.Peer
	}
	if e.Traced {
		line += "*"
	}
	tr.text = append(tr.text, e.ID.Text()+" "+line)
}

// expect checks what was noted since the last time, all of one message.
func (tr *trail) expect(t *testing.T, id string, want ...string) {
	t.Helper()
	got := strings.ReplaceAll(strings.Join(tr.text, ", "), id+" ", "")
	if got != strings.Join(want, ", ") {
		t.Errorf("noted %s, want %s", got, strings.Join(want, ", "))
	}
	tr.text = nil
}

func newTracedNode(places map[string]Place, nodes ...string) (*node, *others, *trail) {
	n, o := newClusterNode(places, nodes...)
	tr := new(trail)
	n.AttachTracer(tr)
	return n, o, tr
}

func TestTraceHere(t *testing.T) {
	n, _, tr := newTracedNode(nil)
	n.open("alice", "phone", 0)
	p := to("alice", "phone", session.WaitWritten)
	p.Trace = traceparent
	n.deliver(p)
	if !strings.Contains(n.sockets.sent[0].payload, `"traceparent":"`+traceparent+`"`) {
		t.Error(n.sockets.sent[0].payload)
	}
	n.sockets.settle(netpoll.ResultWritten)
	tr.expect(t, "n.1.1", "accepted phone*", "sent phone*", "became written phone*")

	n.deliver(to("alice", "phone", session.WaitNone))
	if strings.Contains(n.sockets.sent[0].payload, "traceparent") {
		t.Error(n.sockets.sent[0].payload)
	}
	tr.expect(t, "n.1.2", "accepted phone", "sent phone")
	n.deliver(to("alice", "watch", session.WaitWritten))
	tr.expect(t, "n.1.3", "accepted watch", "became offline watch")

	m := session.Kept{ID: session.ID{Origin: session.Origin{Node: "k", Epoch: 3}, Number: 9}, Address: session.Address{Account: "alice", Device: "phone"}, Payload: []byte("1"), Trace: traceparent}
	n.Attempt(&m, 0, func(session.Outcome) {})
	n.sockets.settle(netpoll.ResultWritten)
	tr.expect(t, "k.3.9", "attempted phone*", "sent phone*", "became written phone*")
}

// A newer connection, and then none.
func TestTraceMoved(t *testing.T) {
	n, _, tr := newTracedNode(nil)
	n.open("alice", "phone", 0)
	n.deliver(to("alice", "phone", session.WaitWritten))
	n.open("alice", "phone", 0)
	n.sockets.settle(netpoll.ResultGone)
	tr.expect(t, "n.1.1", "accepted phone", "sent phone", "moved phone", "sent phone", "became offline phone")
}

// Of many devices there is one event with their number.
func TestTraceMany(t *testing.T) {
	n, _, tr := newTracedNode(nil)
	for i := range tracedDevicesMax + 1 {
		n.open("alice", fmt.Sprint("d", i), 0)
	}
	n.deliver(to("alice", "", session.WaitNone))
	n.sockets.settle(netpoll.ResultWritten)
	tr.expect(t, "n.1.1", "accepted", "sent 17", "became written 17")
}

func TestTraceBetweenNodes(t *testing.T) {
	n, o, tr := newTracedNode(map[string]Place{"alice/phone": there("b", 5)}, "b", "c")
	p := to("alice", "phone", session.WaitWritten)
	p.Trace = traceparent
	n.deliver(p)
	if got := o.sent[0].f.Trace; got != traceparent {
		t.Errorf("forwarded with %q", got)
	}
	o.answer(0, wire.DeviceOutcome{Outcome: session.Written})
	tr.expect(t, "n.1.1", "accepted phone*", "forwarded phone@b*", "became written phone@b*")

	n.deliver(to("alice", "", session.WaitWritten))
	o.answer(1, wire.DeviceOutcome{Device: "tv", Outcome: session.Written}, wire.DeviceOutcome{Device: "pc", Outcome: session.Lost})
	o.answer(2, wire.DeviceOutcome{Device: "hifi", Outcome: session.Written})
	tr.expect(t, "n.1.2", "accepted", "forwarded@b", "forwarded@c", "answered 2@b", "answered written hifi 1@c")

	n.open("bob", "tv", 0)
	f := wire.Forward{Ref: 1, ID: 7, Account: "bob", Device: "tv", Payload: []byte("1"), Trace: traceparent}
	n.Take(session.Origin{Node: "b", Epoch: 2}, &f, silent{}, 1)
	n.sockets.settle(netpoll.ResultWritten)
	tr.expect(t, "b.2.7", "taken tv@b*", "sent tv*", "became written tv*")
	f.Origin, f.Trace = session.Origin{Node: "k", Epoch: 3}, "" // b passes on what k keeps
	n.Take(session.Origin{Node: "b", Epoch: 2}, &f, silent{}, 1)
	n.sockets.settle(netpoll.ResultCut)
	tr.expect(t, "k.3.7", "taken tv@b", "sent tv", "became lost tv")
}
