// HOT PATH

package processor

import (
	"sync"

	"github.com/roostpush/roost/session"
)

// Keeper keeps messages until their devices have them; the node's mailbox is one. Neither
// method blocks.
type Keeper interface {
	// Keep keeps m for its device or, that being empty, for all of the account. m, whose
	// ID is ignored, is borrowed until it returns. w hears what becomes of it.
	Keep(m *session.Kept, w Watcher)
	// Unwatch ends that.
	Unwatch(id session.ID)
}

// Watcher hears of one kept message: Kept once, then Became as often as a device's outcome
// changes. The mailbox may hold locks: neither calls it back.
type Watcher interface {
	Kept(id session.ID, devices int, refused session.Outcome, why string)
	Became(id session.ID, device string, o session.Outcome)
}

// Keeping hands records with a ttl to the mailbox. It is the part of a Pusher that makes
// promises; once one is made the record is Queued, which is final for its source. Any
// goroutine may call any method.
type Keeping struct {
	keeper   Keeper
	spare    sync.Pool // of *promise
	messages sync.Pool // of *session.Kept

	mu    sync.Mutex
	kept  []*promise // made or refused, and still with the mailbox
	swept []*promise // those of the sweep before; of Sweep alone
}

// promise is an attempt to make one. It is used again and again. The mailbox holds it
// until it is told not to, although what comes after Kept is of no interest here.
type promise struct {
	of   *Keeping
	done func(Result)
	id   session.ID // zero: it was refused
}

// NewKeeping returns one that keeps through keeper.
func NewKeeping(keeper Keeper) *Keeping {
	k := &Keeping{keeper: keeper}
	k.spare.New = func() any { return &promise{of: k} }
	k.messages.New = func() any { return new(session.Kept) }
	return k
}

// Push makes one attempt at an account's or device's record; see Pusher.
func (k *Keeping) Push(r *Record, done func(Result)) {
	p := k.spare.Get().(*promise)
	p.done = done
	m := k.messages.Get().(*session.Kept)
	*m = session.Kept{
		Address: session.Address{Account: r.Account, Device: r.Device},
		Kind:    r.Kind, Payload: r.Payload, SentMS: r.SentMS, ExpiresMS: r.SentMS + r.TTLMS, Priority: r.Priority, Trace: r.Trace,
	}
	k.keeper.Keep(m, p)
	*m = session.Kept{}
	k.messages.Put(m)
}

// Kept hears whether there is a promise. Of the devices of an account those whose mailbox
// is full are not counted; who asks for the id is told of them.
func (p *promise) Kept(id session.ID, devices int, refused session.Outcome, _ string) {
	k, done := p.of, p.done
	var r Result
	if refused == session.Pending {
		r.Counts[session.Queued], r.ID = devices, id
	} else {
		r.Counts[refused] = max(1, devices)
	}
	p.id, p.done = r.ID, nil
	k.mu.Lock()
	k.kept = append(k.kept, p)
	k.mu.Unlock()
	done(r)
}

// Became hears what is not for the source of a record.
func (*promise) Became(session.ID, string, session.Outcome) {}

// Sweep stops watching what was kept or refused since the last time. Call it every 50 ms
// or so, from one goroutine and not from within the mailbox, which cannot be told while it
// calls.
func (k *Keeping) Sweep() {
	k.mu.Lock()
	k.kept, k.swept = k.swept[:0], k.kept
	k.mu.Unlock()
	for _, p := range k.swept {
		if p.id != (session.ID{}) {
			k.keeper.Unwatch(p.id)
		}
		p.id = session.ID{}
		k.spare.Put(p)
	}
	clear(k.swept)
}
