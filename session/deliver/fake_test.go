package deliver

import (
	"fmt"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sent is one send that a fake was asked for.
type sent struct {
	conn    netpoll.ConnID
	op      netpoll.Op
	payload string
	rcpt    netpoll.Receipt
	tag     uint64
	many    int // number of the SendMany it was part of; 0: it was a Send
}

// sockets is a fake reactor that keeps what it is asked for until settle or, for
// connections in now, answers before Send returns.
type sockets struct {
	sent  []sent // since the last take
	now   map[netpoll.ConnID]netpoll.Result
	calls int
}

func (s *sockets) Send(id netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	s.take(sent{id, op, string(payload), rcpt, tag, 0})
}

func (s *sockets) SendMany(ids []netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	s.calls++
	for i, id := range slices.Clone(ids) {
		s.take(sent{id, op, string(payload), rcpt, tag + uint64(i), s.calls})
	}
}

func (s *sockets) take(x sent) {
	if res, ok := s.now[x.conn]; ok && x.rcpt != nil {
		x.rcpt.Sent(x.tag, res)
		return
	}
	s.sent = append(s.sent, x)
}

// settle answers everything that waits, except what has no receipt.
func (s *sockets) settle(res netpoll.Result) {
	for len(s.sent) > 0 {
		x := s.sent[0]
		s.sent = s.sent[1:]
		if x.rcpt != nil {
			x.rcpt.Sent(x.tag, res)
		}
	}
}

var origin = session.Origin{Node: "n", Epoch: 1}

// node is a router with a fake under it.
type node struct {
	*Router
	sockets *sockets
	reg     *session.Registry
	conns   uint64
}

func newNode(change func(*Config)) *node {
	cfg := Default()
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	n := &node{sockets: &sockets{now: map[netpoll.ConnID]netpoll.Result{}}, reg: session.NewRegistry()}
	n.Router = NewRouter(cfg, origin, n.reg, n.sockets, nil)
	return n
}

// open connects a device; its connection has the next number.
func (n *node) open(account, device string, p session.Permissions) *session.Session {
	s := session.New(account, device)
	n.conns++
	s.Conn, s.Permissions = n.conns, p
	n.reg.Open(s)
	return s
}

// to is a push to a device or, device being empty, an account.
func to(account, device string, wait session.Wait) *Push {
	return &Push{To: To{Account: account, Device: device}, Payload: []byte(`{"a":1}`), Wait: wait, SentMS: 5}
}

func (n *node) deliver(p *Push) (session.MessageID, *Delivery) {
	d := new(Delivery)
	d.Reset(p.Wait, nil)
	return n.Deliver(p, d), d
}

func isDone(d *Delivery) bool {
	select {
	case <-d.Done():
		return true
	default:
		return false
	}
}

// outcomes is what a delivery says, as text.
func outcomes(d *Delivery) string {
	text := ""
	d.Outcomes(func(device, _ string, o session.Outcome) { text += fmt.Sprintf("%s:%v ", device, o) })
	return text
}

// expect checks that a delivery is settled, once, with those outcomes.
func expect(t *testing.T, d *Delivery, want string) {
	t.Helper()
	if !isDone(d) || isDone(d) {
		t.Error("it is not settled once")
	}
	if got := outcomes(d); got != want {
		t.Errorf("outcomes are %q, want %q", got, want)
	}
	sum := 0
	for o, n := range d.Counts() {
		sum += n
		if o == int(session.Pending) && n > 0 {
			t.Errorf("%d are pending", n)
		}
	}
	if sum != d.Total() {
		t.Errorf("the counts are %d, the total %d", sum, d.Total())
	}
}
