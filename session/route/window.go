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

// passLarger returns a position from i on before which every slot has a hash that comes
// before this one: a larger key. What is read may be old by the time it is used, and was
// read in any order, so these are plain loads: a slot that counts had the hash looked for
// to its right, and what is there moves to the right only. It is read once more before it
// is believed.
func (a *array) passLarger(i int, hash uint64) int {
	if i > a.slots-window {
		return i
	}
	n := uint64(0)
	if i&(1<<pairBits-1) > 1<<pairBits-window { // it ends in another granule
		for k := i; k < i+window; k++ {
			n = above(n, a.pair(k).key, hash)
		}
		return i + int(n)
	}
	w := (*[window]pair)(unsafe.Pointer(a.pair(i)))
	n = above(n, w[0].key, hash)
	n = above(n, w[1].key, hash)
	n = above(n, w[2].key, hash)
	n = above(n, w[3].key, hash)
	n = above(n, w[4].key, hash)
	n = above(n, w[5].key, hash)
	return i + int(n)
}

// passLargerWords does the same in an array of words; key is the largest word that
// is not to be passed.
func (a *array) passLargerWords(i int, key uint64) int {
	if i > a.slots-window {
		return i
	}
	n, hash := uint64(0), ^key
	if i&(1<<wordBits-1) > 1<<wordBits-window {
		for k := i; k < i+window; k++ {
			n = above(n, *a.word(k), hash)
		}
		return i + int(n)
	}
	w := (*[window]uint64)(unsafe.Pointer(a.word(i)))
	n = above(n, w[0], hash)
	n = above(n, w[1], hash)
	n = above(n, w[2], hash)
	n = above(n, w[3], hash)
	n = above(n, w[4], hash)
	n = above(n, w[5], hash)
	return i + int(n)
}

// near is how many slots Lookup tells apart, with two compares: the second slot of a window,
// and then the first or the third. How many look-ups wait for memory at once seems to depend
// on how many instructions of each wait for its answer: with six slots counted one by one a
// look-up takes a quarter to a third longer, although fewer of them have to look further.
const near = 3

// above is n, and one more if the key is larger than that of the hash: if their sum has
// a carry, which is two instructions on most processors.
func above(n, key, hash uint64) uint64 {
	_, carry := bits.Add64(key, hash, 0)
	n, _ = bits.Add64(n, 0, carry)
	return n
}

// twiceAbove is twice n, and one more if the key is larger than that of the hash.
func twiceAbove(n, key, hash uint64) uint64 {
	_, carry := bits.Add64(key, hash, 0)
	n, _ = bits.Add64(n, n, carry)
	return n
}
