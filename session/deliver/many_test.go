package deliver

import (
	"fmt"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

func TestDeliverToAccount(t *testing.T) {
	n := newNode(nil)
	a := n.open("alice", "a", 0)
	n.open("alice", "b", session.Raw)
	n.open("alice", "c", 0)
	n.open("alice", "me", 0)
	n.open("bob", "x", 0)
	n.open("alice", "e", session.SSE)
	n.sockets.now[netpoll.ConnID(a.Conn)] = netpoll.ResultFull
	p := to("alice", "", session.WaitWritten)
	p.To.Except = "me"
	_, d := n.deliver(p)
	if n.sockets.calls != 3 || len(n.sockets.sent) != 3 {
		t.Errorf("%d calls, sent %+v", n.sockets.calls, n.sockets.sent)
	}
	for _, x := range n.sockets.sent {
		want := frameOne
		switch x.conn {
		case 2:
			want = `{"a":1}`
		case 6:
			want = eventOne
		}
		if x.payload != want {
			t.Errorf("connection %d got %s", x.conn, x.payload)
		}
	}
	n.sockets.settle(netpoll.ResultWritten)
	if c := d.Counts(); !isDone(d) || d.Total() != 4 || c[session.Written] != 3 || c[session.Overloaded] != 1 {
		t.Errorf("counts %v", c)
	}
	got := map[string]session.Outcome{}
	d.Outcomes(func(device, _ string, o session.Outcome) { got[device] = o })
	if len(got) != 4 || got["a"] != session.Overloaded || got["e"] != session.Written || got["b"] != session.Written || got["c"] != session.Written {
		t.Errorf("outcomes %v", got)
	}
}

func TestOutcomesListed(t *testing.T) {
	n := newNode(func(c *Config) { c.OutcomesListedMax = 3 })
	for i := range 5 {
		n.open("alice", fmt.Sprint("d", i), 0)
	}
	for name, tc := range map[string]struct {
		to     To
		listed int
	}{
		"account":   {To{Account: "alice"}, 3},
		"everybody": {To{All: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := to("", "", session.WaitWritten)
			p.To = tc.to
			_, d := n.deliver(p)
			n.sockets.settle(netpoll.ResultWritten)
			listed := 0
			d.Outcomes(func(string, string, session.Outcome) { listed++ })
			if c := d.Counts(); !isDone(d) || listed != tc.listed || d.Total() != 5 || c[session.Written] != 5 {
				t.Errorf("listed %d, counts %v", listed, c)
			}
		})
	}
}

// everybody is a node of 100 devices in as many accounts, every third getting events and
// every third speaking roost.raw, with a budget of 8.
func everybody(wait session.Wait, change func(*Config)) (*node, *Push) {
	n := newNode(func(c *Config) {
		c.InFlightMax = 8
		if change != nil {
			change(c)
		}
	})
	for i := range 100 {
		n.open(fmt.Sprint("a", i), "d", forms[i%3])
	}
	p := to("", "", wait)
	p.To.All = true
	return n, p
}

func TestEverybodyIsPaced(t *testing.T) {
	for _, wait := range []session.Wait{session.WaitWritten, session.WaitAcked, session.WaitNone} {
		t.Run(wait.String(), func(t *testing.T) {
			n, p := everybody(wait, nil)
			id, d := n.deliver(p)
			sends := map[netpoll.ConnID]int{}
			flying := 0
			for len(n.sockets.sent) > 0 {
				flying = 0
				for _, x := range n.sockets.sent {
					if x.rcpt != nil {
						flying++
					}
				}
				if flying > 8 {
					t.Fatalf("%d sends are in flight", flying)
				}
				x := n.sockets.sent[0]
				n.sockets.sent = n.sockets.sent[1:]
				if x.rcpt == nil {
					continue
				}
				sends[x.conn]++
				x.rcpt.Sent(x.tag, netpoll.ResultWritten)
			}
			if len(sends) != 100 {
				t.Errorf("%d of 100 connections were sent to", len(sends))
			}
			for conn, times := range sends {
				if times != 1 {
					t.Errorf("connection %d was sent to %d times", conn, times)
				}
			}
			want := session.Written
			if wait == session.WaitAcked {
				want = session.Acked
				for i := range 100 {
					n.Ack(n.reg.Lookup(fmt.Sprint("a", i), "d"), origin, id)
				}
			}
			if wait == session.WaitNone {
				if d.Counts()[session.Pending] != 100 {
					t.Errorf("counts %v", d.Counts())
				}
			} else if !isDone(d) || d.Counts()[want] != 100 {
				t.Errorf("counts %v", d.Counts())
			}
			if s := n.Stats(); s.Outcomes[want] != 100 || s.Paced != 0 || s.AcksAwaited != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// TestEverybodyStalls has receivers that take nothing: each tick without a receipt
// lets the others have their turn.
func TestEverybodyStalls(t *testing.T) {
	n, p := everybody(session.WaitWritten, nil)
	_, d := n.deliver(p)
	if len(n.sockets.sent) != 8 {
		t.Fatalf("%d sends at first", len(n.sockets.sent))
	}
	x := n.sockets.sent[0]
	n.sockets.sent = n.sockets.sent[1:]
	x.rcpt.Sent(x.tag, netpoll.ResultWritten)
	n.Tick(0)
	if len(n.sockets.sent) != 7 {
		t.Errorf("%d sends after a tick with a receipt before it", len(n.sockets.sent))
	}
	n.Tick(0)
	if got := len(n.sockets.sent); got != 15 {
		t.Errorf("%d sends after a tick without a receipt", got)
	}
	for i := 0; len(n.sockets.sent) < 99 && i < 30; i++ {
		n.Tick(0)
	}
	n.Tick(0)
	if len(n.sockets.sent) != 99 || isDone(d) {
		t.Errorf("%d of 99 sends after many ticks", len(n.sockets.sent))
	}
	n.sockets.settle(netpoll.ResultCut)
	if c := d.Counts(); !isDone(d) || c[session.Written] != 1 || c[session.Lost] != 99 {
		t.Errorf("counts %v", c)
	}
	if s := n.Stats(); s.Stalls == 0 || s.Paced != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestEverybodyExpires(t *testing.T) {
	n, p := everybody(session.WaitWritten, nil)
	_, d := n.deliver(p)
	x := n.sockets.sent[0]
	x.rcpt.Sent(x.tag, netpoll.ResultWritten)
	d.Expire()
	if c := d.Counts(); !isDone(d) || c[session.Written] != 1 || c[session.Timeout] != 99 {
		t.Errorf("counts %v", c)
	}
	before := len(n.sockets.sent)
	n.sockets.settle(netpoll.ResultWritten)
	n.Tick(0)
	if before != 8 || len(n.sockets.sent) != 0 || d.Counts()[session.Written] != 1 {
		t.Error("it goes on after its deadline")
	}
}

func TestPacedMax(t *testing.T) {
	n, p := everybody(session.WaitWritten, func(c *Config) { c.PacedMax = 299 })
	_, first := n.deliver(p)
	n.deliver(p)
	_, third := n.deliver(p)
	if c := third.Counts(); !isDone(third) || c[session.Overloaded] != 100 || len(n.sockets.sent) != 16 {
		t.Errorf("counts %v, sent %d", c, len(n.sockets.sent))
	}
	if s := n.Stats(); s.Paced != 2 {
		t.Errorf("stats %+v", s)
	}
	first.Expire()
	_, fourth := n.deliver(p)
	if isDone(fourth) {
		t.Error("the limit stays reached when one has ended")
	}
}

// TestEverybodyAtOnce is refused by every socket before SendMany returns: the sending
// must neither recurse nor stop half-way.
func TestEverybodyAtOnce(t *testing.T) {
	n, p := everybody(session.WaitWritten, nil)
	for i := range 100 {
		n.sockets.now[netpoll.ConnID(i+1)] = netpoll.Result(i % 4)
	}
	_, d := n.deliver(p)
	c := d.Counts()
	if !isDone(d) || c[session.Written] != 25 || c[session.Lost] != 25 || c[session.Offline] != 25 || c[session.Overloaded] != 25 {
		t.Errorf("counts %v", c)
	}
}

func TestResetLetsGo(t *testing.T) {
	n := newNode(func(c *Config) { c.InFlightMax, c.FanOutMax = 1<<20, 1<<20 })
	for i := range keptBytesMax/16 + 1 {
		n.open(fmt.Sprint("a", i), "d", 0)
	}
	p := to("", "", session.WaitWritten)
	p.To.All = true
	p.Payload = make([]byte, keptBytesMax+1)
	_, d := n.deliver(p)
	n.sockets.settle(netpoll.ResultWritten)
	d.Reset(session.WaitWritten, nil)
	if d.targets != nil || d.payload != nil || d.frame != nil || d.ids != nil || d.sessions != nil {
		t.Error("a large use stays in memory")
	}
}
