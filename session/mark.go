package session

// markBits are what a mark has beside the version, whose 47 bits (DESIGN.md decision 4) are
// above them.
const markBits = 17

// MarkHere names a session of this node, and MarkThere one of another node, by the number
// that this node's routing table has for its author, to whoever keeps messages for a device. A
// newer session has a larger mark; 0 names none. A version would not do: two nodes may open
// or re-assert sessions of one device with the same version, in the same millisecond or because
// both had to go beyond a third one's, and what one of them has been sent the other has not.
// Marks mean something in this process only.
func MarkHere(version uint64) uint64 { return version << markBits }

// MarkThere is MarkHere of a session on another node.
func MarkThere(version uint64, author uint16) uint64 {
	return version<<markBits | (uint64(author) + 1)
}

// MarkVersion returns the version of the session that a mark names.
func MarkVersion(mark uint64) uint64 { return mark >> markBits }
