package route

import (
	"math/bits"
	"unsafe"
)

// An array is the open-addressing part of one shard. It is sorted: a slot's hash is
// not below that of the slot before it. A hash is looked for from its home on, and
// the first larger one ends the search, so that a miss costs what a hit does (Amble
// and Knuth, "Ordered hash tables", 1974; with scaling instead of a modulus for the
// home, the order is that of Robin Hood hashing). Nothing wraps: behind the last home
// there is a tail, which gets longer when it must.
//
// What is taken out leaves a dead slot that keeps its hash, and so the order; an
// entry never moves to the left. The next entry that belongs there uses it, and
// making the array anew drops it (Bender, Kuszmaul and Kuszmaul, "Linear probing
// revisited: tombstones mark the demise of primary clustering", 2021).
type array struct {
	base     unsafe.Pointer
	homes    uint64 // positions that can be a home
	slots    int    // homes and tail
	granules []uint32
}

// noSlots is the array of a shard that never had an entry.
var noSlots = new(array)

// Load of an array, in hundredths of its homes. Above loadMax, dead slots
// included, or below loadMin, dead slots excluded, it is made anew with loadNew. So an
// entry of 16 bytes costs 22.7 bytes + 1.5 % (tail, rounding) after growth, and one of 8
// half of that. An entry lies 1.2 slots from its home at loadNew and 2 at loadMax, on
// average; 90 would make it 4.5.
const (
	loadMin = 63
	loadNew = 70.5
	loadMax = 80
)

// tailMax is how long a tail is at first, in slots, if the array is not short.
const tailMax = 128

// Slots of a granule, by the number's logarithm: a pair of words, or one.
const (
	pairBits = 8
	wordBits = 9
)

func tailOf(slots int) int { return min(slots/16, tailMax) }

// granulesFor returns how many granules an array has that is made for so many
// entries.
func granulesFor(entries int, slotBits uint) int {
	homes := int(float64(entries)*100/loadNew) + 1
	n := (homes + 1<<slotBits - 1) >> slotBits
	for n<<slotBits-tailOf(n<<slotBits) < homes {
		n++
	}
	return n
}

// newArray returns an array for so many entries, whose slots are yet to be written,
// or nil when there is no memory for it.
func (m *memory) newArray(entries int, slotBits uint) *array {
	n := granulesFor(entries, slotBits)
	granules, ok := m.take(make([]uint32, 0, n), n)
	if !ok {
		return nil
	}
	slots := n << slotBits
	return &array{base: m.base, homes: uint64(slots - tailOf(slots)), slots: slots, granules: granules}
}

// extended returns the same array with a granule more at its end, whose slots are
// yet to be written, or nil.
func (m *memory) extended(a *array, slotBits uint) *array {
	granules, ok := m.take(append(make([]uint32, 0, len(a.granules)+1), a.granules...), 1)
	if !ok {
		return nil
	}
	return &array{base: m.base, homes: a.homes, slots: a.slots + 1<<slotBits, granules: granules}
}

// home is where the search for a hash begins. The hash comes without the bits that
// chose the shard: scaled to the homes it keeps its order, and a size need not be a
// power of two.
func (a *array) home(hash uint64) int {
	high, _ := bits.Mul64(hash<<shardBits, a.homes)
	return int(high)
}

// pair returns the i-th slot of an array of pairs.
func (a *array) pair(i int) *pair {
	return (*pair)(unsafe.Add(a.base, uintptr(a.granules[i>>pairBits])*granuleBytes+uintptr(i&(1<<pairBits-1))*16))
}

// word returns the i-th slot of an array of words.
func (a *array) word(i int) *uint64 {
	return (*uint64)(unsafe.Add(a.base, uintptr(a.granules[i>>wordBits])*granuleBytes+uintptr(i&(1<<wordBits-1))*8))
}
