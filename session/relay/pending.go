package relay

import (
	"sync"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// pendingShards spreads the table of messages whose senders wait over locks.
const pendingShards = 16

// pending is one message whose sender awaits its result. It is used again and
// again. refs and listed are guarded by its shard's mutex. refs says how many still
// need it: the delivery until it is settled, Send until it has listed it, and a sweep
// that is about to expire it.
type pending[D Delivery[D]] struct {
	delivery   D
	call       func(D)
	yield      func(device, node string, o session.Outcome) // appends to answer
	answer     []byte
	conn       uint64
	ref        []byte
	others     bool // the result lists the devices
	deadlineMS int64
	shard      int
	refs       int
	listed     bool
	next, prev *pending[D] // in the order of deadlines, since all wait equally long
}

// waiting is one shard of the table.
type waiting[D Delivery[D]] struct {
	mu          sync.Mutex
	first, last *pending[D]
	_           [40]byte // a cache line for each shard
}

// wait takes in a message whose sender awaits its result; nil when there are too
// many.
func (r *Relay[D]) wait(sender *session.Session, f *wire.DeviceFrame, deadlineMS int64) *pending[D] {
	if r.length.Add(1) > int64(r.cfg.PendingMax) {
		r.length.Add(-1)
		r.count.overloaded.Add(1)
		return nil
	}
	p := r.spare.Get().(*pending[D])
	p.conn, p.ref, p.others = sender.Conn, append(p.ref[:0], f.Ref...), f.ToOthers
	p.deadlineMS, p.refs = deadlineMS, 2
	p.shard = int(sender.Number % pendingShards)
	return p
}

// list has a message expire in time whose delivery has begun, unless it has been
// settled since.
func (r *Relay[D]) list(p *pending[D]) {
	w := &r.waiting[p.shard]
	w.mu.Lock()
	if p.refs == 2 {
		w.link(p)
	}
	w.mu.Unlock()
	r.release(p, false)
}

// link puts a message at the end of the table. The caller holds mu.
func (w *waiting[D]) link(p *pending[D]) {
	if p.prev = w.last; p.prev != nil {
		p.prev.next = p
	} else {
		w.first = p
	}
	w.last = p
	p.listed = true
}

// unlink takes a message out of the table, if it is there. The caller holds mu.
func (w *waiting[D]) unlink(p *pending[D]) {
	if !p.listed {
		return
	}
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		w.first = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		w.last = p.prev
	}
	p.next, p.prev, p.listed = nil, nil, false
}

// settled is called once for each message that was taken in: it tells its sender.
func (r *Relay[D]) settled(p *pending[D]) {
	p.appendAnswer()
	r.sockets.Send(netpoll.ConnID(p.conn), netpoll.OpText, p.answer, nil, 0)
	if cap(p.answer) > answerBytesMax {
		p.answer = nil
	}
	r.length.Add(-1)
	r.release(p, true)
}

// release gives a message up; the last one who does takes it back. done says that it
// is settled and need not expire any more.
func (r *Relay[D]) release(p *pending[D], done bool) {
	w := &r.waiting[p.shard]
	w.mu.Lock()
	if done {
		w.unlink(p)
	}
	p.refs--
	last := p.refs == 0
	w.mu.Unlock()
	if last {
		r.spare.Put(p)
	}
}

// Sweep tells the senders whose time is over that it is. Call it every half second
// or so, not from a loop; nowMS is the time in Unix milliseconds.
func (r *Relay[D]) Sweep(nowMS int64) {
	r.promises.sweep(nowMS)
	for i := range r.waiting {
		w := &r.waiting[i]
		for {
			w.mu.Lock()
			p := w.first
			if p == nil || p.deadlineMS > nowMS {
				w.mu.Unlock()
				break
			}
			w.unlink(p)
			p.refs++
			w.mu.Unlock()
			r.count.expired.Add(1)
			p.delivery.Expire()
			r.release(p, false)
		}
	}
}

// answerBytesMax is the size up to which a buffer for answers is kept: a result of
// some 50 devices.
const answerBytesMax = 4 << 10

// appendAnswer makes the result of a message: for one device its outcome; for the
// account's others the outcome they share, or ok where they differ, and each one's
// own. Having no others is offline.
func (p *pending[D]) appendAnswer() {
	status, kinds := session.Offline.String(), 0
	for o, n := range p.delivery.Counts() {
		if n > 0 {
			status = session.Outcome(o).String()
			kinds++
		}
	}
	if kinds > 1 {
		status = wire.StatusOK
	}
	if !p.others {
		p.answer = wire.AppendResult(p.answer[:0], p.ref, status)
		return
	}
	p.answer = wire.AppendResultOpen(p.answer[:0], p.ref, status)
	p.delivery.Outcomes(p.yield)
	p.answer = wire.AppendResultClose(p.answer)
}
