package session

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

// A session's number is serial<<28 | shard<<22 | slot: ByNumber needs no index,
// and a slot that is used again has another number. 36 bits of serial are 100,000
// opens a second in one shard for a week, 64 shards for more than a year.
const (
	shardBits  = 6
	slotBits   = 22
	serialBits = 64 - shardBits - slotBits
	shardCount = 1 << shardBits
)

// SessionsMax is how many sessions one shard of a registry can hold, and so how
// many a node may: whoever caps connections must stay at or below it, since one
// account's sessions share a shard. It is a page less than the slots a number can
// name, because an index keeps slot+1.
const SessionsMax = 1<<slotBits - pageSlots

// Registry knows who is connected to this node. Any goroutine may call any
// method. A registry spreads accounts over shards by a keyed hash; each shard is
// two open-addressing indexes over slot numbers, one by address and one by
// account, whose sessions are chained through themselves (DESIGN.md decision 13).
// A session costs 8 bytes of slot and 4 bytes in each index at a load of 64 to
// 80 %: about 20 bytes beside the session itself.
type Registry struct {
	hash     Hasher
	announce Announcer // nil: nobody wants to know
	length   atomic.Int64
	shards   [shardCount]shard
}

// Hasher hashes an address and its account. It must be keyed: who chooses names should
// not be able to choose where they collide. The names are borrowed.
type Hasher func(account, device string) (address, ofAccount uint64)

// Announcer hears of every session that opens and closes, for each address in the
// order in which that happened, whatever loops they are on: it is called with the
// mutex of the session's shard held, must not block, and must not call the registry.
type Announcer interface {
	// Opened returns the version of the opening. A session of the same address that was
	// open is displaced by it, and not closed for the announcer.
	Opened(address, account uint64) (version uint64)
	Closed(address, account, version uint64)
}

// shard holds every session of its accounts.
type shard struct {
	mu       sync.RWMutex
	slots    slots
	devices  index  // one entry for each session, by Session.hash
	accounts index  // one entry for each account: the head of its chain, by Session.accountHash
	serial   uint64 // of the newest session
	version  uint64 // of the newest session, where nobody announces
	_        [64]byte
}

// NewRegistry returns an empty registry that nobody else knows of.
func NewRegistry() *Registry {
	seed := maphash.MakeSeed()
	return NewAnnouncedRegistry(func(account, device string) (address, ofAccount uint64) {
		ofAccount = maphash.String(seed, account)
		// Mixed, since an index must not see the bits that chose the shard.
		hi, lo := bits.Mul64(ofAccount^maphash.String(seed, device), 0x9e3779b97f4a7c15)
		return hi ^ lo, ofAccount
	}, nil)
}

// NewAnnouncedRegistry returns an empty registry that goes by the given hashes, so that
// ByHash finds sessions by them, and tells announce of its sessions; nil: nobody.
func NewAnnouncedRegistry(hash Hasher, announce Announcer) *Registry {
	return &Registry{hash: hash, announce: announce}
}

// BeginVersions makes the versions of a registry that nobody announces begin above
// those of earlier processes, whatever the clock says. Call it before the first Open.
func (r *Registry) BeginVersions(above uint64) {
	for i := range r.shards {
		r.shards[i].version = above
	}
}

// at returns the shard of an account and the hashes that its indexes go by.
func at(address, account uint64) (n int, own, hash uint32) {
	return int(account >> (64 - shardBits)), uint32(account), uint32(address)
}

// where returns the same of names.
func (r *Registry) where(account, device string) (n int, own, hash uint32) {
	return at(r.hash(account, device))
}

// Hash returns the hashes that the registry goes by. The names are borrowed.
func (r *Registry) Hash(account, device string) (address, ofAccount uint64) {
	return r.hash(account, device)
}

// Open makes s the session of its address, gives it its Number and Version and keeps it. The
// session it displaces, if any, is returned and is no longer in the registry: its
// connection is the caller's to close.
func (r *Registry) Open(s *Session) (displaced *Session) {
	address, account := r.hash(s.Account, s.Device)
	n, own, hash := at(address, account)
	sh := &r.shards[n]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.accountHash, s.hash = own, hash
	if r.announce != nil {
		s.version = r.announce.Opened(address, account)
	} else {
		// What is newer has the higher version, even if the clock was set back.
		sh.version = max(uint64(max(s.OpenedMS, 0)), sh.version+1)
		s.version = sh.version
	}
	s.Version = s.version
	sh.serial++
	if old := sh.lookup(hash, s.Account, s.Device); old != nil {
		slot := slotOf(old.Number)
		s.Number = numberOf(sh.serial, n, slot)
		s.next, s.prev = old.next, old.prev
		sh.slots.set(slot, s)
		return old
	}
	slot := sh.slots.take(s)
	s.Number = numberOf(sh.serial, n, slot)
	sh.devices.insert(&sh.slots, hash, slot, deviceHash)
	sh.link(s, slot)
	r.length.Add(1)
	return nil
}

// Close removes s if it is still the session of its address; false says that it
// was displaced, or closed before, and nothing was removed.
func (r *Registry) Close(s *Session) bool {
	sh := &r.shards[shardOf(s.Number)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	slot := slotOf(s.Number)
	if sh.slots.get(slot) != s {
		return false
	}
	if r.announce != nil {
		address, account := r.hash(s.Account, s.Device)
		r.announce.Closed(address, account, s.version)
	}
	sh.devices.remove(&sh.slots, s.hash, slot, deviceHash)
	sh.unlink(s, slot)
	sh.slots.free(slot)
	r.length.Add(-1)
	return true
}

// Lookup returns the session of an address, or nil. It allocates nothing; both
// names are borrowed.
func (r *Registry) Lookup(account, device string) *Session {
	n, _, hash := r.where(account, device)
	sh := &r.shards[n]
	sh.mu.RLock()
	s := sh.lookup(hash, account, device)
	sh.mu.RUnlock()
	return s
}

// ByNumber returns the session with that number, or nil once it has been closed
// or displaced.
func (r *Registry) ByNumber(number uint64) *Session {
	sh := &r.shards[shardOf(number)]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	if s := sh.slots.get(slotOf(number)); s != nil && s.Number == number {
		return s
	}
	return nil
}

// LookupVersion is Lookup, and returns the version that the session has now, as others know
// it: not that of its opening once Reassert was called.
func (r *Registry) LookupVersion(account, device string) (s *Session, version uint64) {
	n, _, hash := r.where(account, device)
	sh := &r.shards[n]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	if s = sh.lookup(hash, account, device); s != nil {
		version = s.version
	}
	return s, version
}

// ByHash returns the session of an address by its hashes, or nil, and the version of
// its opening. Should two addresses share both hashes it is either of them: who asks by
// hash compares names.
func (r *Registry) ByHash(address, account uint64) (s *Session, version uint64) {
	n, _, hash := at(address, account)
	sh := &r.shards[n]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	if s = sh.byHash(r.hash, address, hash); s != nil {
		version = s.version
	}
	return s, version
}

// Reassert gives a session that is still open another version, which announce returns;
// it is called like Announcer.Opened. It is false when the session is not open any more.
func (r *Registry) Reassert(s *Session, announce func() (version uint64)) bool {
	sh := &r.shards[shardOf(s.Number)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.slots.get(slotOf(s.Number)) != s {
		return false
	}
	s.version = announce()
	return true
}

// Opening is what a log says of an open session.
type Opening struct{ Address, Account, Version uint64 }

// AppendOpenings appends the openings of a part of the sessions, at most n, and
// returns where the next part begins; 0 at the end, and for the first one. A part in which
// there are few may have none. Whoever goes through all parts sees each session that was
// open throughout.
func (r *Registry) AppendOpenings(dst []Opening, from uint64, n int) (_ []Opening, next uint64) {
	shard, slot := int(from>>32), uint32(from)
	for n > 0 {
		sh := &r.shards[shard]
		sh.mu.RLock()
		first := len(dst)
		dst, slot = r.appendPage(dst, &sh.slots, slot, n)
		end := int(slot/pageSlots) >= len(sh.slots.pages)
		sh.mu.RUnlock()
		n -= max(1, len(dst)-first) // an empty page is work, too
		if end {
			if shard, slot = shard+1, 0; shard == shardCount {
				return dst, 0
			}
		}
	}
	return dst, uint64(shard)<<32 | uint64(slot)
}

// appendPage appends at most n openings of the page of a slot, from there on, and returns
// the slot after the last one that it looked at. The caller holds mu.
func (r *Registry) appendPage(dst []Opening, t *slots, slot uint32, n int) ([]Opening, uint32) {
	number := slot / pageSlots
	if int(number) >= len(t.pages) {
		return dst, slot
	}
	p := &t.pages[number]
	for taken := ^p.vacant >> (slot % pageSlots) << (slot % pageSlots); taken != 0; taken &= taken - 1 {
		bit := uint32(bits.TrailingZeros64(taken))
		if n == 0 {
			return dst, number*pageSlots + bit
		}
		s := p.sessions[bit]
		address, account := r.hash(s.Account, s.Device)
		dst = append(dst, Opening{address, account, s.version})
		n--
	}
	return dst, (number + 1) * pageSlots
}

// AppendAccount appends the account's sessions, in no particular order.
func (r *Registry) AppendAccount(dst []*Session, account string) []*Session {
	n, own, _ := r.where(account, "")
	sh := &r.shards[n]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	for s := sh.head(own, account); s != nil; s = sh.slots.link(s.next) {
		dst = append(dst, s)
	}
	return dst
}

// Shards returns into how many parts AppendAll divides the registry.
func (r *Registry) Shards() int { return shardCount }

// AppendAll appends every session of one shard, 0 to Shards()-1. Whoever visits
// all shards sees each session that was open throughout exactly once.
func (r *Registry) AppendAll(dst []*Session, shard int) []*Session {
	sh := &r.shards[shard]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	sh.slots.each(func(s *Session) { dst = append(dst, s) })
	return dst
}

// Len returns the number of sessions.
func (r *Registry) Len() int { return int(r.length.Load()) }

func numberOf(serial uint64, shard int, slot uint32) uint64 {
	return serial<<(shardBits+slotBits) | uint64(shard)<<slotBits | uint64(slot)
}

func slotOf(number uint64) uint32   { return uint32(number) & (1<<slotBits - 1) }
func shardOf(number uint64) int     { return int(number>>slotBits) & (shardCount - 1) }
func deviceHash(s *Session) uint32  { return s.hash }
func accountHash(s *Session) uint32 { return s.accountHash }

// lookup finds the session of an address. The caller holds mu.
func (sh *shard) lookup(hash uint32, account, device string) *Session {
	for p := sh.devices.seek(hash); ; {
		slot, ok := p.next(&sh.devices)
		if !ok {
			return nil
		}
		if s := sh.slots.get(slot); s.hash == hash && s.Device == device && s.Account == account {
			return s
		}
	}
}

// byHash finds a session whose address has the given hash. The caller holds mu.
func (sh *shard) byHash(hasher Hasher, address uint64, hash uint32) *Session {
	for p := sh.devices.seek(hash); ; {
		slot, ok := p.next(&sh.devices)
		if !ok {
			return nil
		}
		if s := sh.slots.get(slot); s.hash == hash {
			if whole, _ := hasher(s.Account, s.Device); whole == address {
				return s
			}
		}
	}
}

// head finds the first session of an account's chain. The caller holds mu.
func (sh *shard) head(own uint32, account string) *Session {
	for p := sh.accounts.seek(own); ; {
		slot, ok := p.next(&sh.accounts)
		if !ok {
			return nil
		}
		if s := sh.slots.get(slot); s.accountHash == own && s.Account == account {
			return s
		}
	}
}

// link puts s, which has taken its slot, into the chain of its account: behind
// the head, so that the index stays as it is. The caller holds mu.
func (sh *shard) link(s *Session, slot uint32) {
	head := sh.head(s.accountHash, s.Account)
	if head == nil {
		s.next, s.prev = 0, 0
		sh.accounts.insert(&sh.slots, s.accountHash, slot, accountHash)
		return
	}
	s.next, s.prev = head.next, slotOf(head.Number)+1
	if next := sh.slots.link(s.next); next != nil {
		next.prev = slot + 1
	}
	head.next = slot + 1
}

// unlink takes s out of the chain of its account. The caller holds mu.
func (sh *shard) unlink(s *Session, slot uint32) {
	prev, next := sh.slots.link(s.prev), sh.slots.link(s.next)
	if next != nil {
		next.prev = s.prev
	}
	switch {
	case prev != nil:
		prev.next = s.next
	case next != nil:
		sh.accounts.replace(s.accountHash, slot, s.next-1)
	default:
		sh.accounts.remove(&sh.slots, s.accountHash, slot, accountHash)
	}
	s.next, s.prev = 0, 0
}
