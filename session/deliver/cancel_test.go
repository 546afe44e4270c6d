package deliver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

func first(account, device string) *Push {
	p := to(account, device, session.WaitAcked)
	p.AcksFirst = true
	return p
}

// cancels returns who was sent cancel frames, since the last take of what was sent.
func (s *sockets) cancels() string {
	text := ""
	for _, x := range s.sent {
		if strings.Contains(x.payload, `"cancel"`) {
			text += fmt.Sprintf("%d %s ", x.conn, x.payload)
		}
	}
	s.sent = nil
	return strings.TrimSpace(text)
}

func TestFirstAckSettlesAll(t *testing.T) {
	n := newNode(nil)
	phone, tv := n.open("alice", "phone", 0), n.open("alice", "tv", 0)
	n.open("alice", "watch", session.Raw) // is told nothing
	id, d := n.deliver(first("alice", ""))
	n.sockets.settle(netpoll.ResultWritten)
	if !n.Ack(phone, origin, id) || !isDone(d) {
		t.Fatal("one ack is not enough")
	}
	if c := d.Counts(); c[session.Acked] != 1 || c[session.Cancelled] != 2 {
		t.Errorf("counts %v", c)
	}
	if got, want := n.sockets.cancels(), fmt.Sprintf(`%d {"type":"cancel","ids":["n.1.%d"]}`, tv.Conn, id); got != want {
		t.Errorf("cancels %s, want %s", got, want)
	}
	if n.Ack(tv, origin, id) {
		t.Error("a second ack is taken")
	}
	if s := n.Stats(); s.Cancels != 1 || s.AcksAwaited != 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestFirstAckStopsSending has more devices than may be in flight: those that were not sent
// to by then are not, and are told nothing.
func TestFirstAckStopsSending(t *testing.T) {
	n := newNode(func(c *Config) { c.InFlightMax = 4 })
	var all []*session.Session
	for i := range 10 {
		all = append(all, n.open("alice", fmt.Sprint("d", i), 0))
	}
	id, d := n.deliver(first("alice", ""))
	sent := len(n.sockets.sent)
	var acked *session.Session
	for _, s := range all {
		if netpoll.ConnID(s.Conn) == n.sockets.sent[0].conn {
			acked = s
		}
	}
	n.Ack(acked, origin, id)
	if !isDone(d) || sent != 4 || len(n.sockets.sent) != 4+3 {
		t.Errorf("%d were sent to, then %d frames", sent, len(n.sockets.sent)-sent)
	}
	n.sockets.settle(netpoll.ResultWritten)
	if len(n.sockets.sent) != 0 {
		t.Error("receipts send to the others all the same")
	}
}

// TestFirstAckAcrossNodes is won here, and then there.
func TestFirstAckAcrossNodes(t *testing.T) {
	n, o := newClusterNode(nil, "b")
	phone := n.open("alice", "phone", 0)
	id, d := n.deliver(first("alice", ""))
	n.sockets.settle(netpoll.ResultWritten)
	if f := o.sent[0].f; !f.First || f.Cancel {
		t.Fatalf("forwarded %+v", f)
	}
	n.Ack(phone, origin, id)
	if isDone(d) {
		t.Error("it is settled before the other node has said who is there")
	}
	if len(o.sent) != 2 || !o.sent[1].f.Cancel || o.sent[1].f.ID != id || o.sent[1].rcpt != nil {
		t.Fatalf("forwarded %+v", o.sent)
	}

	b := newNode(nil)
	tv := b.open("alice", "tv", 0)
	r := new(told)
	b.Take(origin, &o.sent[0].f, r, 1)
	b.sockets.settle(netpoll.ResultWritten)
	b.Take(origin, &o.sent[1].f, new(told), 2)
	if got := b.sockets.cancels(); !strings.HasPrefix(got, fmt.Sprint(tv.Conn, " ")) {
		t.Errorf("over there cancels are %q", got)
	}
	o.answer(0, wire.DeviceOutcome{Device: "tv", Outcome: session.Cancelled})
	if !isDone(d) || said(d) != "phone@n:acked tv@b:cancelled" {
		t.Error(said(d))
	}

	id, d = n.deliver(first("alice", ""))
	n.sockets.settle(netpoll.ResultWritten)
	o.answer(2, wire.DeviceOutcome{Device: "tv", Outcome: session.Acked})
	if got := n.sockets.cancels(); !isDone(d) || said(d) != "phone@n:cancelled tv@b:acked" || !strings.Contains(got, fmt.Sprintf("n.1.%d", id)) {
		t.Error(said(d), got)
	}
}

func TestCancel(t *testing.T) {
	n, o := newClusterNode(map[string]Place{"alice/tv": there("b", 5)})
	phone := n.open("alice", "phone", 0)
	ids := []session.ID{{Origin: older, Number: 1}, {Origin: origin, Number: 2}}
	n.Cancel(session.Address{Account: "alice", Device: "nobody"}, ids)
	n.Cancel(session.Address{Account: "alice", Device: "phone"}, ids)
	if got, want := n.sockets.cancels(), fmt.Sprintf(`%d {"type":"cancel","ids":["m.14.1","n.1.2"]}`, phone.Conn); got != want {
		t.Errorf("sent %s", got)
	}
	radio := n.open("alice", "radio", session.SSE)
	n.Cancel(session.Address{Account: "alice", Device: "radio"}, ids)
	if got := n.sockets.sent; len(got) != 1 || got[0].op != netpoll.OpEvent || uint64(got[0].conn) != radio.Conn ||
		got[0].payload != "event: cancel\ndata: {\"type\":\"cancel\",\"ids\":[\"m.14.1\",\"n.1.2\"]}\n\n" {
		t.Errorf("to a stream of events: sent %+v", got)
	}
	n.sockets.sent = nil
	n.Cancel(session.Address{Account: "alice", Device: "tv"}, ids)
	if len(o.sent) != 2 || o.sent[0].f.Origin != older || o.sent[1].f.Origin != (session.Origin{}) {
		t.Fatalf("forwarded %+v", o.sent)
	}
	b := newNode(nil)
	b.open("alice", "tv", 0)
	b.Take(origin, &o.sent[0].f, new(told), 1)
	if got := b.sockets.cancels(); !strings.Contains(got, `["m.14.1"]`) {
		t.Errorf("over there it is %q", got)
	}
}
