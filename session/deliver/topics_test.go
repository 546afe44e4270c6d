package deliver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// subscribers is who has subscribed to everything, here and elsewhere.
type subscribers struct {
	sessions  []*session.Session
	nodes     []string
	published []string
}

func (s *subscribers) Publish(dst []*session.Session, from session.Origin, m *session.Message) []*session.Session {
	s.published = append(s.published, from.Text(uint64(m.ID))+" "+m.Topic+" "+string(m.Payload))
	return append(dst, s.sessions...)
}
func (s *subscribers) AppendNodes(dst []string, _ string) []string { return append(dst, s.nodes...) }

func toTopic(topic string, wait session.Wait) *Push {
	return &Push{To: To{Topic: topic}, Payload: []byte(`1`), Wait: wait, SentMS: 5}
}

func TestTopic(t *testing.T) {
	n := newNode(nil)
	subs := &subscribers{}
	n.AttachTopics(subs)
	_, d := n.deliver(toTopic("news", session.WaitWritten))
	if !isDone(d) || d.Total() != 0 {
		t.Error("a topic of nobody is not settled at once")
	}
	a, b := n.open("x", "a", 0), n.open("y", "a", 0)
	n.open("x", "other", 0)
	subs.sessions = []*session.Session{a, b}
	id, d := n.deliver(toTopic("news", session.WaitWritten))
	want := `{"type":"message","id":"` + origin.Text(uint64(id)) + `","payload":1,"topic":"news","sent_ms":5}`
	if len(n.sockets.sent) != 2 || n.sockets.sent[0].payload != want || n.sockets.sent[1].conn != netpoll.ConnID(b.Conn) {
		t.Fatalf("%+v", n.sockets.sent)
	}
	// A device that has connected again has to subscribe again.
	n.open("x", "a", 0)
	n.sockets.sent[0].rcpt.Sent(n.sockets.sent[0].tag, netpoll.ResultGone)
	n.sockets.sent = n.sockets.sent[1:]
	n.sockets.settle(netpoll.ResultWritten)
	if c := d.Counts(); !isDone(d) || c[session.Offline] != 1 || c[session.Written] != 1 || d.Total() != 2 || outcomes(d) != "" {
		t.Errorf("%v of %d, %q", c, d.Total(), outcomes(d))
	}
	if want := origin.Text(uint64(id)) + " news 1"; len(subs.published) != 2 || subs.published[1] != want {
		t.Errorf("%q", subs.published)
	}
	// With an ack, and without waiting.
	subs.sessions = subs.sessions[1:]
	id, d = n.deliver(toTopic("news", session.WaitAcked))
	n.sockets.settle(netpoll.ResultWritten)
	if isDone(d) || !n.Ack(b, origin, id) || !isDone(d) || d.Counts()[session.Acked] != 1 {
		t.Errorf("%v", d.Counts())
	}
	n.Deliver(toTopic("news", session.WaitNone), nil)
	if n.sockets.settle(netpoll.ResultWritten); n.Stats().Outcomes[session.Written] != 2 {
		t.Errorf("%+v", n.Stats())
	}
	// What is too large is not published.
	p := toTopic("news", session.WaitWritten)
	p.Payload = []byte(`"` + strings.Repeat("x", Default().PayloadBytesMax) + `"`)
	if _, d = n.deliver(p); !isDone(d) || d.Counts()[session.TooLarge] != 1 || len(subs.published) != 4 {
		t.Errorf("%v, %d published", d.Counts(), len(subs.published))
	}
}

// TestTopicsLeaveRoom: what a topic's subscribers are sent, and those of many topics at a time, stays
// in front of a push to a device up to a limit. What is above it is overloaded, and the device is not.
func TestTopicsLeaveRoom(t *testing.T) {
	n := newNode(func(c *Config) { c.InFlightMax, c.FanOutMax = 8, 20 })
	subs := &subscribers{}
	n.AttachTopics(subs)
	for i := range 100 {
		subs.sessions = append(subs.sessions, n.open(fmt.Sprint("a", i), "d", 0))
	}
	all := subs.sessions
	_, large := n.deliver(toTopic("many", session.WaitWritten))
	if len(n.sockets.sent) != 8 || isDone(large) {
		t.Fatalf("%d sends of a topic of 100", len(n.sockets.sent))
	}
	// Topics of six are not paced, but there is an end to them: 8+6+6.
	subs.sessions = all[:6]
	var few []*Delivery
	for range 4 {
		_, d := n.deliver(toTopic("few", session.WaitAcked))
		few = append(few, d)
	}
	if len(n.sockets.sent) != 20 || n.Stats().FanOut != 20 || n.Stats().FanOutRefused != 2 {
		t.Errorf("%d sends, %+v", len(n.sockets.sent), n.Stats())
	}
	for i, d := range few {
		if over := i >= 2; isDone(d) != over || over && d.Counts()[session.Overloaded] != 6 {
			t.Errorf("push %d: %v", i, d.Counts())
		}
	}
	_, one := n.deliver(to("a50", "d", session.WaitWritten))
	if len(n.sockets.sent) != 21 {
		t.Fatalf("the device has to wait behind %d sends", len(n.sockets.sent))
	}
	_, account := n.deliver(to("a50", "", session.WaitWritten))
	// What is written makes room, though acks are awaited.
	n.sockets.settle(netpoll.ResultWritten)
	if !isDone(large) || !isDone(one) || !isDone(account) || isDone(few[0]) || n.Stats().FanOut != 0 {
		t.Errorf("%v %v %v, %d still on their way", large.Counts(), one.Counts(), few[0].Counts(), n.Stats().FanOut)
	}
	few[0].Expire()
	_, next := n.deliver(toTopic("few", session.WaitWritten))
	next.Expire() // before anything is written
	if n.sockets.settle(netpoll.ResultWritten); n.Stats().FanOut != 0 {
		t.Errorf("%d stay for ever", n.Stats().FanOut)
	}
}

func TestTopicElsewhere(t *testing.T) {
	n := newNode(nil)
	c := &topicCluster{}
	n.Router = NewRouter(Default(), origin, n.reg, n.sockets, c)
	subs := &subscribers{nodes: []string{"n2", "home"}}
	n.AttachTopics(subs)
	id, d := n.deliver(toTopic("news.eu", session.WaitWritten))
	if len(c.sent) != 2 || !c.sent[0].Valid() || c.sent[0].Topic != "news.eu" || c.sent[0].ID != id || c.sent[0].Account != "" {
		t.Fatalf("%+v", c.sent)
	}
	c.answers[0].Answered(c.tags[0], &wire.Outcomes{Final: true, Counts: [session.OutcomeCount]uint32{session.Written: 3}})
	c.answers[1].Answered(c.tags[1], &wire.Outcomes{Final: true}) // a home without subscribers
	if !isDone(d) || d.Counts()[session.Written] != 3 || d.Total() != 3 {
		t.Errorf("%v of %d", d.Counts(), d.Total())
	}
	// One that came over a link goes no further, and is published under its own id.
	subs.sessions = []*session.Session{n.open("x", "a", 0)}
	reply := &topicReply{}
	n.Take(session.Origin{Node: "far", Epoch: 9}, &wire.Forward{Ref: 1, ID: 5, Topic: "news.eu", Payload: []byte("1")}, reply, 0)
	n.sockets.settle(netpoll.ResultWritten)
	if reply.counts[session.Written] != 1 || len(c.sent) != 2 || subs.published[1] != "far.9.5 news.eu 1" {
		t.Errorf("%v, %d sent, %q", reply.counts, len(c.sent), subs.published)
	}
}

// topicCluster keeps what is forwarded.
type topicCluster struct {
	alone
	sent    []wire.Forward
	answers []Answers
	tags    []uint64
}

func (c *topicCluster) Forward(_ string, f *wire.Forward, rcpt Answers, tag uint64) {
	c.sent, c.answers, c.tags = append(c.sent, *f), append(c.answers, rcpt), append(c.tags, tag)
}

type topicReply struct{ counts [session.OutcomeCount]uint32 }

func (r *topicReply) Outcomes(o *wire.Outcomes) { r.counts = o.Counts }
