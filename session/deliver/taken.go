package deliver

import (
	"cmp"
	"math"
	"slices"
	"sync"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// Replier takes outcomes back to the node that forwarded a message. It must not block,
// may be called from any goroutine, and borrows o until it returns.
type Replier interface {
	Outcomes(o *wire.Outcomes)
}

// taken is a message that came over a link while it is delivered here. It is used again
// and again.
type taken struct {
	delivery Delivery
	push     Push
	reply    Replier
	ref      uint64
	outcomes wire.Outcomes
	yield    func(device, node string, o session.Outcome)
	call     func(*Delivery)
}

func newTaken(r *Router) *taken {
	t := new(taken)
	t.yield = func(device, _ string, o session.Outcome) {
		t.outcomes.Devices = append(t.outcomes.Devices, wire.DeviceOutcome{Device: device, Outcome: o})
	}
	t.call = func(*Delivery) { r.settled(t) }
	return t
}

// takenTimeoutMS is how long an ack is awaited for another node that does not say
// (PROTOCOL.md section 0).
const takenTimeoutMS = 5000

// Take delivers what the node of from has forwarded, to devices of this node only, and
// replies once with what became of it; a device that is not here is misrouted. It
// borrows f until it returns. A cancel is passed on and not replied to. nowMS is the clock of Tick.
func (r *Router) Take(from session.Origin, f *wire.Forward, reply Replier, nowMS int64) {
	r.count.taken.Add(1)
	link := from.Node
	if f.Origin != (session.Origin{}) {
		from = f.Origin
	}
	if f.Cancel {
		r.takeCancel(session.ID{Origin: from, Number: f.ID}, f.Account, f.Device)
		return
	}
	wait := f.Wait
	if wait == session.WaitNone {
		wait = session.WaitWritten // whoever forwards wants to know if it went astray
	}
	if r.busy.Add(1) > int64(r.cfg.TakenMax) {
		r.busy.Add(-1)
		o := wire.Outcomes{Ref: f.Ref, Final: true, Devices: []wire.DeviceOutcome{{Outcome: session.Overloaded}}}
		reply.Outcomes(&o)
		return
	}
	t := r.taken.Get().(*taken)
	t.reply, t.ref = reply, f.Ref
	d := &t.delivery
	d.Reset(wait, t.call)
	t.push = Push{
		To:   To{Account: f.Account, Device: f.Device, Except: f.Except, All: f.All, Topic: f.Topic},
		Kind: f.Kind, Payload: f.Payload, Wait: wait, From: f.From, SentMS: f.SentMS, TimeoutMS: f.TimeoutMS,
		AcksFirst: f.First, Trace: f.Trace, ack: f.Ack, local: true, link: link, origin: from,
	}
	one := f.Device != "" && !f.All
	if wait == session.WaitAcked {
		r.limit(d, one, nowMS, cmp.Or(int64(f.TimeoutMS), takenTimeoutMS))
	}
	if one {
		r.one(f.ID, &t.push, d)
	} else {
		r.many(f.ID, &t.push, d)
	}
}

// listingMS is how long before a timeout the outcomes of many devices are on their way; at
// most a tenth of it.
const listingMS = 250

// limit ends the waiting for acks. The node that forwarded the message gives its caller
// the timeout itself, and precisely: of one device that is all there is to say, and what is
// held here goes with the next tick. Of many it must hear before, or it would not know the
// names of those that have acked.
func (r *Router) limit(d *Delivery, one bool, nowMS, timeoutMS int64) {
	if one {
		r.timed.enter(d, nowMS+timeoutMS)
		return
	}
	r.listing.enter(d, nowMS+timeoutMS-min(listingMS, timeoutMS/10))
	r.seeking.ring()
}

// settled replies, and keeps t for the next one.
func (r *Router) settled(t *taken) {
	o := &t.outcomes
	*o = wire.Outcomes{Ref: t.ref, Final: true, Devices: o.Devices[:0]}
	if one, collision, is := t.delivery.ofOne(); is {
		o.Devices, o.Collision = append(o.Devices, wire.DeviceOutcome{Outcome: one}), collision // they know its name
	} else if counts, total := t.delivery.Sum(); total <= min(r.cfg.OutcomesListedMax, wire.OutcomesListedMax) && !t.push.To.isBroadcast() {
		t.delivery.Outcomes(t.yield)
	} else {
		for i, n := range counts {
			o.Counts[i] = uint32(n)
		}
	}
	t.reply.Outcomes(o)
	t.reply, t.push = nil, Push{}
	clear(o.Devices)
	r.busy.Add(-1)
	r.taken.Put(t)
}

// ofOne returns the outcome of a message to one device, and whether that is misrouted because
// another one has its hash; is is false when it is to many.
func (d *Delivery) ofOne() (o session.Outcome, collision, is bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.to.Device == "" || d.to.All {
		return o, false, false
	}
	return d.targets[0].outcome, d.collision, true
}

// timed are deliveries on behalf of other nodes that wait for acks.
type timed struct {
	mu     sync.Mutex
	list   []sought
	nextMS int64 // when the first of them is due, at the earliest
	tickMS int64 // when those that have settled were forgotten
}

// timedEveryMS is how long a delivery that has settled may stay among the timed.
const timedEveryMS = 1000

func (t *timed) enter(d *Delivery, untilMS int64) {
	d.mu.Lock()
	use := d.use
	d.mu.Unlock()
	t.mu.Lock()
	if len(t.list) == 0 || untilMS < t.nextMS {
		t.nextMS = untilMS
	}
	t.list = append(t.list, sought{d, use, untilMS})
	t.mu.Unlock()
}

// tick expires those whose time is over, forgets those that have settled, and returns how
// many there still are.
func (t *timed) tick(nowMS int64) (left int) {
	var due []sought
	t.mu.Lock()
	if since := nowMS - t.tickMS; nowMS >= t.nextMS || since >= timedEveryMS || since < 0 {
		t.tickMS, t.nextMS = nowMS, math.MaxInt64
		t.list = slices.DeleteFunc(t.list, func(x sought) bool {
			switch begun, ended := x.delivery.progress(x.use); {
			case ended:
				return true
			case begun && nowMS >= x.untilMS:
				due = append(due, x)
				return true
			}
			t.nextMS = min(t.nextMS, x.untilMS)
			return false
		})
	}
	left = len(t.list)
	t.mu.Unlock()
	for _, x := range due {
		x.delivery.expire(x.use)
	}
	return left
}

// progress says whether a use of the delivery has begun, so that it can expire, and whether
// it is over.
func (d *Delivery) progress(use uint32) (begun, ended bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state != fresh, d.use != use || d.state == settled || d.state == calling
}
