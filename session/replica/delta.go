package replica

import "github.com/roostpush/roost/session/wire"

// HOT PATH

// delta takes changes of one author, from it or from a peer.
//
//  1. Of a log that is live, what is the next in order is applied.
//  2. What was received before is ignored, what leaves a gap is kept and the rest asked
//     for.
//  3. While a snapshot is coming, all are kept besides: they may be missing in it.
func (r *Replica) delta(d *wire.Delta, nowMS int64, fx *effects) {
	r.stats.Deltas++
	a := r.following(d.Author)
	if a == nil {
		return
	}
	last := d.First + uint64(len(d.Changes)) - 1
	a.known = max(a.known, last)
	if a.state != live || a.load.active || a.asking.whole {
		r.stats.DroppedEarly += uint64(a.early.add(d, r.cfg.EarlyChanges))
	}
	switch next := a.seq + 1; {
	case a.state != live:
	case last < next:
		r.stats.Old += uint64(len(d.Changes))
		return
	case d.First > next:
		r.stats.Gaps++
		if !a.load.active && !a.asking.whole {
			r.stats.DroppedEarly += uint64(a.early.add(d, r.cfg.EarlyChanges))
		}
	default:
		r.stats.Old += next - d.First
		r.apply(a, d.Changes[next-d.First:], nowMS, fx)
		if !a.load.active && !a.asking.whole {
			r.applyEarly(a, nowMS, fx)
		}
		a.asking.progress(nowMS, r.cfg.AskMS)
		if d.AtMS != 0 {
			r.stats.observe(nowMS - int64(d.AtMS))
		}
	}
	r.want(a, nowMS, fx)
}

// apply puts the author's next changes into its set.
func (r *Replica) apply(a *author, changes []wire.Change, nowMS int64, fx *effects) {
	newest := uint64(0)
	for i := range changes {
		if i%touched == 0 {
			r.touch(changes[i:])
		}
		c := &changes[i]
		newest = max(newest, c.Version)
		r.unbury(a, c)
		if c.Closed {
			account := c.Account
			if a.relayed {
				account = 0
			}
			r.remove(a.set, c.Address, account, c.Version)
		} else {
			r.put(a, a.set, c, a.relayed, nowMS)
		}
		r.hide(c.Address, c.Account)
		if r.beaten(c.Address, c.Version, a.origin.Node) {
			r.contest(a.origin.Node, c, nowMS, fx)
		}
		a.recent.append(*c)
	}
	r.clock.saw(newest, nowMS, int64(r.cfg.DriftMS))
	a.seq += uint64(len(changes))
	r.stats.Changes += uint64(len(changes))
	if r.Online != nil && len(changes) > 0 {
		fx.online = append(fx.online, online{a.origin.Node, changes})
	}
}

// touched is how many changes are fetched at once: as many as a processor has loads under
// way, and few enough to be there still when their turn comes.
const touched = 16

// touch fetches what the next changes will look at.
func (r *Replica) touch(changes []wire.Change) {
	if len(changes) < 2 {
		return
	}
	for i := range changes[:min(touched, len(changes))] {
		r.Table.Touch(changes[i].Address, changes[i].Account)
	}
}

// unbury makes room for an opening whose version is below that of the author's own
// tombstone. A log is true in its order: such an opening follows the closing. It comes about
// if the author has forgotten a version that was further ahead than its clock takes over.
func (r *Replica) unbury(a *author, c *wire.Change) {
	if c.Version > a.newest {
		a.newest = c.Version
		return
	}
	if version, closed, ok := r.Table.Get(a.set, c.Address); ok && closed && !c.Closed && version > c.Version {
		r.Table.Forget(a.set, c.Address, c.Account, version)
	}
}

// applyEarly applies what waited, as far as it is next in order.
func (r *Replica) applyEarly(a *author, nowMS int64, fx *effects) {
	if changes := a.early.take(a.seq + 1); len(changes) > 0 {
		r.apply(a, changes, nowMS, fx)
	}
}
