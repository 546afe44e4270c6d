package route

import "sync/atomic"

// What a writer does to an array of words, under its shard's lock; see shard.go.

func (t *Table) insertAccountLocked(sh *shard, author Author, account uint64) error {
	a := sh.array.Load()
	if 100*(sh.used+1) > loadMax*int(a.homes) {
		if a = t.remakeAccountsLocked(sh, sh.live+1); a == nil {
			return ErrFull
		}
	}
	sh.change()
	at, hole := a.accountRoom(account)
	if hole == a.slots {
		longer := t.mem.extended(a, wordBits)
		if longer == nil {
			return ErrFull
		}
		for i := a.slots; i < longer.slots; i++ {
			*longer.word(i) = empty
		}
		a = longer
		sh.replace(a)
	}
	if *a.word(hole) == empty {
		sh.used++
	}
	for ; hole > at; hole-- {
		atomic.StoreUint64(a.word(hole), *a.word(hole - 1))
	}
	atomic.StoreUint64(a.word(at), devicesOf(keyOf(account), author))
	sh.live++
	t.sets.of(author).accounts.Add(1)
	return nil
}

func (a *array) accountRoom(account uint64) (at, hole int) {
	key, home := keyOf(account), a.home(tagged(account))
	for at = a.passLargerWords(home, key<<tagShift|^uint64(0)>>tagBits); at < a.slots; at++ {
		w := *a.word(at)
		if w>>tagShift < key || w>>tagShift == key && deviceAuthor(w) == 0 {
			break
		}
	}
	if at > home && deviceAuthor(*a.word(at - 1)) == 0 {
		return at - 1, at - 1
	}
	for hole = at; hole < a.slots && deviceAuthor(*a.word(hole)) != 0; hole++ {
	}
	return at, hole
}

// buryAccountLocked makes the i-th slot dead, or empty together with the dead ones
// before it when nothing is behind it. The caller has announced the change.
func (t *Table) buryAccountLocked(sh *shard, a *array, i int) {
	w := *a.word(i)
	t.sets.of(deviceAuthor(w)).accounts.Add(-1)
	atomic.StoreUint64(a.word(i), devicesOf(w>>tagShift, 0))
	sh.live--
	if i+1 < a.slots && *a.word(i + 1) != empty {
		return
	}
	for ; i >= 0 && *a.word(i) != empty && deviceAuthor(*a.word(i)) == 0; i-- {
		atomic.StoreUint64(a.word(i), empty)
		sh.used--
	}
}

func (t *Table) thinAccountsLocked(sh *shard) {
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
	if granulesFor(sh.live, wordBits) < len(a.granules) {
		t.remakeAccountsLocked(sh, sh.live)
	}
}

func (t *Table) remakeAccountsLocked(sh *shard, entries int) *array {
	old := sh.array.Load()
	next := t.mem.newArray(entries, wordBits)
	if next == nil {
		return nil
	}
	at := 0
	for i := range old.slots {
		w := *old.word(i)
		if deviceAuthor(w) == 0 {
			continue
		}
		for home := next.home(hashIn(w)); at < home; at++ {
			*next.word(at) = empty
		}
		if at == next.slots {
			longer := t.mem.extended(next, wordBits)
			if longer == nil {
				t.mem.give(next.granules)
				return nil
			}
			next = longer
		}
		*next.word(at) = w
		at++
	}
	for ; at < next.slots; at++ {
		*next.word(at) = empty
	}
	sh.used = sh.live
	sh.replace(next)
	t.mem.give(old.granules)
	t.count.remade.Add(1)
	return next
}
