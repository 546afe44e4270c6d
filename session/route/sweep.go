package route

import "sync"

// sweeper is a pass over all shards, in small steps, that takes out what is left of
// sets that were dropped before it began. Every shard is locked once, so that after
// the pass no Put can be under way that still took one of those sets for writable.
type sweeper struct {
	mu         sync.Mutex
	reclaiming []Author // none: there is no pass
	shard      int      // the next one, those of the index after those of the table
	from       uint64   // the hash in it to go on from
}

// stepSlots is how many slots are looked at under one hold of a shard's lock.
const stepSlots = 4096

// Sweep lets go of tombstones that are old enough (Age), then of what is left of
// dropped sets, and returns memory to the system that is not wanted. It looks at about
// budget tombstones and slots and reports whether there is more to do at once. It may
// be called at any time, as often as its owner likes; without it tombstones stay and
// numbers of dropped sets are not used again.
func (t *Table) Sweep(budget int) (more bool) {
	s := &t.sweeper
	s.mu.Lock()
	defer s.mu.Unlock()
	var due [64]tomb
	for budget > 0 {
		n := t.graves.due(due[:min(budget, len(due))])
		if n == 0 {
			break
		}
		for i := range due[:n] {
			t.touchSlot(^due[i].key)
		}
		for i := range due[:n] {
			t.raze(&due[i])
		}
		budget -= n
	}
	pages := budget/64 + 1
	passing := t.beginPass()
	for passing && budget > 0 {
		var looked int
		looked, passing = t.passStep(min(budget, stepSlots))
		budget -= looked
		if !passing {
			passing = t.beginPass()
		}
	}
	surplus := t.mem.returnSome(pages)
	return passing || surplus || t.graves.isDue()
}

// raze takes out a tombstone, unless its slot holds something else by now.
func (t *Table) raze(old *tomb) {
	address, author := ^old.key, authorOf(old.val)
	sh := &t.shards[address>>shardShift]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if slot, val := sh.find(author, address); slot != nil && val == old.val && t.sets.of(author).life.Load() == old.life {
		sh.change()
		t.removeLocked(sh, address, author)
	}
}

// beginPass starts a pass if none is under way; false when there is nothing for it
// to do.
func (t *Table) beginPass() bool {
	s := &t.sweeper
	if len(s.reclaiming) == 0 {
		s.reclaiming = t.sets.toReclaim()
		s.shard, s.from = 0, 0
	}
	return len(s.reclaiming) > 0
}

// passStep goes on with a pass; more is false when it is complete.
func (t *Table) passStep(budget int) (looked int, more bool) {
	s := &t.sweeper
	var end bool
	if s.shard < shardCount {
		looked, end = t.reclaimStep(&t.shards[s.shard], budget)
	} else {
		looked, end = t.reclaimAccountsStep(&t.accounts[s.shard-shardCount], budget)
	}
	if end {
		s.shard++
		s.from = uint64(s.shard%shardCount) << shardShift
	}
	if s.shard < 2*shardCount {
		return looked + 1, true
	}
	t.sets.reclaimed(s.reclaiming)
	s.reclaiming = nil
	return looked + 1, false
}

// left reports whether the sets being reclaimed have anything in the table, or in the
// index.
func (t *Table) left(index bool) bool {
	for _, a := range t.sweeper.reclaiming {
		x := t.sets.of(a)
		if index && x.accounts.Load() != 0 || !index && x.open.Load()+x.tombs.Load() != 0 {
			return true
		}
	}
	return false
}

func (t *Table) isDropped(a Author) bool { return t.sets.of(a).state.Load() == setDropped }

// reclaimStep looks at some slots of a shard of the table from where the pass has
// come to; end says that those were the last. It stops between two hashes.
func (t *Table) reclaimStep(sh *shard, budget int) (looked int, end bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !t.left(false) {
		return 0, true
	}
	defer t.thinLocked(sh)
	a := sh.array.Load()
	from, last := t.sweeper.from, t.sweeper.from
	sh.change()
	for i := a.home(from); i < a.slots; i++ {
		looked++
		slot := a.pair(i)
		hash, val := ^slot.key, slot.val
		if val == empty || hash < from {
			continue
		}
		if looked > budget && hash > last {
			t.sweeper.from = hash
			return looked, false
		}
		last = hash
		if isLive(val) && t.isDropped(authorOf(val)) {
			t.sets.of(authorOf(val)).gone(val)
			t.buryLocked(sh, a, i)
		}
	}
	return looked, true
}

// reclaimAccountsStep does the same in a shard of the index.
func (t *Table) reclaimAccountsStep(sh *shard, budget int) (looked int, end bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !t.left(true) {
		return 0, true
	}
	defer t.thinAccountsLocked(sh)
	a := sh.array.Load()
	from := t.sweeper.from &^ (uint64(shardCount-1) << shardShift)
	last := from
	sh.change()
	for i := a.home(from); i < a.slots; i++ {
		looked++
		w := *a.word(i)
		hash := hashIn(w)
		if w == empty || hash < from {
			continue
		}
		if looked > budget && hash > last {
			t.sweeper.from = hash
			return looked, false
		}
		last = hash
		if author := deviceAuthor(w); author != 0 && t.isDropped(author) {
			t.buryAccountLocked(sh, a, i)
		}
	}
	return looked, true
}
