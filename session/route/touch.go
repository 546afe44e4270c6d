package route

import "sync/atomic"

// HOT PATH

// Touch has the processor fetch what a change of an address, and of its account in the
// index, will look at. A change waits for memory twice, one after the other; a writer
// that touches some of those that come next before it makes them waits for all of them
// at once. It changes nothing and says nothing.
func (t *Table) Touch(address, account uint64) {
	t.touchSlot(address)
	x := t.accounts[account>>shardShift].array.Load()
	if home := x.home(tagged(account)); home < x.slots {
		atomic.LoadUint64(x.word(home))
	}
}

func (t *Table) touchSlot(address uint64) {
	a := t.shards[address>>shardShift].array.Load()
	if home := a.home(address); home < a.slots {
		atomic.LoadUint64(&a.pair(home).key)
		if beyond := home + 4; beyond < a.slots { // the next cache line
			atomic.LoadUint64(&a.pair(beyond).key)
		}
	}
}
