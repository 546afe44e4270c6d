package home

import (
	"errors"
	"fmt"
	"slices"
)

// Members are the active nodes of a cluster. A value is never changed: any
// goroutine may use it. Finding a home looks at every member once, a nanosecond each,
// so that a few hundred of them cost less than a hash table's miss.
type Members struct {
	names  []string // sorted
	hashes []uint64 // of the names
	sum    uint64
}

// ErrMember says that a list of members has a name twice, or an empty one.
var ErrMember = errors.New("home: a member's name is empty or there twice")

// New returns the members with those names, which are borrowed. There may be none:
// then nobody is anything's home.
func New(names []string) (*Members, error) {
	m := &Members{names: slices.Clone(names), hashes: make([]uint64, len(names))}
	slices.Sort(m.names)
	for i, name := range m.names {
		if name == "" || i > 0 && name == m.names[i-1] {
			return nil, fmt.Errorf("%w: %q", ErrMember, name)
		}
		m.hashes[i] = Hash(name)
		m.sum = mix(m.sum ^ m.hashes[i])
	}
	return m, nil
}

// Sum identifies the set: sets of other names have another, but for a chance of one in 2^64.
func (m *Members) Sum() uint64 { return m.sum }

// Len returns the number of members.
func (m *Members) Len() int { return len(m.names) }

// Home returns the member that keeps what has that hash: of an account the hash that
// route.Key gives, of a topic Hash of its name. Without members it is empty.
func (m *Members) Home(hash uint64) string {
	best, highest := -1, uint64(0)
	hash = mix(hash)
	for i, h := range m.hashes {
		if s := score(h, hash); best < 0 || s > highest {
			best, highest = i, s
		}
	}
	if best < 0 {
		return ""
	}
	return m.names[best]
}

// AppendCandidates appends the home and those that would be the home next, if the
// ones before them were not there, at most n.
func (m *Members) AppendCandidates(dst []string, hash uint64, n int) []string {
	// The last one found is the bar for the next: those few passes need no memory.
	bar, barAt := uint64(0), -1
	hash = mix(hash)
	for range min(n, len(m.names)) {
		best, highest := -1, uint64(0)
		for i, h := range m.hashes {
			s := score(h, hash)
			taken := barAt >= 0 && (s > bar || s == bar && i <= barAt)
			if !taken && (best < 0 || s > highest) {
				best, highest = i, s
			}
		}
		bar, barAt = highest, best
		dst = append(dst, m.names[best])
	}
	return dst
}

// Hash is the hash of a name: FNV-1a, and mixed, since names of nodes differ in
// their last letter. All nodes of a cluster must agree on it and on score, for as
// long as there is something at home: testdata/homes.txt holds them.
func Hash(name string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	return mix(h)
}

// score decides between members, for a hash that was mixed. For one member it is a
// permutation of the hashes, for one hash of the members, so that only members whose names have one hash can be even;
// then the first by name is the home.
func score(member, mixed uint64) uint64 { return mix(member ^ mixed) }

// mix is the finalizer of splitmix64 (Steele, Lea and Flood, 2014), by Stafford: each
// bit of x changes each of the result with a probability of nearly a half.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
