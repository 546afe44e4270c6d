package wire

import "github.com/roostpush/roost/session"

// These are the bodies of the frames between nodes (PROTOCOL.md section 4).

// Change is one entry of an author's log: a device opened or closed there. Hashes are
// keyed (DESIGN.md decision 4).
type Change struct {
	Address uint64 // hash of account and device
	Account uint64 // hash of the account
	Version uint64 // 48 bits; of an opening: above whatever the table held
	Closed  bool   // the session of that version is over
}

// Delta is a run of changes of one author's log. Change i has the sequence number
// First+i; numbers start at 1.
type Delta struct {
	Author  session.Origin
	First   uint64
	AtMS    uint64 // when the oldest change came about that no push had before, by the author's clock, Unix milliseconds; 0: this is no first push
	Changes []Change
}

// Head says how far an author's log is known to the sender.
type Head struct {
	Author session.Origin
	Seq    uint64
}

// LogRequest asks for an author's log: from the change numbered From on, or, when From
// is 0 or no longer kept, a snapshot.
type LogRequest struct {
	Author session.Origin
	From   uint64
}

// SnapshotChunk is a part of an author's set as it was after change Seq. Chunks come in
// order on one link; a chunk with Index 0 begins a new snapshot, Last ends it.
type SnapshotChunk struct {
	Author  session.Origin
	Seq     uint64
	Index   uint32
	Last    bool
	Changes []Change // openings only
}
