// HOT PATH: Post runs once for each push with a time to live, Acked on event loops.

package cluster

import (
	"bytes"
	"strings"
	"sync"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/mailbox"
	"github.com/roostpush/roost/session/trace"
	"github.com/roostpush/roost/session/wire"
)

// Mailing holds the limits of messages on their way to the node that keeps them.
type Mailing struct {
	InFlightMax   int           // messages that wait for the answer of a home
	InFlightBytes int           // and their payloads
	AnswerTimeout time.Duration // in which a home says that it has a message on its disk
	AcksMax       int           // acks that wait for a link to the keeper of their message
}

// Mail takes messages that are to be kept to the homes of their accounts, and what is asked
// or said about one to the node that keeps it, which its id names (DESIGN.md decision 7).
//
//   - A home that no link reaches, or that does not answer in time, is stood in for by this
//     node's own mailbox, which then keeps the message until its device has it. A home that
//     did store it and could not say so keeps it as well: then the device gets the message
//     twice, with two ids.
//   - After a change of the members a keeper keeps what it has: it sees the device come online
//     like everybody.
//   - An ack goes to the keeper. Without a link it waits for one.
//
// Any goroutine may call any method.
type Mail struct {
	cfg      Mailing
	self     string
	homes    *homes
	send     func(node string, t wire.LinkType, body []byte) bool
	speaks   func(node string) bool
	nowMS    func() int64 // the node's clock
	steadyMS func() int64
	ask      func(kind wire.QuestionKind, id session.ID) ([]mailbox.Fate, bool, error)
	tracer   *trace.Ring // nil: nothing is noted
	count    mailCounts

	box *mailbox.Mailbox // set once, before the first session

	mu      sync.Mutex
	ref     uint64
	flights map[uint64]*mailFlight
	bytes   int                        // of their payloads
	watched map[session.ID]watchedMail // kept elsewhere, and somebody here wants to hear of them
	acks    map[string][]wire.MailAck  // by the keeper there is no link to
	held    int                        // acks in all
}

// mailFlight is a message whose home has not answered yet.
type mailFlight struct {
	node       string
	push       mailbox.Push // a copy
	watcher    mailbox.Watcher
	deadlineMS int64
}

type watchedMail struct {
	watcher mailbox.Watcher
	left    int // devices without a final outcome
}

func newMail(cfg Mailing, self string, h *homes) *Mail {
	return &Mail{
		cfg: cfg, self: self, homes: h,
		flights: map[uint64]*mailFlight{}, watched: map[session.ID]watchedMail{}, acks: map[string][]wire.MailAck{},
	}
}

// Post keeps a push at the home of its account; the rules of mailbox.Mailbox's Post hold.
func (m *Mail) Post(p *mailbox.Push, w mailbox.Watcher) {
	node := m.homes.of(p.Account)
	if node == m.self {
		m.box.Post(p, w)
		return
	}
	if !m.speaks(node) {
		m.standIn(p, w, standUnlinked)
		return
	}
	ref, refused := m.begin(node, p, w)
	if refused != "" {
		m.count.overloaded.Add(1)
		if w != nil {
			w.Kept(session.ID{}, 0, session.Overloaded, refused)
		}
		return
	}
	mail := wire.Mail{
		Ref: ref, Watch: w != nil && !p.Brief, Account: p.Account, Device: p.Device, Except: p.Except,
		Kind: p.Kind, Priority: p.Priority, First: p.First, From: p.From, SentMS: p.SentMS,
		LeftMS: p.ExpiresMS - m.nowMS(), Collapse: p.Collapse, Trace: p.Trace, Payload: p.Payload,
	}
	body := wire.AppendMail(make([]byte, 0, wire.MailSizeMax(&mail)), &mail)
	if m.send(node, wire.LinkTypeMail, body) {
		m.count.sent.Add(1)
		return
	}
	if f := m.end(ref); f != nil {
		m.standIn(&f.push, f.watcher, standFull)
	}
}

// begin notes a message that is about to be sent; refused names the limit that is reached.
func (m *Mail) begin(node string, p *mailbox.Push, w mailbox.Watcher) (ref uint64, refused string) {
	f := &mailFlight{node: node, push: *p, watcher: w, deadlineMS: m.steadyMS() + m.cfg.AnswerTimeout.Milliseconds()}
	f.push.Payload = bytes.Clone(p.Payload)
	for _, s := range [...]*string{&f.push.Account, &f.push.Device, &f.push.Except, &f.push.From, &f.push.Collapse, &f.push.Trace} {
		*s = strings.Clone(*s)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case len(m.flights) >= m.cfg.InFlightMax:
		return 0, "cluster.mail.in_flight_max: so many messages wait for the homes of their accounts already"
	case m.bytes+len(p.Payload) > m.cfg.InFlightBytes:
		return 0, "cluster.mail.in_flight_bytes: so many bytes of messages wait for the homes of their accounts already"
	}
	m.ref++
	m.flights[m.ref] = f
	m.bytes += len(p.Payload)
	return m.ref, ""
}

// end takes a message out that is not on its way any more; nil: somebody else did.
func (m *Mail) end(ref uint64) *mailFlight {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.endLocked(ref)
}

func (m *Mail) endLocked(ref uint64) *mailFlight {
	f := m.flights[ref]
	if f != nil {
		delete(m.flights, ref)
		m.bytes -= len(f.push.Payload)
	}
	return f
}

// standIn keeps a push here although it belongs elsewhere.
func (m *Mail) standIn(p *mailbox.Push, w mailbox.Watcher, why standing) {
	m.count.stoodIn[why].Add(1)
	m.box.Post(p, w)
}

// Unwatch ends the watching of a message. When it has returned, the watcher is not called any
// more. A watcher must not call it.
func (m *Mail) Unwatch(id session.ID) {
	if id.Node == m.self {
		m.box.Unwatch(id)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.watched, id)
}

// Acked notes that a device of this node has a message; false: it is none that is kept for
// it. Of a message that another node keeps that is not known here, and it is true.
func (m *Mail) Acked(a session.Address, id session.ID) bool {
	if id.Node == m.self {
		return m.box.Acked(a, id)
	}
	if !m.homes.knows(id.Node) {
		return false
	}
	m.tracer.Note(session.Event{ID: id, Step: session.StepAckedHere, Device: a.Device, Peer: id.Node})
	ack := wire.MailAck{ID: id, Account: a.Account, Device: a.Device}
	var room [512]byte
	if m.send(id.Node, wire.LinkTypeMailAck, wire.AppendMailAck(room[:0], &ack)) {
		m.count.acksSent.Add(1)
		return true
	}
	// The names are the session's, and the node's was borrowed from a frame.
	ack.ID.Node = strings.Clone(id.Node)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held >= m.cfg.AcksMax {
		m.count.acksLost.Add(1) // the device gets the message once more
		return true
	}
	m.held++
	m.acks[ack.ID.Node] = append(m.acks[ack.ID.Node], ack)
	return true
}

// Missed is how many messages wait for a device on this node.
func (m *Mail) Missed(a session.Address) int { return m.box.Missed(a) }

// Opened says that a device has come to this node.
func (m *Mail) Opened(a session.Address, version uint64) { m.box.Opened(a, version) }

// online is what another node's log says.
func (m *Mail) online(changes []wire.Change) {
	for i := range changes {
		if c := &changes[i]; !c.Closed {
			m.box.OpenedElsewhere(c.Address, c.Account)
		}
	}
}

// lookAgain looks after everybody: many may have come online, and nobody can name them.
func (m *Mail) lookAgain() {
	if m.box != nil { // else the node is being put together
		m.box.LookAgain()
	}
}

// linked sends what waited for a link.
func (m *Mail) linked(node string) {
	m.mu.Lock()
	list := m.acks[node]
	delete(m.acks, node)
	m.held -= len(list)
	m.mu.Unlock()
	for i := range list {
		m.Acked(session.Address{Account: list[i].Account, Device: list[i].Device}, list[i].ID)
	}
}

// unlinked stands in for a node whose answers do not come any more.
func (m *Mail) unlinked(node string) {
	m.giveUp(standUnlinked, func(f *mailFlight) bool { return f.node == node })
}

// tick stands in for homes that take too long.
func (m *Mail) tick(steadyMS int64) {
	m.giveUp(standLate, func(f *mailFlight) bool { return f.deadlineMS <= steadyMS })
}

func (m *Mail) giveUp(why standing, which func(*mailFlight) bool) {
	var list []*mailFlight
	m.mu.Lock()
	for ref, f := range m.flights {
		if which(f) {
			list = append(list, m.endLocked(ref))
		}
	}
	m.mu.Unlock()
	for _, f := range list {
		m.count.unsure.Add(1)
		m.standIn(&f.push, f.watcher, why)
	}
}
