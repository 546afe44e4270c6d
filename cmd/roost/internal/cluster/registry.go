package cluster

import (
	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/protocol"
	"github.com/roostpush/roost/session/wire"
)

// Opened and Closed put what the registry announces into the node's log
// (session.Announcer).
func (c *Cluster) Opened(address, account uint64) (version uint64) {
	version = c.replica.Opened(address, account, c.nowMS())
	c.lists.changed(account) // its record elsewhere is about to change
	return version
}

// Closed is the end of the session of that version.
func (c *Cluster) Closed(address, account, version uint64) {
	c.replica.Closed(address, account, version, c.nowMS())
	c.lists.changed(account)
}

// registry is the node's sessions, as the logs see them: replica.Sessions and Owner.
type registry struct{ c *Cluster }

func (r registry) AppendOpen(dst []wire.Change, cursor uint64, n int) ([]wire.Change, uint64) {
	var room [256]session.Opening
	for n > 0 {
		list, next := r.c.sessions.AppendOpenings(room[:0], cursor, min(n, len(room)))
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
	if s, _ := r.c.sessions.ByHash(address, account); s != nil {
		return s.Address, true
	}
	return name, false
}

func (r registry) Displace(address, account, version uint64) {
	if s, now := r.c.sessions.ByHash(address, account); s != nil && now == version {
		r.c.node.Sockets.Close(netpoll.ConnID(s.Conn), protocol.CloseReplaced, "replaced by a newer connection of this device on another node")
	}
}

func (r registry) Reassert(address, account, version uint64) {
	if s, now := r.c.sessions.ByHash(address, account); s != nil && now == version {
		r.c.sessions.Reassert(s, func() uint64 { return r.c.Opened(address, account) })
	}
}
