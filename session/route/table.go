package route

import (
	"errors"
	"sync"
	"sync/atomic"
)

// Author is the number of one author's set in this table; 0 is none. Numbers are
// this table's own: two nodes number differently.
type Author uint16

// Entry is what the table knows of an address.
type Entry struct {
	Author  Author
	Version uint64
	Closed  bool // a tombstone: it was there, and a newer entry may be on its way
}

var (
	// ErrFull says that the table holds as many entries as it may, or as many as any but
	// the own set may have. What is there stays and can be changed; the new one is not
	// there.
	ErrFull = errors.New("route: the table is full (entries_max, own_entries)")
	// ErrAuthors says that no number is left for another set.
	ErrAuthors = errors.New("route: no author's set is left (authors_max)")
	// ErrNoSet says that the author is not the number of a set, or of one that was
	// dropped.
	ErrNoSet = errors.New("route: no such set")
	// ErrVersion says that a version is above VersionMax.
	ErrVersion = errors.New("route: the version is above VersionMax")
)

// shardBits of a hash, the highest, choose its shard. With 256 shards all arrays
// grow at other moments, one array is a small part of the whole while it is copied
// (100 million entries: 8 MB), and an empty table costs nothing.
const (
	shardBits  = 8
	shardCount = 1 << shardBits
	shardShift = 64 - shardBits
)

// Table is the union of authors' sets, and an index of which author has devices
// of an account. Any goroutine may call any method. Lookup, Get and AppendAccount
// neither lock nor wait; the others hold the lock of one shard, or of one and of a
// shard of the index.
//
// Entries of one address in several sets are independent of each other: what one
// author says changes its own set only, and Lookup takes the newest. So the order in
// which authors' deltas arrive does not matter.
type Table struct {
	sets sets // every look-up reads which are visible: nothing beside it changes often
	mem  *memory
	cfg  Config
	_    [64]byte

	entries  atomic.Int64 // all of them, against entries_max
	graves   graves
	sweeper  sweeper
	count    counters
	shards   [shardCount]shard // of pairs, by the address's hash
	accounts [shardCount]shard // of words, by the account's hash
}

// shard is one array and what its writers need. A reader looks at the first line
// only.
type shard struct {
	array   atomic.Pointer[array]
	changes atomic.Uint64 // counted up before each change, see lookup.go
	_       [48]byte

	mu   sync.Mutex
	live int // entries
	used int // entries and dead slots
	_    [40]byte
}

// New returns an empty table.
func New(cfg Config) (*Table, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	mem, err := openMemory(reservedFor(cfg.EntriesMax))
	if err != nil {
		return nil, err
	}
	t := &Table{cfg: cfg, mem: mem}
	t.sets.init(cfg.AuthorsMax)
	t.graves.init(cfg.TombstoneAges, cfg.TombstonesMax)
	for i := range shardCount {
		t.shards[i].array.Store(noSlots)
		t.accounts[i].array.Store(noSlots)
	}
	return t, nil
}

// reservedFor returns the address space for so many entries: 24 bytes and a granule
// a shard, half of that for the index, and room to copy an array.
func reservedFor(entries int) int { return entries*40 + shardCount*8*granuleBytes }

// Close gives the memory back. Nobody may be in the table, or come.
func (t *Table) Close() error { return t.mem.close() }

// Put says that the author has a session of that address, opened with that
// version. Older news than the set has, or the same, changes nothing: a session that
// was closed is not opened again by its own version.
//
// Two addresses of one set with the same hash share an entry, and the account of
// the first one (DESIGN.md decision 3: about 1 in 4,000 clusters of 100 million).
func (t *Table) Put(a Author, address, account, version uint64) error {
	if version > VersionMax {
		return ErrVersion
	}
	sh := &t.shards[address>>shardShift]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !t.sets.writable(a) {
		return ErrNoSet
	}
	value := valueOf(version, true, a)
	slot, old := sh.find(a, address)
	if slot == nil {
		return t.openLocked(sh, address, account, value)
	}
	if version <= versionOf(old) {
		t.count.stale.Add(1)
		return nil
	}
	if !isOpen(old) {
		if err := t.addAccount(a, account); err != nil {
			t.count.full.Add(1)
			return err
		}
		t.sets.of(a).reopened()
	}
	sh.change()
	atomic.StoreUint64(&slot.val, value)
	return nil
}

// openLocked makes an entry that is not there.
func (t *Table) openLocked(sh *shard, address, account, value uint64) error {
	a := authorOf(value)
	if t.entries.Add(1) > t.limit(a) {
		t.entries.Add(-1)
		t.count.full.Add(1)
		return ErrFull
	}
	err := t.addAccount(a, account)
	if err == nil {
		if err = t.insertLocked(sh, address, value); err == nil {
			t.sets.of(a).opened()
			return nil
		}
		t.removeAccount(a, account)
	}
	t.entries.Add(-1)
	t.count.full.Add(1)
	return err
}

// limit returns how many entries there may be for the set to get another one.
func (t *Table) limit(a Author) int64 {
	if t.sets.of(a).own {
		return int64(t.cfg.EntriesMax)
	}
	return int64(t.cfg.EntriesMax - t.cfg.OwnEntries)
}

// Room returns how many entries the set may still get, as long as no other gets any.
func (t *Table) Room(a Author) int { return int(max(0, t.limit(a)-t.entries.Load())) }

// Remove says that the author's session of that address is closed. The version is
// that of the session; the set's entry becomes a tombstone unless it is newer. False
// says that nothing changed: there is no entry, a newer one, or it was closed.
func (t *Table) Remove(a Author, address, account, version uint64) bool {
	if version > VersionMax {
		return false
	}
	sh := &t.shards[address>>shardShift]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	slot, old := sh.find(a, address)
	if slot == nil || !isOpen(old) || version < versionOf(old) || !t.sets.writable(a) {
		return false
	}
	grave := tomb{pair{slot.key, valueOf(version, false, a)}, t.sets.of(a).life.Load()}
	sh.change()
	if t.graves.keep(grave) {
		atomic.StoreUint64(&slot.val, grave.val)
		t.sets.of(a).closed()
	} else {
		t.count.tombstonesSkipped.Add(1)
		t.removeLocked(sh, address, a)
	}
	t.removeAccount(a, account)
	return true
}

// Forget drops the set's open entry, and leaves no tombstone, if its version is still
// that one: what a sender does that was told misrouted (DESIGN.md decision 5). False
// says that nothing changed: it is newer, closed or gone.
func (t *Table) Forget(a Author, address, account, version uint64) bool {
	sh := &t.shards[address>>shardShift]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	slot, old := sh.find(a, address)
	if slot == nil || !isOpen(old) || version != versionOf(old) || !t.sets.writable(a) {
		return false
	}
	sh.change()
	t.removeLocked(sh, address, a)
	t.removeAccount(a, account)
	return true
}
