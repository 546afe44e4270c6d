package route

import (
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// HOT PATH
//
// How far an entry lies behind its home is as good as random, and a loop that goes
// there one slot at a time ends with a branch that no processor predicts: it waits for
// memory before it begins the next look-up. Counting larger slots in a window of fixed
// size has no branch, so that several look-ups wait for memory at once. On a table of
// 10 million that is a factor of three.

// window is how many slots are counted at once. At loadMax one entry in thirty lies
// further from its home.
const window = 8

// passLarger returns a position from i on before which every slot has a larger key.
// What is read may be old by the time it is used: an entry moves to the right only, so
// a reader that starts there finds it still.
func (a *array) passLarger(i int, key uint64) int {
	if i&(1<<pairBits-1) > 1<<pairBits-window || i >= a.slots {
		return i // the window would end in another granule
	}
	w := (*[window]pair)(unsafe.Pointer(a.pair(i)))
	return i + int(borrow(key, &w[0].key)+borrow(key, &w[1].key)+borrow(key, &w[2].key)+borrow(key, &w[3].key)+
		borrow(key, &w[4].key)+borrow(key, &w[5].key)+borrow(key, &w[6].key)+borrow(key, &w[7].key))
}

// passLargerWords does the same in an array of words; key is the largest word that
// is not to be passed.
func (a *array) passLargerWords(i int, key uint64) int {
	if i&(1<<wordBits-1) > 1<<wordBits-window || i >= a.slots {
		return i
	}
	w := (*[window]uint64)(unsafe.Pointer(a.word(i)))
	return i + int(borrow(key, &w[0])+borrow(key, &w[1])+borrow(key, &w[2])+borrow(key, &w[3])+
		borrow(key, &w[4])+borrow(key, &w[5])+borrow(key, &w[6])+borrow(key, &w[7]))
}

// borrow is 1 if the key is below what is at p, else 0.
func borrow(key uint64, p *uint64) uint64 {
	_, b := bits.Sub64(key, atomic.LoadUint64(p), 0)
	return b
}
