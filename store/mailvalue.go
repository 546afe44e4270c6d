package store

import (
	"encoding/binary"
	"errors"

	"github.com/roostpush/roost/session"
)

// A message's value is: one byte of version and flags, one of kind and priority, varint
// SentMS, varint ExpiresMS-SentMS, then From, Collapse and Trace, each after its uvarint
// length, then the payload to the end. What the index of mailboxes wants stands in front.
const (
	mailVersion  = 0x10
	flagFirst    = 0x01
	priorityBits = 2 // of the second byte's lower end

	mailHeadBytesMax = 2 + 2*binary.MaxVarintLen64 + 3*binary.MaxVarintLen32 // without the three strings
)

var errBadMail = errors.New("store: a message's value does not parse")

// appendMailHead appends the value of a message without its payload. It allocates nothing
// when dst has room.
func appendMailHead(dst []byte, m *session.Kept) []byte {
	head := byte(mailVersion)
	if m.First {
		head |= flagFirst
	}
	dst = append(dst, head, byte(m.Kind)<<priorityBits|byte(m.Priority))
	dst = binary.AppendVarint(dst, m.SentMS)
	dst = binary.AppendVarint(dst, m.ExpiresMS-m.SentMS)
	dst = appendString(dst, m.From)
	dst = appendString(dst, m.Collapse)
	return appendString(dst, m.Trace)
}

// parseMail reads a message's value; the id and the address stand in its key. The result
// borrows from value.
func parseMail(value []byte) (m session.Kept, err error) {
	r := reader{rest: value}
	head, kinds := r.byte(), r.byte()
	kind, priority := session.Kind(kinds>>priorityBits), session.Priority(kinds&(1<<priorityBits-1))
	if head&^flagFirst != mailVersion || kind > session.Binary || int(priority) >= session.PriorityCount {
		return m, errBadMail
	}
	m.First, m.Kind, m.Priority = head&flagFirst != 0, kind, priority
	m.SentMS = r.varint()
	m.ExpiresMS = m.SentMS + r.varint()
	m.From, m.Collapse, m.Trace = text(r.string()), text(r.string()), text(r.string())
	if r.bad {
		return session.Kept{}, errBadMail
	}
	m.Payload = r.rest
	return m, nil
}
