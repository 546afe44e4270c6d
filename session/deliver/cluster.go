package deliver

import (
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// Cluster is the other nodes: the table that says where their devices are, and the
// links. Any goroutine may call any method; none blocks.
type Cluster interface {
	// Locate says where the table has a device.
	Locate(account, device string) Place
	// Holds says whether this node's own log has an open session with the hash of that
	// address, whoever's it is and whatever other nodes' logs say.
	Holds(account, device string) bool
	// Forget takes what Locate said out of the table, unless the table has learnt better
	// meanwhile (DESIGN.md decision 5).
	Forget(p Place)
	// AppendNodes appends the other nodes that may hold devices of the account; of the
	// account "", every other node that may hold any.
	AppendNodes(dst []string, account string) []string
	// Forward takes a message to a node, which delivers it there or says misrouted; it is
	// never forwarded again. rcpt hears exactly once, maybe before Forward returns. f is
	// borrowed.
	Forward(node string, f *wire.Forward, rcpt Answers, tag uint64)
}

// Answers hears what became of a message that was forwarded, once: Answered by the other
// node, or Failed when the message did not get there or its answer never came.
type Answers interface {
	Answered(tag uint64, o *wire.Outcomes) // o is borrowed
	Failed(tag uint64, o session.Outcome)
}

// Place is what the table says of an address.
type Place struct {
	State   PlaceState
	Node    string // of There
	Author  uint16 // whose log says so, in the table's numbers
	Address uint64 // hash
	Account uint64 // hash
	Version uint64
}

// PlaceState is where a device is.
type PlaceState uint8

// The states of a place.
const (
	Nowhere PlaceState = iota // the table has nothing
	Unknown                   // it has nothing either, and lacks the sessions of some node
	Unsure                    // nor here, and it had no room for some devices
	Closed                    // a tombstone: the device has left a moment ago, and may be on its way
	Here                      // on this node, whose registry knows better
	There                     // on another node
)

// alone is the cluster of a node that has none.
type alone struct{}

func (alone) Locate(string, string) Place                    { return Place{} }
func (alone) Holds(string, string) bool                      { return false }
func (alone) Forget(Place)                                   {}
func (alone) AppendNodes(dst []string, _ string) []string    { return dst }
func (alone) Forward(string, *wire.Forward, Answers, uint64) { panic("deliver: a node alone forwards") }
