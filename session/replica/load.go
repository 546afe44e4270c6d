package replica

import (
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// load is a snapshot on its way in.
type load struct {
	active bool
	from   string // whose chunks they are
	set    Author // where they go; not visible yet
	seq    uint64
	next   uint32 // index of the chunk that must follow
	lastMS int64  // when the newest came

	incomplete bool // the table was full for some of it

	beaten []wire.Change
}

// beatenMax is how many own sessions a snapshot may beat that are settled at once when
// it is swapped in; the audit, which follows every swap, finds the others.
const beatenMax = 1024

// chunk takes a part of a snapshot: the first opens a set beside the visible one, each
// must follow the one before on the same link, and the last swaps.
func (r *Replica) chunk(from string, c *wire.SnapshotChunk, nowMS int64, fx *effects) {
	a := r.following(c.Author)
	if a == nil {
		return
	}
	a.known = max(a.known, c.Seq)
	if c.Index == 0 && !r.begin(a, from, c) {
		r.stats.DroppedChunks++
		return
	}
	l := &a.load
	if !l.active || l.from != from || l.seq != c.Seq || l.next != c.Index {
		r.stats.DroppedChunks++
		if l.active && l.from == from {
			r.abandon(a)
		}
		return
	}
	l.next++
	l.lastMS = nowMS
	a.asking.progress(nowMS, r.cfg.LoadMS)
	relayed := from != a.origin.Node
	newest := uint64(0)
	for i := range c.Changes {
		if i%touched == 0 {
			r.touch(c.Changes[i:])
		}
		e := &c.Changes[i]
		newest = max(newest, e.Version)
		r.put(a, l.set, e, relayed, nowMS)
		r.hideLoaded(e)
		if len(l.beaten) < beatenMax && r.beaten(e.Address, e.Version, a.origin.Node) {
			l.beaten = append(l.beaten, *e)
		}
	}
	r.clock.saw(newest, nowMS, int64(r.cfg.DriftMS))
	switch {
	case a.isWorse():
		a.unfitMS, a.reload = nowMS, false
		r.abandon(a)
		a.asking.done()
		r.want(a, nowMS, fx)
	case c.Last:
		r.swap(a, nowMS, fx)
	}
}

// begin makes room for a snapshot that was asked for. One that is older than what is
// here is of no use, and one is enough.
func (r *Replica) begin(a *author, from string, c *wire.SnapshotChunk) bool {
	asked := a.asking.sent && (from == a.origin.Node || from == a.asking.hint)
	if !asked || a.state == live && c.Seq < a.seq || a.load.active && a.load.from != from {
		return false
	}
	r.abandon(a)
	set := a.set
	if ruleSwap || set == 0 {
		var err error
		if set, err = r.Table.NewSet(); err != nil {
			r.stats.DroppedFull++
			return false
		}
		r.name(set, a.origin)
	}
	a.load = load{active: true, from: from, set: set, seq: c.Seq}
	if a.state == none {
		a.state = loading
	}
	return true
}

// swap makes the loaded set the author's visible one, in one step, and applies what came
// meanwhile.
func (r *Replica) swap(a *author, nowMS int64, fx *effects) {
	l := a.load
	if a.state == live && l.seq < a.seq && !a.early.reaches(l.seq+1, a.seq) {
		r.abandon(a) // the set in the table is nearer to the truth
		a.asking.done()
		r.want(a, nowMS, fx)
		return
	}
	a.load = load{}
	if l.set != a.set {
		if err := r.Table.Publish(l.set, a.set); err != nil {
			panic(err) // both sets are ours, and neither was dropped
		}
		if a.set != 0 {
			r.name(a.set, session.Origin{})
		}
	}
	if a.seq != l.seq || a.state != live {
		a.recent.reset(l.seq)
	}
	a.set, a.seq, a.state = l.set, l.seq, live
	r.countLacking()
	a.relayed, a.reload = l.from != a.origin.Node, false
	r.lack(a, l.incomplete)
	a.loadedMS, a.unfitMS = nowMS, 0
	a.asking.done()
	r.stats.Swaps++
	for i := range l.beaten {
		r.contest(a.origin.Node, &l.beaten[i], nowMS, fx)
	}
	if r.Online != nil {
		fx.online = append(fx.online, online{node: a.origin.Node})
	}
	r.applyEarly(a, nowMS, fx)
	r.audit.wanted = true
	r.want(a, nowMS, fx)
}

// abandon gives up a snapshot that is half loaded.
func (r *Replica) abandon(a *author) {
	if !a.load.active {
		return
	}
	if a.load.set != a.set {
		r.Table.Drop(a.load.set)
		r.name(a.load.set, session.Origin{})
	}
	a.load = load{}
	if a.state == loading {
		a.state = none
	}
	r.stats.Abandoned++
}
