package relay

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// A message that is to be kept, in order:
//
//	keep    hands it to the mailbox, which stores it first
//	Kept    it is a promise now, or refused
//	Became  what a device has come to; when all have, the sender is told
//	Sweep   tells the senders whose time is over, and stops listening
//
// A sender is told the level that it asked for, or queued when the device is away: then
// the message comes when the device does, and nobody should wait for that.

// Keeper keeps messages until their devices have them; the node's mailbox is one. Neither
// method blocks.
type Keeper interface {
	// Keep keeps m for its device or, that being empty, for the account's others than
	// m.From. m, whose ID is ignored, is borrowed until it returns. w hears what becomes of
	// it as long as it is kept.
	Keep(m *session.Kept, w Watcher)
	// Unwatch ends that.
	Unwatch(id session.ID, w Watcher)
}

// Watcher hears of one kept message: Kept once, then Became as often as a device's outcome
// changes. The mailbox may hold locks: neither calls it back.
type Watcher interface {
	// Kept says that m is a promise, with a reason if some device may have been left out; or why
	// not.
	Kept(id session.ID, devices int, refused session.Outcome, why string)
	Became(id session.ID, device string, o session.Outcome)
}

// promises are the messages that are being kept while their senders await results.
type promises struct {
	keeper  Keeper
	sockets Sockets
	count   *counters
	waiting *atomic.Int64 // messages of either kind whose senders await results

	mu      sync.Mutex
	list    []*promise // those that wait, and what was answered since the last sweep
	leaving []departing
}

// departing is one of them that need not hear of its message any more.
type departing struct {
	id      session.ID
	promise *promise
}

// promise is one of them. Whoever answers it holds its mutex.
type promise struct {
	of         *promises
	conn       netpoll.ConnID
	ref        []byte // empty: only a refusal is answered
	others     bool   // the result lists the devices
	wait       session.Wait
	deadlineMS int64

	answered atomic.Bool // changed under mu

	mu      sync.Mutex
	id      session.ID
	devices int  // 0: it is not kept yet
	lacks   bool // there may be devices that only a node that is gone remembers
	became  []fate
}

// fate is what a device has come to.
type fate struct {
	device  string
	outcome session.Outcome
}

// keep hands a message to the mailbox.
func (r *Relay[D]) keep(sender *session.Session, f *wire.DeviceFrame, nowMS int64) {
	if r.length.Add(1) > int64(r.cfg.PendingMax) {
		r.length.Add(-1)
		r.count.overloaded.Add(1)
		r.refuse(sender, f.Ref, session.Overloaded.String(), tooMany)
		return
	}
	p := &promise{
		of: &r.promises, conn: netpoll.ConnID(sender.Conn), ref: slices.Clone(f.Ref), others: f.ToOthers,
		wait: f.Wait, deadlineMS: nowMS + r.timeoutMS,
	}
	if len(f.Ref) == 0 {
		p.wait = session.WaitNone
	}
	r.count.kept.Add(1)
	r.promises.mu.Lock()
	r.promises.list = append(r.promises.list, p)
	r.promises.mu.Unlock()
	r.promises.keeper.Keep(&session.Kept{
		Address: session.Address{Account: sender.Account, Device: wire.Borrow(f.ToDevice)},
		Kind:    f.Kind, Payload: f.Payload, From: sender.Device,
		SentMS: nowMS, ExpiresMS: nowMS + f.TTLMS,
	}, p)
}

// sweep tells the senders whose time is over, and stops watching what was answered.
func (s *promises) sweep(nowMS int64) {
	var due []*promise
	s.mu.Lock()
	s.list = slices.DeleteFunc(s.list, func(p *promise) bool {
		if p.answered.Load() {
			return true // else one that waits long would keep all behind it
		}
		if p.deadlineMS > nowMS {
			return false
		}
		due = append(due, p)
		return true
	})
	s.mu.Unlock()
	for _, p := range due {
		p.expire()
	}
	s.mu.Lock()
	leaving := s.leaving
	s.leaving = nil
	s.mu.Unlock()
	for _, d := range leaving {
		s.keeper.Unwatch(d.id, d.promise)
	}
}

// leave notes that one need not hear of its message any more; the mailbox cannot be told now,
// since it may be calling.
func (s *promises) leave(id session.ID, p *promise) {
	s.mu.Lock()
	s.leaving = append(s.leaving, departing{id, p})
	s.mu.Unlock()
}

// Kept says that the message is a promise, or why not.
func (p *promise) Kept(id session.ID, devices int, refused session.Outcome, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case refused == session.Offline && len(p.ref) > 0: // there are no others
		p.answer(p.result(session.Offline))
	case refused != session.Pending:
		p.of.count.notKept.Add(1)
		p.answer(wire.AppendError(nil, p.ref, refused.String(), why))
	case p.answered.Load(): // too late for the sender, and nobody listens
		p.of.leave(id, p)
	default:
		p.id, p.devices, p.lacks = id, devices, why != ""
		p.settle()
	}
}

// Became notes what a device has come to.
func (p *promise) Became(id session.ID, device string, o session.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answered.Load() || id != p.id {
		return
	}
	if o == session.Overloaded {
		p.devices++ // it has no room for the message, and was not among those that Kept counted
	}
	i := slices.IndexFunc(p.became, func(f fate) bool { return f.device == device })
	if i < 0 {
		i = len(p.became)
		p.became = append(p.became, fate{device: strings.Clone(device)})
	}
	p.became[i].outcome = o
	p.settle()
}

// settle answers once every device has come to what is worth telling. The caller holds mu.
func (p *promise) settle() {
	if p.wait == session.WaitNone {
		p.answer(nil)
		return
	}
	if len(p.became) < p.devices {
		return
	}
	for _, f := range p.became {
		if f.outcome == session.Pending || f.outcome == session.Written && p.wait == session.WaitAcked {
			return
		}
	}
	p.answer(p.result(session.Queued))
}

// expire tells the sender what is known when its time is over.
func (p *promise) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answered.Load() {
		return
	}
	p.of.count.expired.Add(1)
	if p.devices > 0 {
		p.answer(p.result(session.Queued))
		return
	}
	// The disk has not said whether it has it.
	p.answer(p.result(session.Timeout))
}

// answer ends the sender's waiting. The caller holds mu.
func (p *promise) answer(frame []byte) {
	if p.answered.Swap(true) {
		return
	}
	p.of.waiting.Add(-1)
	if p.devices > 0 {
		p.of.leave(p.id, p)
	}
	if len(frame) > 0 {
		p.of.sockets.Send(p.conn, netpoll.OpText, frame, nil, 0)
	}
}

// result is the sender's answer; rest is the outcome of those of whom nothing else is
// known. One device's status is its outcome; the others' is the one they share, or ok.
func (p *promise) result(rest session.Outcome) []byte {
	status := rest
	same := !p.lacks // unreachable is among the outcomes, as of messages that are not kept
	for i, f := range p.became {
		if i == 0 && len(p.became) >= p.devices {
			status = f.outcome
		}
		same = same && f.outcome == status
	}
	word := status.String()
	if !same {
		word = wire.StatusOK
	}
	if !p.others {
		return wire.AppendResult(nil, p.ref, word)
	}
	frame := wire.AppendResultOpen(nil, p.ref, word)
	for _, f := range p.became {
		frame = wire.AppendResultOutcome(frame, f.device, f.outcome)
	}
	return wire.AppendResultClose(frame)
}
