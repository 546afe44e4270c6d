// HOT PATH

package deliver

import "github.com/roostpush/roost/session"

// attempt is a kept message on its way, once. It is used again and again.
type attempt struct {
	delivery Delivery
	push     Push
	heard    func(session.Outcome)
	call     func(*Delivery)
}

func newAttempt(r *Router) *attempt {
	a := new(attempt)
	a.call = func(*Delivery) { r.attempted(a) }
	return a
}

// NewID returns an id that no message has yet.
func (r *Router) NewID() session.ID {
	return session.ID{Origin: r.origin, Number: session.MessageID(r.newest.Add(1))}
}

// Attempt delivers a kept message to its device, wherever that is connected, with the id
// that it has and asking for an ack. It does not wait for that: the ack comes to the
// message's keeper. Mark names the session that the keeper means (session.MarkHere), or is 0: if
// the device has a newer one here by now, or one elsewhere of the same version, the outcome is Offline
// and nothing is sent, because the keeper sends to that one by itself and the device would get the
// message twice; an older one, which is about to be closed, does not count. heard is called exactly once, on any goroutine and maybe before
// Attempt returns, with Written or with why not; it must not block. Nothing is looked
// at of priority, collapse and expiry, which are the keeper's. m is borrowed until Attempt
// returns, and nothing is allocated.
func (r *Router) Attempt(m *session.Kept, mark uint64, heard func(session.Outcome)) {
	r.count.attempts.Add(1)
	if s := r.meant(m, mark); s != nil {
		r.attemptHere(m, s, heard)
		return
	}
	a := r.attempts.Get().(*attempt)
	a.heard = heard
	a.push = Push{
		To:   To{Account: m.Account, Device: m.Device},
		Kind: m.Kind, Payload: m.Payload, From: m.From, SentMS: m.SentMS,
		Wait: session.WaitWritten, Trace: m.Trace, ack: true, origin: m.Origin, mark: mark,
	}
	a.delivery.Reset(session.WaitWritten, a.call)
	r.one(m.Number, &a.push, &a.delivery)
}

// attempted tells who waits and keeps a for the next one. heard may begin that: a is not
// used after it.
func (r *Router) attempted(a *attempt) {
	outcome, _, _ := a.delivery.ofOne()
	heard := a.heard
	a.heard, a.push = nil, Push{}
	r.attempts.Put(a)
	heard(outcome)
}
