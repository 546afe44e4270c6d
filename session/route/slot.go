package route

// pair is one slot of the table. Both words are read and written with atomic
// operations once their array is published.
type pair struct {
	key uint64 // the hash inverted, so that memory full of zeros holds the largest hash
	val uint64
}

// A value is version<<17 | open<<16 | author: the larger of two is the newer one,
// and of two sets that know one version the open entry counts, since the session of
// the other is over while this one lives.
const (
	versionShift = 17
	openBit      = 1 << 16
	authorMask   = 1<<16 - 1

	empty = 0       // never used, or used and nothing behind it
	dead  = openBit // author 0: taken out, its hash still keeps the order
)

// VersionMax is the highest version an entry can have: Unix milliseconds until the
// year 6429.
const VersionMax = 1<<(64-versionShift) - 1

func valueOf(version uint64, open bool, a Author) uint64 {
	v := version<<versionShift | uint64(a)
	if open {
		v |= openBit
	}
	return v
}

func versionOf(v uint64) uint64 { return v >> versionShift }
func isOpen(v uint64) bool      { return v&openBit != 0 }
func authorOf(v uint64) Author  { return Author(v & authorMask) }

// isLive reports whether the slot with that value holds an entry.
func isLive(v uint64) bool { return v&authorMask != 0 }
