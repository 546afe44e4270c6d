package gossip

import "fmt"

// Refusal is why one node wants nothing to do with another. The set is closed: each has
// a counter.
type Refusal uint8

const (
	RefusedCluster   Refusal = iota // another cluster's name
	RefusedVersion                  // another major version
	RefusedKeys                     // no key in common, or keys on one side only
	RefusedEpoch                    // a higher epoch of that node is known: it is a ghost
	RefusedMalformed                // it cannot be read
	RefusedFull                     // members_max is reached

	refusalCount
)

func (r Refusal) String() string {
	if r < refusalCount {
		return [...]string{"cluster", "version", "keys", "epoch", "malformed", "full"}[r]
	}
	return "unknown"
}

// RefusedError says that a node was refused, by which and why. Start returns it when
// every node that could be reached refused this one.
type RefusedError struct {
	Why    Refusal
	Addr   string // whom it concerns, as it was dialled or as it called
	Node   string // the node there, if it said
	Known  uint64 // with RefusedEpoch: the highest epoch that is known
	Detail string // a sentence for people
}

func (e *RefusedError) Error() string {
	who := e.Addr
	if e.Node != "" {
		who = e.Node + " at " + e.Addr
	}
	return fmt.Sprintf("gossip: refused by %s (%s): %s", who, e.Why, e.Detail)
}

// TakenError says that another process answers under this node's id.
type TakenError struct {
	Node  string
	Epoch uint64 // of the process that answers
	Addr  string // its gossip address
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("gossip: node id %q is taken: a process with epoch %d answers at %s; stop that one, or give this one another id", e.Node, e.Epoch, e.Addr)
}

// StaleError says that peers know an epoch of this node that is not below its own. The
// caller may start again with Known + 1.
type StaleError struct{ Epoch, Known uint64 }

func (e *StaleError) Error() string {
	return fmt.Sprintf("gossip: epoch %d is stale: peers know epoch %d of this node", e.Epoch, e.Known)
}

func versionDetail(theirs uint64) string {
	return fmt.Sprintf("version %d does not fit version %d", theirs, uint64(versionMajor))
}
