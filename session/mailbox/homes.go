// HOT PATH: Post runs once for each push with a time to live, Acked on event loops.

package mailbox

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// HomesConfig holds the limits of messages on their way to the node that keeps them.
type HomesConfig struct {
	InFlightMax   int           // messages that wait for the answer of a home
	InFlightBytes int           // and their payloads
	AnswerTimeout time.Duration // in which a home says that it has a message on its disk
	MissedTimeout time.Duration // in which a home says what a device has missed: for AskMissed of the ports
	MissedMax     int           // devices for which homes are being asked
	AcksMax       int           // acks that wait for a link to the keeper of their message
	MoveMax       int           // messages on their way to their new homes when this node leaves, or from one that does
	MoveBytes     int           // and their payloads
	StraysMax     int           // messages of which it is remembered that another node keeps them than their id names
	KeyTimeout    time.Duration // in which other nodes say whether they know a key: for AskKey of the ports
	LeaveTimeout  time.Duration // for whoever calls Leave: how long it waits for the end
}

// HomesPorts are the other nodes, as Homes wants them. No method of Members and Links blocks,
// and any goroutine may call them.
type HomesPorts struct {
	Self    string
	Members Members
	Links   Links
	// Ask asks other nodes what has become of a message, or to withdraw it: the one that its id
	// names, and all if that does not have it any more. It blocks.
	Ask func(kind wire.QuestionKind, id session.ID) ([]Fate, bool, error)
	// AskMissed asks a node how many messages wait there for a device, within MissedTimeout. It
	// does not block; answer is called once.
	AskMissed func(node string, a session.Address, answer func(missed int, err error))
	// AskKey asks nodes, at the same time, which message came first with the idempotency key of that hash:
	// found has what they know, storing says that one of them is storing that message just now, silent how
	// many did not say. It blocks. Nil: no other node has keys.
	AskKey func(nodes []string, hash [16]byte) (found []wire.MailKey, storing bool, silent int)

	Tracer Tracer // nil: nothing is noted
	// NowMS is the node's clock in Unix milliseconds, which may be set; SteadyMS one that is not.
	NowMS, SteadyMS func() int64
}

// Members knows who keeps what.
type Members interface {
	// Home names the node that keeps an account's messages now.
	Home(account string) string
	// HomeOf is Home of an account of which only the hash is known (Ports.Hash).
	HomeOf(account uint64) string
	// Sum identifies those that may be homes (home.Members.Sum).
	Sum() uint64
	// Knows reports whether a node is a member, or was one lately.
	Knows(node string) bool
}

// Links reach other nodes.
type Links interface {
	// Speaks reports whether a node is linked and knows a type of frame about mail.
	Speaks(node string, t wire.LinkType) bool
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
//     like everybody. One that leaves for good hands over what it keeps (handover.go).
//   - An ack goes to the node that the id names, and to that which sent the message if it is
//     another one. Without a link that has room it waits for one.
//
// Any goroutine may call any method.
type Homes struct {
	cfg   HomesConfig
	box   *Mailbox
	ports HomesPorts
	count homesCounts

	asking atomic.Int64 // devices for which a home is being asked

	departure departure
	filing    filing
	settling  settling
	arrivals  arrivals
	strays    strays

	mu      sync.Mutex
	ref     uint64
	flights map[uint64]*homeFlight
	bytes   int                         // of their payloads
	watched map[session.ID]*watchedMail // kept elsewhere, and somebody here wants to hear of them; the newest of them
	acks    map[string][]wire.MailAck   // by the keeper there is no link to
	held    int                         // acks in all

	lookedMS int64 // when Tick looked after everybody last; of its goroutine
	sweptMS  int64 // when it looked for watched messages that have expired; the same
}

// lookEveryMS is how often Homes looks after everybody, whatever it is told. Everything that
// brings a device to light is said to Online or LookAgain; this is the net under that.
const lookEveryMS = 600_000

// homeFlight is a message whose home has not answered yet.
type homeFlight struct {
	ref        uint64
	node       string
	push       Push // a copy
	watcher    Watcher
	deadlineMS int64
}

// NewHomes returns one whose own messages are in box, which has not been told to Run yet.
func NewHomes(cfg HomesConfig, box *Mailbox, p HomesPorts) *Homes {
	m := &Homes{
		cfg: cfg, box: box, ports: p,
		flights: map[uint64]*homeFlight{}, watched: map[session.ID]*watchedMail{}, acks: map[string][]wire.MailAck{},
		strays: strays{max: cfg.StraysMax, of: map[session.ID]string{}},
	}
	m.departure.init(m)
	m.filing.init(m)
	m.settling.init(m)
	m.arrivals.init(m)
	box.departure = &m.departure
	return m
}

// Post keeps a push at the home of its account; the rules of Mailbox's Post hold.
func (m *Homes) Post(p *Push, w Watcher) {
	node := m.ports.Members.Home(p.Account)
	if node == m.ports.Self || m.box.HasKey(&p.Key) { // what this node has kept once it does not keep elsewhere too
		m.box.Post(p, w)
		return
	}
	if !m.ports.Links.Speaks(node, wire.LinkTypeMail) {
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
		LeftMS: p.ExpiresMS - m.ports.NowMS(), Collapse: p.Collapse, Trace: p.Trace, Key: p.Key, Payload: p.Payload,
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
	f.ref = m.ref
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

// Unwatch ends the watching of a message by w; the rules of Mailbox's Unwatch hold.
func (m *Homes) Unwatch(id session.ID, w Watcher) {
	if id.Node == m.ports.Self {
		m.box.Unwatch(id, w)
		return
	}
	m.mu.Lock()
	of := m.watched[id]
	left := of.without(w)
	switch {
	case left == nil:
		delete(m.watched, id)
	case left != of:
		m.watched[id] = left
	}
	m.mu.Unlock()
	if of != nil && left == nil {
		m.unwatchThere(of.node, id)
	}
}

func (m *Homes) note(e session.Event) {
	if m.ports.Tracer != nil {
		m.ports.Tracer.Note(e)
	}
}

// Missed is how many messages wait for a device on this node.
func (m *Homes) Missed(a session.Address) int { return m.box.Missed(a) }

// AskMissed asks the home of the device's account what waits for it there, and has Missed know
// what this node keeps (protocol.Elsewhere). What others keep in place of the home is not known.
func (m *Homes) AskMissed(a session.Address, answer func(missed int)) bool {
	node := m.ports.Members.Home(a.Account)
	if node == m.ports.Self || !m.ports.Links.Speaks(node, wire.LinkTypeMail) || !m.mayAskMissed() {
		return !m.box.Indexed() && m.box.Learn(a, func() { answer(0) })
	}
	m.count.missedAsked.Add(1)
	if m.box.Indexed() {
		m.askMissedAt(node, a, answer)
		return true
	}
	var missed, left atomic.Int64
	left.Store(2)
	part := func(n int) {
		missed.Add(int64(n))
		if left.Add(-1) == 0 {
			answer(int(missed.Load()))
		}
	}
	m.askMissedAt(node, a, part)
	if !m.box.Learn(a, func() { part(0) }) {
		part(0)
	}
	return true
}

func (m *Homes) askMissedAt(node string, a session.Address, answer func(missed int)) {
	m.ports.AskMissed(node, a, func(missed int, err error) {
		m.asking.Add(-1)
		if err != nil {
			m.count.missedUnknown.Add(1)
		}
		answer(missed)
	})
}

// mayAskMissed counts one more question, unless there are too many: a storm is not to be
// slowed by them.
func (m *Homes) mayAskMissed() bool {
	if m.asking.Add(1) > int64(m.cfg.MissedMax) {
		m.asking.Add(-1)
		m.count.missedUnasked.Add(1)
		return false
	}
	return true
}

// TellMissed tells another node that asks with AskMissed what waits here for the device, once
// that is known. tell is called once, on any goroutine.
func (m *Homes) TellMissed(a session.Address, tell func(missed int)) {
	if !m.box.Learn(a, func() { tell(m.box.Missed(a)) }) {
		tell(m.box.Missed(a))
	}
}

// Opened says that a device has come to this node.
func (m *Homes) Opened(a session.Address, version uint64) { m.box.Opened(a, version) }

// Closed says that a device's session on this node has ended.
func (m *Homes) Closed(a session.Address) { m.box.Closed(a) }

// Online is what another node's log says: devices that have come or gone there.
func (m *Homes) Online(changes []wire.Change) {
	for i := range changes {
		// One that has gone may leave another session of the same version (session.MarkThere).
		m.box.ChangedElsewhere(changes[i].Address, changes[i].Account)
	}
}

// LookAgain looks after everybody: many may have come online, and nobody can name them.
func (m *Homes) LookAgain() {
	m.box.LookAgain()
}

// Unlinked stands in for a node whose answers do not come any more. What the two would have told
// each other of messages that are watched may be lost with the link, so that is over.
func (m *Homes) Unlinked(node string) {
	m.giveUp(standUnlinked, func(f *homeFlight) bool { return f.node == node })
	m.departure.giveUp(func(v *move) bool { return v.node == node })
	m.filing.giveUp(func(f *keyFrame) bool { return f.node == node })
	m.settling.unlinked(node)
	m.unwatchAll(node)
}

// Tick stands in for homes that take too long, offers acks again to links that had no room
// for them, gives those for keepers that are not coming back to the homes of their accounts, goes
// on with what Leave and HomesMoved began, and looks after everybody now and then. Call it a few times a second,
// with SteadyMS, from one goroutine.
func (m *Homes) Tick(steadyMS int64) {
	for _, a := range m.takeStranded() {
		if !m.ports.Members.Knows(m.ports.Members.Home(a.Account)) || !m.ackedAtHome(&a) {
			m.count.acksLost.Add(1)
		}
	}
	m.giveUp(standLate, func(f *homeFlight) bool { return f.deadlineMS <= steadyMS })
	m.departure.tick(steadyMS)
	m.filing.tick(steadyMS)
	m.settling.tick()
	m.unwatchOld(steadyMS)
	if m.lookedMS == 0 {
		m.lookedMS = steadyMS
	}
	if steadyMS-m.lookedMS >= lookEveryMS {
		m.lookedMS = steadyMS
		m.box.LookAgain()
	}
	for _, node := range m.keepersOfAcks() {
		if m.ports.Links.Speaks(node, wire.LinkTypeMail) {
			m.sendHeld(node)
		}
	}
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
	slices.SortFunc(list, func(a, b *homeFlight) int { return cmp.Compare(a.ref, b.ref) }) // a device gets them in the order of the posts
	for _, f := range list {
		m.count.unsure.Add(1)
		m.standIn(&f.push, f.watcher, why)
	}
}
