// HOT PATH

package processor

import (
	"sync"

	"github.com/roostpush/roost/session"
)

// Keeper keeps messages until their devices have them; the node's mailbox is one.
type Keeper interface {
	// Keep keeps m for its device or, that being empty, for all of the account; a second one
	// with the same Key is the first one again. m, whose ID is ignored, is borrowed until Keep
	// returns, which does not block. w hears once whether m is kept, and is not called
	// afterwards.
	Keep(m *session.Kept, w Watcher)
}

// Watcher hears whether a message is kept: refused is Pending, and it is a promise for so
// many devices; or which outcome it has instead, and why. Kept is called on any goroutine,
// before Keep returns too, maybe with locks held: it does not call the keeper back.
// Became is there because the mailbox asks for it, and is not called.
type Watcher interface {
	Kept(id session.ID, devices int, refused session.Outcome, why string)
	Became(id session.ID, device string, o session.Outcome)
}

// Keeping hands records with a ttl to the mailbox. It is the part of a Pusher that makes
// promises; once one is made the record is Queued, which is final for its source. Any
// goroutine may call Push.
type Keeping struct {
	keeper   Keeper
	promises sync.Pool // of *promise
	messages sync.Pool // of *session.Kept
}

// promise is an attempt to make one. It is used again and again.
type promise struct {
	of   *Keeping
	done func(Result)
}

// NewKeeping returns one that keeps through keeper.
func NewKeeping(keeper Keeper) *Keeping {
	k := &Keeping{keeper: keeper}
	k.promises.New = func() any { return &promise{of: k} }
	k.messages.New = func() any { return new(session.Kept) }
	return k
}

// Push makes one attempt at an account's or device's record; see Pusher. The ID of a record
// goes with it as its idempotency key: what the keeper has kept with that it does not keep
// again, whatever this process remembers.
func (k *Keeping) Push(r *Record, done func(Result)) {
	p := k.promises.Get().(*promise)
	p.done = done
	m := k.messages.Get().(*session.Kept)
	*m = session.Kept{
		Address: session.Address{Account: r.Account, Device: r.Device},
		Kind:    r.Kind, Payload: r.Payload, SentMS: r.SentMS, ExpiresMS: r.SentMS + r.TTLMS, Priority: r.Priority, Trace: r.Trace,
	}
	if r.ID != "" {
		m.Key = session.NewKey(r.IDScope, r.ID, m)
	}
	k.keeper.Keep(m, p)
	*m = session.Kept{}
	k.messages.Put(m)
}

// Kept hears whether there is a promise. Of the devices of an account those whose mailbox
// is full are not counted; who asks for the id is told of them.
func (p *promise) Kept(id session.ID, devices int, refused session.Outcome, why string) {
	k, done := p.of, p.done
	p.done = nil
	k.promises.Put(p)
	var r Result
	switch refused {
	case session.Pending:
		r.Counts[session.Queued], r.ID = devices, id
	case session.Forbidden:
		r.Reject = &Reject{CodeIDReused, why}
	default:
		r.Counts[refused] = max(1, devices)
	}
	done(r)
}

// Became hears what is not for the source of a record.
func (*promise) Became(session.ID, string, session.Outcome) {}
