package route

import (
	"math/bits"
	"unsafe"
)

// HOT PATH
//
// How far an entry lies behind its home is as good as random, and a loop that goes
// there one slot at a time ends with a branch that no processor predicts: it waits for
// memory before it begins the next look-up. Counting larger slots in a window of fixed
// size has no branch, so that several look-ups wait for memory at once: on a table of
// 10 million entries it halves the time of one.

// window is how many slots are counted at once, all within two cache lines or three.
// More of them are more instructions, and a processor looks only so many ahead.
const window = 6

// passLarger returns a position from i on before which every slot has a larger key.
// What is read may be old by the time it is used, and was read in any order, so these
// are plain loads: a slot that counts had the key looked for to its right, and what is
// there moves to the right only. It is read once more before it is believed.
func (a *array) passLarger(i int, key uint64) int {
	if i&(1<<pairBits-1) > 1<<pairBits-window || i >= a.slots {
		return i // the window would end in another granule
	}
	w := (*[window]pair)(unsafe.Pointer(a.pair(i)))
	return i + int(below(key, w[0].key)+below(key, w[1].key)+below(key, w[2].key)+
		below(key, w[3].key)+below(key, w[4].key)+below(key, w[5].key))
}

// passLargerWords does the same in an array of words; key is the largest word that
// is not to be passed.
func (a *array) passLargerWords(i int, key uint64) int {
	if i&(1<<wordBits-1) > 1<<wordBits-window || i >= a.slots {
		return i
	}
	w := (*[window]uint64)(unsafe.Pointer(a.word(i)))
	return i + int(below(key, w[0])+below(key, w[1])+below(key, w[2])+below(key, w[3])+
		below(key, w[4])+below(key, w[5]))
}

// below is 1 if x < y, else 0: the borrow of their difference.
func below(x, y uint64) uint64 {
	_, borrow := bits.Sub64(x, y, 0)
	return borrow
}
