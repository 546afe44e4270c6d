// HOT PATH: every kept message is added, found and removed.

package store

import "github.com/roostpush/roost/session"

// youngIndex finds young messages. Numbers are counted up, and messages are settled about in
// the order in which they came: so messages whose numbers are neighbours stand together, and what
// is in use is in the processor's cache. In one map of all of them each would stand at a place of
// its own, which took a kept message a microsecond more (of 20, one core).
type youngIndex struct {
	blocks map[session.MessageID]*youngBlock // by number / youngBlockSize
	others map[uint64]youngRef               // by the hash of the key: another young message has the number
	spare  []*youngBlock
	last   *youngBlock // the one that was used last, which is of number lastAt
	lastAt session.MessageID
	count  int // of messages
}

// youngBlockSize is small, because numbers need not be neighbours: those of other nodes'
// messages may have gaps, and then a message has a block to itself.
const (
	youngBlockSize  = 16
	youngBlockSpare = 64
)

type youngBlock struct {
	live int
	refs [youngBlockSize]youngRef
}

// youngRef is where a young message is. The zero value is nowhere.
type youngRef struct {
	group *mailGroup
	at    int
}

func (r youngRef) entry() *youngEntry { return &r.group.entries[r.at] }

// block returns the block of a number, or nil.
func (x *youngIndex) block(n session.MessageID) *youngBlock {
	at := n / youngBlockSize
	if x.last != nil && x.lastAt == at {
		return x.last
	}
	b := x.blocks[at]
	x.last, x.lastAt = b, at
	return b
}

// find returns the message with that number and hash of its key. It may be one with another
// key of that hash: whoever asks compares keys.
func (x *youngIndex) find(n session.MessageID, hash uint64) (ref youngRef, ok bool) {
	if b := x.block(n); b != nil {
		if ref = b.refs[n%youngBlockSize]; ref.group != nil && ref.entry().hash == hash {
			return ref, true
		}
	}
	ref, ok = x.others[hash]
	return ref, ok
}

// add adds a message, whose entry need not be there yet; false: another has its place.
func (x *youngIndex) add(n session.MessageID, hash uint64, ref youngRef) bool {
	if _, taken := x.others[hash]; taken {
		return false
	}
	b := x.block(n)
	if b == nil {
		if k := len(x.spare); k > 0 {
			b, x.spare = x.spare[k-1], x.spare[:k-1]
		} else {
			b = new(youngBlock)
		}
		if x.blocks == nil {
			x.blocks, x.others = map[session.MessageID]*youngBlock{}, map[uint64]youngRef{}
		}
		x.blocks[n/youngBlockSize] = b
		x.last = b // block has set lastAt
	}
	switch place := &b.refs[n%youngBlockSize]; {
	case place.group == nil:
		*place = ref
		b.live++
	case place.entry().hash == hash:
		return false
	default:
		x.others[hash] = ref
	}
	x.count++
	return true
}

// remove takes out the message that find returns.
func (x *youngIndex) remove(n session.MessageID, hash uint64) {
	b := x.block(n)
	if b == nil || b.refs[n%youngBlockSize].group == nil || b.refs[n%youngBlockSize].entry().hash != hash {
		if _, ok := x.others[hash]; ok {
			delete(x.others, hash)
			x.count--
		}
		return
	}
	b.refs[n%youngBlockSize] = youngRef{}
	x.count--
	if b.live--; b.live > 0 {
		return
	}
	delete(x.blocks, n/youngBlockSize)
	x.last = nil
	if len(x.spare) < youngBlockSpare {
		x.spare = append(x.spare, b)
	}
}
