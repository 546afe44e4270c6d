package deliver

import (
	"slices"
	"strings"
	"sync"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

// A roost.raw device acks a message by the pong of the ping behind it, which carries the
// message's id. It need not answer every ping: where several have come it may answer the
// newest only (RFC 6455 section 5.5.3). So each connection's pings are remembered in the
// order in which they were written, and a pong stands for all before it.

// pingsMax bounds what is remembered of one connection: twice the mailbox's window. Of a
// ping that is forgotten its own pong still counts.
const pingsMax = 256

// pingShards spreads the connections over locks.
const pingShards = 16

type pings struct {
	shards [pingShards]struct {
		mu sync.Mutex
		of map[uint64][]session.ID // by connection, oldest first
		_  [48]byte                // a cache line for each shard
	}
	spare sync.Pool // of *ping
}

// ping hears whether a ping was written (netpoll.Receipt). It is used again and again.
type ping struct {
	router *Router
	conn   uint64
	id     session.ID
}

// sendPing sends the ping behind a message to a roost.raw device. id is borrowed.
func (r *Router) sendPing(conn uint64, id session.ID, text []byte) {
	p := r.pings.spare.Get().(*ping)
	p.conn, p.id = conn, id
	if id.Node == r.origin.Node {
		p.id.Node = r.origin.Node
	} else {
		p.id.Node = strings.Clone(id.Node)
	}
	r.sockets.Send(netpoll.ConnID(conn), netpoll.OpPing, text, p, 0)
}

// Sent is called on the connection's loop, in the order of the writes, and so before
// anything that the device answers is read.
func (p *ping) Sent(_ uint64, res netpoll.Result) {
	r := p.router
	if res == netpoll.ResultWritten {
		s := &r.pings.shards[p.conn%pingShards]
		s.mu.Lock()
		list := s.of[p.conn]
		if len(list) >= pingsMax {
			r.count.pingsForgotten.Add(1)
			list = slices.Delete(list, 0, 1)
		}
		if s.of == nil {
			s.of = make(map[uint64][]session.ID)
		}
		s.of[p.conn] = append(list, p.id)
		s.mu.Unlock()
	}
	p.id = session.ID{}
	r.pings.spare.Put(p)
}

// Ponged appends the ids of the messages that a pong on that connection acks: the one it
// carries, which is borrowed, and those whose pings were written before.
func (r *Router) Ponged(dst []session.ID, conn uint64, id session.ID) []session.ID {
	s := &r.pings.shards[conn%pingShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.of[conn]
	at := slices.Index(list, id)
	if at < 0 {
		return append(dst, id)
	}
	dst = append(dst, list[:at+1]...)
	if at+1 == len(list) {
		delete(s.of, conn)
	} else {
		s.of[conn] = slices.Delete(list, 0, at+1)
	}
	return dst
}

// ForgetPings is called when a roost.raw device's connection is over.
func (r *Router) ForgetPings(conn uint64) {
	s := &r.pings.shards[conn%pingShards]
	s.mu.Lock()
	delete(s.of, conn)
	s.mu.Unlock()
}
