// HOT PATH: Post runs once for each push with a time to live, Acked on event loops.

package mailbox

import (
	"bytes"
	"strings"
	"sync"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// HomesConfig holds the limits of messages on their way to the node that keeps them.
type HomesConfig struct {
	InFlightMax   int           // messages that wait for the answer of a home
	InFlightBytes int           // and their payloads
	AnswerTimeout time.Duration // in which a home says that it has a message on its disk
	AcksMax       int           // acks that wait for a link to the keeper of their message
}

// HomesPorts are the other nodes, as Homes wants them. No method of Members and Links blocks,
// and any goroutine may call them.
type HomesPorts struct {
	Self    string
	Members Members
	Links   Links
	// Ask asks the keeper of a message what has become of it, or to withdraw it. It blocks.
	Ask func(kind wire.QuestionKind, id session.ID) ([]Fate, bool, error)
	// NowMS is the node's clock in Unix milliseconds, which may be set; SteadyMS one that is not.
	NowMS, SteadyMS func() int64
}

// Members knows who keeps what.
type Members interface {
	// Home names the node that keeps an account's messages now.
	Home(account string) string
	// Knows reports whether a node is a member, or was one lately.
	Knows(node string) bool
}

// Links reach other nodes.
type Links interface {
	// Speaks reports whether a node is linked and knows frames about mail.
	Speaks(node string) bool
	// Send queues a frame; false: there is no link, or no room. The body is borrowed.
	Send(node string, t wire.LinkType, body []byte) bool
}

// standing is why this node keeps what another one should.
type standing int

const (
	standUnlinked standing = iota // there is no link, or it ended before the answer
	standFull                     // the queue for the home is full
	standLate                     // the home did not answer in time
	standings
)

// Homes takes messages that are to be kept to the homes of their accounts, and what is asked
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
type Homes struct {
	cfg   HomesConfig
	box   *Mailbox
	ports HomesPorts
	count homesCounts

	mu      sync.Mutex
	ref     uint64
	flights map[uint64]*homeFlight
	bytes   int                        // of their payloads
	watched map[session.ID]watchedMail // kept elsewhere, and somebody here wants to hear of them
	acks    map[string][]wire.MailAck  // by the keeper there is no link to
	held    int                        // acks in all
}

// homeFlight is a message whose home has not answered yet.
type homeFlight struct {
	node       string
	push       Push // a copy
	watcher    Watcher
	deadlineMS int64
}

type watchedMail struct {
	watcher Watcher
	left    int // devices without a final outcome
}

// NewHomes returns one whose own messages are in box.
func NewHomes(cfg HomesConfig, box *Mailbox, p HomesPorts) *Homes {
	return &Homes{
		cfg: cfg, box: box, ports: p,
		flights: map[uint64]*homeFlight{}, watched: map[session.ID]watchedMail{}, acks: map[string][]wire.MailAck{},
	}
}

// Post keeps a push at the home of its account; the rules of Mailbox's Post hold.
func (m *Homes) Post(p *Push, w Watcher) {
	node := m.ports.Members.Home(p.Account)
	if node == m.ports.Self {
		m.box.Post(p, w)
		return
	}
	if !m.ports.Links.Speaks(node) {
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
		LeftMS: p.ExpiresMS - m.ports.NowMS(), Collapse: p.Collapse, Trace: p.Trace, Payload: p.Payload,
	}
	body := wire.AppendMail(make([]byte, 0, wire.MailSizeMax(&mail)), &mail)
	if m.ports.Links.Send(node, wire.LinkTypeMail, body) {
		m.count.sent.Add(1)
		return
	}
	if f := m.end(ref); f != nil {
		m.standIn(&f.push, f.watcher, standFull)
	}
}

// begin notes a message that is about to be sent; refused names the limit that is reached.
func (m *Homes) begin(node string, p *Push, w Watcher) (ref uint64, refused string) {
	f := &homeFlight{node: node, push: *p, watcher: w, deadlineMS: m.ports.SteadyMS() + m.cfg.AnswerTimeout.Milliseconds()}
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
func (m *Homes) end(ref uint64) *homeFlight {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.endLocked(ref)
}

func (m *Homes) endLocked(ref uint64) *homeFlight {
	f := m.flights[ref]
	if f != nil {
		delete(m.flights, ref)
		m.bytes -= len(f.push.Payload)
	}
	return f
}

// standIn keeps a push here although it belongs elsewhere.
func (m *Homes) standIn(p *Push, w Watcher, why standing) {
	m.count.stoodIn[why].Add(1)
	m.box.Post(p, w)
}

// Unwatch ends the watching of a message. When it has returned, the watcher is not called any
// more. A watcher must not call it.
func (m *Homes) Unwatch(id session.ID) {
	if id.Node == m.ports.Self {
		m.box.Unwatch(id)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.watched, id)
}

// Acked notes that a device of this node has a message; false: it is none that is kept for
// it. Of a message that another node keeps that is not known here, and it is true.
func (m *Homes) Acked(a session.Address, id session.ID) bool {
	if id.Node == m.ports.Self {
		return m.box.Acked(a, id)
	}
	if !m.ports.Members.Knows(id.Node) {
		return false
	}
	ack := wire.MailAck{ID: id, Account: a.Account, Device: a.Device}
	var room [512]byte
	if m.ports.Links.Send(id.Node, wire.LinkTypeMailAck, wire.AppendMailAck(room[:0], &ack)) {
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
func (m *Homes) Missed(a session.Address) int { return m.box.Missed(a) }

// Opened says that a device has come to this node.
func (m *Homes) Opened(a session.Address, version uint64) { m.box.Opened(a, version) }

// Online is what another node's log says: devices that have come or gone there.
func (m *Homes) Online(changes []wire.Change) {
	for i := range changes {
		if c := &changes[i]; !c.Closed {
			m.box.OpenedElsewhere(c.Address, c.Account)
		}
	}
}

// LookAgain looks after everybody: many may have come online, and nobody can name them.
func (m *Homes) LookAgain() {
	m.box.LookAgain()
}

// Linked sends what waited for a link.
func (m *Homes) Linked(node string) {
	m.mu.Lock()
	list := m.acks[node]
	delete(m.acks, node)
	m.held -= len(list)
	m.mu.Unlock()
	for i := range list {
		m.Acked(session.Address{Account: list[i].Account, Device: list[i].Device}, list[i].ID)
	}
}

// Unlinked stands in for a node whose answers do not come any more.
func (m *Homes) Unlinked(node string) {
	m.giveUp(standUnlinked, func(f *homeFlight) bool { return f.node == node })
}

// Tick stands in for homes that take too long. Call it a few times a second, with SteadyMS.
func (m *Homes) Tick(steadyMS int64) {
	m.giveUp(standLate, func(f *homeFlight) bool { return f.deadlineMS <= steadyMS })
}

func (m *Homes) giveUp(why standing, which func(*homeFlight) bool) {
	var list []*homeFlight
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
