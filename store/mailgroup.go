// HOT PATH: every kept message goes through a group twice.

package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"unsafe"

	"github.com/cockroachdb/pebble/v2"

	"github.com/roostpush/roost/session"
)

// mailGroup is what goes to disk together: messages, and the outcomes of others. The
// queue's mutex guards it while it waits. With the writer it does not change, except that
// young messages may be settled; see mailyoung.go for those.
type mailGroup struct {
	seq     uint64
	batch   *pebble.Batch
	posted  int           // messages
	filed   int           // of them, without young ones; less the filed ones that are settled
	noted   int           // of the outcomes the ones without a message
	told    []func(error) // called once the group is on disk, or will never be
	keys    []byte        // of the settled messages
	settled []settlement
	ends    []byte // which of those were young
	youngGroup
}

// settlement is the end of a message, until it is on disk.
type settlement struct {
	address uint64 // hash of the mailbox
	number  session.MessageID
	atMS    int64
	key     uint32 // where the message's key begins in the group's keys
	id      uint32 // and the id in it
	end     uint32
	outcome session.Outcome
}

// A group that has had room for more than this is not used again.
const (
	groupBytesRetained   = 512 << 10
	groupEntriesRetained = 8 << 10
)

// addressSeed hashes mailboxes; the hashes never leave the process.
var addressSeed = maphash.MakeSeed()

// bytes is what the group holds.
func (g *mailGroup) bytes() int {
	return g.batch.Len() + len(g.keys) + len(g.settled)*int(unsafe.Sizeof(settlement{})) + len(g.ends) + len(g.young)
}

// memBytes is about what the group takes in Pebble's write buffer.
func (g *mailGroup) memBytes() int {
	return g.batch.Len() + int(g.batch.Count())*opBytesInMemTable + len(g.keys) + len(g.ends) + len(g.young)
}

// post files a message.
func (g *mailGroup) post(m *session.Kept) {
	var room [mailHeadBytesMax + 512]byte
	head := appendMailHead(room[:0], m)
	op := g.batch.SetDeferred(mailboxKeyBytes(m.Address)+idHeadBytes+len(m.Node), len(head)+len(m.Payload))
	appendID(appendMailboxKey(op.Key[:0], m.Address), m.ID)
	copy(op.Value[copy(op.Value, head):], m.Payload)
	setWaiting(g.batch, m.Address, m.ID, m.SentMS)
	g.posted++
	g.filed++
}

// setWaiting notes that a message waits.
func setWaiting(b *pebble.Batch, a session.Address, id session.ID, sinceMS int64) {
	var room [binary.MaxVarintLen64]byte
	since := binary.AppendVarint(room[:0], sinceMS)
	op := b.SetDeferred(waitingKeyBytes(id, a), len(since))
	appendWaitingKey(op.Key[:0], id, a)
	copy(op.Value, since)
}

// settle notes the end of a message and returns its key.
func (g *mailGroup) settle(a session.Address, id session.ID, o session.Outcome, atMS int64) (key []byte) {
	start := len(g.keys)
	g.keys = appendMailboxKey(g.keys, a)
	middle := len(g.keys)
	g.keys = appendID(g.keys, id)
	g.settled = append(g.settled, settlement{
		address: maphash.Bytes(addressSeed, g.keys[start:middle]),
		number:  id.Number, atMS: atMS, outcome: o,
		key: uint32(start), id: uint32(middle), end: uint32(len(g.keys)),
	})
	return g.keys[start:]
}

// remove takes a filed message out. once says that its keys were set once at most, so that
// they and their removal may cancel each other out wherever they meet.
func (g *mailGroup) remove(a session.Address, id session.ID, once bool) {
	remove := g.batch.DeleteDeferred
	if once {
		remove = g.batch.SingleDeleteDeferred
	}
	op := remove(waitingKeyBytes(id, a))
	appendWaitingKey(op.Key[:0], id, a)
	op = remove(mailboxKeyBytes(a) + idHeadBytes + len(id.Node))
	appendID(appendMailboxKey(op.Key[:0], a), id)
	g.filed--
}

// addOutcomes adds the outcomes of the settled messages: one entry for all whose ids are
// neighbours. The process and the group make the key one of its own; sorted is scratch,
// and returned.
func (g *mailGroup) addOutcomes(dueSecond uint32, epoch uint64, sorted []settlement) []settlement {
	sorted = append(sorted[:0], g.settled...)
	slices.SortFunc(sorted, func(a, b settlement) int {
		return cmp.Or(g.compareShares(&a, &b), cmp.Compare(a.number, b.number))
	})
	var keyRoom [1 + 4 + idHeadBytes + session.NodeBytesMax + 1 + 16]byte
	var valueRoom [1 << 10]byte
	value, first := valueRoom[:0], 0
	for i := range sorted {
		s := &sorted[i]
		if i == first {
			value = appendOutcomesHead(valueRoom[:0], s.atMS)
		}
		account, device, _ := bytes.Cut(g.keys[s.key+1:s.id-1], []byte{0})
		value = appendOutcome(value, s.number, s.outcome, s.atMS-sorted[first].atMS, account, device)
		if i+1 < len(sorted) && g.compareShares(s, &sorted[i+1]) == 0 {
			continue
		}
		id, _ := parseID(g.keys[s.id:s.end])
		key := binary.BigEndian.AppendUint64(appendOutcomePrefix(keyRoom[:0], dueSecond, id), epoch)
		key = binary.BigEndian.AppendUint64(key, g.seq)
		op := g.batch.SetDeferred(len(key), len(value))
		copy(op.Key, key)
		copy(op.Value, value)
		first = i + 1
	}
	return sorted
}

// compareShares orders settlements by what of their ids is in the key of outcomes.
func (g *mailGroup) compareShares(a, b *settlement) int {
	return cmp.Or(bytes.Compare(g.keys[a.id:a.id+8], g.keys[b.id:b.id+8]),
		cmp.Compare(a.number>>outcomeShareBits, b.number>>outcomeShareBits),
		bytes.Compare(g.keys[a.id+idHeadBytes:a.end], g.keys[b.id+idHeadBytes:b.end]))
}
