package mailbox

import "github.com/roostpush/roost/session"

// Push is a message for a device, or for all devices of an account, that is to be kept
// until each of them has it. Post borrows all of it until it returns.
type Push struct {
	Account string
	Device  string // empty: every device of the account that is connected or remembered
	Except  string // the device of the account that is left out; empty: none

	Kind      session.Kind
	Payload   []byte
	From      string // the sending device, of the same account; empty: a service
	SentMS    int64  // Unix milliseconds
	ExpiresMS int64  // Unix milliseconds
	Priority  session.Priority
	Collapse  string
	First     bool // the first device's ack takes it from the others (acks: first)
	Trace     string
	Key       session.Key // a second push with it is the first one again; zero: none
	Brief     bool        // its watcher wants to hear whether it is kept, and no more
}

// Watcher hears what becomes of a push, in this order: Kept once, then Became for each
// device as often as its outcome changes; the last one is final. Both may be called on any
// goroutine, before Post returns, and with locks held: they must not block and must not
// call the mailbox.
type Watcher interface {
	// Kept says that the push is on disk, for so many devices, and a promise from now on:
	// refused is Pending, and why is empty unless others may have been left out that only a node
	// that is gone remembers. Or that it is not and never will be: refused says which outcome
	// that is, why names the limit or fault for people.
	Kept(id session.ID, devices int, refused session.Outcome, why string)
	// Became is the outcome of one device now: Queued while it waits, Written once the
	// kernel has taken it, and the final Acked, Expired or Cancelled. A device of an account
	// that a limit leaves out is Overloaded, right after Kept; it does not count among devices.
	Became(id session.ID, device string, o session.Outcome)
}

// Fate is what became of a kept message for one device.
type Fate struct {
	Device  string
	Outcome session.Outcome // Queued while it waits, Written while its ack is awaited
	AtMS    int64           // since when, Unix milliseconds
}
