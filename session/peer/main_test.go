package peer

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a pool that writes down what its handlers hear.
type node struct {
	*Pool
	addr string
	log  *journal

	quiet  bool // do not write down the log's frames
	mu     sync.Mutex
	events []string
	// on answers a message; nil: Written at once.
	on func(f *wire.Forward, reply Reply)
	// asked answers a question; nil: the account comes back.
	asked func(q *wire.LinkQuestion, reply AnswerReply)
}

// journal is a log that can be searched.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) has(words ...string) bool { return j.count(words...) > 0 }

// count returns how many lines have all of the words.
func (j *journal) count(words ...string) (lines int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.text.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			lines++
		}
	}
	return lines
}

func (n *node) note(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, fmt.Sprintf(format, args...))
}

func (n *node) heard(event string) bool { return n.count(event) > 0 }

func (n *node) count(event string) (times int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.events {
		if e == event {
			times++
		}
	}
	return times
}

func (n *node) Forwarded(from session.Origin, f *wire.Forward, reply Reply) {
	if n.on != nil {
		n.on(f, reply)
		return
	}
	n.note("forwarded %s %s/%s %s", from.Node, f.Account, f.Device, f.Payload)
	reply.Outcome(session.Written)
}

func (n *node) Asked(from session.Origin, q *wire.LinkQuestion, reply AnswerReply) {
	if n.asked != nil {
		n.asked(q, reply)
		return
	}
	reply.Answer(&wire.LinkAnswer{Held: true, Version: q.Version + 1, Body: []byte(q.Account)})
}

func (n *node) Delta(from session.Origin, d *wire.Delta) {
	if n.quiet {
		return
	}
	n.note("delta %s %s %d %d", from.Node, d.Author.Node, d.First, len(d.Changes))
}
func (n *node) Heads(from session.Origin, h *wire.Heads) {
	n.note("heads %s %d", from.Node, len(h.Heads))
}
func (n *node) LogRequest(from session.Origin, q *wire.LogRequest) {
	n.note("request %s %d", from.Node, q.From)
}
func (n *node) SnapshotChunk(from session.Origin, s *wire.SnapshotChunk) {
	n.note("chunk %s %d %v", from.Node, s.Index, s.Last)
}
func (n *node) Keep(from session.Origin, k *wire.Keep) {
	n.note("keep %s %d %v %d", from.Node, k.Ref, k.Holding, len(k.Facts))
}
func (n *node) Kept(from session.Origin, k *wire.Kept) {
	n.note("kept %s %d %v", from.Node, k.Ref, k.Refused)
}
func (n *node) Mail(from session.Origin, m *wire.Mail) {
	n.note("mail %s %d %s", from.Node, m.Ref, m.Payload)
}
func (n *node) Mailed(from session.Origin, m *wire.Mailed) {
	n.note("mailed %s %d %v", from.Node, m.Ref, m.Refused)
}
func (n *node) MailFate(from session.Origin, f *wire.MailFate) {
	n.note("fate %s %s %v", from.Node, f.Device, f.Outcome)
}
func (n *node) MailAck(from session.Origin, a *wire.MailAck) {
	n.note("ack %s %s", from.Node, a.Device)
}
func (n *node) MailMove(from session.Origin, m *wire.MailMove) {
	n.note("move %s %d %s", from.Node, m.Ref, m.Payload)
}
func (n *node) MailMoved(from session.Origin, m *wire.MailMoved) {
	n.note("moved %s %d %v", from.Node, m.Ref, m.Outcome)
}
func (n *node) MailUnwatch(from session.Origin, u *wire.MailUnwatch) {
	n.note("unwatch %s %s", from.Node, u.ID.Text())
}
func (n *node) MailKeys(from session.Origin, k *wire.MailKeys) {
	n.note("keys %s %d %d", from.Node, k.Ref, len(k.Keys))
}
func (n *node) MailFiled(from session.Origin, f *wire.MailFiled) {
	n.note("filed %s %d %v", from.Node, f.Ref, f.Filed)
}
func (n *node) MailSettled(from session.Origin, s *wire.MailSettled) {
	n.note("settled %s %v %d", from.Node, s.Settled, s.Members)
}
func (n *node) TopicMove(from session.Origin, m *wire.TopicMove) {
	n.note("topic move %s %d %s %d", from.Node, m.Ref, m.Topic, len(m.Messages))
}
func (n *node) TopicMoved(from session.Origin, m *wire.TopicMoved) {
	n.note("topic moved %s %d %v", from.Node, m.Ref, m.Taken)
}
func (n *node) Interested(from session.Origin, i *wire.Interest) {
	n.note("interest %s %v %v", from.Node, i.Begin, i.Changes)
}
func (n *node) Up(to session.Origin) { n.note("up %s %d", to.Node, to.Epoch) }
func (n *node) Down(to session.Origin, why wire.GoodbyeReason) {
	n.note("down %s %d %v", to.Node, to.Epoch, why)
}
func (n *node) Room(to session.Origin) { n.note("room %s", to.Node) }

// fast is a configuration whose pauses suit a test.
func fast() Config {
	cfg := Default()
	cfg.Listen = "127.0.0.1:0"
	cfg.Tick = 5 * time.Millisecond
	cfg.PingInterval = 50 * time.Millisecond
	cfg.RedialMin, cfg.RedialMax = 2*time.Millisecond, 20*time.Millisecond
	cfg.HelloTimeout, cfg.DialTimeout = 20*time.Second, 20*time.Second
	cfg.SilenceMax, cfg.StallMax = time.Minute, time.Minute // a busy machine is silent for long
	return cfg
}

// setup changes a node before it starts.
type setup func(n *node, cfg *Config, self *Identity, h *Handlers)

func start(t testing.TB, name string, epoch uint64, changes ...setup) *node {
	t.Helper()
	n := &node{log: new(journal)}
	cfg := fast()
	self := Identity{Cluster: "test", Node: name, Epoch: epoch}
	h := Handlers{Messages: n, Log: n, Questions: n, Keeps: n, Mails: n, Interests: n, Topics: n, Links: n}
	for _, change := range changes {
		change(n, &cfg, &self, &h)
	}
	var err error
	if n.Pool, err = New(cfg, self, h, slog.New(slog.NewTextHandler(n.log, nil))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	addr, err := n.Listen()
	if err != nil {
		t.Fatal(err)
	}
	n.addr = addr.String()
	return n
}

// introduce makes nodes members of each other.
func introduce(t testing.TB, nodes ...*node) {
	t.Helper()
	for _, a := range nodes {
		for _, b := range nodes {
			if err := a.Member(b.self.Node, b.addr, b.self.Epoch); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, a := range nodes {
		for _, b := range nodes {
			if a != b {
				until(t, a.self.Node+" linked to "+b.self.Node, func() bool { return a.heard(fmt.Sprintf("up %s %d", b.self.Node, b.self.Epoch)) })
			}
		}
	}
}

// until waits for something that must happen; how long that takes says nothing.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for range 60_000 {
		if done() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("never happened: %s", what)
}

// ends is a receipt that counts how each message ended, by its tag.
type ends struct {
	mu   sync.Mutex
	all  map[uint64][]session.Outcome
	left int
	zero chan struct{}
}

func expecting(n int) *ends {
	return &ends{all: map[uint64][]session.Outcome{}, left: n, zero: make(chan struct{})}
}

func (e *ends) Answered(tag uint64, o *wire.Outcomes) {
	if o.Final {
		e.Failed(tag, o.Devices[0].Outcome)
	}
}

func (e *ends) Failed(tag uint64, o session.Outcome) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all[tag] = append(e.all[tag], o)
	if e.left--; e.left == 0 {
		close(e.zero)
	}
}

// wait waits until every message has ended, and returns how many ended how. None may
// have ended twice.
func (e *ends) wait(t testing.TB) map[session.Outcome]int {
	t.Helper()
	select {
	case <-e.zero:
	case <-time.After(60 * time.Second):
		t.Fatal("a receipt never heard")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	sum := map[session.Outcome]int{}
	for tag, outcomes := range e.all {
		if len(outcomes) != 1 {
			t.Fatalf("message %d ended %d times: %v", tag, len(outcomes), outcomes)
		}
		sum[outcomes[0]]++
	}
	return sum
}

func message(device string) *wire.Forward {
	return &wire.Forward{ID: 1, Account: "alice", Device: device, Payload: []byte(`{"a":1}`), SentMS: 5, TimeoutMS: 60_000}
}

// raw is a connection to a node by somebody who need not keep the rules.
type raw struct {
	net.Conn
	in inbox
}

func dialRaw(t testing.TB, addr string) *raw {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	return &raw{c, inbox{size: 64 << 10, sizeMax: 4 << 20}}
}

// next returns the next frame that is no ping.
func (r *raw) next() (wire.LinkType, []byte, error) {
	for {
		t, body, err := r.in.next()
		if err != nil || body != nil && t != wire.LinkTypePing {
			return t, body, err
		}
		if body == nil {
			if n, err := r.in.fill(r.Conn); n == 0 && err != nil {
				return 0, nil, err
			}
		}
	}
}

// goodbye reads on until the other side parts, closes, and returns the reason.
func (r *raw) goodbye(t testing.TB) wire.GoodbyeReason {
	t.Helper()
	defer r.Close()
	for {
		typ, body, err := r.next()
		if err != nil {
			t.Fatalf("no goodbye came: %v", err)
		}
		if typ == wire.LinkTypeGoodbye {
			var g wire.Goodbye
			if err := wire.ParseGoodbye(body, &g); err != nil {
				t.Fatal(err)
			}
			return g.Reason
		}
	}
}

func (r *raw) say(t testing.TB, h *wire.LinkHello) {
	t.Helper()
	if err := writeHello(r, h); err != nil {
		t.Fatal(err)
	}
}

// fake links a node of the test's to n by hand.
func fake(t testing.TB, n *node, name string, epoch, number uint64) (control, messages *raw) {
	t.Helper()
	var conns []*raw
	var theirs wire.LinkHello
	for _, channel := range []wire.LinkChannel{wire.ChannelControl, wire.ChannelMessages} {
		r := dialRaw(t, n.addr)
		mine := Identity{Cluster: "test", Node: name, Epoch: epoch}.hello(&n.cfg, channel, number)
		mine.Challenge = theirs.Challenge
		r.say(t, mine)
		typ, body, err := r.next()
		if err == nil {
			err = wire.ParseLinkHello(body, &theirs)
		}
		if typ != wire.LinkTypeHello || err != nil {
			t.Fatalf("answered by %v, %v", typ, err)
		}
		conns = append(conns, r)
	}
	until(t, name+" is up", func() bool { return n.heard(fmt.Sprintf("up %s %d", name, epoch)) })
	return conns[0], conns[1]
}
