package store

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/roostpush/roost/session"
)

// The idempotency keys of messages that are kept, or were, are filed under the second at
// which they go, so that those whose time is over go together. A key is in the batch of the
// messages that came with it: both are on disk or neither. How many there are their owner
// bounds (package mailbox), by ForgetKey.
//
// The value is: sum, 8 bytes, a 0 and the hash of the account, 8 bytes, uvarint of how many
// devices the message is for, and its id. Of a key without a hash of the account that is left
// out with its 0: so they all were once, and no message is for 0 devices.

const keyHashBytes = 16

// keySecond is the second at which a key goes.
func keySecond(k *session.Key) uint32 {
	return uint32(min(max((k.GoneMS+999)/1000, 0), 1<<32-1))
}

func appendKeyKey(dst []byte, k *session.Key) []byte {
	return append(appendKeyBound(dst, keySecond(k)), k.Hash[:]...)
}

// appendKeyBound appends what lies before all keys that go at a second.
func appendKeyBound(dst []byte, second uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, keyIdempotency), second)
}

// setKey adds a key to the group, with the id of the message that came with it.
func (g *mailGroup) setKey(k *session.Key, id session.ID, devices int) {
	var room [8 + 1 + 8 + binary.MaxVarintLen64 + idHeadBytes + session.NodeBytesMax]byte
	value := binary.BigEndian.AppendUint64(room[:0], k.Sum)
	if k.Account != 0 {
		value = binary.BigEndian.AppendUint64(append(value, 0), k.Account)
	}
	value = appendID(binary.AppendUvarint(value, uint64(devices)), id)
	op := g.batch.SetDeferred(1+4+keyHashBytes, len(value))
	appendKeyKey(op.Key[:0], k)
	copy(op.Value, value)
}

// parseKey reads a key. The id's strings alias value.
func parseKey(key, value []byte) (k session.Key, id session.ID, devices int, ok bool) {
	if len(key) != 1+4+keyHashBytes || key[0] != keyIdempotency || len(value) < 8 {
		return k, id, 0, false
	}
	k.GoneMS = int64(binary.BigEndian.Uint32(key[1:])) * 1000
	copy(k.Hash[:], key[1+4:])
	k.Sum = binary.BigEndian.Uint64(value)
	value = value[8:]
	if len(value) > 9 && value[0] == 0 {
		k.Account, value = binary.BigEndian.Uint64(value[1:]), value[9:]
	}
	n, used := binary.Uvarint(value)
	if used <= 0 || n == 0 || n > 1<<31 {
		return k, id, 0, false
	}
	id, ok = parseID(value[used:])
	return k, id, int(n), ok
}

// Keys emits the idempotency keys on disk that are not gone at nowMS, with the id of the
// message that came first with each and how many devices that was for, those that go first
// before the others, until emit returns false. A key's GoneMS comes back as a whole second.
// It waits for the disk; not for event loops. What id refers to is borrowed until emit
// returns.
func (s *Store) Keys(nowMS int64, emit func(k session.Key, id session.ID, devices int) bool) error {
	if err := s.beginRead(); err != nil {
		return err
	}
	defer s.endRead()
	from := keySecond(&session.Key{GoneMS: nowMS + 1})
	it, err := s.mail.db.NewIter(&pebble.IterOptions{LowerBound: appendKeyBound(nil, from), UpperBound: []byte{keyIdempotency + 1}})
	if err != nil {
		return fmt.Errorf("store: read in %s: %w", s.cfg.Directory, err)
	}
	for it.First(); it.Valid(); it.Next() {
		k, id, devices, ok := parseKey(it.Key(), it.Value())
		if !ok {
			s.counts.unreadable.Add(1)
			continue
		}
		if !emit(k, id, devices) {
			break
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("store: read in %s: %w", s.cfg.Directory, err)
	}
	return nil
}

// FileKeys keeps the keys of messages that another node keeps, or did. done is called exactly
// once, as Post's: with nil once all are synced, or with the reason why they are not. list is borrowed
// until FileKeys returns. It never waits for the disk.
func (s *Store) FileKeys(list []session.FiledKey, done func(error)) {
	size := 0
	for i := range list {
		if err := session.CheckNode(list[i].Node); err != nil {
			done(fmt.Errorf("store: an idempotency key of message %s is not kept: %w", list[i].ID.Text(), err))
			return
		}
		size += 1 + 4 + keyHashBytes + 8 + 1 + 8 + idHeadBytes + len(list[i].Node)
	}
	m := &s.mail
	m.mu.Lock()
	if err := s.refusalLocked(0, size); err != nil {
		m.mu.Unlock()
		done(s.explain(err))
		return
	}
	g := s.groupLocked()
	before := g.bytes()
	for i := range list {
		g.setKey(&list[i].Key, list[i].ID, max(list[i].Devices, 1))
	}
	g.told = append(g.told, done)
	m.queued += g.bytes() - before
	m.promises++
	first := m.promises == 1
	m.mu.Unlock()
	if first {
		signal(m.promised)
	}
}

// ForgetKey removes a key before its time; of it Hash and GoneMS count. It is on disk at
// most LossWindow later: a crash may bring the key back, which does no harm. It never waits
// and may be called from event loops. A store that is closing or has failed ignores it.
func (s *Store) ForgetKey(k session.Key) {
	m := &s.mail
	m.mu.Lock()
	if m.refuse != nil {
		m.mu.Unlock()
		return
	}
	alone := len(m.waiting) == 0
	g := s.groupLocked()
	before := g.bytes()
	appendKeyKey(g.batch.DeleteDeferred(1 + 4 + keyHashBytes).Key[:0], &k)
	m.queued += g.bytes() - before
	m.mu.Unlock()
	if alone {
		signal(m.noted)
	}
}

// sweepKeys deletes the keys whose time is over. A crash may undo it until the next one.
func (s *Store) sweepKeys() error {
	low, high := []byte{keyIdempotency}, appendKeyBound(nil, keySecond(&session.Key{GoneMS: s.now().UnixMilli() + 1}))
	it, err := s.mail.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return err
	}
	any := it.First()
	if err := it.Close(); err != nil || !any {
		return err
	}
	return s.mail.db.DeleteRange(low, high, pebble.NoSync)
}
