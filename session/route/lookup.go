package route

import (
	"sync/atomic"
	"unsafe"
)

// HOT PATH
//
// A reader takes no lock and waits for nobody; even a writer that stops halfway
// does not stop it. It notes how many changes its shard has seen, reads which sets are
// visible and then the shard's array as it finds it, in this order, and makes sure that
// no change began meanwhile, else it looks again. So at most one change was under way
// while it read, one that had begun before, and each kind of change can be read at any
// point of it:
//
//   - A value that changes in place is one word.
//   - A slot that goes becomes dead by one word, or empty by two when nothing that
//     is looked for past it can be behind it.
//   - An entry that comes moves its larger neighbours one to the right, the last one
//     first. Each is written to its new slot before its old one is touched, and a
//     reader goes to the right too, so it cannot miss one. The slot being written is
//     dead meanwhile, and a reader that saw its hash before and its value after sees
//     on a second look that the hash is another one; it may pass over such a slot,
//     since what was in it is whole one further on and what comes into it was whole in
//     the slot before.
//   - A new array is complete before the shard points to it, and that it does is a
//     change of its own, counted before the old array's granules serve another one: who
//     counted after it has read the new array, who counted before looks again.
//
// Which sets are visible is one immutable value (sets.go), read once, so that a swap of
// two sets is one step for every reader. It is read after the count: entries that go
// because their set was dropped went, if the reader missed them, in a change that began
// before it counted, so that it read the sets without theirs.

// Lookup returns the newest entry of an address in any visible set, an open one
// before a tombstone of the same version. It allocates nothing.
//
// What it does is look for nine addresses in ten of a new array and for four in five of
// one that is as full as it gets, in straight line: the address is in one set or none,
// and at most three slots behind its home. It is written out, without a call, because each
// instruction less lets the processor see further ahead (window.go).
func (t *Table) Lookup(address uint64) (Entry, bool) {
	sh := &t.shards[address>>shardShift]
	changes := sh.changes.Load()
	visible := t.sets.visible.Load()
	a := sh.array.Load()
	home := uint(a.home(address))
	granule, at := home>>pairBits, home&(1<<pairBits-1)
	if granule >= uint(len(a.granules)) || at > 1<<pairBits-(near+2) {
		return t.look(sh, address)
	}
	w := (*[near + 2]pair)(unsafe.Add(a.base, uintptr(a.granules[granule])*granuleBytes+uintptr(at)*16))
	n := above(0, w[1].key, address)
	n = twiceAbove(n, (*pair)(unsafe.Add(unsafe.Pointer(w), n*32)).key, address)
	slot := (*[2]pair)(unsafe.Add(unsafe.Pointer(w), n*16))
	key, k := ^address, atomic.LoadUint64(&slot[0].key)
	if k != key {
		if k > key {
			return t.look(sh, address)
		}
		if !sh.unchanged(changes) {
			return t.lookAgain(sh, address)
		}
		return Entry{}, false
	}
	v := atomic.LoadUint64(&slot[0].val)
	if atomic.LoadUint64(&slot[1].key) >= key || !visible.has(authorOf(v)) || atomic.LoadUint64(&slot[0].key) != key {
		return t.look(sh, address)
	}
	if !sh.unchanged(changes) {
		return t.lookAgain(sh, address)
	}
	return Entry{Author: authorOf(v), Version: versionOf(v), Closed: !isOpen(v)}, true
}

// lookAgain is look after a change began.
func (t *Table) lookAgain(sh *shard, address uint64) (Entry, bool) {
	t.count.retries.Add(1)
	return t.look(sh, address)
}

// look is Lookup for any address.
func (t *Table) look(sh *shard, address uint64) (Entry, bool) {
	for {
		changes := sh.changes.Load()
		visible := t.sets.visible.Load()
		newest := sh.array.Load().newest(address, visible)
		if sh.unchanged(changes) {
			return Entry{Author: authorOf(newest), Version: versionOf(newest), Closed: newest != 0 && !isOpen(newest)}, newest != 0
		}
		t.count.retries.Add(1)
	}
}

// Hides reports whether the newest entry of an address is a tombstone with an open entry of
// another set under it, which comes to light when the tombstone goes.
func (t *Table) Hides(address uint64) bool {
	sh := &t.shards[address>>shardShift]
	for {
		changes := sh.changes.Load()
		visible := t.sets.visible.Load()
		hides := sh.array.Load().hides(address, visible)
		if sh.unchanged(changes) {
			return hides
		}
		t.count.retries.Add(1)
	}
}

// Get returns the set's own entry, whether the set is visible or not.
func (t *Table) Get(a Author, address uint64) (version uint64, closed, ok bool) {
	sh := &t.shards[address>>shardShift]
	for {
		changes := sh.changes.Load()
		v := sh.array.Load().own(address, a)
		if sh.unchanged(changes) {
			return versionOf(v), v != 0 && !isOpen(v), v != 0
		}
		t.count.retries.Add(1)
	}
}

// unchanged reports whether what was read from the array can be believed.
func (sh *shard) unchanged(changes uint64) bool { return sh.changes.Load() == changes }

// newest returns the largest value of the address in visible sets, or 0.
func (a *array) newest(address uint64, visible *authorSet) (newest uint64) {
	key := ^address
	for i := a.passLarger(a.home(address), address); i < a.slots; i++ {
		slot := a.pair(i)
		k := atomic.LoadUint64(&slot.key)
		if k > key {
			continue
		}
		if k < key {
			break
		}
		v := atomic.LoadUint64(&slot.val)
		if v == empty {
			break
		}
		if v > newest && isLive(v) && atomic.LoadUint64(&slot.key) == key && visible.has(authorOf(v)) {
			newest = v
		}
	}
	return newest
}

// own returns the value of the address in one set, or 0.
func (a *array) own(address uint64, author Author) uint64 {
	key := ^address
	for i := a.passLarger(a.home(address), address); i < a.slots; i++ {
		slot := a.pair(i)
		k := atomic.LoadUint64(&slot.key)
		if k > key {
			continue
		}
		if k < key {
			break
		}
		v := atomic.LoadUint64(&slot.val)
		if v == empty {
			break
		}
		if isLive(v) && authorOf(v) == author && atomic.LoadUint64(&slot.key) == key {
			return v
		}
	}
	return 0
}

// hides looks at the values of the address in all visible sets; see Hides.
func (a *array) hides(address uint64, visible *authorSet) bool {
	key, newest, open := ^address, uint64(0), false
	for i := a.passLarger(a.home(address), address); i < a.slots; i++ {
		slot := a.pair(i)
		k := atomic.LoadUint64(&slot.key)
		if k > key {
			continue
		}
		if k < key {
			break
		}
		v := atomic.LoadUint64(&slot.val)
		if v == empty {
			break
		}
		if isLive(v) && visible.has(authorOf(v)) && atomic.LoadUint64(&slot.key) == key {
			newest, open = max(newest, v), open || isOpen(v)
		}
	}
	return open && !isOpen(newest)
}
