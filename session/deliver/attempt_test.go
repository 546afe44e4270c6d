package deliver

import (
	"fmt"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// older is the maker of an id that this run of the node has not made.
var older = session.Origin{Node: "m", Epoch: 40}

func keptFor(account, device string, from session.Origin) *session.Kept {
	return &session.Kept{
		ID: session.ID{Origin: from, Number: 9}, Address: session.Address{Account: account, Device: device},
		Payload: []byte(`1`), SentMS: 5, ExpiresMS: 99,
	}
}

// attempt begins one; what was heard of it is in the list.
func (n *node) attempt(m *session.Kept, mark uint64) *[]session.Outcome {
	heard := new([]session.Outcome)
	n.Attempt(m, mark, func(o session.Outcome) { *heard = append(*heard, o) })
	return heard
}

func TestAttempt(t *testing.T) {
	for name, tc := range map[string]struct {
		permissions session.Permissions
		res         netpoll.Result
		want        session.Outcome
		frames      string
	}{
		"written": {0, netpoll.ResultWritten, session.Written, `[1 {"type":"message","id":"m.14.9","payload":1,"sent_ms":5,"ack":true}]`},
		"raw":     {session.Raw, netpoll.ResultWritten, session.Written, `[1 1 9 m.14.9]`},
		"cut":     {0, netpoll.ResultCut, session.Lost, ""},
		"full":    {0, netpoll.ResultFull, session.Overloaded, ""},
		"gone":    {0, netpoll.ResultGone, session.Offline, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(nil)
			phone := n.open("alice", "phone", tc.permissions)
			heard := n.attempt(keptFor("alice", "phone", older), 0)
			var frames []string
			for _, x := range n.sockets.sent {
				frames = append(frames, fmt.Sprint(int(x.op), " ", x.payload))
			}
			if got := fmt.Sprint(frames); tc.frames != "" && got != tc.frames {
				t.Errorf("sent %s", got)
			}
			if len(*heard) != 0 {
				t.Error("something is heard before the kernel has said anything")
			}
			n.sockets.settle(tc.res)
			if fmt.Sprint(*heard) != fmt.Sprint([]session.Outcome{tc.want}) {
				t.Errorf("heard %v", *heard)
			}
			// The ack is the keeper's: nobody waits for it here.
			if n.Ack(phone, older, 9) {
				t.Error("delivery takes the ack of a kept message")
			}
			if s := n.Stats(); s.AcksUnknown != 0 || s.AcksAwaited != 0 || s.Attempts != 1 || s.Messages != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// TestAttemptHere: what is meant for a session of roost.v1 that is connected here has no
// Delivery, which nobody can tell from what comes of it.
func TestAttemptHere(t *testing.T) {
	for name, tc := range map[string]struct {
		permissions session.Permissions
		from        session.Origin
		trace       string
		res         netpoll.Result
		want        session.Outcome
		here        bool
		frame       string
	}{
		"written":      {0, origin, "", netpoll.ResultWritten, session.Written, true, `{"type":"message","id":"n.1.9","payload":1,"sent_ms":5,"ack":true}`},
		"cut":          {0, origin, "", netpoll.ResultCut, session.Lost, true, ""},
		"full":         {0, origin, "", netpoll.ResultFull, session.Overloaded, true, ""},
		"gone":         {0, origin, "", netpoll.ResultGone, session.Offline, true, ""},
		"another's":    {0, older, "", netpoll.ResultWritten, session.Written, false, `{"type":"message","id":"m.14.9","payload":1,"sent_ms":5,"ack":true}`},
		"traced":       {0, origin, traceparent, netpoll.ResultWritten, session.Written, false, `{"type":"message","id":"n.1.9","payload":1,"sent_ms":5,"ack":true,"traceparent":"` + traceparent + `"}`},
		"raw":          {session.Raw, origin, "", netpoll.ResultWritten, session.Written, false, `1`},
		"event stream": {session.SSE, origin, "", netpoll.ResultWritten, session.Written, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n, _, tr := newTracedNode(nil)
			s := n.open("alice", "phone", tc.permissions)
			m := keptFor("alice", "phone", tc.from)
			m.Trace = tc.trace
			mark := session.MarkHere(s.Version)
			if is := n.meant(m, mark) != nil; is != tc.here {
				t.Errorf("without a Delivery: %v", is)
			}
			heard := n.attempt(m, mark)
			m.Payload[0] = '2' // it was borrowed
			if got := n.sockets.sent[0].payload; tc.frame != "" && got != tc.frame {
				t.Errorf("sent %s", got)
			}
			if len(*heard) != 0 {
				t.Error("something is heard before the kernel has said anything")
			}
			n.sockets.settle(tc.res)
			if fmt.Sprint(*heard) != fmt.Sprint([]session.Outcome{tc.want}) {
				t.Errorf("heard %v", *heard)
			}
			if st := n.Stats(); st.Attempts != 1 || st.Outcomes[tc.want] != 1 || st.Messages != 0 || st.AcksAwaited != 0 {
				t.Errorf("stats %+v", st)
			}
			if star := map[bool]string{true: "*"}[tc.trace != ""]; tc.from == origin {
				tr.expect(t, "n.1.9", "attempted phone"+star, "sent phone"+star, "became "+tc.want.String()+" phone"+star)
			}
		})
	}
}

func TestAttemptWithoutDevice(t *testing.T) {
	n := newNode(func(c *Config) { c.PayloadBytesMax = 10 })
	if heard := n.attempt(keptFor("alice", "phone", origin), 0); fmt.Sprint(*heard) != "[offline]" {
		t.Errorf("heard %v", *heard)
	}
	n.open("alice", "phone", 0)
	m := keptFor("alice", "phone", origin)
	m.Payload = []byte(`"0123456789"`)
	if heard := n.attempt(m, 0); fmt.Sprint(*heard) != "[too_large]" {
		t.Errorf("heard %v", *heard)
	}
}

// TestAttemptFromWithin begins the next attempt where the first is heard of, as a mailbox
// that drains does.
func TestAttemptFromWithin(t *testing.T) {
	n := newNode(nil)
	n.sockets.now[1] = netpoll.ResultWritten
	s := n.open("alice", "phone", 0)
	for _, mark := range []uint64{0, session.MarkHere(s.Version)} {
		left, m := 100, keptFor("alice", "phone", origin)
		var next func(session.Outcome)
		next = func(o session.Outcome) {
			if left--; o == session.Written && left > 0 {
				n.Attempt(m, mark, next)
			}
		}
		n.Attempt(m, mark, next)
		if left != 0 {
			t.Errorf("%d are left", left)
		}
	}
}

func TestAttemptOnAnotherNode(t *testing.T) {
	n, o := newClusterNode(map[string]Place{"alice/phone": there("b", 5)})
	heard := n.attempt(keptFor("alice", "phone", older), 0)
	own := n.attempt(keptFor("alice", "phone", origin), 0)
	if len(o.sent) != 2 {
		t.Fatalf("%d forwarded", len(o.sent))
	}
	f := o.sent[0].f
	if f.ID != 9 || f.Origin != older || !f.Ack || f.Wait != session.WaitWritten {
		t.Errorf("forwarded %+v", f)
	}
	if o.sent[1].f.Origin != (session.Origin{}) {
		t.Error("an id of the link's own origin travels with it")
	}
	o.answer(0, wire.DeviceOutcome{Outcome: session.Written})
	o.answer(1, wire.DeviceOutcome{Outcome: session.Overloaded})
	if fmt.Sprint(*heard, *own) != "[written] [overloaded]" {
		t.Errorf("heard %v %v", *heard, *own)
	}

	b := newNode(nil)
	b.open("alice", "phone", 0)
	r := new(told)
	b.Take(origin, &f, r, 1)
	if got := b.sockets.sent[0].payload; got != `{"type":"message","id":"m.14.9","payload":1,"sent_ms":5,"ack":true}` {
		t.Errorf("over there it is sent as %s", got)
	}
}

func TestNewID(t *testing.T) {
	n := newNode(nil)
	n.open("alice", "phone", 0)
	a := n.NewID()
	id, _ := n.deliver(to("alice", "phone", session.WaitWritten))
	if b := n.NewID(); a.Origin != origin || a.Number >= id || id >= b.Number {
		t.Errorf("ids %v %v %v", a, id, b)
	}
}

func TestAttemptAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("pools forget at random under the race detector")
	}
	n := newNode(nil)
	n.Router = NewRouter(Default(), origin, n.reg, instant{}, nil)
	s := n.open("alice", "phone", 0)
	for _, from := range []session.Origin{older, origin} {
		m, written := keptFor("alice", "phone", from), 0
		heard := func(o session.Outcome) {
			if o == session.Written {
				written++
			}
		}
		if got := testing.AllocsPerRun(1000, func() { n.Attempt(m, session.MarkHere(s.Version), heard) }); got != 0 || written != 1001 {
			t.Errorf("%v allocations, %d written", got, written)
		}
	}
}

// TestAttemptMeansASession: what is meant for a session does not go to a newer one, which
// its keeper sends to by itself, nor to an older one, which it has done with.
func TestAttemptMeansASession(t *testing.T) {
	for name, tc := range map[string]struct {
		meant func(version uint64) uint64
		want  []session.Outcome
	}{
		"this":                              {func(v uint64) uint64 { return v }, []session.Outcome{session.Written}},
		"any":                               {func(uint64) uint64 { return 0 }, []session.Outcome{session.Written}},
		"older":                             {func(v uint64) uint64 { return v - session.MarkHere(1) }, []session.Outcome{session.Offline}},
		"one elsewhere of the same version": {func(v uint64) uint64 { return v + 1 }, []session.Outcome{session.Offline}},
		"newer":                             {func(v uint64) uint64 { return v + session.MarkHere(1) }, []session.Outcome{session.Offline}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(nil)
			n.open("alice", "phone", 0)
			s := n.open("alice", "phone", 0) // the second, so that none of the versions is 0
			for _, from := range []session.Origin{older, origin} {
				heard := n.attempt(keptFor("alice", "phone", from), tc.meant(session.MarkHere(s.Version)))
				n.sockets.settle(netpoll.ResultWritten)
				if fmt.Sprint(*heard) != fmt.Sprint(tc.want) {
					t.Errorf("heard %v, want %v", *heard, tc.want)
				}
			}
		})
	}
}

// TestAttemptIsNotSentAgain: a connection is gone and there is a newer one.
func TestAttemptIsNotSentAgain(t *testing.T) {
	for _, from := range []session.Origin{older, origin} {
		n := newNode(nil)
		s := n.open("alice", "phone", 0)
		heard := n.attempt(keptFor("alice", "phone", from), session.MarkHere(s.Version))
		n.open("alice", "phone", 0)
		n.sockets.settle(netpoll.ResultGone)
		if len(n.sockets.sent) != 0 || fmt.Sprint(*heard) != fmt.Sprint([]session.Outcome{session.Offline}) {
			t.Errorf("sent %d times more, heard %v", len(n.sockets.sent), *heard)
		}
	}
}
