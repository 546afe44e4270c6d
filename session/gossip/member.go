package gossip

import "github.com/roostpush/roost/session"

// State is what a member says of itself.
type State uint8

const (
	Active   State = iota // takes devices, keeps accounts
	Draining              // sees its devices out; still reached by links, no longer a home for new things
	Leaving               // about to go on purpose: its going is no failure

	stateCount
)

func (s State) String() string {
	if s < stateCount {
		return [...]string{"active", "draining", "leaving"}[s]
	}
	return "unknown"
}

// Reason says why a member is no longer one.
type Reason uint8

const (
	Dead     Reason = iota // it answers nobody, or its host says that its process is gone
	Left                   // it said that it would go
	Replaced               // a process with the same id and a higher epoch is here

	reasonCount
)

func (r Reason) String() string {
	if r < reasonCount {
		return [...]string{"dead", "left", "replaced"}[r]
	}
	return "unknown"
}

// Member is one process of the cluster. It is a value.
type Member struct {
	Node  string // session.CheckNode
	Epoch uint64 // at least 1

	GossipAddr   string // host:port that memberlist uses; Start fills it in for this node
	PeerAddr     string // host:port for links
	InternalAddr string // host:port of the internal listener; empty: not told
	PublicAddr   string // host:port for devices; empty: not told

	State     State
	Processor bool // takes records from queues and nothing else: it holds no devices and keeps no accounts
}

// Origin returns the node and its epoch, which name the process.
func (m Member) Origin() session.Origin { return session.Origin{Node: m.Node, Epoch: m.Epoch} }

// Events hears of the other members. The calls come in order, one at a time, from one
// goroutine of gossip's, which waits for them: what takes long belongs elsewhere. A
// member is named by its origin: between Joined and Left of one node there is no
// Joined with another epoch. What happens faster than it is told is told as one change.
type Events interface {
	Joined(m Member)
	Changed(m Member) // state or addresses; the origin is that of Joined
	Left(m Member, why Reason)
}
