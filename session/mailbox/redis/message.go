package redis

import (
	"encoding/binary"
	"errors"

	"github.com/roostpush/roost/session"
)

// A member of a device's sorted set is, byte by byte:
//
//	epoch 8, number 8 (both big endian), node, 0, expiry (varint, Unix milliseconds), collapse key
//
// so that members sort by id, and one knows from them what a start needs to know. A
// message is, behind a byte that says which layout it has:
//
//	kind 1, priority 1, flags 1 (1: first), sent (varint, Unix milliseconds),
//	from and trace (each with a varint for its length), payload
const layout = 1

var (
	errMember  = errors.New("redis: a member is no id of a message")
	errMessage = errors.New("redis: a message is cut short, or of a layout that this version does not know")
)

// appendID appends what all members of a message begin with.
func appendID(dst []byte, id session.ID) []byte {
	dst = appendPlace(dst, id)
	return append(append(dst, id.Node...), 0)
}

// appendPlace appends an id's epoch and number.
func appendPlace(dst []byte, id session.ID) []byte {
	dst = binary.BigEndian.AppendUint64(dst, id.Epoch)
	return binary.BigEndian.AppendUint64(dst, uint64(id.Number))
}

func appendMember(dst []byte, k *session.Kept) []byte {
	dst = appendID(dst, k.ID)
	dst = binary.AppendVarint(dst, k.ExpiresMS)
	return append(dst, k.Collapse...)
}

// parseMember reads the member into k.
func parseMember(s string, k *session.Kept) error {
	if len(s) < 17 {
		return errMember
	}
	k.Epoch = binary.BigEndian.Uint64([]byte(s[:8]))
	k.Number = session.MessageID(binary.BigEndian.Uint64([]byte(s[8:16])))
	end := 16
	for s[end] != 0 {
		if end++; end == len(s) {
			return errMember
		}
	}
	k.Node = s[16:end]
	expires, n := binary.Varint([]byte(s[end+1 : min(len(s), end+1+binary.MaxVarintLen64)]))
	if n <= 0 || session.CheckNode(k.Node) != nil {
		return errMember
	}
	k.ExpiresMS, k.Collapse = expires, s[end+1+n:]
	return nil
}

func appendMessage(dst []byte, k *session.Kept) []byte {
	flags := byte(0)
	if k.First {
		flags = 1
	}
	dst = append(dst, layout, byte(k.Kind), byte(k.Priority), flags)
	dst = binary.AppendVarint(dst, k.SentMS)
	for _, s := range [...]string{k.From, k.Trace} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return append(dst, k.Payload...)
}

// parseMessage reads what the member does not say into k, which then owns b.
func parseMessage(b []byte, k *session.Kept) error {
	if len(b) < 4 || b[0] != layout || b[1] > byte(session.Binary) || int(b[2]) >= session.PriorityCount || b[3] > 1 {
		return errMessage
	}
	k.Kind, k.Priority, k.First = session.Kind(b[1]), session.Priority(b[2]), b[3] == 1
	b = b[4:]
	sent, n := binary.Varint(b)
	if n <= 0 {
		return errMessage
	}
	k.SentMS, b = sent, b[n:]
	for _, s := range [...]*string{&k.From, &k.Trace} {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return errMessage
		}
		*s, b = string(b[n:n+int(size)]), b[n+int(size):]
	}
	k.Payload = b
	return nil
}
