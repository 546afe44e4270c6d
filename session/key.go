package session

import (
	"crypto/sha256"
	"encoding/binary"
)

// Key is a caller's idempotency key as those who keep messages know it. It is the same on
// every node and after every restart, and short, so that it can travel and be stored with
// the message. The zero Key is none.
//
// Keys are cut from SHA-256: callers choose them, and two with one hash would be taken for
// one message.
type Key struct {
	Hash    [16]byte // of the account, the key and its scope
	Sum     uint64   // of what the message says: a key with two sums names two messages
	GoneMS  int64    // Unix milliseconds from which on its keeper forgets it; the keeper sets it
	Account uint64   // hash of the account, which names its home (Hasher); the keeper sets it; 0: there is no cluster
}

// FiledKey is a key beside the message that came first with it.
type FiledKey struct {
	Key
	ID
	Devices int // that the message is for
}

// NewKey returns the key of a message: id is what the caller gave it, unique within scope
// (empty: all of the account's). Of m it looks at what makes two messages one: address,
// kind, payload, how long it is kept, collapse key and whether the first ack is enough. All
// arguments are borrowed. It allocates nothing for names of usual length.
func NewKey(scope, id string, m *Kept) (k Key) {
	var room [512]byte
	name := func(dst []byte, s string) []byte { return append(binary.AppendUvarint(dst, uint64(len(s))), s...) }
	text := name(name(name(room[:0], m.Account), scope), id)
	hash := sha256.Sum256(text)
	copy(k.Hash[:], hash[:])

	payload := sha256.Sum256(m.Payload)
	first := byte(0)
	if m.First {
		first = 1
	}
	text = name(name(append(room[:0], byte(m.Kind), first), m.Device), m.Collapse)
	text = append(binary.AppendVarint(text, m.ExpiresMS-m.SentMS), payload[:]...)
	hash = sha256.Sum256(text)
	k.Sum = binary.BigEndian.Uint64(hash[:])
	return k
}

// IsZero reports whether there is no key.
func (k *Key) IsZero() bool { return k.Hash == [16]byte{} }
