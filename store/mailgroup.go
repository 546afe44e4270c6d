// HOT PATH: every kept message goes through a group twice.

package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/roostpush/roost/session"
)

// mailGroup is what goes to disk together: messages, and the outcomes of others. The
// queue's mutex guards it while it waits; from then on its batch is the writer's, and the
// rest does not change until the writer has it back in the queue's free list.
type mailGroup struct {
	batch   *pebble.Batch
	data    []byte // of the batch, once it is the writer's
	posted  int
	told    []func(error) // called once the group is on disk, or will never be
	settled []settlement
}

// settlement is the end of a message, until it is on disk.
type settlement struct {
	address uint64 // hash of the mailbox
	number  session.MessageID
	atMS    int64
	key     uint32 // where the message's key begins in the batch
	id      uint32 // and the id in it
	end     uint32
	outcome session.Outcome
}

// groupBytesRetained is the size of the batches that are used again.
const groupBytesRetained = 256 << 10

// addressSeed hashes mailboxes; the hashes never leave the process.
var addressSeed = maphash.MakeSeed()

func newMailGroup(db *pebble.DB) *mailGroup {
	return &mailGroup{batch: db.NewBatchWithSize(8<<10, pebble.WithMaxRetainedSizeBytes(groupBytesRetained))}
}

// memBytes is about what the group takes in Pebble's write buffer.
func (g *mailGroup) memBytes() int { return g.batch.Len() + int(g.batch.Count())*opBytesInMemTable }

// view returns the bytes of the batch. Whoever owns the batch may call it.
func (g *mailGroup) view() []byte {
	if g.data != nil {
		return g.data
	}
	return g.batch.Repr()
}

// post adds a message.
func (g *mailGroup) post(m *session.Kept) {
	var room [mailHeadBytesMax + 512]byte
	head := appendMailHead(room[:0], m)
	op := g.batch.SetDeferred(mailboxKeyBytes(m.Address)+idHeadBytes+len(m.Node), len(head)+len(m.Payload))
	appendID(appendMailboxKey(op.Key[:0], m.Address), m.ID)
	copy(op.Value[copy(op.Value, head):], m.Payload)

	since := binary.AppendVarint(room[:0], m.SentMS)
	op = g.batch.SetDeferred(waitingKeyBytes(m.ID, m.Address), len(since))
	appendWaitingKey(op.Key[:0], m.ID, m.Address)
	copy(op.Value, since)
	g.posted++
}

// settle adds the end of a message. once says that its keys were set once at most, so
// that they and their removal may cancel each other out wherever they meet, which is most
// often in the write buffer.
func (g *mailGroup) settle(a session.Address, id session.ID, once bool, o session.Outcome, atMS int64) {
	remove := g.batch.DeleteDeferred
	if once {
		remove = g.batch.SingleDeleteDeferred
	}
	op := remove(waitingKeyBytes(id, a))
	appendWaitingKey(op.Key[:0], id, a)
	mailbox := mailboxKeyBytes(a)
	op = remove(mailbox + idHeadBytes + len(id.Node))
	key := appendID(appendMailboxKey(op.Key[:0], a), id)
	end := g.batch.Len()
	g.settled = append(g.settled, settlement{
		address: maphash.Bytes(addressSeed, key[:mailbox]),
		number:  id.Number, atMS: atMS, outcome: o,
		key: uint32(end - len(key)), id: uint32(end - len(key) + mailbox), end: uint32(end),
	})
}

// addOutcomes adds the outcomes of the settled messages: one entry for all whose ids are
// neighbours. entry names the process and the group; sorted is scratch, and returned.
func (g *mailGroup) addOutcomes(dueSecond uint32, entry [16]byte, sorted []settlement) []settlement {
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
		account, device, _ := bytes.Cut(g.data[s.key+1:s.id-1], []byte{0})
		value = appendOutcome(value, s.number, s.outcome, s.atMS-sorted[first].atMS, account, device)
		if i+1 < len(sorted) && g.compareShares(s, &sorted[i+1]) == 0 {
			continue
		}
		id, _ := parseID(g.data[s.id:s.end])
		key := append(appendOutcomePrefix(keyRoom[:0], dueSecond, id), entry[:]...)
		op := g.batch.SetDeferred(len(key), len(value))
		copy(op.Key, key)
		copy(op.Value, value)
		first = i + 1
	}
	return sorted
}

// compareShares orders settlements by what of their ids is in the key of outcomes.
func (g *mailGroup) compareShares(a, b *settlement) int {
	return cmp.Or(bytes.Compare(g.data[a.id:a.id+8], g.data[b.id:b.id+8]),
		cmp.Compare(a.number>>outcomeShareBits, b.number>>outcomeShareBits),
		bytes.Compare(g.data[a.id+idHeadBytes:a.end], g.data[b.id+idHeadBytes:b.end]))
}
