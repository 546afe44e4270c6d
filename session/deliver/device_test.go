package deliver

import (
	"strings"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

const frameOne = `{"type":"message","id":"n.1.1","payload":{"a":1},"sent_ms":5}`

func TestDeliverToDevice(t *testing.T) {
	for name, res := range map[string]struct {
		res  netpoll.Result
		want string
	}{
		"written": {netpoll.ResultWritten, "phone:written "},
		"cut":     {netpoll.ResultCut, "phone:lost "},
		"gone":    {netpoll.ResultGone, "phone:offline "},
		"full":    {netpoll.ResultFull, "phone:overloaded "},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(nil)
			s := n.open("alice", "phone", 0)
			_, d := n.deliver(to("alice", "phone", session.WaitWritten))
			if isDone(d) {
				t.Error("settled before the socket said anything")
			}
			if got := n.sockets.sent; len(got) != 1 || got[0].payload != frameOne || got[0].op != netpoll.OpText || got[0].conn != netpoll.ConnID(s.Conn) {
				t.Fatalf("sent %+v", got)
			}
			n.sockets.settle(res.res)
			expect(t, d, res.want)
			if s := n.Stats(); s.Moved != 0 {
				t.Error("it was sent again, to the same connection")
			}

			// The same, said before Send returns.
			n.sockets.now[netpoll.ConnID(s.Conn)] = res.res
			_, d = n.deliver(to("alice", "phone", session.WaitWritten))
			expect(t, d, res.want)
		})
	}
}

func TestDeliverNothing(t *testing.T) {
	big := to("alice", "phone", session.WaitWritten)
	big.Payload = []byte(strings.Repeat("1", 101))
	bigNone := *big
	bigNone.Wait = session.WaitNone
	for name, tc := range map[string]struct {
		push *Push
		want string
	}{
		"not connected":       {to("alice", "tv", session.WaitWritten), "tv:offline "},
		"not connected, none": {to("alice", "tv", session.WaitNone), "tv:offline "},
		"another account":     {to("bob", "phone", session.WaitAcked), "phone:offline "},
		"empty account":       {to("bob", "", session.WaitAcked), ""},
		"too large":           {big, "phone:too_large "},
		"too large, none":     {&bigNone, "phone:too_large "},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(func(c *Config) { c.PayloadBytesMax = 100 })
			n.open("alice", "phone", 0)
			_, d := n.deliver(tc.push)
			expect(t, d, tc.want)
			if len(n.sockets.sent) > 0 {
				t.Errorf("sent %+v", n.sockets.sent)
			}
		})
	}
}

func TestDeliverRaw(t *testing.T) {
	for kind, op := range map[session.Kind]netpoll.Op{session.JSON: netpoll.OpText, session.Text: netpoll.OpText, session.Binary: netpoll.OpBinary} {
		for _, wait := range []session.Wait{session.WaitWritten, session.WaitNone} {
			n := newNode(nil)
			n.open("alice", "phone", session.Raw)
			p := to("alice", "phone", wait)
			p.Kind = kind
			n.deliver(p)
			if got := n.sockets.sent; len(got) != 1 || got[0].payload != `{"a":1}` || got[0].op != op {
				t.Errorf("kind %d, wait %v: sent %+v", kind, wait, got)
			}
		}
	}
}

// eventOne is frameOne as a Server-Sent Event.
const eventOne = "id: n.1.1\ndata: " + frameOne + "\n\n"

// TestDeliverEvents: a device that gets events gets roost.v1's frames with the id beside
// them, and a payload's line ends as the standard of events wants them.
func TestDeliverEvents(t *testing.T) {
	for _, wait := range []session.Wait{session.WaitWritten, session.WaitAcked, session.WaitNone} {
		n := newNode(nil)
		n.open("alice", "tv", session.SSE)
		p := to("alice", "tv", wait)
		p.Payload = []byte("{\"a\":\n1}")
		n.deliver(p)
		ack := ""
		if wait == session.WaitAcked {
			ack = `,"ack":true`
		}
		want := "id: n.1.1\ndata: {\"type\":\"message\",\"id\":\"n.1.1\",\"payload\":{\"a\":\ndata: 1},\"sent_ms\":5" + ack + "}\n\n"
		if got := n.sockets.sent; len(got) != 1 || got[0].payload != want || got[0].op != netpoll.OpEvent {
			t.Errorf("wait %v: sent %+v, want %q", wait, got, want)
		}
	}
}

func TestDeliverNone(t *testing.T) {
	n := newNode(nil)
	n.open("alice", "phone", 0)
	if id := n.Deliver(to("alice", "phone", session.WaitNone), nil); id != 1 {
		t.Errorf("id %d", id)
	}
	if got := n.sockets.sent; len(got) != 1 || got[0].payload != frameOne || got[0].rcpt != nil {
		t.Errorf("sent %+v", got)
	}
	called := false
	d := new(Delivery)
	d.Reset(session.WaitNone, func(*Delivery) { called = true })
	n.Deliver(to("alice", "phone", session.WaitNone), d)
	if called || d.Counts()[session.Pending] != 1 || d.Total() != 1 {
		t.Errorf("called %v, counts %v", called, d.Counts())
	}
	d.Reset(session.WaitNone, nil)
	n.Deliver(to("alice", "", session.WaitNone), d)
	if d.Counts()[session.Pending] != 1 || d.Total() != 1 {
		t.Errorf("account: counts %v", d.Counts())
	}
	if s := n.Stats(); s.Untracked != 2 || s.Messages != 3 {
		t.Errorf("stats %+v", s)
	}
}

// TestMoved is displacement while a message is on its way: it goes to the newer
// connection, in the words of that one, but only once and only if there is one.
func TestMoved(t *testing.T) {
	for name, tc := range map[string]struct {
		from, to session.Permissions
		want     string
	}{
		"same protocol": {0, 0, `{"type":"message","id":"n.1.1","payload":{"a":1},"from":{"device":"tv"},"sent_ms":5}`},
		"to raw":        {0, session.Raw, `{"a":1}`},
		"to events":     {session.Raw, session.SSE, "id: n.1.1\ndata: {\"type\":\"message\",\"id\":\"n.1.1\",\"payload\":{\"a\":1},\"from\":{\"device\":\"tv\"},\"sent_ms\":5}\n\n"},
		"from events":   {session.SSE, session.Raw, `{"a":1}`},
		"from raw":      {session.Raw, 0, `{"type":"message","id":"n.1.1","payload":{"a":1},"from":{"device":"tv"},"sent_ms":5}`},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(nil)
			n.open("alice", "phone", tc.from)
			p := to("alice", "phone", session.WaitWritten)
			p.From = "tv"
			_, d := n.deliver(p)
			clear(p.Payload) // borrowed until Deliver returned
			newer := n.open("alice", "phone", tc.to)
			x := n.sockets.sent[0]
			n.sockets.sent = nil
			x.rcpt.Sent(x.tag, netpoll.ResultGone)
			if got := n.sockets.sent; len(got) != 1 || got[0].payload != tc.want || got[0].conn != netpoll.ConnID(newer.Conn) || isDone(d) {
				t.Fatalf("sent %+v", got)
			}
			n.open("alice", "phone", 0) // a third one is not tried
			n.sockets.settle(netpoll.ResultGone)
			expect(t, d, "phone:offline ")
			if s := n.Stats(); s.Moved != 1 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestReuse(t *testing.T) {
	n := newNode(nil)
	n.open("alice", "phone", 0)
	_, d := n.deliver(to("alice", "phone", session.WaitWritten))
	old := n.sockets.sent[0]
	d.Expire()
	expect(t, d, "phone:timeout ")
	d.Expire()

	d.Reset(session.WaitWritten, nil)
	old.rcpt.Sent(old.tag, netpoll.ResultWritten)
	n.sockets.sent = nil
	n.Deliver(to("alice", "phone", session.WaitWritten), d)
	old.rcpt.Sent(old.tag, netpoll.ResultWritten)
	if isDone(d) {
		t.Error("a receipt of an earlier use has settled it")
	}
	n.sockets.settle(netpoll.ResultCut)
	old.rcpt.Sent(old.tag, netpoll.ResultWritten)
	expect(t, d, "phone:lost ")
}

func TestMisuse(t *testing.T) {
	n := newNode(nil)
	n.open("alice", "phone", 0)
	p := to("alice", "phone", session.WaitWritten)
	for name, fn := range map[string]func(){
		"no Reset":         func() { n.Deliver(p, new(Delivery)) },
		"another level":    func() { d := new(Delivery); d.Reset(session.WaitAcked, nil); n.Deliver(p, d) },
		"used twice":       func() { _, d := n.deliver(p); n.sockets.settle(0); n.Deliver(p, d) },
		"Reset on the way": func() { _, d := n.deliver(p); d.Reset(session.WaitWritten, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it did not panic")
				}
			}()
			fn()
		})
	}
}

// TestCallMayReuse gives a delivery away from within its own call, as a pool does.
func TestCallMayReuse(t *testing.T) {
	n := newNode(nil)
	s := n.open("alice", "phone", 0)
	n.sockets.now[netpoll.ConnID(s.Conn)] = netpoll.ResultWritten
	calls := 0
	var call func(*Delivery)
	call = func(d *Delivery) {
		if calls++; calls < 5 {
			d.Reset(session.WaitWritten, call)
			n.Deliver(to("alice", "phone", session.WaitWritten), d)
		}
	}
	d := new(Delivery)
	d.Reset(session.WaitWritten, call)
	n.Deliver(to("alice", "phone", session.WaitWritten), d)
	if calls != 5 || d.Counts()[session.Written] != 1 {
		t.Errorf("%d calls, %v", calls, d.Counts())
	}
	d.Reset(session.WaitWritten, nil)
}

func TestConfig(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"payload_bytes_max":   func(c *Config) { c.PayloadBytesMax = 0 },
		"acks_max":            func(c *Config) { c.AcksMax = -1 },
		"outcomes_listed_max": func(c *Config) { c.OutcomesListedMax = 0 },
		"in_flight_max":       func(c *Config) { c.InFlightMax = 1 },
		"paced_max":           func(c *Config) { c.PacedMax = 0 },
	} {
		cfg := Default()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
