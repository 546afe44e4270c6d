package replica

import (
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// state of another node's log here.
type state uint8

const (
	none    state = iota // nothing is known of it
	loading              // the first snapshot is coming
	live                 // its set is in the table as it was after change seq
)

// author is one node as its log is followed. Everything in it is guarded by
// Replica.mu.
type author struct {
	origin session.Origin // the newest epoch that joined
	member bool
	state  state
	set    Author // visible; 0 until there is one
	seq    uint64 // newest change applied, while live
	known  uint64 // newest change anybody mentioned
	newest uint64 // highest version applied

	clockMS int64 // how far its clock was ahead of ours when heads were compared last
	skewed  bool  // further than skew_ms

	relayed    bool // the set came from a peer and is not in the account index
	incomplete bool // the table was full for some of it; see room.go
	loadedMS   int64
	unfitMS    int64 // when a snapshot that was to mend it did not fit; 0: none
	reload     bool  // though live, it is to be loaded again: one of the above can be mended

	recent ring  // for peers that have no link to it
	early  early // changes that wait for what precedes them
	load   load  // the snapshot that is coming
	asking asking
}

// Joined is told by gossip that a node is a member, alive, in that epoch. A newer epoch
// ends what is known of an older one; an older one is ignored.
func (r *Replica) Joined(o session.Origin, nowMS int64) {
	if o.Node == r.self.Node {
		return
	}
	fx := r.effects.Get().(*effects)
	r.mu.Lock()
	if a := r.author(o.Node); a != nil && o.Epoch >= a.origin.Epoch && (!a.member || o.Epoch > a.origin.Epoch) {
		if o.Epoch > a.origin.Epoch {
			a.state = none // whatever ruleReset says: this is another log
			r.drop(a, fx)
			a.origin, a.known, a.newest = o, 0, 0
		}
		a.member = true
		a.asking = asking{}
		r.stats.Joined++
		r.countLacking()
		r.want(a, nowMS, fx)
	}
	r.mu.Unlock()
	r.run(fx)
}

// Left is told by gossip that a node is no longer a member in that epoch: it left, died,
// or cannot be reached. Its whole set goes at once.
func (r *Replica) Left(o session.Origin) {
	fx := r.effects.Get().(*effects)
	r.mu.Lock()
	if a := r.byNode[o.Node]; a != nil && a.member && o.Epoch >= a.origin.Epoch {
		a.member, a.clockMS, a.skewed = false, 0, false
		r.drop(a, fx)
		r.countLacking()
		r.stats.Left++
	}
	r.mu.Unlock()
	r.run(fx)
}

// Linked is told that there is a link to a node: what could not be asked for is asked
// for now, and heads are compared, as deltas may have been lost with an earlier link.
func (r *Replica) Linked(node string, nowMS int64) {
	fx := r.effects.Get().(*effects)
	r.mu.Lock()
	for _, a := range r.authors {
		if (a.origin.Node == node || a.state != live) && !a.load.active {
			a.asking = asking{hint: a.asking.hint}
			a.reload = a.reload || a.relayed && a.origin.Node == node
			r.want(a, nowMS, fx)
		}
	}
	r.askAgain(node, nowMS, fx)
	fx.heads = append(fx.heads, reply{node, wire.Heads{SentMS: max(nowMS, 0), Heads: r.headsLocked(nil)}})
	r.mu.Unlock()
	r.run(fx)
}

// Unlinked is told that the link to a node is gone, and with it whatever was on it.
func (r *Replica) Unlinked(node string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.authors {
		if a.load.active && a.load.from == node {
			r.abandon(a)
			a.asking.done()
		}
	}
	for _, t := range r.transfers {
		t.over = t.over || t.to == node
	}
}

// author returns what is known of a node, a new one if need be; nil: there are too many.
func (r *Replica) author(node string) *author {
	if a := r.byNode[node]; a != nil {
		return a
	}
	if len(r.authors) >= r.cfg.AuthorsMax && !r.forgetAuthor() {
		r.stats.DroppedAuthors++
		return nil
	}
	a := &author{origin: session.Origin{Node: node}}
	a.recent.max = r.cfg.RelayedChanges
	r.byNode[node] = a
	r.authors = append(r.authors, a)
	return a
}

// forgetAuthor makes room for one by forgetting the one that is longest known of those that left.
// Members are not forgotten.
func (r *Replica) forgetAuthor() bool {
	for i, a := range r.authors {
		if !a.member {
			delete(r.byNode, a.origin.Node)
			r.authors = append(r.authors[:i], r.authors[i+1:]...)
			return true
		}
	}
	return false
}

// following returns the author of a message, if it is a member in just that epoch.
func (r *Replica) following(o session.Origin) *author {
	if a := r.byNode[o.Node]; a != nil && a.member && a.origin.Epoch == o.Epoch {
		return a
	}
	r.stats.DroppedStrange++
	return nil
}

// drop removes all there is of an author's log. It is none then: the same epoch is
// pulled again when it comes back, although no head moved. What its entries hid comes to light.
func (r *Replica) drop(a *author, fx *effects) {
	r.abandon(a)
	if a.set != 0 {
		if r.Online != nil {
			fx.online = append(fx.online, online{node: a.origin.Node})
		}
		r.Table.Drop(a.set)
		r.name(a.set, session.Origin{})
		a.set = 0
	}
	a.early.reset()
	a.recent.reset(0)
	switch {
	case ruleReset:
		a.state = none
	case a.state == live:
		a.set, _ = r.Table.NewSet()
		r.name(a.set, a.origin)
		_ = r.Table.Publish(a.set, 0)
	}
	a.relayed, a.reload, a.unfitMS = false, false, 0
	r.lack(a, false)
}

// put opens an entry of a foreign set.
func (r *Replica) put(a *author, set Author, c *wire.Change, relayed bool, nowMS int64) {
	account := c.Account
	if relayed {
		account = 0
	}
	a.newest = max(a.newest, c.Version)
	if c.Version > uint64(max(nowMS+int64(r.cfg.SkewMS), 0)) {
		r.stats.Skewed++
	}
	if r.Table.Put(set, c.Address, account, c.Version) == nil {
		return
	}
	r.stats.DroppedFull++
	if set != a.set {
		a.load.incomplete = true
		return
	}
	r.lack(a, true)
}
