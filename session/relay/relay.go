// HOT PATH

package relay

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// Delivery is one message on its way; deliver's *Delivery is one, and its
// documentation is what these methods promise.
type Delivery[D any] interface {
	Reset(wait session.Wait, call func(D))
	Expire()
	Outcomes(yield func(device, node string, o session.Outcome))
	Counts() [session.OutcomeCount]int
}

// Router delivers to one device or, when to names none, to all of the account but
// m.From; deliver's Router is one. It must not block, borrows m until it returns and
// settles d later. d is D's zero value with WaitNone.
type Router[D any] interface {
	Relay(to session.Address, m *session.Message, wait session.Wait, d D) session.MessageID
}

// Sockets puts answers on the sender's connection; netpoll's Reactor is one.
type Sockets interface {
	Send(id netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64)
}

// CodeTTLRange refuses a ttl_ms above Config.TTLMax. Other refused frames carry the
// outcomes' own words: forbidden, too_large, overloaded. They are part of the contract:
// clients branch on them.
const CodeTTLRange = "ttl_out_of_range"

// Relay carries messages between the devices of an account. D is deliver's *Delivery.
// Any goroutine may call any method.
type Relay[D Delivery[D]] struct {
	cfg       Config
	router    Router[D]
	sockets   Sockets
	promises  promises
	spare     sync.Pool // of *pending[D]
	scratch   sync.Pool // of *scratch
	length    atomic.Int64
	waiting   [pendingShards]waiting[D]
	count     counters
	timeoutMS int64
}

// New returns a relay of valid configuration. fresh makes a delivery.
func New[D Delivery[D]](cfg Config, router Router[D], keeper Keeper, sockets Sockets, fresh func() D) *Relay[D] {
	r := &Relay[D]{cfg: cfg, router: router, sockets: sockets, timeoutMS: cfg.Timeout.Milliseconds()}
	r.promises.keeper, r.promises.sockets, r.promises.count, r.promises.waiting = keeper, sockets, &r.count, &r.length
	r.scratch.New = func() any { return new(scratch) }
	r.spare.New = func() any {
		p := &pending[D]{delivery: fresh()}
		p.call = func(D) { r.settled(p) }
		p.yield = func(device, _ string, o session.Outcome) {
			if device == "" {
				return // a node that could not be asked, and only it knows whom it holds; the status says so
			}
			p.answer = wire.AppendResultOutcome(p.answer, device, o)
		}
		return p
	}
	return r
}

// Send carries a send frame of the device of sender. nowMS is the time in Unix
// milliseconds, the same clock as Sweep's. The frame is borrowed until it returns. A
// frame with an id is answered by a result once every addressee has its outcome, or
// by an error if it is refused; one without an id only if it is refused.
func (r *Relay[D]) Send(sender *session.Session, f *wire.DeviceFrame, nowMS int64) {
	if code, detail := r.refusal(sender, f); code != "" {
		r.refuse(sender, f.Ref, code, detail)
		return
	}
	if f.TTLMS > 0 {
		r.keep(sender, f, nowMS)
		return
	}
	m := session.Message{Kind: f.Kind, Payload: f.Payload, From: sender.Device, SentMS: nowMS}
	to := session.Address{Account: sender.Account, Device: wire.Borrow(f.ToDevice)}
	if len(f.Ref) == 0 {
		var none D
		r.relay(to, m, session.WaitNone, none)
		return
	}
	p := r.wait(sender, f, nowMS+r.timeoutMS)
	if p == nil {
		r.refuse(sender, f.Ref, session.Overloaded.String(), tooMany)
		return
	}
	p.delivery.Reset(f.Wait, p.call)
	r.relay(to, m, f.Wait, p.delivery)
	r.list(p)
}

// relay hands a message to delivery, from memory that is used again.
func (r *Relay[D]) relay(to session.Address, m session.Message, wait session.Wait, d D) {
	r.count.sent.Add(1)
	s := r.scratch.Get().(*scratch)
	s.message = m
	r.router.Relay(to, &s.message, wait, d)
	s.message = session.Message{}
	r.scratch.Put(s)
}

// SendRaw carries a frame of a roost.raw device to the account's others. Nothing is
// answered, since such a device gets payloads only: a refusal is counted, and false.
func (r *Relay[D]) SendRaw(sender *session.Session, kind session.Kind, payload []byte, nowMS int64) bool {
	if sender.Flags&session.MaySend == 0 || len(payload) > r.cfg.PayloadBytesMax {
		r.count.refused.Add(1)
		return false
	}
	m := session.Message{Kind: kind, Payload: payload, From: sender.Device, SentMS: nowMS}
	var none D
	r.relay(session.Address{Account: sender.Account}, m, session.WaitNone, none)
	return true
}

// refusal says why a frame is not carried; code is empty if it is.
func (r *Relay[D]) refusal(sender *session.Session, f *wire.DeviceFrame) (code, detail string) {
	switch {
	case sender.Flags&session.MaySend == 0:
		return session.Forbidden.String(), "the token does not permit sending"
	case f.ToAccount != nil && string(f.ToAccount) != sender.Account:
		return session.Forbidden.String(), "a device may send to devices of its own account only"
	case f.TTLMS > r.cfg.TTLMax.Milliseconds():
		return CodeTTLRange, fmt.Sprintf("ttl_ms is %d, at most %d are possible (relay.ttl_max)", f.TTLMS, r.cfg.TTLMax.Milliseconds())
	case len(f.Payload) > r.cfg.PayloadBytesMax:
		return session.TooLarge.String(), fmt.Sprintf("the payload is %d bytes long, at most %d are allowed", len(f.Payload), r.cfg.PayloadBytesMax)
	}
	return "", ""
}

// refuse tells the sender that nothing was done, and why.
func (r *Relay[D]) refuse(sender *session.Session, ref []byte, code, detail string) {
	r.count.refused.Add(1)
	s := r.scratch.Get().(*scratch)
	s.answer = wire.AppendError(s.answer[:0], ref, code, detail)
	r.sockets.Send(netpoll.ConnID(sender.Conn), netpoll.OpText, s.answer, nil, 0)
	r.scratch.Put(s)
}

// tooMany is why a message is refused at Config.PendingMax.
const tooMany = "too many messages await their outcome on this node"

// scratch is what a call needs while it runs.
type scratch struct {
	message session.Message
	answer  []byte
}
