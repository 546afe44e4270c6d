package route

import "sync/atomic"

// What a writer does to an array of pairs, under its shard's lock. A writer may read
// with plain loads, nobody else writes; what it writes to a published array are atomic
// stores in the order that lookup.go explains.

// change announces a change to readers, before its first store.
func (sh *shard) change() { sh.changes.Add(1) }

// replace publishes another array. Only after it may the granules of the old one be
// given back, and slots be written that the old one does not have: whoever counts the
// changes from here on reads the new one.
func (sh *shard) replace(a *array) {
	sh.array.Store(a)
	sh.change()
}

// find returns the slot of the set's own entry and its value, or nil.
func (sh *shard) find(author Author, address uint64) (*pair, uint64) {
	a := sh.array.Load()
	if i := a.indexOf(address, author); i >= 0 {
		slot := a.pair(i)
		return slot, slot.val
	}
	return nil, 0
}

func (a *array) indexOf(address uint64, author Author) int {
	key := ^address
	for i := a.passLarger(a.home(address), address); i < a.slots; i++ {
		slot := a.pair(i)
		if slot.key > key {
			continue
		}
		if slot.key < key || slot.val == empty {
			break
		}
		if authorOf(slot.val) == author {
			return i
		}
	}
	return -1
}

// insertLocked adds an entry that is not there. It fails when there is no memory.
func (t *Table) insertLocked(sh *shard, address, value uint64) error {
	a := sh.array.Load()
	if 100*(sh.used+1) > loadMax*int(a.homes) {
		if a = t.remakeLocked(sh, sh.live+1); a == nil {
			return ErrFull
		}
	}
	sh.change()
	at, hole := a.room(address)
	if hole == a.slots {
		longer := t.mem.extended(a, pairBits)
		if longer == nil {
			return ErrFull
		}
		for i := a.slots; i < longer.slots; i++ {
			*longer.pair(i) = pair{}
		}
		a = longer
		sh.replace(a)
	}
	if a.pair(hole).val == empty {
		sh.used++
	}
	a.shift(at, hole)
	slot := a.pair(at)
	atomic.StoreUint64(&slot.val, dead)
	atomic.StoreUint64(&slot.key, ^address)
	atomic.StoreUint64(&slot.val, value)
	sh.live++
	return nil
}

// room returns where an address belongs and the first slot from there on that holds
// no entry, which is a.slots if there is none.
func (a *array) room(address uint64) (at, hole int) {
	key := ^address
	home := a.home(address)
	for at = a.passLarger(home, address); at < a.slots; at++ {
		slot := a.pair(at)
		if slot.key < key || slot.key == key && !isLive(slot.val) {
			break
		}
	}
	if at > home && !isLive(a.pair(at-1).val) {
		return at - 1, at - 1
	}
	for hole = at; hole < a.slots && isLive(a.pair(hole).val); hole++ {
	}
	return at, hole
}

// shift moves the entries from at up to the hole by one to the right.
func (a *array) shift(at, hole int) {
	for ; hole > at; hole-- {
		from, to := a.pair(hole-1), a.pair(hole)
		atomic.StoreUint64(&to.val, dead)
		atomic.StoreUint64(&to.key, from.key)
		atomic.StoreUint64(&to.val, from.val)
	}
}

// removeLocked takes out the set's entry of an address, which is there. The caller
// has announced the change.
func (t *Table) removeLocked(sh *shard, address uint64, author Author) {
	a := sh.array.Load()
	i := a.indexOf(address, author)
	t.sets.of(author).gone(a.pair(i).val)
	t.buryLocked(sh, a, i)
	t.thinLocked(sh)
}

// buryLocked makes the i-th slot dead, or empty together with the dead ones before
// it when nothing is behind it.
func (t *Table) buryLocked(sh *shard, a *array, i int) {
	atomic.StoreUint64(&a.pair(i).val, dead)
	sh.live--
	t.entries.Add(-1)
	if i+1 < a.slots && a.pair(i+1).val != empty {
		return
	}
	for ; i >= 0 && a.pair(i).val == dead; i-- {
		slot := a.pair(i)
		atomic.StoreUint64(&slot.val, empty)
		atomic.StoreUint64(&slot.key, 0)
		sh.used--
	}
}

// thinLocked makes the array anew when it has become too large for what it holds.
func (t *Table) thinLocked(sh *shard) {
	a := sh.array.Load()
	if 100*sh.live >= loadMin*int(a.homes) {
		return
	}
	if sh.live == 0 {
		sh.used = 0
		sh.replace(noSlots)
		t.mem.give(a.granules)
		return
	}
	if granulesFor(sh.live, pairBits) < len(a.granules) {
		t.remakeLocked(sh, sh.live)
	}
}

// remakeLocked moves a shard to a new array made for so many entries, without what
// is dead and what belongs to dropped sets. It returns nil, and nothing has changed,
// when there is no memory for that.
func (t *Table) remakeLocked(sh *shard, entries int) *array {
	old := sh.array.Load()
	next := t.mem.newArray(entries, pairBits)
	if next == nil {
		return nil
	}
	at := 0
	for i := range old.slots {
		slot := old.pair(i)
		if !isLive(slot.val) {
			continue
		}
		for home := next.home(^slot.key); at < home; at++ {
			*next.pair(at) = pair{}
		}
		if at == next.slots {
			longer := t.mem.extended(next, pairBits)
			if longer == nil {
				t.mem.give(next.granules)
				return nil
			}
			next = longer
		}
		*next.pair(at) = *slot
		at++
	}
	for ; at < next.slots; at++ {
		*next.pair(at) = pair{}
	}
	sh.used = sh.live
	sh.replace(next)
	t.mem.give(old.granules)
	t.count.remade.Add(1)
	return next
}
