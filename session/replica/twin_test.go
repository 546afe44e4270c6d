package replica

import (
	"errors"
	"slices"
	"sync"
)

// twin is session/route as obviously right as can be.
type twin struct {
	mu      sync.Mutex
	sets    map[Author]*twinSet
	last    Author
	age     int
	entries int
	max     int
}

type twinSet struct {
	visible  bool
	entries  map[uint64]twinEntry
	accounts map[uint64]int
}

type twinEntry struct {
	version uint64
	closed  bool
	age     int
}

var errTwinFull = errors.New("twin: full")

func newTwin() *twin { return &twin{sets: map[Author]*twinSet{}, max: 1 << 30} }

func (t *twin) NewSet() (Author, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	t.sets[t.last] = &twinSet{entries: map[uint64]twinEntry{}, accounts: map[uint64]int{}}
	return t.last, nil
}

func (t *twin) NewOwnSet() (Author, error) { return t.NewSet() }

func (t *twin) SetLen(a Author) (open int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.sets[a]; s != nil {
		for _, e := range s.entries {
			if !e.closed {
				open++
			}
		}
	}
	return open
}

func (t *twin) Room(Author) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(0, t.max-t.entries)
}

func (t *twin) Touch(address, account uint64) {}

func (t *twin) Publish(a, replaces Author) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sets[a].visible = true
	t.dropLocked(replaces)
	return nil
}

func (t *twin) Drop(a Author) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropLocked(a)
	return true
}

func (t *twin) dropLocked(a Author) {
	if s := t.sets[a]; s != nil {
		t.entries -= len(s.entries)
	}
	delete(t.sets, a)
}

func (t *twin) Put(a Author, address, account, version uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sets[a]
	e, ok := s.entries[address]
	if ok && e.version >= version {
		return nil
	}
	if !ok && t.entries >= t.max {
		return errTwinFull
	}
	if !ok {
		t.entries++
	}
	if !ok || e.closed {
		s.accounts[account]++
	}
	s.entries[address] = twinEntry{version: version}
	return nil
}

func (t *twin) Remove(a Author, address, account, version uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sets[a]
	e, ok := s.entries[address]
	if !ok || e.closed || e.version > version {
		return false
	}
	if s.accounts[account]--; s.accounts[account] < 0 {
		panic("twin: the account was not there")
	}
	s.entries[address] = twinEntry{version, true, t.age}
	return true
}

func (t *twin) Forget(a Author, address, account, version uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sets[a]
	if s == nil {
		return false
	}
	e, ok := s.entries[address]
	if !ok || e.version != version {
		return false
	}
	if !e.closed {
		s.accounts[account]--
	}
	delete(s.entries, address)
	t.entries--
	return true
}

func (t *twin) Lookup(address uint64) (newest Entry, found bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for a, s := range t.sets {
		e, ok := s.entries[address]
		if !ok || !s.visible {
			continue
		}
		better := e.version > newest.Version
		if e.version == newest.Version {
			better = newest.Closed && !e.closed || newest.Closed == e.closed && a > newest.Author
		}
		if !found || better {
			newest, found = Entry{Author: a, Version: e.version, Closed: e.closed}, true
		}
	}
	return newest, found
}

func (t *twin) Hides(address uint64) bool {
	newest, found := t.Lookup(address)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.sets {
		if e, ok := s.entries[address]; ok && s.visible && !e.closed {
			return found && newest.Closed
		}
	}
	return false
}

func (t *twin) Get(a Author, address uint64) (version uint64, closed, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sets[a]
	if s == nil {
		return 0, false, false
	}
	e, ok := s.entries[address]
	return e.version, e.closed, ok
}

func (t *twin) Each(a Author, from uint64, n int, f func(address, version uint64, closed bool)) (uint64, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var keys []uint64
	for address := range t.sets[a].entries {
		if address >= from {
			keys = append(keys, address)
		}
	}
	slices.Sort(keys)
	for _, address := range keys[:min(n, len(keys))] {
		e := t.sets[a].entries[address]
		f(address, e.version, e.closed)
	}
	if n >= len(keys) {
		return 0, false
	}
	return keys[n], true
}

func (t *twin) Age() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.age++
}

func (t *twin) Sweep(int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.sets {
		for address, e := range s.entries {
			if e.closed && t.age-e.age > 2 {
				delete(s.entries, address)
				t.entries--
			}
		}
	}
	return false
}

func (t *twin) AppendAccount(dst []Author, account uint64) []Author {
	t.mu.Lock()
	defer t.mu.Unlock()
	for a, s := range t.sets {
		if s.visible && s.accounts[account] > 0 {
			dst = append(dst, a)
		}
	}
	return dst
}
