package replica

import (
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// sendHeads begins a comparison with one random peer. Both sides learn what they lack: the
// peer from the heads, this node from the answer.
func (r *Replica) sendHeads(nowMS int64) {
	peers := r.Links.Peers(nil)
	if len(peers) == 0 {
		return
	}
	r.mu.Lock()
	peer := peers[r.random.IntN(len(peers))]
	m := wire.Heads{SentMS: max(nowMS, 0), Heads: r.headsLocked(nil)}
	r.mu.Unlock()
	r.send(peer, &m)
}

// Heads appends how far this node knows each log. Seq is 0 for one it could not pass on.
func (r *Replica) Heads(dst []wire.Head) []wire.Head {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.headsLocked(dst)
}

func (r *Replica) headsLocked(dst []wire.Head) []wire.Head {
	dst = append(dst, r.Head())
	for _, a := range r.authors {
		dst = append(dst, wire.Head{Author: a.origin, Seq: r.passes(a)})
	}
	return dst
}

// passes returns up to where this node can pass an author's log on.
func (r *Replica) passes(a *author) uint64 {
	if a.state != live || a.incomplete {
		return 0
	}
	return a.seq
}

// compare notes what the peer is ahead in and asks for it, and says what it is behind in.
func (r *Replica) compare(from string, m *wire.Heads, nowMS int64, fx *effects) {
	r.compareClocks(from, m.SentMS, nowMS, fx)
	var theirs map[session.Origin]uint64
	if !m.Answer {
		theirs = make(map[session.Origin]uint64, len(m.Heads))
	}
	own := r.Head().Seq
	for _, h := range m.Heads {
		if theirs != nil {
			theirs[h.Author] = h.Seq
		}
		if h.Author.Node == r.self.Node && h.Author.Epoch > r.self.Epoch || h.Author == r.self && h.Seq > own {
			r.stats.Outdated++
			fx.outdated = max(fx.outdated, h.Author.Epoch)
		}
		a := r.byNode[h.Author.Node]
		if a == nil || !a.member || a.origin.Epoch != h.Author.Epoch {
			continue // gossip says who is a member; nothing is lost, its log is asked for then
		}
		a.known = max(a.known, h.Seq)
		if h.Seq > 0 && (h.Seq > a.seq || a.state != live) {
			a.asking.hint = from
		}
		if from == a.origin.Node && r.mendable(a, nowMS) {
			a.reload = true
		}
		r.want(a, nowMS, fx)
	}
	if theirs == nil {
		return
	}
	var ahead []wire.Head
	for _, h := range r.headsLocked(nil) {
		if h.Seq > theirs[h.Author] {
			ahead = append(ahead, h)
		}
	}
	if len(ahead) > 0 {
		fx.heads = append(fx.heads, reply{from, wire.Heads{Answer: true, SentMS: max(nowMS, 0), Heads: ahead}})
	}
}
