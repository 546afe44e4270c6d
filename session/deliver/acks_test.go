package deliver

import (
	"fmt"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

func TestAck(t *testing.T) {
	n := newNode(nil)
	phone, tv := n.open("alice", "phone", 0), n.open("alice", "tv", 0)
	stranger := n.open("bob", "phone", 0)

	id, d := n.deliver(to("alice", "phone", session.WaitAcked))
	if got := n.sockets.sent[0].payload; got != `{"type":"message","id":"n.1.1","payload":{"a":1},"sent_ms":5,"ack":true}` {
		t.Errorf("sent %s", got)
	}
	for _, s := range []*session.Session{stranger, tv} {
		if n.Ack(s, origin, id) {
			t.Errorf("%v may ack a message that was not for it", s)
		}
	}
	n.sockets.settle(netpoll.ResultWritten)
	if isDone(d) {
		t.Error("written is enough for a sender that waits for an ack")
	}
	if !n.Ack(phone, origin, id) {
		t.Error("the ack is refused")
	}
	expect(t, d, "phone:acked ")
	if n.Ack(phone, origin, id) || n.Ack(phone, origin, 99) {
		t.Error("acks that nobody waits for are taken")
	}
	want := Stats{Messages: 1, AcksForeign: 2}
	want.Outcomes[session.Acked] = 1
	if got := n.Stats(); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestAckBeforeReceipt(t *testing.T) {
	for _, late := range []netpoll.Result{netpoll.ResultWritten, netpoll.ResultCut, netpoll.ResultGone} {
		n := newNode(nil)
		phone := n.open("alice", "phone", 0)
		id, d := n.deliver(to("alice", "phone", session.WaitAcked))
		n.Ack(phone, origin, id)
		n.sockets.settle(late)
		expect(t, d, "phone:acked ")
	}
}

// TestAckFromNewerConnection takes the ack of the device, whichever connection it
// comes over: the message may have been read on the older one.
func TestAckFromNewerConnection(t *testing.T) {
	n := newNode(nil)
	n.open("alice", "phone", 0)
	id, d := n.deliver(to("alice", "phone", session.WaitAcked))
	n.sockets.settle(netpoll.ResultWritten)
	if !n.Ack(n.open("alice", "phone", 0), origin, id) {
		t.Error("the ack is refused")
	}
	expect(t, d, "phone:acked ")
}

func TestAckNever(t *testing.T) {
	for name, tc := range map[string]struct {
		res  netpoll.Result
		want string
	}{
		"written": {netpoll.ResultWritten, "phone:timeout "},
		"cut":     {netpoll.ResultCut, "phone:lost "},
		"full":    {netpoll.ResultFull, "phone:overloaded "},
		"gone":    {netpoll.ResultGone, "phone:offline "},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(nil)
			phone := n.open("alice", "phone", 0)
			id, d := n.deliver(to("alice", "phone", session.WaitAcked))
			n.sockets.settle(tc.res)
			d.Expire()
			expect(t, d, tc.want)
			if n.Ack(phone, origin, id) {
				t.Error("an ack is taken after the sender was told otherwise")
			}
			if s := n.Stats(); s.AcksAwaited != 0 {
				t.Errorf("%d acks are awaited for ever", s.AcksAwaited)
			}
		})
	}
}

func TestAckRaw(t *testing.T) {
	n := newNode(nil)
	phone := n.open("alice", "phone", session.Raw)
	id, d := n.deliver(to("alice", "phone", session.WaitAcked))
	n.open("alice", "tv", session.Raw)
	_, all := n.deliver(to("alice", "", session.WaitAcked))
	want := []struct {
		op      netpoll.Op
		payload string
	}{
		{netpoll.OpText, `{"a":1}`}, {netpoll.OpPing, "n.1.1"},
		{netpoll.OpText, `{"a":1}`}, {netpoll.OpText, `{"a":1}`}, {netpoll.OpPing, "n.1.2"}, {netpoll.OpPing, "n.1.2"},
	}
	for i, x := range n.sockets.sent {
		if len(want) != len(n.sockets.sent) || x.op != want[i].op || x.payload != want[i].payload {
			t.Fatalf("sent %+v", n.sockets.sent)
		}
	}
	n.sockets.settle(netpoll.ResultWritten)
	n.Ack(phone, origin, id)
	expect(t, d, "phone:acked ")
	all.Expire()
	expect(t, all, outcomes(all))
	if c := all.Counts(); c[session.Timeout] != 2 {
		t.Errorf("counts %v", c)
	}
}

func TestAcksMax(t *testing.T) {
	n := newNode(func(c *Config) { c.AcksMax = 3 })
	for i := range 4 {
		n.open("alice", fmt.Sprint("d", i), 0)
	}
	_, one := n.deliver(to("alice", "d0", session.WaitAcked))
	_, four := n.deliver(to("alice", "", session.WaitAcked))
	if isDone(one) || !isDone(four) || four.Counts()[session.Overloaded] != 4 || len(n.sockets.sent) != 1 {
		t.Errorf("counts %v, sent %d", four.Counts(), len(n.sockets.sent))
	}
	_, two := n.deliver(to("alice", "d1", session.WaitAcked))
	_, three := n.deliver(to("alice", "d2", session.WaitAcked))
	_, over := n.deliver(to("alice", "d3", session.WaitAcked))
	expect(t, over, "d3:overloaded ")
	for _, d := range []*Delivery{one, two, three} {
		d.Expire()
	}
	_, again := n.deliver(to("alice", "d3", session.WaitAcked))
	if isDone(again) {
		t.Error("the limit stays reached when nobody waits any more")
	}
}

// TestAckManyDevices has enough devices for the index, and one ack that comes before
// its device was sent to.
func TestAckManyDevices(t *testing.T) {
	const devices = 2 * indexedMin
	n := newNode(func(c *Config) { c.InFlightMax = 4 })
	var all []*session.Session
	for i := range devices {
		all = append(all, n.open("alice", fmt.Sprint("d", i), 0))
	}
	id, d := n.deliver(to("alice", "", session.WaitAcked))
	early := 0
	for _, s := range all {
		if n.Ack(s, origin, id) {
			early++
		}
	}
	if early != 4 {
		t.Errorf("%d acks are taken, but 4 were sent to", early)
	}
	n.sockets.settle(netpoll.ResultWritten)
	for _, s := range all {
		n.Ack(s, origin, id)
	}
	if c := d.Counts(); !isDone(d) || c[session.Acked] != devices {
		t.Errorf("counts %v", c)
	}
}
