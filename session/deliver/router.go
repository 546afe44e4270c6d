// HOT PATH

package deliver

import (
	"sync"
	"sync/atomic"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// Sockets puts bytes on connections; netpoll's Reactor is one. Neither method
// blocks, both borrow the payload until they return, and a receipt hears of each
// send exactly once, maybe before they return.
type Sockets interface {
	Send(id netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64)
	SendMany(ids []netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64)
}

// To says who is addressed: a device, every device of an account, everybody who has
// subscribed to a topic, or everybody connected.
type To struct {
	Account string
	Device  string // empty: every device of the account
	Except  string // the device of the account that is left out; empty: none
	All     bool
	Topic   string // then the others are empty
}

// Push is a message to be delivered. Deliver borrows all of it until it returns.
type Push struct {
	To      To
	Kind    session.Kind
	Payload []byte
	Wait    session.Wait
	From    string // the sending device, of the same account; empty: a service
	SentMS  int64  // Unix milliseconds

	TimeoutMS uint32 // after which the caller calls Expire; other nodes need to know

	// AcksFirst, with WaitAcked and not to everybody, makes one ack enough: whoever has not
	// acked by then is Cancelled and told that it need not show the message.
	AcksFirst bool

	// Trace is the W3C traceparent that the sender gave, well-formed; empty: none.
	Trace string

	local  bool           // it came over a link
	link   string         // to that node
	ack    bool           // the message asks for an ack that this delivery does not wait for
	origin session.Origin // of its id; zero: this node's

	mark uint64 // of the session of the device that is meant; 0: whichever it has
}

// Router delivers messages to the devices connected to this node. Any goroutine
// may call any method; none blocks or touches a store.
type Router struct {
	cfg          Config
	origin       session.Origin
	reg          *session.Registry
	sockets      Sockets
	cluster      Cluster
	topics       Topics
	tracer       Tracer // nil: nobody wants to know
	seeking      seeking
	_            [64]byte      // what every push writes does not share a cache line with what none does
	newest       atomic.Uint64 // message id
	acks         acks
	paced        paced
	fanned       atomic.Int64 // sends of pushes to topics and everybody that may be on their way
	count        counters
	_            [64]byte
	scratch      sync.Pool // of *[]byte: frames whose sender does not wait
	spare        sync.Pool // of *Delivery: pushes to many whose sender does not wait
	recycle      func(*Delivery)
	taken        sync.Pool // of *taken
	attempts     sync.Pool // of *attempt
	attemptsHere sync.Pool // of *attemptHere
	pings        pings
	forwards     sync.Pool    // of *wire.Forward
	busy         atomic.Int64 // messages taken and not settled
	timed        timed        // of those, the ones to a device that await its ack
	listing      timed        // and to many
}

// NewRouter returns a router of valid configuration. Message ids are made in the
// name of origin. cluster is nil for a node that has no others.
func NewRouter(cfg Config, origin session.Origin, reg *session.Registry, sockets Sockets, cluster Cluster) *Router {
	if cluster == nil {
		cluster = alone{}
	}
	r := &Router{cfg: cfg, origin: origin, reg: reg, sockets: sockets, cluster: cluster, topics: noTopics{}}
	r.seeking.init(cfg.SeekingMax)
	r.forwards.New = func() any { return new(wire.Forward) }
	r.taken.New = func() any { return newTaken(r) }
	r.pings.spare.New = func() any { return &ping{router: r} }
	r.attempts.New = func() any { return newAttempt(r) }
	r.attemptsHere.New = func() any { return &attemptHere{router: r} }
	r.acks.init(cfg.AcksMax)
	r.paced.max = cfg.PacedMax
	r.scratch.New = func() any { return new([]byte) }
	r.spare.New = func() any { return new(Delivery) }
	r.recycle = func(d *Delivery) {
		d.Reset(session.WaitWritten, nil) // let go of what it held
		r.spare.Put(d)
	}
	return r
}

// Deliver makes p a message, starts its delivery and returns its id. d, fresh from
// Reset, hears what becomes of it for each addressee, maybe before Deliver returns;
// it may be nil if p.Wait is WaitNone. Delivery to a device allocates nothing.
func (r *Router) Deliver(p *Push, d *Delivery) session.MessageID {
	id := session.MessageID(r.newest.Add(1))
	r.count.messages.Add(1)
	switch one := p.To.Device != "" && !p.To.All; {
	case p.Wait == session.WaitNone && one:
		r.tell(id, p, d)
	case p.Wait == session.WaitNone:
		r.tellMany(id, p, d)
	case one:
		r.one(id, p, d)
	default:
		r.many(id, p, d)
	}
	return id
}

// one delivers to a device: look it up, encode the message as it speaks, send.
func (r *Router) one(id session.MessageID, p *Push, d *Delivery) {
	d.begin(r, id, p)
	s, version := r.reg.LookupVersion(p.To.Account, p.To.Device)
	d.address(s)
	switch {
	case len(p.Payload) > r.cfg.PayloadBytesMax:
		d.refuse(session.TooLarge)
	case s == nil:
		d.seek(nil)
	case version < d.version: // of its opening or re-asserted since, it is another session
		d.targets[0].session = nil
		d.seek(s)
	case d.version != 0 && s.Version > d.version, d.isOther(version, session.MarkHere(version)):
		d.refuse(session.Offline)
	case !d.awaitAcks(1):
		d.refuse(session.Overloaded)
	default:
		d.send(0)
	}
	d.end()
}

// many delivers to the devices of an account or to everybody: take down who that
// is, then send to them as fast as their number allows. It returns how many they
// are, another node that may hold some counting as one, and the outcome that all of them
// have already, if that is so.
func (r *Router) many(id session.MessageID, p *Push, d *Delivery) (n int, refused session.Outcome) {
	d.begin(r, id, p)
	tooLarge := len(p.Payload) > r.cfg.PayloadBytesMax
	if tooLarge && p.To.Topic != "" {
		d.address(nil) // it is not published, so nobody knows for how many it would have been
	} else {
		d.addressMany(&d.to)
	}
	n = len(d.targets)
	switch {
	case tooLarge:
		refused = session.TooLarge
	case p.To.isBroadcast() && !d.fanOut(n):
		refused = session.Overloaded
	case n > r.cfg.InFlightMax && !r.paced.enter(d),
		n > 0 && !d.awaitAcks(n):
		refused = session.Overloaded
	}
	if refused != session.Pending {
		d.refuse(refused)
	} else {
		d.forwardMany()
		n += len(d.remotes)
		d.pump()
	}
	d.end()
	return n, refused
}

// tell sends to a device without hearing what becomes of it.
func (r *Router) tell(id session.MessageID, p *Push, d *Delivery) {
	s := r.reg.Lookup(p.To.Account, p.To.Device)
	if s == nil && r.cluster != (alone{}) {
		r.tellElsewhere(id, p, d)
		return
	}
	o := session.Pending
	switch {
	case len(p.Payload) > r.cfg.PayloadBytesMax:
		o = session.TooLarge
	case s == nil:
		o = session.Offline
	case s.Permissions&session.Raw != 0:
		r.sockets.Send(netpoll.ConnID(s.Conn), opOf(p.Kind), p.Payload, nil, 0)
	default:
		b := r.scratch.Get().(*[]byte)
		m := p.message(id)
		*b = wire.AppendMessage((*b)[:0], r.origin, &m)
		if n := len(*b); s.Permissions&session.SSE == 0 {
			r.sockets.Send(netpoll.ConnID(s.Conn), netpoll.OpText, *b, nil, 0)
		} else {
			*b = appendEvent(*b, r.origin, id, *b)
			r.sockets.Send(netpoll.ConnID(s.Conn), netpoll.OpEvent, (*b)[n:], nil, 0)
		}
		r.keepScratch(b)
	}
	if r.tracer != nil {
		r.noteTold(id, p, o)
	}
	if o == session.Pending {
		r.count.untracked.Add(1)
	} else {
		r.count.outcomes[o].Add(1)
	}
	if d != nil {
		d.quiet = true
		d.begin(r, id, p)
		d.address(s)
		d.untracked(1, o)
		d.end()
	}
}

// keepScratch keeps a buffer for the next frame, unless it grew out of proportion.
func (r *Router) keepScratch(b *[]byte) {
	if cap(*b) <= keptBytesMax {
		r.scratch.Put(b)
	}
}

// tellMany delivers like many, to a delivery of its own that nobody waits for, so
// that everybody is paced alike and every outcome counted.
func (r *Router) tellMany(id session.MessageID, p *Push, d *Delivery) {
	own := r.spare.Get().(*Delivery)
	own.Reset(session.WaitWritten, r.recycle)
	written := *p
	written.Wait = session.WaitWritten
	n, o := r.many(id, &written, own)
	if d != nil {
		d.quiet = true
		d.begin(r, id, p)
		d.untracked(n, o)
		d.end()
	}
}

// tellElsewhere delivers like one, to a delivery of its own that nobody waits for: the
// device may have to be looked for.
func (r *Router) tellElsewhere(id session.MessageID, p *Push, d *Delivery) {
	own := r.spare.Get().(*Delivery)
	own.Reset(session.WaitWritten, r.recycle)
	written := *p
	written.Wait = session.WaitWritten
	r.one(id, &written, own)
	if d != nil {
		d.quiet = true
		d.begin(r, id, p)
		d.address(nil)
		d.untracked(1, session.Pending)
		d.end()
	}
}

// Relay is Deliver for a caller of this layer, which cannot name a Push: m, whose ID
// and Ack are ignored, goes to one device or, to.Device being empty, to all of the
// account but m.From; or if it has a topic to the subscribers of that.
func (r *Router) Relay(to session.Address, m *session.Message, wait session.Wait, d *Delivery) session.MessageID {
	p := Push{
		To:   To{Account: to.Account, Device: to.Device},
		Kind: m.Kind, Payload: m.Payload, From: m.From, SentMS: m.SentMS, Wait: wait, Trace: m.Trace,
	}
	switch {
	case m.Topic != "":
		p.To = To{Topic: m.Topic}
	case to.Device == "":
		p.To.Except = m.From
	}
	return r.Deliver(&p, d)
}

// Ack notes that the device of s says it has the message, which from has made. It is false
// when nobody waits for that here: the id is unknown, as that of a kept message is, its
// sender has given up or was told already, or the message was for somebody else.
func (r *Router) Ack(s *session.Session, from session.Origin, id session.MessageID) bool {
	d := r.acks.find(ackKey{from, id})
	if d == nil {
		return false
	}
	known, fresh := d.acked(s.Address, from, id)
	switch {
	case !known:
		r.count.acksForeign.Add(1)
	case !fresh:
		r.count.acksUnknown.Add(1)
	}
	return fresh
}

// Tick lets paced pushes go on past receivers that take their time, and ends waiting for
// acks on behalf of other nodes. Call it about once a second, with a time in
// milliseconds that is never set back.
func (r *Router) Tick(nowMS int64) {
	r.paced.tick()
	r.timed.tick(nowMS)
}

func (p *Push) message(id session.MessageID) session.Message {
	return session.Message{ID: id, Kind: p.Kind, Payload: p.Payload, From: p.From, Topic: p.To.Topic, SentMS: p.SentMS, Ack: p.Wait == session.WaitAcked || p.ack, Trace: p.Trace}
}

// opOf returns the opcode that carries a payload bare.
func opOf(k session.Kind) netpoll.Op {
	if k == session.Binary {
		return netpoll.OpBinary
	}
	return netpoll.OpText
}
