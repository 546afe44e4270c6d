package deliver

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

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
// borrows f until it returns. nowMS is the clock of Tick.
func (r *Router) Take(from session.Origin, f *wire.Forward, reply Replier, nowMS int64) {
	r.count.taken.Add(1)
	p := Push{
		To:   To{Account: f.Account, Device: f.Device, Except: f.Except, All: f.All},
		Kind: f.Kind, Payload: f.Payload, Wait: f.Wait, From: f.From, SentMS: f.SentMS, TimeoutMS: f.TimeoutMS,
		local: true, from: from,
	}
	if p.Wait == session.WaitNone {
		p.Wait = session.WaitWritten // whoever forwards wants to know if it went astray
	}
	if r.timed.busy.Add(1) > int64(r.cfg.TakenMax) {
		r.timed.busy.Add(-1)
		o := wire.Outcomes{Ref: f.Ref, Final: true, Devices: []wire.DeviceOutcome{{Outcome: session.Overloaded}}}
		reply.Outcomes(&o)
		return
	}
	t := r.taken.Get().(*taken)
	t.reply, t.ref = reply, f.Ref
	d := &t.delivery
	d.Reset(p.Wait, t.call)
	if p.Wait == session.WaitAcked {
		r.timed.enter(d, nowMS+cmp.Or(int64(f.TimeoutMS), takenTimeoutMS))
	}
	t.push = p
	if f.Device != "" && !f.All {
		r.one(f.ID, &t.push, d)
	} else {
		r.many(f.ID, &t.push, d)
	}
}

// settled replies, and keeps t for the next one.
func (r *Router) settled(t *taken) {
	o := &t.outcomes
	*o = wire.Outcomes{Ref: t.ref, Final: true, Devices: o.Devices[:0]}
	d := &t.delivery
	if total := d.Total(); total <= min(r.cfg.OutcomesListedMax, wire.OutcomesListedMax) && !d.isToAll() {
		d.Outcomes(t.yield)
	} else {
		for i, n := range d.Counts() {
			o.Counts[i] = uint32(n)
		}
	}
	if len(o.Devices) == 1 && t.delivery.isToOne() {
		o.Devices[0].Device = "" // they know
	}
	t.reply.Outcomes(o)
	t.reply, t.push = nil, Push{}
	clear(o.Devices)
	r.timed.busy.Add(-1)
	r.taken.Put(t)
}

func (d *Delivery) isToAll() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.to.All
}

func (d *Delivery) isToOne() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.to.Device != ""
}

// timed are deliveries on behalf of other nodes that wait for acks. The node that
// forwarded them gives its caller the timeout itself, and precisely; here only what is
// held for it must end.
type timed struct {
	busy atomic.Int64 // messages taken and not settled
	mu   sync.Mutex
	list []sought
}

func (t *timed) enter(d *Delivery, untilMS int64) {
	d.mu.Lock()
	use := d.use
	d.mu.Unlock()
	t.mu.Lock()
	t.list = append(t.list, sought{d, use, untilMS})
	t.mu.Unlock()
}

// tick expires those whose time is over and forgets those that have settled.
func (t *timed) tick(nowMS int64) {
	var due []sought
	t.mu.Lock()
	t.list = slices.DeleteFunc(t.list, func(x sought) bool {
		if x.delivery.hasEnded(x.use) {
			return true
		}
		if nowMS >= x.untilMS {
			due = append(due, x)
			return true
		}
		return false
	})
	t.mu.Unlock()
	for _, x := range due {
		x.delivery.expire(x.use)
	}
}

// hasEnded says that a use of the delivery is over.
func (d *Delivery) hasEnded(use uint32) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.use != use || d.state == settled || d.state == calling
}
