package deliver

import (
	"strings"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// A node that holds another device with the hash of the one that a message is for says so:
// its entry is right and stays, and nothing is waited for.
func TestCollision(t *testing.T) {
	place := there("b", 5)
	n, o := newClusterNode(map[string]Place{"alice/phone": place})
	_, d := n.deliver(to("alice", "phone", session.WaitWritten))
	x := o.sent[0]
	collision := &wire.Outcomes{Devices: []wire.DeviceOutcome{{Outcome: session.Misrouted}}, Final: true, Collision: true}
	x.rcpt.Answered(x.tag, collision)
	if !isDone(d) || said(d) != "phone@b:misrouted" || len(o.forgot) != 0 || n.Stats().Collisions != 1 {
		t.Errorf("%s, forgot %+v", said(d), o.forgot)
	}
	// Meanwhile the device may have become the newer one.
	_, d = n.deliver(to("alice", "phone", session.WaitWritten))
	o.places["alice/phone"] = there("c", 9)
	o.sent[1].rcpt.Answered(o.sent[1].tag, collision)
	o.answer(2, wire.DeviceOutcome{Outcome: session.Written})
	if said(d) != "phone@c:written" {
		t.Error(said(d))
	}
	// The node where the other device is, asked, also when it believes the newest entry to be a
	// third node's, and asking.
	take := func() string {
		r := &told{}
		n.Take(session.Origin{Node: "b", Epoch: 1}, &wire.Forward{Account: "alice", Device: "phone", Payload: []byte("1")}, r, 1)
		return strings.Join(r.list, ", ")
	}
	if got := take(); got != ":misrouted" {
		t.Error(got)
	}
	o.holds = true
	if got := take(); got != ":misrouted collision" {
		t.Error(got)
	}
	o.places["alice/phone"] = Place{State: Here, Address: 1, Version: 9}
	if got := take(); got != ":misrouted collision" {
		t.Error(got)
	}
	_, d = n.deliver(to("alice", "phone", session.WaitWritten))
	for ms := int64(1000); n.LookAgain(ms) > 0 && ms < 2000; ms += 10 {
	}
	if said(d) != "phone@:misrouted" {
		t.Error(said(d))
	}
}

// A device that moved while its account was told has one outcome, the better one.
func TestListedOnce(t *testing.T) {
	n, o := newClusterNode(nil, "b", "c")
	n.open("alice", "phone", 0)
	_, d := n.deliver(to("alice", "", session.WaitWritten))
	n.sockets.settle(netpoll.ResultFull)
	o.answer(0, wire.DeviceOutcome{Device: "phone", Outcome: session.Written}, wire.DeviceOutcome{Device: "tv", Outcome: session.Lost})
	o.answer(1, wire.DeviceOutcome{Device: "tv", Outcome: session.Unreachable}, wire.DeviceOutcome{Device: "car", Outcome: session.Written})
	counts := d.Counts()
	if !isDone(d) || said(d) != "phone@b:written tv@b:lost car@c:written" || d.Total() != 3 ||
		counts[session.Written] != 2 || counts[session.Lost] != 1 || counts[session.Overloaded]+counts[session.Unreachable] != 0 {
		t.Errorf("%s of %d, %v", said(d), d.Total(), counts)
	}
	// A node that cannot be asked has no device to be merged.
	o.now = session.Unreachable
	_, d = n.deliver(to("alice", "", session.WaitWritten))
	n.sockets.settle(netpoll.ResultWritten)
	if said(d) != "phone@n:written @b:unreachable @c:unreachable" || d.Total() != 3 {
		t.Errorf("%s of %d", said(d), d.Total())
	}
}

// A device of an account that has left its node is looked for on those that were not asked,
// and here.
func TestAccountLacksDevice(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer []wire.DeviceOutcome
	}{
		{"its connection is gone", []wire.DeviceOutcome{{Device: "phone", Outcome: session.Offline}}},
		{"nobody is there", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, o := newClusterNode(nil, "b")
			_, d := n.deliver(to("alice", "", session.WaitWritten))
			_, late := n.deliver(to("alice", "", session.WaitWritten))
			o.answer(0, c.answer...)
			o.answer(1, c.answer...)
			late.Expire()
			if isDone(d) || !isDone(late) || n.LookAgain(1000) != 1 {
				t.Fatal("it is not looked for")
			}
			o.nodes = []string{"b", "c"}
			if n.LookAgain(1010) != 0 || len(o.sent) != 3 || o.sent[2].node != "c" {
				t.Fatalf("forwarded %+v", o.sent)
			}
			o.answer(2, wire.DeviceOutcome{Device: "phone", Outcome: session.Written})
			if said(d) != "phone@c:written" || d.Total() != 1 {
				t.Errorf("%s of %d", said(d), d.Total())
			}
		})
	}
	n, o := newClusterNode(nil, "b")
	_, here := n.deliver(to("alice", "", session.WaitAcked))
	o.answer(0)
	if n.LookAgain(1000) != 1 {
		t.Fatal("it is not looked for")
	}
	s := n.open("alice", "phone", 0)
	if n.LookAgain(1010) != 0 || len(n.sockets.sent) != 1 {
		t.Fatalf("sent %+v", n.sockets.sent)
	}
	n.sockets.settle(netpoll.ResultWritten)
	if isDone(here) || !n.Ack(s, origin, here.message.ID) || said(here) != "phone@n:acked" || n.Stats().AcksAwaited != 0 {
		t.Errorf("%s, %+v", said(here), n.Stats())
	}
	n.reg.Close(s)
	_, gone := n.deliver(to("alice", "", session.WaitWritten))
	o.answer(1)
	if n.LookAgain(2000) != 1 || n.LookAgain(2000+seekMS) != 0 || !isDone(gone) || gone.Total() != 0 {
		t.Errorf("%s of %d", said(gone), gone.Total())
	}
}

// Acks that are awaited once are awaited no more afterwards, wherever the device turned up.
func TestAckAwaitedOnce(t *testing.T) {
	n, o := newClusterNode(map[string]Place{"alice/phone": {State: Closed}})
	s := n.open("alice", "phone", 0)
	id, d := n.deliver(to("alice", "phone", session.WaitAcked))
	n.sockets.settle(netpoll.ResultGone)
	n.reg.Close(s)
	n.LookAgain(1000)
	s = n.open("alice", "phone", 0)
	n.LookAgain(1010)
	n.sockets.settle(netpoll.ResultWritten)
	if !n.Ack(s, origin, id) || said(d) != "phone@n:acked" || n.Stats().AcksAwaited != 0 || len(o.sent) != 0 {
		t.Errorf("%s, %+v", said(d), n.Stats())
	}
}

// Of many devices a node says before the timeout which have acked: after it, the node that
// waits would not know their names.
func TestListedBeforeTimeout(t *testing.T) {
	n, _ := newClusterNode(nil)
	phone := n.open("alice", "phone", 0)
	n.open("alice", "tv", 0)
	from, r := session.Origin{Node: "b", Epoch: 1}, &told{}
	n.Take(from, &wire.Forward{ID: 44, Account: "alice", Wait: session.WaitAcked, TimeoutMS: 1000, Payload: []byte("1")}, r, 5000)
	n.sockets.settle(netpoll.ResultWritten)
	if !n.Ack(phone, from, 44) {
		t.Fatal("the ack is refused")
	}
	<-n.Sought()
	if n.LookAgain(5899) != 1 || len(r.list) != 0 {
		t.Fatalf("%q", r.list)
	}
	if n.LookAgain(5900) != 0 || len(r.list) != 1 {
		t.Fatalf("%q", r.list)
	}
	if got := r.list[0]; got != "phone:acked tv:timeout" && got != "tv:timeout phone:acked" || n.Stats().AcksAwaited != 0 || n.busy.Load() != 0 {
		t.Errorf("%q, %+v, %d busy", got, n.Stats(), n.busy.Load())
	}
	// Those that have settled are forgotten.
	n.Take(from, &wire.Forward{ID: 45, Account: "alice", Device: "", Except: "tv", Wait: session.WaitAcked, TimeoutMS: 60_000, Payload: []byte("1")}, r, 6000)
	n.sockets.settle(netpoll.ResultWritten)
	if !n.Ack(phone, from, 45) || n.LookAgain(6010)+n.LookAgain(6010+timedEveryMS) > 1 || n.LookAgain(9000) != 0 {
		t.Error("it is kept")
	}
}
