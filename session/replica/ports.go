package replica

import (
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/route"
	"github.com/roostpush/roost/session/wire"
)

// Ports are the outside that a Replica works on. All are called with no mutex of the
// replica held and must not block; every one of them may be called from any goroutine
// that calls the replica, several at once.
type Ports struct {
	Table    Table
	Sessions Sessions
	Owner    Owner
	Links    Links

	// Online, if there is one, is told what another node's log says, after it is in the
	// table: the changes are borrowed, those not Closed are devices that came online at
	// node. No changes at all means that node's set was swapped: any device may be there
	// now, so whoever waits for some looks at the table again. The same is said when a node's set
	// goes: entries of others may have been hidden by it. Where a tombstone that hid an older, open
	// entry has gone, node is empty. An Account of 0 is one that the log did not say, as those that a
	// peer has passed on do not. It costs one call for each message, never one for each device.
	Online func(node string, changes []wire.Change)

	// Outdated, if there is one, is told that a peer knows a newer epoch of this node, or
	// this epoch with a longer log, each time it says so. Nobody who knows that epoch follows this process: either another
	// one runs under its id, or its disk was lost and none of the peers it could ask at its
	// start remembered. Its owner ends it, or starts it anew with an epoch above that one.
	Outdated func(epoch uint64)

	// Skewed, if there is one, is told once when another node's clock is found to be more
	// than SkewMS ahead of this one's or, negative, behind it, and once when it no longer is.
	Skewed func(node string, aheadMS int64, skewed bool)

	// Seed makes the choice of peers for comparisons repeatable.
	Seed uint64
}

// Author and Entry are the table's.
type (
	Author = route.Author
	Entry  = route.Entry
)

// Table is *route.Table, which says what each method does. It is an interface for the
// sake of tests that run over an obviously right twin, and has more methods than an
// interface should, because it stands for one type and not for a role.
type Table interface {
	NewSet() (Author, error)
	NewOwnSet() (Author, error)
	Publish(a, replaces Author) error
	Drop(a Author) bool

	Put(a Author, address, account, version uint64) error
	Remove(a Author, address, account, version uint64) bool
	Forget(a Author, address, account, version uint64) bool

	Touch(address, account uint64)
	Lookup(address uint64) (Entry, bool)
	Hides(address uint64) bool
	Get(a Author, address uint64) (version uint64, closed, ok bool)
	Each(a Author, from uint64, slots int, f func(address, version uint64, closed bool)) (next uint64, more bool)

	SetLen(a Author) int
	Room(a Author) int

	Age()
	Sweep(budget int) (more bool)
}

// Sessions is the node's registry.
type Sessions interface {
	// AppendOpen appends at most n sessions from cursor on: address and account hash, and
	// the version that Opened returned (0: not called yet). It returns the next cursor, 0
	// at the end. A session that is open throughout a walk is visited.
	AppendOpen(dst []wire.Change, cursor uint64, n int) (_ []wire.Change, next uint64)
	// Find returns the name of the session that has those hashes.
	Find(address, account uint64) (name session.Address, ok bool)
}

// Owner is who may do something to a session: its event loop.
type Owner interface {
	// Displace closes the session with 4001 if it is still of that version: the device
	// has a newer one elsewhere. Closed follows, as after every end of a session.
	Displace(address, account, version uint64)
	// Reassert calls Opened again for the session if it is still of that version, and
	// from then on uses the version that returns.
	Reassert(address, account, version uint64)
}

// Links are the links to other nodes.
type Links interface {
	// Send queues one message to a node: *wire.Delta, *wire.Heads, *wire.LogRequest,
	// *wire.SnapshotChunk, *wire.Question or *wire.Answer, all borrowed. What is sent to
	// one node arrives in that order or not at all. False: there is no link or no room.
	Send(node string, message any) bool
	// Peers appends the nodes there is a link to.
	Peers(dst []string) []string
}
