// HOT PATH: Opened and Closed run on event loops.

package cluster

import (
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/store"
)

// Journal takes what happens to this node's sessions to the home of their account
// (protocol.Journal): this node's store, or another node. It never blocks and, in a
// steady state, allocates nothing.
type Journal struct {
	Own    *store.Store
	Others *Cluster
}

// Opened notes that a session was opened. All arguments are borrowed.
func (j Journal) Opened(s *session.Session, userAgent, remote string, attrs []byte) {
	node := j.Others.homes.of(s.Account)
	if node == j.Others.self.Node {
		j.Own.Opened(s, userAgent, remote, attrs)
		return
	}
	f := j.fact(s)
	f.Detailed, f.UserAgent, f.Remote, f.Attrs = true, userAgent, remote, attrs
	j.Own.Trim(&f)
	j.Others.keeper.keep(node, &f)
}

// Closed notes that a session ended.
func (j Journal) Closed(s *session.Session, closedMS int64, code uint16) {
	node := j.Others.homes.of(s.Account)
	if node == j.Others.self.Node {
		j.Own.Closed(s, closedMS, code)
		return
	}
	f := j.fact(s)
	f.Closed, f.ClosedMS, f.CloseCode = true, closedMS, code
	j.Others.keeper.keep(node, &f)
}

func (j Journal) fact(s *session.Session) session.Fact {
	return session.Fact{Address: s.Address, Origin: j.Others.self, Number: s.Number, Version: s.Version, OpenedMS: s.OpenedMS}
}
