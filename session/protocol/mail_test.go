package protocol

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

// mail is a mailbox that keeps one message for one device, and notes what it is told.
type mail struct {
	id   session.ID
	of   session.Address
	said []string
}

func (m *mail) Acked(a session.Address, id session.ID) bool {
	m.said = append(m.said, fmt.Sprint("acked ", id.Text()))
	return a == m.of && id == m.id
}

func (m *mail) Missed(session.Address) int { return 3 }

func (m *mail) Opened(a session.Address, version uint64) {
	m.said = append(m.said, fmt.Sprint("opened ", a, " ", version))
}

// waiting is delivery that waits for one message in memory.
type waiting struct{ number session.MessageID }

func (w waiting) Ack(_ *session.Session, _ session.Origin, id session.MessageID) bool {
	return id == w.number
}

func (waiting) Ponged(dst []session.ID, _ uint64, id session.ID) []session.ID {
	return append(dst, id)
}

func (waiting) ForgetPings(uint64) {}

// greeted is admitted by the gate itself.
type greeted struct{ admitted }

func (h *greeted) Open(c *netpoll.Conn) { c.SetContext(h.s); h.g.Open(c) }

func (h *greeted) Pong(c *netpoll.Conn, payload []byte) { h.g.Pong(c, payload) }

func mailGate() (*Gate, *mail) {
	s := session.Address{Account: "a", Device: "b"}
	m := &mail{id: session.ID{Origin: session.Origin{Node: "n", Epoch: 2}, Number: 9}, of: s}
	return &Gate{cfg: Default(), Parts: Parts{Origin: session.Origin{Node: "n", Epoch: 3}, Now: time.Now, Mail: m, Acks: waiting{8}, Pings: waiting{8}}}, m
}

func connectGreeted(t *testing.T, g *Gate, p session.Permissions) (*netpoll.Detached, string) {
	t.Helper()
	h := &greeted{admitted{g: g, s: session.New("a", "b")}}
	h.s.Version, h.s.Permissions = 77, p
	d, err := netpoll.NewDetached(netpoll.Default(), h)
	if err != nil {
		t.Fatal(err)
	}
	d.Feed([]byte(request))
	return d, string(d.Output())
}

func TestHelloSaysWhatIsMissed(t *testing.T) {
	g, m := mailGate()
	if _, out := connectGreeted(t, g, 0); !strings.Contains(out, `"missed":3}`) {
		t.Errorf("the hello is %q", out)
	}
	if _, out := connectGreeted(t, g, session.Raw); strings.Contains(out, "hello") {
		t.Errorf("roost.raw is greeted: %q", out)
	}
	if got := fmt.Sprint(m.said); got != fmt.Sprintf("[opened a/b %d opened a/b %[1]d]", session.MarkHere(77)) {
		t.Errorf("the mailbox hears %s", got)
	}
}

// TestAcksFindTheirKeeper: the ids that delivery waits for never get to the mailbox, the
// others do, and what neither knows is said to be unknown.
func TestAcksFindTheirKeeper(t *testing.T) {
	for ids, unknown := range map[string]uint64{
		`"n.3.8"`: 0, `"n.2.9"`: 0, `"n.3.8","n.2.9"`: 0, `"n.3.9"`: 1, `"n.2.9","x","n.1.1"`: 2,
	} {
		g, m := mailGate()
		d, _ := connectGreeted(t, g, 0)
		m.said = nil
		d.Feed(say(`{"type":"ack","ids":[` + ids + `]}`))
		if out := string(d.Output()); strings.Contains(out, "unknown_message") != (unknown > 0) || g.Stats().AcksUnknown != unknown {
			t.Errorf("%s: %q, %d unknown", ids, out, g.Stats().AcksUnknown)
		}
		if strings.Contains(fmt.Sprint(m.said), "n.3.8") {
			t.Errorf("%s: the mailbox hears %v", ids, m.said)
		}
	}
}

// TestAckWithAnIDIsAnswered as every frame with one is: by ok, or by what was refused.
func TestAckWithAnIDIsAnswered(t *testing.T) {
	for frame, want := range map[string]string{
		`{"type":"ack","id":"a","ids":["n.3.8","n.2.9"]}`: `{"type":"result","ref":"a","status":"ok"}`,
		`{"type":"ack","id":2,"ids":["n.3.8","n.3.9"]}`:   `{"type":"error","ref":2,"code":"unknown_message"`,
		`{"type":"ack","ids":["n.3.8"]}`:                  "",
	} {
		g, _ := mailGate()
		d, _ := connectGreeted(t, g, 0)
		d.Feed(say(frame))
		if out := string(d.Output()); !strings.Contains(out, want) || want == "" && out != "" {
			t.Errorf("%s: %q, want %s", frame, out, want)
		}
	}
}

// TestPongAcks: the pong of a roost.raw device carries the id that its ping did.
func TestPongAcks(t *testing.T) {
	g, m := mailGate()
	d, _ := connectGreeted(t, g, session.Raw)
	m.said = nil
	pong := func(text string) {
		d.Feed(append([]byte{0x8a, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...))
	}
	pong("n.2.9")
	if fmt.Sprint(m.said) != "[acked n.2.9]" || g.Stats().AcksUnknown != 0 {
		t.Errorf("the mailbox hears %v", m.said)
	}
	pong("n.2.10")
	if g.Stats().AcksUnknown != 1 {
		t.Error("a pong of no message counts")
	}
}

// TestAcksThatWereAskedForAreFree: a mailbox may be acked faster than a device may send.
func TestAcksThatWereAskedForAreFree(t *testing.T) {
	g, _ := mailGate()
	now := time.Unix(1e9, 0)
	g.Now = func() time.Time { return now }
	d, _ := connectGreeted(t, g, 0)
	most := g.cfg.MessageBurst
	for range 2 * most {
		d.Feed(say(`{"type":"ack","ids":["n.2.9"]}`))
	}
	if out := string(d.Output()); out != "" || g.Stats().RateRefused != 0 {
		t.Errorf("%d acks that were asked for are refused: %.100q", g.Stats().RateRefused, out)
	}
	for range most {
		d.Feed(say(`{"type":"ack","ids":["n.2.7"]}`))
	}
	if g.Stats().RateRefused != 0 {
		t.Error("the burst is used up by acks that were asked for")
	}
	d.Feed(say(`{"type":"ack","ids":["n.2.7"]}`))
	if g.Stats().RateRefused != 1 {
		t.Error("acks of nothing are free too")
	}
}
