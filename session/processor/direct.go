// HOT PATH

package processor

import (
	"sync"

	"github.com/roostpush/roost/session"
)

// Delivery is one message on its way; deliver's *Delivery is one, and its documentation
// is what these methods promise.
type Delivery[D any] interface {
	Reset(wait session.Wait, call func(D))
	Expire()
	Counts() [session.OutcomeCount]int
}

// Router delivers to one device, or when to names none to all of the account, or to the
// subscribers of m's topic; deliver's Router is one. It must not block, borrows m until it returns and settles d later.
type Router[D any] interface {
	Relay(to session.Address, m *session.Message, wait session.Wait, d D) session.MessageID
}

// Direct pushes records to devices that are connected now: those without a ttl. It is
// the part of a Pusher that keeps nothing. Any goroutine may call any method. D is
// deliver's *Delivery.
type Direct[D Delivery[D]] struct {
	router    Router[D]
	timeoutMS int64
	spare     sync.Pool // of *flight[D]

	mu          sync.Mutex
	first, last *flight[D] // on their way, in the order of deadlines, since all have equally long
	length      int
}

// flight is one attempt. It is used again and again. refs says how many still need it: the
// delivery until it is settled, Push until it has listed it, and a sweep that is about to
// expire it. refs, listed and the links are guarded by the mutex of Direct.
type flight[D Delivery[D]] struct {
	delivery   D
	call       func(D)
	done       func(Result)
	message    session.Message
	deadlineMS int64
	next, prev *flight[D]
	refs       int
	listed     bool
}

// NewDirect returns one of valid configuration that delivers through router. fresh makes a
// delivery.
func NewDirect[D Delivery[D]](cfg Config, router Router[D], fresh func() D) *Direct[D] {
	d := &Direct[D]{router: router, timeoutMS: cfg.AttemptTimeout.Milliseconds()}
	d.spare.New = func() any {
		f := &flight[D]{delivery: fresh()}
		f.call = func(D) { d.settled(f) }
		return f
	}
	return d
}

// Push makes one attempt at a record; see Pusher. Those of its
// devices that have no outcome when attempt_timeout is over are Timeout. nowMS is a time
// that nobody sets, as the processor's steadyMS.
func (d *Direct[D]) Push(r *Record, nowMS int64, done func(Result)) {
	f := d.spare.Get().(*flight[D])
	f.done, f.deadlineMS, f.refs = done, nowMS+d.timeoutMS, 2
	f.message = session.Message{Kind: r.Kind, Payload: r.Payload, Topic: r.Topic, SentMS: r.SentMS, Trace: r.Trace}
	to := session.Address{Account: r.Account, Device: r.Device}
	f.delivery.Reset(session.WaitWritten, f.call)
	d.router.Relay(to, &f.message, session.WaitWritten, f.delivery)
	d.mu.Lock()
	if f.refs == 2 {
		d.link(f)
	}
	last := d.releaseLocked(f)
	d.mu.Unlock()
	d.recycle(f, last)
}

// settled tells what became of an attempt. Having nobody to push to is offline, but for a
// topic, which may have no subscribers.
func (d *Direct[D]) settled(f *flight[D]) {
	r, done := Result{Counts: f.delivery.Counts()}, f.done
	if r.Counts == [session.OutcomeCount]int{} && f.message.Topic == "" {
		r.Counts[session.Offline] = 1
	}
	d.mu.Lock()
	d.unlink(f)
	last := d.releaseLocked(f)
	d.mu.Unlock()
	d.recycle(f, last)
	done(r)
}

// Sweep ends the attempts whose time is over. Call it every quarter of a second or so, not
// from a loop; nowMS is of the same clock as Push's.
func (d *Direct[D]) Sweep(nowMS int64) {
	for {
		d.mu.Lock()
		f := d.first
		if f == nil || f.deadlineMS > nowMS {
			d.mu.Unlock()
			return
		}
		d.unlink(f)
		f.refs++
		d.mu.Unlock()
		f.delivery.Expire()
		d.mu.Lock()
		last := d.releaseLocked(f)
		d.mu.Unlock()
		d.recycle(f, last)
	}
}

// Len returns how many attempts may have to be swept.
func (d *Direct[D]) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.length
}

// link puts an attempt at the end of those on their way. The caller holds mu.
func (d *Direct[D]) link(f *flight[D]) {
	if f.prev = d.last; f.prev != nil {
		f.prev.next = f
	} else {
		d.first = f
	}
	d.last = f
	f.listed = true
	d.length++
}

// unlink takes an attempt out of those on their way, if it is there. The caller holds mu.
func (d *Direct[D]) unlink(f *flight[D]) {
	if !f.listed {
		return
	}
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		d.first = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	} else {
		d.last = f.prev
	}
	f.next, f.prev, f.listed = nil, nil, false
	d.length--
}

// releaseLocked gives an attempt up; last says that nobody needs it any more.
func (d *Direct[D]) releaseLocked(f *flight[D]) (last bool) {
	f.refs--
	return f.refs == 0
}

func (d *Direct[D]) recycle(f *flight[D], last bool) {
	if last {
		f.done, f.message = nil, session.Message{}
		d.spare.Put(f)
	}
}
