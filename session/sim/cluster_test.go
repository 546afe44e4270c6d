package sim

import (
	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/replica"
	"github.com/roostpush/roost/session/route"
	"github.com/roostpush/roost/session/wire"
)

// What introduces the parts of a node to each other, as cmd/roost/internal/cluster does:
// a difference to cluster.go and registry.go there is a fault in one of the two.

// Opened and Closed put what the registry announces into the node's log
// (session.Announcer).
func (n *process) Opened(address, account uint64) (version uint64) {
	return n.replica.Opened(address, account, n.nowMS())
}

// Closed is the end of the session of that version.
func (n *process) Closed(address, account, version uint64) {
	n.replica.Closed(address, account, version, n.nowMS())
}

// Locate says where the table has a device (deliver.Cluster).
func (n *process) Locate(account, device string) deliver.Place {
	address, ofAccount := n.w.hash(account, device)
	e, ok := n.table.Lookup(address)
	if !ok {
		return deliver.Place{}
	}
	p := deliver.Place{Author: uint16(e.Author), Address: address, Account: ofAccount, Version: e.Version}
	switch o, known := n.replica.Origin(e.Author); {
	case e.Closed || !known:
		p.State = deliver.Closed
	case e.Author == n.replica.Self():
		p.State = deliver.Here
	default:
		p.State, p.Node = deliver.There, o.Node
	}
	return p
}

// Holds says whether the own log has an open session with the hash of an address
// (deliver.Cluster).
func (n *process) Holds(account, device string) bool {
	address, _ := n.w.hash(account, device)
	_, closed, ok := n.table.Get(n.replica.Self(), address)
	return ok && !closed
}

// Forget takes what Locate said out of the table (deliver.Cluster).
func (n *process) Forget(p deliver.Place) {
	n.replica.Misrouted(p.Address, p.Account, replica.Entry{Author: replica.Author(p.Author), Version: p.Version})
}

// AppendNodes appends the other nodes that may hold devices of the account, or any
// (deliver.Cluster).
func (n *process) AppendNodes(dst []string, account string) []string {
	if account == "" {
		for id := range n.w.nodes {
			if o, ok := n.members[id]; ok {
				dst = append(dst, o.Node)
			}
		}
		return dst
	}
	_, ofAccount := n.w.hash(account, "")
	var room [16]route.Author
	for _, a := range n.table.AppendAccount(room[:0], ofAccount) {
		if o, ok := n.replica.Origin(a); ok && a != n.replica.Self() {
			dst = append(dst, o.Node)
		}
	}
	return dst
}

// registry is the node's sessions, as the logs see them: replica.Sessions and Owner.
type registry struct{ n *process }

func (r registry) AppendOpen(dst []wire.Change, cursor uint64, n int) ([]wire.Change, uint64) {
	var room [256]session.Opening
	for n > 0 {
		list, next := r.n.sessions.AppendOpenings(room[:0], cursor, min(n, len(room)))
		for _, o := range list {
			dst = append(dst, wire.Change{Address: o.Address, Account: o.Account, Version: o.Version})
		}
		if cursor = next; next == 0 {
			break
		}
		n -= max(1, len(list))
	}
	return dst, cursor
}

func (r registry) Find(address, account uint64) (name session.Address, ok bool) {
	if s, _ := r.n.sessions.ByHash(address, account); s != nil {
		return s.Address, true
	}
	return name, false
}

func (r registry) Displace(address, account, version uint64) {
	n := r.n
	if s, now := n.sessions.ByHash(address, account); s != nil && now == version {
		n.w.trace(n.w.named[s.Address], "displaced on %s, version %d", n.name, version)
		sockets{n}.Close(netpoll.ConnID(s.Conn))
	}
}

func (r registry) Reassert(address, account, version uint64) {
	if s, now := r.n.sessions.ByHash(address, account); s != nil && now == version {
		r.n.sessions.Reassert(s, func() uint64 { return r.n.Opened(address, account) })
		_, now = r.n.sessions.ByHash(address, account)
		r.n.w.trace(r.n.w.named[s.Address], "re-asserted on %s, version %d, now %d", r.n.name, version, now)
	}
}

// links is the links, as the logs see them (replica.Links).
type links struct{ n *process }

func (l links) Send(node string, message any) bool {
	return l.n.w.send(l.n, nodeNumber(node), message)
}

func (l links) Peers(dst []string) []string {
	for id := range l.n.w.nodes {
		if id != l.n.id && l.n.w.pair(l.n.id, id).up {
			dst = append(dst, nodeName(id))
		}
	}
	return dst
}

// changed is what another node's log says (replica.Ports.Online).
func (n *process) changed(_ string, changes []wire.Change) {
	if n.keeping == nil {
		return // the node is being put together
	}
	if len(changes) == 0 {
		n.keeping.homes.LookAgain()
	} else {
		n.keeping.homes.Online(changes)
	}
	n.keeping.touched()
}

// receive gives the replica what came over a link.
func (n *process) receive(from string, message any) {
	if !n.up {
		return
	}
	if err := n.replica.Receive(from, message, n.nowMS()); err != nil {
		n.w.fail("%s refuses a message from %s: %v", n.name, from, err)
	}
}

func (n *process) linked(peer *process) {
	if n.up {
		n.keeping.linked(peer.name)
		n.replica.Linked(peer.name, n.nowMS())
	}
}

func (n *process) unlinked(peer *process) {
	if n.up {
		n.replica.Unlinked(peer.name)
		n.keeping.homes.Unlinked(peer.name)
		n.keeping.touched()
		n.lose(peer)
	}
}
