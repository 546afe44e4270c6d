package mailbox

import (
	"errors"

	"github.com/roostpush/roost/session"
)

// Ports are the outside that a Mailbox works on. Where a method does not say otherwise it
// must not block, may be called from any goroutine, and is called with no lock held.
type Ports struct {
	Store     Store
	Router    Router
	Presence  Presence
	Directory Directory
	Canceller Canceller
	Turns     Turns    // nil: a device is drained as soon as a worker is free
	Tracer    Tracer   // nil: nothing is noted
	Keys      KeyStore // nil: idempotency keys are forgotten with the process

	// NewID makes the id of a message: this node's, of this run, each higher than the one before,
	// also than those of messages that are not kept. It is the clock too by which the mailbox
	// knows what an event stream got before what.
	NewID func() session.ID
	// Hash names devices for ChangedElsewhere; nil: that is not called.
	Hash session.Hasher
	// Now is the time in Unix milliseconds, by which messages expire; it may be set. SteadyMS is
	// a clock in milliseconds, above 0, that nobody sets, by which pauses are measured; nil: nobody
	// sets Now.
	Now, SteadyMS func() int64
	// Seed spreads pauses. Two nodes had better have different ones.
	Seed uint64
}

// Store keeps messages and outcomes on disk; package store's Store is one, and package
// mailbox/redis's. All its calls of one mailbox concern the same messages.
type Store interface {
	// Post makes one promise: all of list is on disk, synced, with its outcomes Queued,
	// before done hears nil. An error says that it is not and never will be. done is called
	// exactly once, by the store's writer or before Post returns, for one device in the order of
	// the Posts; it does not block. list is borrowed until Post returns.
	Post(list []session.Kept, done func(error))
	// Settle takes the message out and notes its final outcome, some time soon: a crash right
	// after may bring it back. It is called with locks held and must not call back.
	Settle(a session.Address, id session.ID, o session.Outcome, atMS int64)
	// Note notes the final outcome of a device that the message, whose Post is done, is not kept
	// for: Fates names it then beside the others. Otherwise it is as Settle, and a crash right after
	// may lose it. The strings are borrowed.
	Note(a session.Address, id session.ID, o session.Outcome, atMS int64)
	// Mail appends the device's messages in the order of their ids (epoch, number, node)
	// behind that id, which may be none of theirs; at most n, and none that brings the
	// payloads above bytesMax, unless it is the first. They own their bytes. It blocks, and
	// sees everything whose Post is done.
	Mail(dst []session.Kept, a session.Address, after session.ID, n, bytesMax int) ([]session.Kept, error)
	// Mailboxes emits every message that waits, those of a device one after another, until
	// emit returns false. It blocks; the strings are borrowed.
	Mailboxes(emit func(a session.Address, id session.ID, expiresMS int64, collapse string) bool) error
	// Fates returns the account that the message was for and what is noted for each
	// device. It blocks, and may not see yet what was settled a moment ago.
	Fates(id session.ID) (account string, list []Fate, found bool, err error)
}

// KeyStore remembers idempotency keys on disk; package store's Store is one, and package
// mailbox/redis's. Post of the Store
// beside it writes the Key of list[0], if that has a GoneMS, with the messages: both are there or neither.
type KeyStore interface {
	// Keys emits every key that is not gone at nowMS, those that go first before the others,
	// until emit returns false. It blocks. The id's strings are borrowed.
	Keys(nowMS int64, emit func(k session.Key, id session.ID, devices int) bool) error
	// ForgetKey removes a key before its time, some time soon. It does not block, and is
	// called with locks held.
	ForgetKey(k session.Key)
	// FileKeys keeps keys of messages that other nodes keep, or did. done is called exactly once,
	// with nil once all are synced, or with the reason why they are not; it does not block. list is
	// borrowed until FileKeys returns, which does not block.
	FileKeys(list []session.FiledKey, done func(error))
}

// Tracer remembers where messages were; package trace's Ring is one. It is called with
// locks held: it must not call back. The strings of e are borrowed.
type Tracer interface {
	Note(e session.Event)
}

// Router tries to deliver; package deliver's Router is one.
type Router interface {
	// Attempt puts m on its device's connection, wherever that is, and borrows m until it
	// returns. Has the device another session than that of mark by then, where that can be
	// seen, then the outcome is Offline: the mailbox looks again. heard is called exactly once, from any goroutine, maybe before Attempt
	// returns: Written, or why not.
	Attempt(m *session.Kept, mark uint64, heard func(session.Outcome))
}

// Presence knows who is connected.
type Presence interface {
	// Online returns the mark of the device's session (session.MarkHere, MarkThere), which the
	// mailbox calls its version; what it returns without ok does not matter. It knows of a session before Opened is called for it.
	Online(a session.Address) (mark uint64, ok bool)
}

// Directory knows which devices an account has.
type Directory interface {
	// Devices appends those that are connected or remembered. It may block. With ErrIncomplete
	// what it returns is all that can be known now.
	Devices(account string, dst []string) ([]string, error)
}

// ErrIncomplete says that a list of devices may lack some: a node is gone that may have known
// more. A push is kept for those on the list, and its watcher told.
var ErrIncomplete = errors.New("a node is gone that may remember more devices of the account")

// Canceller tells a device what it need not show any more.
type Canceller interface {
	// Cancel sends a cancel frame to the device, if it is connected. ids is borrowed.
	Cancel(a session.Address, ids []session.ID)
}

// Turns shares the way out fairly among lanes and accounts; package processor's
// Processor is one.
type Turns interface {
	// Turn calls run when it is the account's turn, which is over when run's argument is
	// called; run does not block. False: there are too many already, and run is not called.
	Turn(p session.Priority, account string, run func(done func())) bool
}
