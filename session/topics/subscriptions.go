// HOT PATH

package topics

import (
	"slices"
	"strings"
	"sync"

	"github.com/roostpush/roost/session"
)

// subscriptions are the sessions of this node by what they have subscribed to. Any
// goroutine may call any method.
//
// One lock guards all: a subscription holds it for about a microsecond. Finding the
// subscribers of a topic takes a tenth of that and copies them, 8 bytes each; only those of
// a second pattern that stands for the topic are looked at one by one, in some 35 ns.
type subscriptions struct {
	max, sessionMax int
	everything      bool // nobody's token counts (mode none)

	mu      sync.RWMutex
	entries map[string]*entry // by key
	holders map[*session.Session]*holder
	length  int    // of all members
	made    uint64 // entries, ever

	changes changes
}

// entry is one topic or pattern that anybody has subscribed to, or waits to.
type entry struct {
	pattern  string
	key      string // of pattern
	number   uint64 // how many were made before, and this
	members  []*session.Session
	awaiting map[*replay]struct{} // whose sessions become members later, and hold messages back
}

// holder is what is known of one session: what it may subscribe to and what it has.
type holder struct {
	permitted []string // shared with others, see auth.Claims
	places    []place
	replays   []*replay
}

// place is a session's among the members of an entry.
type place struct {
	entry *entry
	at    int
}

func (x *subscriptions) init(cfg *Config, everything bool) {
	x.max, x.sessionMax, x.everything = cfg.SubscriptionsMax, cfg.SessionSubscriptionsMax, everything
	x.entries, x.holders = map[string]*entry{}, map[*session.Session]*holder{}
}

// permit notes what a session may subscribe to. What it has beyond that ends.
func (x *subscriptions) permit(s *session.Session, patterns []string) (ended int) {
	if x.everything {
		return 0
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.holders[s]
	switch {
	case h == nil && len(patterns) > 0:
		x.holders[s] = &holder{permitted: patterns}
	case h != nil:
		h.permitted = patterns
		for i := len(h.places) - 1; i >= 0; i-- {
			if !coversAny(patterns, h.places[i].entry.pattern) {
				x.removeLocked(h, i)
				ended++
			}
		}
		for _, r := range h.replays {
			ended += x.narrowLocked(r, patterns)
		}
		x.releaseLocked(s, h)
	}
	return ended
}

// admitLocked says whether a session may subscribe to one more pattern: Pending if so, and
// h is its holder from now on. A pattern that it has is no more.
func (x *subscriptions) admitLocked(s *session.Session, pattern string) (h *holder, refused session.Outcome) {
	h = x.holders[s]
	switch {
	case !x.everything && (h == nil || !coversAny(h.permitted, pattern)):
		return h, session.Forbidden
	case h == nil && x.length < x.max:
		h = &holder{}
		x.holders[s] = h
	case h == nil:
		return nil, session.Overloaded
	case h.find(pattern) >= 0:
	case x.length >= x.max || len(h.places)+h.awaited() >= x.sessionMax:
		return h, session.Overloaded
	}
	return h, session.Pending
}

// subscribeLocked makes a session a member; Pending says that it is one, or was.
func (x *subscriptions) subscribeLocked(s *session.Session, pattern string) session.Outcome {
	h, refused := x.admitLocked(s, pattern)
	if refused == session.Pending {
		x.joinLocked(s, h, pattern)
	}
	return refused
}

func (x *subscriptions) joinLocked(s *session.Session, h *holder, pattern string) {
	if h.find(pattern) >= 0 {
		return
	}
	e := x.entryLocked(pattern)
	h.places = append(h.places, place{e, len(e.members)})
	e.members = append(e.members, s)
	x.length++
}

// entryLocked returns the entry of a pattern, which is borrowed, a new one if need be.
func (x *subscriptions) entryLocked(pattern string) *entry {
	e := x.entries[keyOf(pattern)]
	if e == nil {
		e = &entry{pattern: strings.Clone(pattern)}
		e.key = keyOf(e.pattern)
		x.entries[e.key] = e
		x.made++
		e.number = x.made
		x.changes.note(e.pattern, false)
	}
	return e
}

// unsubscribe ends a subscription; false says that there was none.
func (x *subscriptions) unsubscribe(s *session.Session, pattern string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.holders[s]
	if h == nil {
		return false
	}
	i := h.find(pattern)
	waited := false
	for _, r := range h.replays {
		waited = x.withdrawLocked(r, pattern) || waited
	}
	if i >= 0 {
		x.removeLocked(h, i)
	}
	x.releaseLocked(s, h)
	return i >= 0 || waited
}

// forget ends everything of a session.
func (x *subscriptions) forget(s *session.Session) {
	x.mu.RLock()
	h := x.holders[s]
	x.mu.RUnlock()
	if h == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if h = x.holders[s]; h == nil { // of a session that is displaced its own loop may have another by now
		return
	}
	for i := len(h.places) - 1; i >= 0; i-- {
		x.removeLocked(h, i)
	}
	for _, r := range h.replays {
		x.dropLocked(r)
	}
	delete(x.holders, s)
}

// removeLocked ends the subscription that is place i of its holder.
func (x *subscriptions) removeLocked(h *holder, i int) {
	p := h.places[i]
	h.places = slices.Delete(h.places, i, i+1)
	e, last := p.entry, len(p.entry.members)-1
	if p.at != last {
		moved := e.members[last]
		e.members[p.at] = moved
		other := x.holders[moved]
		other.places[other.index(e)].at = p.at
	}
	e.members[last] = nil
	e.members = e.members[:last]
	x.length--
	x.endLocked(e)
}

// endLocked drops an entry that nobody has a use for any more.
func (x *subscriptions) endLocked(e *entry) {
	if len(e.members)+len(e.awaiting) == 0 {
		delete(x.entries, e.key)
		x.changes.note(e.pattern, true)
	}
}

// releaseLocked drops a holder of which nothing need be known any more.
func (x *subscriptions) releaseLocked(s *session.Session, h *holder) {
	if len(h.permitted)+len(h.places)+len(h.replays) == 0 {
		delete(x.holders, s)
	}
}

// appendLocked appends the subscribers of a topic, each once, and hands m to those that
// wait to become one. At least a lock for reading must be held.
func (x *subscriptions) appendLocked(dst []*session.Session, topic string, held func() *Retained) []*session.Session {
	var room [keysMax]*entry
	before := room[:0] // narrower ones
	eachKey(topic, func(key string) bool {
		e := x.entries[key]
		if e == nil {
			return true
		}
		for r := range e.awaiting {
			r.hold(held())
		}
		if len(e.members) == 0 {
			return true
		}
		if len(before) == 0 {
			dst = append(dst, e.members...)
		} else {
			for _, s := range e.members {
				if !x.holders[s].hasAny(before) {
					dst = append(dst, s)
				}
			}
		}
		before = append(before, e)
		return true
	})
	return dst
}

// find returns the number of the holder's place of a pattern, or -1.
func (h *holder) find(pattern string) int {
	return slices.IndexFunc(h.places, func(p place) bool { return p.entry.pattern == pattern })
}

// index returns the number of the holder's place in an entry that it is in.
func (h *holder) index(e *entry) int {
	i := slices.IndexFunc(h.places, func(p place) bool { return p.entry == e })
	if i < 0 {
		panic("topics: a member of an entry has no place in it")
	}
	return i
}

func (h *holder) hasAny(entries []*entry) bool {
	return len(h.places) > 1 && slices.ContainsFunc(h.places, func(p place) bool { return slices.Contains(entries, p.entry) })
}

// awaited counts what the holder waits to have.
func (h *holder) awaited() (n int) {
	for _, r := range h.replays {
		n += len(r.awaits)
	}
	return n
}
