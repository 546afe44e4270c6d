package route

import (
	"sync"
	"sync/atomic"
)

// authorsCeiling is the highest number that a slot has room for.
const authorsCeiling = 1<<16 - 1

// sets knows what state every author's set is in. The counts of a set are its
// entries'; states change under mu and may be read without it.
type sets struct {
	visible atomic.Pointer[authorSet] // replaced as a whole

	all []set // by number; 0 is nobody's

	mu      sync.Mutex
	numbers int      // below this one, numbers were used
	free    []Author // used before, and nothing of them is left
	dropped []Author // to be reclaimed by the next pass of the sweeper
}

type set struct {
	state    atomic.Uint32
	own      bool // may take own_entries; written before state says that there is a set
	open     atomic.Int64
	tombs    atomic.Int64
	accounts atomic.Int64  // slots in the index
	life     atomic.Uint32 // which of the sets that had this number
}

const (
	setUnused uint32 = iota
	setLoading
	setVisible
	setDropped
)

// authorSet is a set of authors; it is never changed. It has a bit for every number
// that fits in a slot, because a late reader may ask for any.
type authorSet [(authorsCeiling + 1) / 64]uint64

func (s *authorSet) has(a Author) bool { return s[a>>6]>>(a&63)&1 != 0 }

func (s *sets) init(max int) {
	s.all = make([]set, max+1)
	s.numbers = 1
	s.visible.Store(new(authorSet))
}

// of returns a set by a number that is one.
func (s *sets) of(a Author) *set { return &s.all[a] }

// stateOf returns the state of a number that a caller made up, perhaps.
func (s *sets) stateOf(a Author) uint32 {
	if int(a) >= len(s.all) {
		return setUnused
	}
	return s.all[a].state.Load()
}

func (s *sets) writable(a Author) bool {
	state := s.stateOf(a)
	return state == setLoading || state == setVisible
}

func (s *set) opened()   { s.open.Add(1) }
func (s *set) closed()   { s.open.Add(-1); s.tombs.Add(1) }
func (s *set) reopened() { s.tombs.Add(-1); s.open.Add(1) }

// gone counts an entry out.
func (s *set) gone(value uint64) {
	if isOpen(value) {
		s.open.Add(-1)
	} else {
		s.tombs.Add(-1)
	}
}

// showLocked makes one set visible and another one not, in one step. 0 is neither.
func (s *sets) showLocked(come, goes Author) {
	next := *s.visible.Load()
	next[goes>>6] &^= 1 << (goes & 63)
	if come != 0 {
		next[come>>6] |= 1 << (come & 63)
	}
	s.visible.Store(&next)
}

// NewSet returns the number of an empty set that Lookup does not see: what a
// snapshot is loaded into, until Publish.
func (t *Table) NewSet() (Author, error) { return t.newSet(false) }

// NewOwnSet does the same for the node's own sessions, which may take own_entries.
func (t *Table) NewOwnSet() (Author, error) { return t.newSet(true) }

func (t *Table) newSet(own bool) (Author, error) {
	s := &t.sets
	s.mu.Lock()
	defer s.mu.Unlock()
	var a Author
	switch {
	case len(s.free) > 0:
		a = s.free[len(s.free)-1]
		s.free = s.free[:len(s.free)-1]
	case s.numbers < len(s.all):
		a = Author(s.numbers)
		s.numbers++
	default:
		t.count.setsRefused.Add(1)
		return 0, ErrAuthors
	}
	s.all[a].life.Add(1)
	s.all[a].own = own
	s.all[a].state.Store(setLoading)
	return a, nil
}

// Publish makes a visible and drops the set it replaces, unless that is 0, in one
// step: no look-up sees both or neither. Its cost does not depend on their sizes.
func (t *Table) Publish(a, replaces Author) error {
	s := &t.sets
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.writable(a) || replaces != 0 && (!s.writable(replaces) || replaces == a) {
		return ErrNoSet
	}
	s.all[a].state.Store(setVisible)
	s.showLocked(a, replaces)
	if replaces != 0 {
		s.dropLocked(replaces)
	}
	return nil
}

// Drop takes a set out of the table, visible or not: from now on no look-up finds
// anything of it. Its cost does not depend on the set's size; Sweep reclaims the
// entries, and only then the number can be another set's. False says that there was
// no such set.
func (t *Table) Drop(a Author) bool {
	s := &t.sets
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.writable(a) {
		return false
	}
	s.dropLocked(a)
	s.showLocked(0, a)
	return true
}

func (s *sets) dropLocked(a Author) {
	s.all[a].state.Store(setDropped)
	s.dropped = append(s.dropped, a)
}

// toReclaim hands over the sets that were dropped since it was called last.
func (s *sets) toReclaim() (dropped []Author) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dropped, s.dropped = s.dropped, nil
	return dropped
}

// reclaimed makes the numbers of sets usable again, of which nothing is left.
func (s *sets) reclaimed(done []Author) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range done {
		x := &s.all[a]
		if x.open.Load() != 0 || x.tombs.Load() != 0 || x.accounts.Load() != 0 {
			panic("route: something is left of a reclaimed set")
		}
		x.state.Store(setUnused)
		s.free = append(s.free, a)
	}
}

// SetLen returns how many open entries a set has.
func (t *Table) SetLen(a Author) int {
	if int(a) >= len(t.sets.all) {
		return 0
	}
	return int(t.sets.all[a].open.Load())
}
