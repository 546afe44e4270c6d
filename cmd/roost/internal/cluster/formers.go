package cluster

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/session/home"
)

// formers remembers who the active members were, since a former home keeps what it has until
// that is too old: whoever looks for something asks there, too. Whoever changes it holds
// homes.mu; anybody may read it, without a lock.
type formers struct {
	keepMS int64 // how long ago they count no more, milliseconds; set once, before the first change
	past   atomic.Pointer[past]
}

// past is what is remembered. It is never changed in place; nil remembers nothing.
type past struct {
	sets  []former         // the newest first
	lost  map[string]int64 // when a process of that node went, with what it kept of topics in memory; steady, milliseconds
	cutMS int64            // when the last of the sets ended that there was no room for; 0: there was for all
}

// former is a set of active members that others have taken the place of.
type former struct {
	members *home.Members
	endedMS int64 // steady, milliseconds
}

// formersMax bounds the sets that are remembered: a rolling restart of 30 nodes has two for
// each. Of more than that the newest are, and all members are asked.
const formersMax = 64

// ended notes a set of members that is over.
func (f *formers) ended(members *home.Members, nowMS int64) {
	f.change(nowMS, func(p *past) { p.sets = slices.Insert(p.sets, 0, former{members, nowMS}) })
}

// went notes that a process is gone, and what it kept of topics with it.
func (f *formers) went(node string, nowMS int64) {
	f.change(nowMS, func(p *past) { p.lost[node] = nowMS })
}

// change makes a past of which nothing is too old.
func (f *formers) change(nowMS int64, with func(p *past)) {
	now := &past{lost: map[string]int64{}}
	if old := f.past.Load(); old != nil {
		now.sets, now.lost, now.cutMS = slices.Clone(old.sets), maps.Clone(old.lost), old.cutMS
	}
	with(now)
	from := nowMS - f.keepMS
	now.sets = slices.DeleteFunc(now.sets, func(s former) bool { return s.endedMS < from })
	maps.DeleteFunc(now.lost, func(_ string, atMS int64) bool { return atMS < from })
	if len(now.sets) > formersMax {
		now.cutMS = now.sets[formersMax].endedMS
		clear(now.sets[formersMax:])
		now.sets = now.sets[:formersMax]
	}
	f.past.Store(now)
}

// appendHomes appends the homes of a hash at any time from fromMS on, each once and none that
// is in dst. whole says that there were no others.
func (p *past) appendHomes(dst []string, hash uint64, fromMS int64) (_ []string, whole bool) {
	if p == nil {
		return dst, true
	}
	for _, s := range p.sets {
		if s.endedMS < fromMS {
			break
		}
		if node := s.members.Home(hash); !slices.Contains(dst, node) {
			dst = append(dst, node)
		}
	}
	return dst, p.cutMS == 0 || p.cutMS < fromMS
}

// wasHome reports whether a node was the home of a hash at any time from fromMS on.
// It allocates nothing.
func (p *past) wasHome(node string, hash uint64, fromMS int64) bool {
	if p == nil {
		return false
	}
	for _, s := range p.sets {
		if s.endedMS < fromMS {
			return false
		}
		if s.members.Home(hash) == node {
			return true
		}
	}
	return false
}

// lostMS is when a process of that node went last, 0 if none did that is remembered.
func (p *past) lostMS(node string) int64 {
	if p == nil {
		return 0
	}
	return p.lost[node]
}

// lastLostMS is when a process of any node went last.
func (p *past) lastLostMS() (ms int64) {
	if p != nil {
		for _, at := range p.lost {
			ms = max(ms, at)
		}
	}
	return ms
}

// mayLack reports whether a node that is gone, for less than cluster.keep.absent_for, may have
// records of an account that nobody else has: it was the account's home until it went, so it
// did not drain, or had not handed over all that belongs elsewhere when it was heard last.
func (c *Cluster) mayLack(account string) bool {
	missing := c.homes.missing(c.settings.SteadyMS(), c.settings.Keeping.AbsentFor)
	if len(missing) == 0 {
		return false
	}
	_, hash := c.settings.Key.Address(account, "")
	past := c.homes.formers.past.Load()
	for node, sinceMS := range missing {
		if past.wasHome(node, hash, sinceMS) || past.cutMS >= sinceMS || c.keeper.HeldAtLast(node) {
			return true
		}
	}
	return false
}

// missing returns the nodes that isMissing is about, and when each went.
func (h *homes) missing(nowMS int64, most time.Duration) map[string]int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	missing := map[string]int64{}
	for node, a := range h.absent {
		if a.records && nowMS-a.sinceMS < most.Milliseconds() {
			missing[node] = a.sinceMS
		}
	}
	return missing
}
