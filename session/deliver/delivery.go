package deliver

import (
	"runtime"
	"sync"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// keptBytesMax is the size up to which buffers are kept from one use to the next.
const keptBytesMax = 64 << 10

// Delivery is one message on its way to its addressees. Whoever wants to know what
// becomes of a message owns one: Reset it, give it to Deliver, wait until it is
// settled, read the outcomes, and use it again. Owning it means that nobody else
// calls its methods meanwhile; Sent, which is the reactor's, and Expire may be
// called from any goroutine. The zero value wants a Reset.
//
// It is settled once every addressee has its one outcome. Until then it keeps what
// is needed to send again: a device may turn out to have a newer connection.
type Delivery struct {
	mu     sync.Mutex
	call   func(*Delivery) // once settled; nil: done gets a token
	done   chan struct{}
	state  state
	wait   session.Wait
	use    uint32 // how often it was Reset; receipts of an earlier use carry another
	holds  int    // goroutines that are sending from its buffers; it cannot settle while there are any
	open   int    // addressees without an outcome
	total  int
	counts [session.OutcomeCount]int

	router  *Router
	mark    uint64         // of the session that is meant; 0: any
	version uint64         // the same one's
	origin  session.Origin // of the message's id
	local   bool           // it came over a link: deliver here or say misrouted (DESIGN.md decision 5)
	to      To             // its names lie in names
	message session.Message
	payload []byte // the message's, copied
	names   []byte // the names it needs, copied
	frame   []byte // the message encoded for roost.v1; empty: not yet
	event   []byte // that frame as a Server-Sent Event; empty: not yet
	targets []target

	// For more than one addressee.
	next     int  // targets before this have been handed to the sockets
	events   int  // targets from this on get Server-Sent Events
	raw      int  // targets from this on speak roost.raw
	inFlight int  // sends whose receipt counts against the budget
	moving   bool // a receipt has come since the last tick
	pumping  bool // somebody is sending; ids is theirs
	ids      []netpoll.ConnID
	sessions []*session.Session
	index    map[session.Address]int
	isPaced  bool
	entered  int // addressees, when it began to be paced: some may be added, and dropped again
	fanned   int // its share of the router's

	// For addressees that are not connected here.
	remotes   []remote
	place     Place // where the one addressee is believed to be
	asked     int   // nodes that said misrouted of the one addressee
	collision bool  // it is misrouted because another device here has its hash
	awaits    bool  // it is among those that wait for acks
	first     bool  // the first ack settles everybody
	won       bool  // and it has come
	sent      int   // targets before this had been sent to by then
	lacks     bool  // a device of the account may be on its way to another node
	looks     bool  // and is looked for
	looked    bool  // or was

	quiet     bool     // another delivery of the message leaves its events
	nodes     []string // buffer
	timeoutMS uint32
}

// target is one addressee.
type target struct {
	session *session.Session // nil: it is not connected
	outcome session.Outcome
	moved   bool // it was looked up once more
}

type state uint8

const (
	unused state = iota // Reset must come first
	fresh
	running
	calling // settled, and call has not returned
	settled
)

// Reset makes the delivery ready for one use, by a push of that level. call, unless
// it is nil, is called once when it is settled, instead of signalling Done: on a
// loop, from within Expire or from within Deliver. It must not block nor call
// Expire; it may give the delivery to somebody who Resets it. With WaitNone it is not
// called: all that will ever be known is known when Deliver returns. Reset panics
// while the delivery is under way.
func (d *Delivery) Reset(wait session.Wait, call func(*Delivery)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state == running {
		panic("deliver: a Delivery is Reset while it is under way")
	}
	if call == nil && d.done == nil {
		d.done = make(chan struct{}, 1)
	}
	select {
	case <-d.done:
	default:
	}
	clear(d.targets)
	d.use++
	d.state, d.wait, d.call, d.moving = fresh, wait, call, false
	d.open, d.total, d.counts = 0, 0, [session.OutcomeCount]int{}
	d.next, d.events, d.raw, d.inFlight = 0, 0, 0, 0
	d.router, d.to, d.message, d.index = nil, To{}, session.Message{}, nil
	d.local, d.place, d.asked, d.timeoutMS = false, Place{}, 0, 0
	d.first, d.won, d.sent = false, false, 0
	d.quiet = false
	d.collision, d.awaits, d.lacks, d.looks, d.looked = false, false, false, false, false
	clear(d.remotes)
	d.remotes = d.remotes[:0]
	d.payload, d.names, d.frame, d.event = kept(d.payload), d.names[:0], kept(d.frame), kept(d.event)
	if d.targets = d.targets[:0]; cap(d.targets) > keptBytesMax/16 {
		d.targets, d.ids, d.sessions = nil, nil, nil
	}
}

func kept(b []byte) []byte {
	if cap(b) > keptBytesMax {
		return nil
	}
	return b[:0]
}

// Done receives one value when the delivery is settled. Call it after a Reset
// without a call.
func (d *Delivery) Done() <-chan struct{} { return d.done }

// Expire says that the deadline has passed: whoever has no outcome yet gets
// Timeout, and acks are no longer awaited. When it returns the delivery is settled,
// and whatever Reset named has been called and has returned: it waits for a loop that
// is in the middle of that.
func (d *Delivery) Expire() {
	d.mu.Lock()
	use := d.use
	d.mu.Unlock()
	d.expire(use)
}

// expire is Expire of one use of the delivery.
func (d *Delivery) expire(use uint32) {
	d.mu.Lock()
	if d.use == use && d.state == running {
		for i := range d.targets {
			d.settle(i, session.Timeout)
		}
		d.next = len(d.targets)
		d.expireRemotes()
	}
	d.unlock()
	for {
		d.mu.Lock()
		busy := d.use == use && (d.state == running || d.state == calling)
		d.mu.Unlock()
		if !busy {
			return
		}
		runtime.Gosched()
	}
}

// Outcomes yields the outcome of each addressee with the node that it is of, up to
// Config.OutcomesListedMax of them; of a message to everybody or to a topic none. The node is empty
// where none held the device. A node that could not be asked has an outcome without a
// device, since only it knows their names. yield must not call the delivery. The names
// are valid until Reset.
func (d *Delivery) Outcomes(yield func(device, node string, o session.Outcome)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.router == nil || d.to.isBroadcast() {
		return
	}
	left := d.router.cfg.OutcomesListedMax
	for i := range min(len(d.targets), left) {
		t := &d.targets[i]
		if t.session == nil {
			yield(d.to.Device, d.place.Node, t.outcome)
			continue
		}
		yield(t.session.Device, d.router.origin.Node, t.outcome)
	}
	left -= len(d.targets)
	for i := range d.remotes {
		r := &d.remotes[i]
		for at, o := range r.outcomes {
			if left--; left < 0 {
				return
			}
			yield(r.device(at), r.node, o)
		}
	}
}

// Counts returns how many addressees have each outcome. With WaitNone, Pending
// counts those to whom it was sent without asking what became of it.
func (d *Delivery) Counts() [session.OutcomeCount]int {
	counts, _ := d.Sum()
	return counts
}

// Total returns the number of addressees.
func (d *Delivery) Total() int {
	_, total := d.Sum()
	return total
}

// Sum returns Counts and Total of one moment.
func (d *Delivery) Sum() (counts [session.OutcomeCount]int, total int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	counts = d.counts
	counts[session.Pending] += d.open
	return counts, d.total
}

// begin starts a use: it locks the delivery, holds it, and copies what may be
// needed after Deliver has returned.
func (d *Delivery) begin(r *Router, id session.MessageID, p *Push) {
	d.mu.Lock()
	if d.state != fresh || d.wait != p.Wait {
		d.mu.Unlock()
		panic("deliver: a Delivery is used without Reset, or Reset for another level")
	}
	d.state, d.router, d.holds, d.origin, d.mark, d.version = running, r, 1, r.origin, p.mark, session.MarkVersion(p.mark)
	if p.Wait == session.WaitNone {
		d.call = nil // there is nothing to tell that is not known when Deliver returns
	}
	if d.local, d.first = p.local, p.AcksFirst; p.origin != (session.Origin{}) {
		d.origin = p.origin
	}
	d.message = p.message(id)
	d.keepNames(p)
	d.timeoutMS = p.TimeoutMS
	if p.Wait != session.WaitNone && len(p.Payload) <= r.cfg.PayloadBytesMax {
		d.payload = append(d.payload, p.Payload...)
	}
	d.message.Payload = d.payload
	d.noteBegin(p)
}

// keepNames copies what the message's names are, one behind the other.
func (d *Delivery) keepNames(p *Push) {
	d.names = append(append(append(append(append(d.names, p.From...), p.To.Device...), p.To.Account...), p.To.Except...), p.To.Topic...)
	d.names = append(append(d.names, p.origin.Node...), p.Trace...)
	rest := wire.Borrow(d.names)
	next := func(n int) (name string) {
		name, rest = rest[:n], rest[n:]
		return name
	}
	d.message.From = next(len(p.From))
	d.to = To{All: p.To.All, Device: next(len(p.To.Device)), Account: next(len(p.To.Account)), Except: next(len(p.To.Except))}
	d.to.Topic = next(len(p.To.Topic))
	d.message.Topic = d.to.Topic
	if p.origin.Node != "" {
		d.origin.Node = next(len(p.origin.Node))
	}
	d.message.Trace = next(len(p.Trace))
}

// end lets go of what begin began.
func (d *Delivery) end() {
	d.holds--
	d.unlock()
}

// unlock releases the mutex and, if that was the last thing to wait for, says that
// the delivery is settled. It may be somebody else's after that.
func (d *Delivery) unlock() {
	if d.lacks && d.state == running && d.open == 0 && d.holds == 0 {
		d.lookFurther()
	}
	if d.state != running || d.open > 0 || d.holds > 0 {
		d.mu.Unlock()
		return
	}
	d.fannedOut()
	d.sayCancelled()
	d.noteEnd()
	d.merge()
	if d.awaits {
		d.router.acks.forget(d.key())
	}
	if d.isPaced {
		d.router.paced.leave(d)
	}
	if d.call == nil {
		d.state = settled
		select {
		case d.done <- struct{}{}:
		default: // WaitNone with a call
		}
		d.mu.Unlock()
		return
	}
	call, use := d.call, d.use
	d.state = calling
	d.mu.Unlock()
	call(d)
	d.mu.Lock()
	if d.use == use { // else somebody has Reset it
		d.state = settled
	}
	d.mu.Unlock()
}
