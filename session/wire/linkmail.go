package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/roostpush/roost/session"
)

// Mail asks a node to keep a message until its device, or each device of its account, has
// it, because it is the home of the account (DESIGN.md decision 7). It is answered by a
// Mailed, which names the message: who keeps it is part of its id. Strings and Payload of a
// parsed one are borrowed.
//
// Time is what is left, since the clocks of two nodes need not agree.
type Mail struct {
	Ref   uint64 // names the frame in its Mailed
	Watch bool   // the sender wants to hear what becomes of it: MailFates

	Account string
	Device  string // empty: every device of the account
	Except  string // the device that is left out; empty: none

	Kind     session.Kind
	Priority session.Priority
	First    bool        // the first device's ack takes it from the others
	From     string      // the sending device; empty: a service
	SentMS   int64       // Unix milliseconds at the accepting node
	LeftMS   int64       // milliseconds until it expires
	Collapse string      // empty: none
	Trace    string      // W3C traceparent; empty: none
	Key      session.Key // zero: none; its GoneMS does not travel
	Payload  []byte
}

// MailTraceBytesMax bounds a traceparent.
const MailTraceBytesMax = session.TraceparentBytesMax

// The flags of a Mail.
const (
	mailWatch    = 1
	mailFirst    = 2
	mailKind     = 2    // bits to shift: two for the kind
	mailPriority = 4    // and two for the priority
	mailKeyed    = 0x40 // a key is there: hash and sum, behind the traceparent
	mailReserved = 0x80
)

// AppendMail appends the body of a Mail. The payload is last.
func AppendMail(dst []byte, m *Mail) []byte {
	flags := byte(m.Kind)<<mailKind | byte(m.Priority)<<mailPriority
	if m.Watch {
		flags |= mailWatch
	}
	if m.First {
		flags |= mailFirst
	}
	if !m.Key.IsZero() {
		flags |= mailKeyed
	}
	dst = append(binary.BigEndian.AppendUint64(dst, m.Ref), flags)
	for _, s := range [...]string{m.Account, m.Device, m.Except, m.From} {
		dst = appendText(dst, s)
	}
	dst = appendTime(dst, m.SentMS)
	dst = appendTime(dst, m.LeftMS)
	dst = appendText(dst, m.Collapse)
	dst = appendText(dst, m.Trace)
	if !m.Key.IsZero() {
		dst = binary.BigEndian.AppendUint64(append(dst, m.Key.Hash[:]...), m.Key.Sum)
	}
	return appendText(dst, Borrow(m.Payload))
}

// MailSizeMax returns an upper bound of what AppendMail appends.
func MailSizeMax(m *Mail) int {
	return 8 + 1 + 2*binary.MaxVarintLen64 + len(m.Key.Hash) + 8 +
		len(m.Account) + len(m.Device) + len(m.Except) + len(m.From) + len(m.Collapse) + len(m.Trace) + len(m.Payload) + 7*binary.MaxVarintLen64
}

// ParseMail reads the body of a mail frame. An error is an *Error.
func ParseMail(b []byte, m *Mail) error {
	r := linkBody{b: b}
	m.Ref = r.uint64("ref")
	flags := r.byte("flags")
	if flags&mailReserved != 0 {
		r.fail(CodeValue, fmt.Sprintf("flags %#02x", flags))
	}
	m.Watch, m.First = flags&mailWatch != 0, flags&mailFirst != 0
	m.Kind, m.Priority = session.Kind(flags>>mailKind&3), session.Priority(flags>>mailPriority&3)
	m.Account, m.Device, m.Except, m.From = r.name("account"), r.name("device"), r.name("except"), r.name("from")
	m.SentMS, m.LeftMS = r.time("sent_ms"), r.time("left_ms")
	m.Collapse = Borrow(r.bytes("collapse", CollapseBytesMax))
	m.Trace = Borrow(r.bytes("trace", MailTraceBytesMax))
	if m.Key = (session.Key{}); flags&mailKeyed != 0 {
		binary.BigEndian.PutUint64(m.Key.Hash[:8], r.uint64("key"))
		binary.BigEndian.PutUint64(m.Key.Hash[8:], r.uint64("key"))
		m.Key.Sum = r.uint64("key's sum")
	}
	m.Payload = r.bytes("payload", r.left())
	switch {
	case r.err != nil:
	case m.Kind > session.Binary:
		r.fail(CodeValue, fmt.Sprintf("kind %d", m.Kind))
	case int(m.Priority) >= session.PriorityCount:
		r.fail(CodeValue, fmt.Sprintf("priority %d", m.Priority))
	case m.Account == "":
		r.fail(CodeValue, "mail for nobody")
	case m.Device != "" && m.Except != "":
		r.fail(CodeValue, "mail for a device that leaves one out")
	case flags&mailKeyed != 0 && m.Key.IsZero():
		r.fail(CodeValue, "a key that is none")
	case m.Trace != "" && !isTrace(m.Trace): // it would be kept, and no node would take it with the message
		r.fail(CodeValue, "trace is no traceparent")
	case m.Collapse != "" && checkCollapse(m.Collapse) != nil:
		r.fail(CodeValue, checkCollapse(m.Collapse).Error())
	}
	return r.end()
}

func appendMessageID(dst []byte, id session.ID) []byte {
	return binary.AppendUvarint(appendOrigin(dst, id.Origin), uint64(id.Number))
}

// messageID reads an id; the rules of origin hold.
func (r *linkBody) messageID(id *session.ID) {
	r.origin(&id.Origin)
	id.Number = session.MessageID(r.uvarint("number"))
}

// Mailed answers a Mail. Why is borrowed, the node of the id is not.
type Mailed struct {
	Ref     uint64          // of the Mail
	ID      session.ID      // of the message
	Devices int             // that it is kept for
	Refused session.Outcome // Pending: it is kept; else it is not, and never will be
	Why     string          // which limit or fault that was, for people
}

// MailWhyBytesMax bounds the reason of a refusal.
const MailWhyBytesMax = 512

// AppendMailed appends the body of a Mailed; a longer reason is cut.
func AppendMailed(dst []byte, m *Mailed) []byte {
	dst = append(appendMessageID(binary.BigEndian.AppendUint64(dst, m.Ref), m.ID), byte(m.Refused))
	dst = binary.AppendUvarint(dst, uint64(m.Devices))
	return appendText(dst, m.Why[:min(len(m.Why), MailWhyBytesMax)])
}

// ParseMailed reads the body of a mailed frame. An error is an *Error.
func ParseMailed(b []byte, m *Mailed) error {
	r := linkBody{b: b}
	m.Ref = r.uint64("ref")
	r.messageID(&m.ID)
	m.Refused = r.outcome()
	m.Devices = int(r.bounded("devices", 1<<31-1))
	m.Why = Borrow(r.bytes("why", MailWhyBytesMax))
	return r.end()
}

// MailFate says what became of a kept message at one device, to the node that accepted
// it. Device is borrowed.
type MailFate struct {
	ID      session.ID
	Device  string
	Outcome session.Outcome
}

// AppendMailFate appends the body of a MailFate.
func AppendMailFate(dst []byte, f *MailFate) []byte {
	return appendText(append(appendMessageID(dst, f.ID), byte(f.Outcome)), f.Device)
}

// ParseMailFate reads the body of a fate frame. An error is an *Error.
func ParseMailFate(b []byte, f *MailFate) error {
	r := linkBody{b: b}
	r.messageID(&f.ID)
	f.Outcome, f.Device = r.outcome(), r.name("device")
	switch {
	case r.err != nil:
	case f.Outcome == session.Pending:
		r.fail(CodeValue, "a fate without an outcome")
	case f.Device == "":
		r.fail(CodeValue, "the fate of nobody")
	}
	return r.end()
}

// MailAck says that a device has a kept message, to a node that may keep it. Its names
// are borrowed.
type MailAck struct {
	ID              session.ID
	Account, Device string
	Through         bool // it has as well what went to its event stream before that one
	Withdrawn       bool // it has not: the message was withdrawn while it was handed over; from version 1.3 on
}

// The last byte of a MailAck.
const (
	mailAckOne = iota
	mailAckThrough
	mailAckWithdrawn
	mailAcks
)

// AppendMailAck appends the body of a MailAck.
func AppendMailAck(dst []byte, a *MailAck) []byte {
	what := byte(mailAckOne)
	switch {
	case a.Withdrawn:
		what = mailAckWithdrawn
	case a.Through:
		what = mailAckThrough
	}
	return append(appendText(appendText(appendMessageID(dst, a.ID), a.Account), a.Device), what)
}

// ParseMailAck reads the body of a mail ack. An error is an *Error.
func ParseMailAck(b []byte, a *MailAck) error {
	r := linkBody{b: b}
	r.messageID(&a.ID)
	a.Account, a.Device = r.name("account"), r.name("device")
	what := r.byte("what")
	a.Through, a.Withdrawn = what == mailAckThrough, what == mailAckWithdrawn
	switch {
	case r.err != nil:
	case a.Account == "" || a.Device == "":
		r.fail(CodeValue, "an ack of nobody")
	case what >= mailAcks:
		r.fail(CodeValue, "an ack that is neither of one message nor through it, nor withdraws it")
	}
	return r.end()
}
