package session

// index is a hash table of slot numbers with linear probing: entries of 4 bytes,
// each a tag over slot+1, 0 where there is none. The tag is the hash's lowest
// bits, since its highest decide the position: neighbours differ in it, and a
// probe rarely has to look at a session that is not the one it wants. The whole
// hashes stay in the sessions. Deletion shifts back whatever probed past the hole, so there are
// no tombstones; growth is by a quarter, so that a million sessions never cost
// the memory of two million. A session.Registry's shard owns it and its mutex
// guards it.
type index struct {
	entries []uint32
	length  int
}

// indexEntriesMin is the size of an index that has any entry.
const indexEntriesMin = 8

// entrySlot masks the slot+1 of an entry; the tag is above it.
const entrySlot = 1<<slotBits - 1

func entryOf(hash, slot uint32) uint32 { return hash<<slotBits | (slot + 1) }
func slotIn(entry uint32) uint32       { return entry&entrySlot - 1 }

// home is where the search for a hash begins. It scales the hash to the size, so
// that a size need not be a power of two.
func (x *index) home(hash uint32) int {
	return int(uint64(hash) * uint64(len(x.entries)) >> 32)
}

// probe is a search in progress.
type probe struct {
	at  int
	tag uint32
}

// seek begins a search for the slots whose session may have the given hash.
func (x *index) seek(hash uint32) probe { return probe{at: x.home(hash), tag: hash << slotBits} }

// next returns the next candidate; ok is false when there are no more.
func (p *probe) next(x *index) (slot uint32, ok bool) {
	if len(x.entries) == 0 {
		return 0, false
	}
	for {
		e := x.entries[p.at]
		if p.at++; p.at == len(x.entries) {
			p.at = 0
		}
		if e == 0 {
			return 0, false
		}
		if e&^entrySlot == p.tag {
			return slotIn(e), true
		}
	}
}

// insert adds a slot that is not there yet. hashOf gives the hash of the sessions
// that are, should the index have to grow.
func (x *index) insert(s *slots, hash, slot uint32, hashOf func(*Session) uint32) {
	if 5*(x.length+1) > 4*len(x.entries) {
		x.grow(s, hashOf)
	}
	x.put(hash, entryOf(hash, slot))
	x.length++
}

func (x *index) put(hash, entry uint32) {
	i := x.home(hash)
	for x.entries[i] != 0 {
		if i++; i == len(x.entries) {
			i = 0
		}
	}
	x.entries[i] = entry
}

func (x *index) grow(s *slots, hashOf func(*Session) uint32) {
	old := x.entries
	x.entries = make([]uint32, max(indexEntriesMin, len(old)+len(old)/4))
	for _, e := range old {
		if e != 0 {
			x.put(hashOf(s.get(slotIn(e))), e)
		}
	}
}

// find returns the position of a slot that is there.
func (x *index) find(hash, slot uint32) int {
	for i, want := x.home(hash), entryOf(hash, slot); ; {
		switch x.entries[i] {
		case want:
			return i
		case 0:
			panic("session: an index has lost a session")
		}
		if i++; i == len(x.entries) {
			i = 0
		}
	}
}

// replace puts another slot of the same hash in the place of one that is there.
func (x *index) replace(hash, slot, by uint32) {
	x.entries[x.find(hash, slot)] = entryOf(hash, by)
}

// remove takes out a slot that is there and shifts back the entries behind it
// that had to probe past it (Knuth, The Art of Computer Programming 6.4,
// algorithm R).
func (x *index) remove(s *slots, hash, slot uint32, hashOf func(*Session) uint32) {
	hole := x.find(hash, slot)
	x.length--
	for i := hole; ; {
		if i++; i == len(x.entries) {
			i = 0
		}
		e := x.entries[i]
		if e == 0 {
			break
		}
		home := x.home(hashOf(s.get(slotIn(e))))
		// An entry whose home lies behind the hole, up to its own place, is found
		// without the hole being filled.
		if hole < i && (home <= hole || home > i) || hole > i && home <= hole && home > i {
			x.entries[hole] = e
			hole = i
		}
	}
	x.entries[hole] = 0
}
