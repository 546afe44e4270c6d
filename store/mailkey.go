package store

import (
	"bytes"
	"encoding/binary"

	"github.com/roostpush/roost/session"
)

// idHeadBytes is the length of epoch and number at the beginning of an id in a key.
const idHeadBytes = 8 + 8

// outcomeShareBits says how many ids share the entries of the outcomes: 64 that follow
// each other. Of messages that are settled together those are most often one entry, and
// whoever asks for one id reads no more than theirs.
const outcomeShareBits = 6

// appendID appends an id as keys hold it: in the order of epochs, then of numbers. The
// node comes last, since it is the only part without a fixed length.
func appendID(dst []byte, id session.ID) []byte {
	dst = binary.BigEndian.AppendUint64(dst, id.Epoch)
	dst = binary.BigEndian.AppendUint64(dst, uint64(id.Number))
	return append(dst, id.Node...)
}

// parseID reads what appendID wrote. The node aliases b.
func parseID(b []byte) (id session.ID, ok bool) {
	if len(b) <= idHeadBytes {
		return id, false
	}
	id.Epoch = binary.BigEndian.Uint64(b)
	id.Number = session.MessageID(binary.BigEndian.Uint64(b[8:]))
	id.Node = text(b[idHeadBytes:])
	return id, true
}

// appendMailboxKey appends what the keys of all messages for a device begin with.
func appendMailboxKey(dst []byte, a session.Address) []byte {
	dst = append(dst, keyMail)
	dst = append(dst, a.Account...)
	dst = append(dst, 0)
	dst = append(dst, a.Device...)
	return append(dst, 0)
}

func mailboxKeyBytes(a session.Address) int { return 1 + len(a.Account) + 1 + len(a.Device) + 1 }

// parseMailKey reads the key of a message. The strings alias it.
func parseMailKey(key []byte) (a session.Address, id session.ID, ok bool) {
	if len(key) == 0 || key[0] != keyMail {
		return a, id, false
	}
	account, rest, ok1 := bytes.Cut(key[1:], []byte{0})
	device, rest, ok2 := bytes.Cut(rest, []byte{0})
	if !ok1 || !ok2 {
		return a, id, false
	}
	id, ok = parseID(rest)
	return session.Address{Account: text(account), Device: text(device)}, id, ok
}

// appendWaitingKey appends the key under which an id names one of its devices.
func appendWaitingKey(dst []byte, id session.ID, a session.Address) []byte {
	dst = append(appendWaitingPrefix(dst, id), a.Account...)
	dst = append(dst, 0)
	return append(dst, a.Device...)
}

// appendWaitingPrefix appends what the keys of all devices of an id begin with.
func appendWaitingPrefix(dst []byte, id session.ID) []byte {
	return append(appendID(append(dst, keyWaiting), id), 0)
}

func waitingKeyBytes(id session.ID, a session.Address) int {
	return 1 + idHeadBytes + len(id.Node) + 1 + len(a.Account) + 1 + len(a.Device)
}

// parseWaitingKey reads the address behind the prefix of its id. The strings alias it.
func parseWaitingKey(key []byte, prefixBytes int) (a session.Address, ok bool) {
	if len(key) <= prefixBytes {
		return a, false
	}
	account, device, ok := bytes.Cut(key[prefixBytes:], []byte{0})
	return session.Address{Account: text(account), Device: text(device)}, ok
}

// appendOutcomePrefix appends what the keys of the outcomes of an id and its neighbours
// begin with, among those that go at one time.
func appendOutcomePrefix(dst []byte, dueSecond uint32, id session.ID) []byte {
	id.Number >>= outcomeShareBits
	return append(appendID(appendDueKey(dst, dueSecond), id), 0)
}

// appendDueKey appends the bound that lies before all outcomes that go at a time.
func appendDueKey(dst []byte, dueSecond uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, keyOutcome), dueSecond)
}

// parseDue reads the time out of the key of outcomes.
func parseDue(key []byte) (dueSecond uint32, ok bool) {
	if len(key) < 1+4 || key[0] != keyOutcome {
		return 0, false
	}
	return binary.BigEndian.Uint32(key[1:]), true
}
