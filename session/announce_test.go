package session

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"testing"
)

// plain is a hasher that a test can repeat.
func plain(account, device string) (address, ofAccount uint64) {
	h := fnv.New64a()
	h.Write([]byte(account))
	ofAccount = h.Sum64() * 0x9e3779b97f4a7c15
	h.Write([]byte("/" + device))
	return h.Sum64() * 0x9e3779b97f4a7c15, ofAccount
}

// log is an announcer that holds what the registry must say of each address: an
// opening, maybe displaced by another, then a close.
type log struct {
	mu      sync.Mutex
	t       *testing.T
	newest  uint64
	open    map[uint64]uint64 // versions by address
	account map[uint64]uint64
}

func (l *log) Opened(address, account uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.newest++
	l.open[address], l.account[address] = l.newest, account
	return l.newest
}

func (l *log) Closed(address, account, version uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[address] != version || l.account[address] != account {
		l.t.Errorf("%v is closed and %v was open", version, l.open[address])
	}
	delete(l.open, address)
}

func TestRegistryAnnounces(t *testing.T) {
	l := &log{t: t, open: map[uint64]uint64{}, account: map[uint64]uint64{}}
	r := NewAnnouncedRegistry(plain, l)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(g)))
			var mine []*Session
			for range 2000 {
				if len(mine) > 20 || len(mine) > 0 && rnd.IntN(2) == 0 {
					i := rnd.IntN(len(mine))
					r.Close(mine[i])
					mine = append(mine[:i], mine[i+1:]...)
					continue
				}
				s := New(fmt.Sprint("acc", rnd.IntN(10)), fmt.Sprint("dev", rnd.IntN(5)))
				r.Open(s)
				mine = append(mine, s)
			}
		})
	}
	wg.Wait()
	for i := range 20 { // whatever the others have left
		r.Open(New(fmt.Sprint("acc", i%10), fmt.Sprint("dev", i%5)))
	}
	var openings []Opening
	for next, first := uint64(0), true; first || next != 0; first = false {
		openings, next = r.AppendOpenings(openings, next, 1)
	}
	if len(openings) != len(l.open) || r.Len() != len(l.open) || len(openings) == 0 {
		t.Fatalf("%d openings, %d sessions, the log has %d", len(openings), r.Len(), len(l.open))
	}
	for _, o := range openings {
		s, version := r.ByHash(o.Address, o.Account)
		if s == nil || version != l.open[o.Address] || version != o.Version || o.Account != l.account[o.Address] {
			t.Errorf("%+v: %v of version %d, the log has %v", o, s, version, l.open[o.Address])
		}
	}
}

func TestAppendOpeningsInParts(t *testing.T) {
	r := NewAnnouncedRegistry(plain, nil)
	var kept []*Session
	for i := range 500 { // some 8 in each shard, but for one that has a few pages
		s := New(fmt.Sprint("acc", i%250), fmt.Sprint("dev", i))
		if i >= 250 {
			s = New("acc", fmt.Sprint("dev", i))
		}
		r.Open(s)
		kept = append(kept, s)
	}
	for i, s := range kept {
		if i%3 == 0 {
			r.Close(s)
		}
	}
	for _, n := range []int{1, 2, 16, 63, 64, 65, 1000} {
		seen := map[uint64]bool{}
		for next, first := uint64(0), true; first || next != 0; first = false {
			var part []Opening
			if part, next = r.AppendOpenings(part, next, n); len(part) > n {
				t.Fatalf("%d openings in a part of %d", len(part), n)
			}
			for _, o := range part {
				if seen[o.Address] {
					t.Fatalf("%x twice in parts of %d", o.Address, n)
				}
				seen[o.Address] = true
			}
		}
		if len(seen) != r.Len() {
			t.Errorf("parts of %d have %d openings of %d", n, len(seen), r.Len())
		}
	}
}

func TestByHashComparesWhole(t *testing.T) {
	// All that the index looks at is the same for every device.
	r := NewAnnouncedRegistry(func(account, device string) (uint64, uint64) { return uint64(device[0])<<32 | 7, 9 }, nil)
	a, b := New("x", "a"), New("x", "b")
	r.Open(a)
	r.Open(b)
	for device, want := range map[byte]*Session{'a': a, 'b': b, 'c': nil} {
		if got, _ := r.ByHash(uint64(device)<<32|7, 9); got != want {
			t.Errorf("%c: %v", device, got)
		}
	}
}

func TestReassert(t *testing.T) {
	l := &log{t: t, open: map[uint64]uint64{}, account: map[uint64]uint64{}}
	r := NewAnnouncedRegistry(plain, l)
	s := New("alice", "phone")
	r.Open(s)
	if !r.Reassert(s, func() uint64 { return 99 }) {
		t.Error("an open session is not reasserted")
	}
	if got, version := r.ByHash(plain("alice", "phone")); got != s || version != 99 {
		t.Errorf("%v, %d", got, version)
	}
	newer := New("alice", "phone")
	r.Open(newer)
	if r.Reassert(s, func() uint64 { t.Error("called"); return 0 }) {
		t.Error("a displaced session is reasserted")
	}
}

// An index finds a session within a few entries, also when all devices have one name.
func TestIndexesDoNotCluster(t *testing.T) {
	r := NewRegistry()
	var all []*Session
	for i := range 20_000 {
		s := New(fmt.Sprint("account-", i), "phone")
		r.Open(s)
		all = append(all, s)
	}
	probed := 0
	for _, s := range all {
		x := &r.shards[shardOf(s.Number)].devices
		at := x.find(s.hash, slotOf(s.Number))
		probed += 1 + (at-x.home(s.hash)+len(x.entries))%len(x.entries)
	}
	// At a load of 64 to 80 % linear probing looks at two to three (Knuth, 6.4).
	if mean := float64(probed) / float64(len(all)); mean > 6 {
		t.Errorf("a look-up probes %.1f entries", mean)
	}
}
