package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/roostpush/roost/session"
)

// MailMove hands a kept message for one device over to the present home of its account,
// because the node that keeps it leaves for good. The id stays. It is answered by a
// MailMoved; until that says so the sender keeps the message too. Strings and Payload of a
// parsed one are borrowed, but for the node of the id.
//
// ExpiresMS is not carried: time is what is left, since the clocks of two nodes need not
// agree.
type MailMove struct {
	Ref    uint64 // names the frame in its MailMoved
	LeftMS int64  // milliseconds until it expires
	session.Kept
}

// AppendMailMove appends the body of a MailMove. The payload is last.
func AppendMailMove(dst []byte, m *MailMove) []byte {
	flags := byte(m.Kind)<<mailKind | byte(m.Priority)<<mailPriority
	if m.First {
		flags |= mailFirst
	}
	dst = append(appendMessageID(binary.BigEndian.AppendUint64(dst, m.Ref), m.ID), flags)
	for _, s := range [...]string{m.Account, m.Device, m.From} {
		dst = appendText(dst, s)
	}
	dst = appendTime(appendTime(dst, m.SentMS), m.LeftMS)
	dst = appendText(appendText(dst, m.Collapse), m.Trace)
	return appendText(dst, Borrow(m.Payload))
}

// MailMoveSizeMax returns an upper bound of what AppendMailMove appends.
func MailMoveSizeMax(m *MailMove) int {
	return 8 + 1 + session.NodeBytesMax + 1 + 4*binary.MaxVarintLen64 +
		len(m.Account) + len(m.Device) + len(m.From) + len(m.Collapse) + len(m.Trace) + len(m.Payload) + 6*binary.MaxVarintLen64
}

// ParseMailMove reads the body of a mail_move frame. An error is an *Error.
func ParseMailMove(b []byte, m *MailMove) error {
	r := linkBody{b: b}
	*m = MailMove{Ref: r.uint64("ref")}
	r.messageID(&m.ID)
	flags := r.byte("flags")
	if flags&(mailReserved|mailWatch) != 0 {
		r.fail(CodeValue, fmt.Sprintf("flags %#02x", flags))
	}
	m.First = flags&mailFirst != 0
	m.Kind, m.Priority = session.Kind(flags>>mailKind&3), session.Priority(flags>>mailPriority&3)
	m.Account, m.Device, m.From = r.name("account"), r.name("device"), r.name("from")
	m.SentMS, m.LeftMS = r.time("sent_ms"), r.time("left_ms")
	m.Collapse = Borrow(r.bytes("collapse", CollapseBytesMax))
	m.Trace = Borrow(r.bytes("trace", MailTraceBytesMax))
	m.Payload = r.bytes("payload", r.left())
	switch {
	case r.err != nil:
	case m.Kind > session.Binary:
		r.fail(CodeValue, fmt.Sprintf("kind %d", m.Kind))
	case int(m.Priority) >= session.PriorityCount:
		r.fail(CodeValue, fmt.Sprintf("priority %d", m.Priority))
	case m.Account == "" || m.Device == "":
		r.fail(CodeValue, "mail for nobody is handed over")
	case m.Collapse != "" && checkCollapse(m.Collapse) != nil:
		r.fail(CodeValue, checkCollapse(m.Collapse).Error())
	}
	return r.end()
}

// MailMoved answers a MailMove. Why is borrowed.
type MailMoved struct {
	Ref uint64 // of the MailMove
	// Taken says that the message is on the answering node's disk, synced, or was settled there
	// before: whoever sent it lets go of it. Otherwise it stays where it is, and Why names
	// the limit or fault for people.
	Taken   bool
	Outcome session.Outcome // of a taken one: Queued while it waits there, or what it was settled with
	Why     string
}

// AppendMailMoved appends the body of a MailMoved; a longer reason is cut.
func AppendMailMoved(dst []byte, m *MailMoved) []byte {
	dst = append(binary.BigEndian.AppendUint64(dst, m.Ref), boolByte(m.Taken), byte(m.Outcome))
	return appendText(dst, m.Why[:min(len(m.Why), MailWhyBytesMax)])
}

// ParseMailMoved reads the body of a mail_moved frame. An error is an *Error.
func ParseMailMoved(b []byte, m *MailMoved) error {
	r := linkBody{b: b}
	m.Ref = r.uint64("ref")
	m.Taken, m.Outcome = r.bool("taken"), r.outcome()
	m.Why = Borrow(r.bytes("why", MailWhyBytesMax))
	if r.err == nil && m.Taken == (m.Outcome == session.Pending) {
		r.fail(CodeValue, "mail that is taken without an outcome, or has one and is not")
	}
	return r.end()
}

// MailUnwatch says that nobody at its sender wants to hear any more what becomes of a
// message, of which it was told with MailFates.
type MailUnwatch struct {
	ID session.ID
}

// AppendMailUnwatch appends the body of a MailUnwatch.
func AppendMailUnwatch(dst []byte, u *MailUnwatch) []byte { return appendMessageID(dst, u.ID) }

// ParseMailUnwatch reads the body of a mail_unwatch frame. An error is an *Error.
func ParseMailUnwatch(b []byte, u *MailUnwatch) error {
	r := linkBody{b: b}
	r.messageID(&u.ID)
	return r.end()
}
