// HOT PATH: Opened and Closed run on event loops.

package records

import "github.com/roostpush/roost/session"

// Journal takes what happens to this node's sessions to the home of their account
// (protocol.Journal): this node's store, or another node. It never blocks and, in a
// steady state, allocates nothing.
type Journal struct {
	Own    Own // for accounts whose home this node is
	Keeper *Keeper
}

// Own is this node's disk; store.Store is one. What it is given is borrowed; it must not
// block.
type Own interface {
	Opened(s *session.Session, userAgent, remote string, attrs []byte)
	Closed(s *session.Session, closedMS int64, code uint16)
	Trim(f *session.Fact) // takes off what no store would keep
}

// Opened notes that a session was opened. All arguments are borrowed.
func (j Journal) Opened(s *session.Session, userAgent, remote string, attrs []byte) {
	node, own := j.Keeper.home(s.Account)
	if own {
		j.Own.Opened(s, userAgent, remote, attrs)
		return
	}
	f := j.Keeper.newFact(s)
	f.Detailed, f.UserAgent, f.Remote, f.Attrs = true, userAgent, remote, attrs
	j.Own.Trim(f)
	j.Keeper.keepAndFree(node, f)
}

// Closed notes that a session ended.
func (j Journal) Closed(s *session.Session, closedMS int64, code uint16) {
	node, own := j.Keeper.home(s.Account)
	if own {
		j.Own.Closed(s, closedMS, code)
		return
	}
	f := j.Keeper.newFact(s)
	f.Closed, f.ClosedMS, f.CloseCode = true, closedMS, code
	j.Keeper.keepAndFree(node, f)
}

func (k *Keeper) home(account string) (node string, own bool) {
	node = k.ports.Home(account)
	return node, node == k.ports.Self.Node
}

// newFact begins a fact of a session of this node. It comes from a pool: what is passed on
// through an interface would cost memory for each session.
func (k *Keeper) newFact(s *session.Session) *session.Fact {
	f := k.facts.Get().(*session.Fact)
	*f = session.Fact{Address: s.Address, Origin: k.ports.Self, Number: s.Number, Version: s.Version, OpenedMS: s.OpenedMS}
	return f
}

// keepAndFree keeps a fact of newFact, which nobody may use after.
func (k *Keeper) keepAndFree(node string, f *session.Fact) {
	k.Keep(node, f)
	*f = session.Fact{}
	k.facts.Put(f)
}
