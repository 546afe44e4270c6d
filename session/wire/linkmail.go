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
	First    bool   // the first device's ack takes it from the others
	From     string // the sending device; empty: a service
	SentMS   int64  // Unix milliseconds at the accepting node
	LeftMS   int64  // milliseconds until it expires
	Collapse string // empty: none
	Trace    string // W3C traceparent; empty: none
	Payload  []byte
}

// MailTraceBytesMax bounds a traceparent.
const MailTraceBytesMax = session.TraceparentBytesMax

// The flags of a Mail.
const (
	mailWatch    = 1
	mailFirst    = 2
	mailKind     = 2 // bits to shift: two for the kind
	mailPriority = 4 // and two for the priority
	mailReserved = 0xc0
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
	dst = append(binary.BigEndian.AppendUint64(dst, m.Ref), flags)
	for _, s := range [...]string{m.Account, m.Device, m.Except, m.From} {
		dst = appendText(dst, s)
	}
	dst = appendTime(dst, m.SentMS)
	dst = appendTime(dst, m.LeftMS)
	dst = appendText(dst, m.Collapse)
	dst = appendText(dst, m.Trace)
	return appendText(dst, Borrow(m.Payload))
}

// MailSizeMax returns an upper bound of what AppendMail appends.
func MailSizeMax(m *Mail) int {
	return 8 + 1 + 2*binary.MaxVarintLen64 +
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
}

// AppendMailAck appends the body of a MailAck.
func AppendMailAck(dst []byte, a *MailAck) []byte {
	through := byte(0)
	if a.Through {
		through = 1
	}
	return append(appendText(appendText(appendMessageID(dst, a.ID), a.Account), a.Device), through)
}

// ParseMailAck reads the body of a mail ack. An error is an *Error.
func ParseMailAck(b []byte, a *MailAck) error {
	r := linkBody{b: b}
	r.messageID(&a.ID)
	a.Account, a.Device = r.name("account"), r.name("device")
	through := r.byte("through")
	a.Through = through == 1
	switch {
	case r.err != nil:
	case a.Account == "" || a.Device == "":
		r.fail(CodeValue, "an ack of nobody")
	case through > 1:
		r.fail(CodeValue, "an ack that is neither of one message nor through it")
	}
	return r.end()
}
