package route

import (
	"sync/atomic"
	"unsafe"
)

// HOT PATH
//
// A reader takes no lock and waits for nobody; even a writer that stops halfway
// does not stop it. It reads its shard's array as it finds it and then makes sure that
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
//   - A new array is complete before the shard points to it. Its old granules may
//     serve another array at once; a reader in them finds that the pointer changed.
//
// Which sets are visible is one immutable value (sets.go), compared in the same way, so
// that a swap of two sets is one step for every reader.

// Lookup returns the newest entry of an address in any visible set, an open one
// before a tombstone of the same version. It allocates nothing.
func (t *Table) Lookup(address uint64) (Entry, bool) {
	sh := &t.shards[address>>shardShift]
	for {
		visible := t.sets.visible.Load()
		changes := sh.changes.Load()
		a := sh.array.Load()
		newest := a.newest(address, visible)
		if sh.unchanged(a, changes) && t.sets.visible.Load() == visible {
			return entryOf(newest), newest != 0
		}
		t.count.retries.Add(1)
	}
}

// Hides reports whether the newest entry of an address is a tombstone with an open entry of
// another set under it, which comes to light when the tombstone goes.
func (t *Table) Hides(address uint64) bool {
	sh := &t.shards[address>>shardShift]
	for {
		visible := t.sets.visible.Load()
		changes := sh.changes.Load()
		a := sh.array.Load()
		hides := a.hides(address, visible)
		if sh.unchanged(a, changes) && t.sets.visible.Load() == visible {
			return hides
		}
		t.count.retries.Add(1)
	}
}

func entryOf(v uint64) Entry {
	return Entry{Author: authorOf(v), Version: versionOf(v), Closed: v != 0 && !isOpen(v)}
}

// Get returns the set's own entry, whether the set is visible or not.
func (t *Table) Get(a Author, address uint64) (version uint64, closed, ok bool) {
	sh := &t.shards[address>>shardShift]
	for {
		changes := sh.changes.Load()
		arr := sh.array.Load()
		v := arr.own(address, a)
		if sh.unchanged(arr, changes) {
			return versionOf(v), v != 0 && !isOpen(v), v != 0
		}
		t.count.retries.Add(1)
	}
}

// unchanged reports whether what was read from the array can be believed.
func (sh *shard) unchanged(a *array, changes uint64) bool {
	return sh.changes.Load() == changes && sh.array.Load() == a
}

// newest returns the largest value of the address in visible sets, or 0.
//
// What it begins with is walk for nine look-ups in ten, in straight line: the address
// is in one set or none, and near its home. It is written out because each instruction
// less lets the processor see further ahead (window.go).
func (a *array) newest(address uint64, visible *authorSet) uint64 {
	key, home := ^address, a.home(address)
	if home&(1<<pairBits-1) > 1<<pairBits-(window+2) || home >= a.slots {
		return a.walk(home, key, visible)
	}
	w := (*[window + 2]pair)(unsafe.Pointer(a.pair(home)))
	n := below(key, w[0].key) + below(key, w[1].key) + below(key, w[2].key) +
		below(key, w[3].key) + below(key, w[4].key) + below(key, w[5].key)
	slot := (*[2]pair)(unsafe.Add(unsafe.Pointer(w), n*16))
	k := atomic.LoadUint64(&slot[0].key)
	if k < key {
		return 0
	}
	v := atomic.LoadUint64(&slot[0].val)
	if k == key && atomic.LoadUint64(&slot[1].key) < key && visible.has(authorOf(v)) && atomic.LoadUint64(&slot[0].key) == key {
		return v
	}
	return a.walk(home+int(n), key, visible)
}

// walk does the same slot by slot, from a position on that the address does not lie
// before.
func (a *array) walk(i int, key uint64, visible *authorSet) (newest uint64) {
	for ; i < a.slots; i++ {
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
	for i := a.passLarger(a.home(address), key); i < a.slots; i++ {
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
	for i := a.passLarger(a.home(address), key); i < a.slots; i++ {
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
