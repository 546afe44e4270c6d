// HOT PATH

package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/roostpush/roost/session"
)

// Forward is a message on its way to the node that holds its addressees. The node
// that accepted it is the origin of its id, unless Origin says otherwise. Strings and
// Payload of a parsed one are borrowed: valid until the input is used again.
type Forward struct {
	Ref    uint64 // names the message in the outcomes; 0: none are wanted
	ID     session.MessageID
	Origin session.Origin // of the id; zero: the link's own

	All     bool   // everybody connected there; then the names below are empty
	Topic   string // everybody there who has subscribed to it; then so are the others. From version 1.2 on
	Account string // whose devices
	Device  string // which one; empty: every device of the account
	Except  string // the device that is left out; empty: none

	Kind      session.Kind
	Wait      session.Wait
	Payload   []byte
	From      string // the sending device, of the same account; empty: a service
	SentMS    int64  // Unix milliseconds at the accepting node
	TimeoutMS uint32 // how long outcomes may take; 0: the default of the node that gets it

	// What follows is known from version 1.2 on: see Minor.

	Ack    bool // the frame asks for an ack that is not waited for with this message: it comes by another way
	First  bool // the first device's ack settles the others as cancelled
	Cancel bool // no message: the one of that id need not be shown any more

	Trace string // W3C traceparent; empty: none. A node of before 1.2 is sent the message without
}

// The first byte of an entry: 1 All, 2 and 4 Kind, 8 and 16 Wait, 32 Ack, 64 Origin
// follows, 128 a second byte follows: 1 First, 2 Cancel, 4 that a topic stands in the place
// of the account, 8 that a traceparent stands before the payload. The others are 0.
const (
	forwardAll    = 1
	forwardKind   = 1
	forwardWait   = 3
	forwardAck    = 0x20
	forwardOrigin = 0x40
	forwardMore   = 0x80

	forwardFirst        = 1
	forwardCancel       = 2
	forwardTopic        = 4
	forwardTrace        = 8
	forwardMoreReserved = 0xf0
)

// forwardFixedBytes is more than an entry takes beside its names and payload.
const forwardFixedBytes = 2 + 8 + 10 + 10 + 5 + 5*2 + 10 + 11

// Minor returns the minor version of nodes that understand the entry, apart from Trace,
// which is left out for others.
func (f *Forward) Minor() uint16 {
	if f.Ack || f.First || f.Cancel || f.Topic != "" || f.Origin != (session.Origin{}) {
		return 2
	}
	return 0
}

// SizeMax returns an upper bound of what AppendForward appends.
func (f *Forward) SizeMax() int {
	return forwardFixedBytes + len(f.Origin.Node) + len(f.Account) + len(f.Topic) + len(f.Device) + len(f.Except) + len(f.From) + len(f.Trace) + len(f.Payload)
}

// AppendForward appends one entry of a forward frame. The payload is last: what
// precedes it is short and has no gaps.
func AppendForward(dst []byte, f *Forward) []byte {
	first := byte(f.Kind)<<forwardKind | byte(f.Wait)<<forwardWait
	if f.All {
		first |= forwardAll
	}
	addressee := f.Account
	if f.Topic != "" {
		addressee = f.Topic
	}
	if f.Ack {
		first |= forwardAck
	}
	if f.Origin != (session.Origin{}) {
		first |= forwardOrigin
	}
	more := f.more()
	if more != 0 {
		first |= forwardMore
	}
	if dst = append(dst, first); more != 0 {
		dst = append(dst, more)
	}
	if first&forwardOrigin != 0 {
		dst = appendOrigin(dst, f.Origin)
	}
	dst = binary.BigEndian.AppendUint64(dst, f.Ref)
	dst = binary.AppendUvarint(dst, uint64(f.ID))
	dst = binary.AppendUvarint(dst, uint64(f.SentMS))
	dst = binary.AppendUvarint(dst, uint64(f.TimeoutMS))
	dst = appendText(dst, addressee)
	dst = appendText(dst, f.Device)
	dst = appendText(dst, f.Except)
	dst = appendText(dst, f.From)
	if f.Trace != "" {
		dst = appendText(dst, f.Trace)
	}
	dst = binary.AppendUvarint(dst, uint64(len(f.Payload)))
	return append(dst, f.Payload...)
}

// more is the second byte of an entry, which is left out when it is 0.
func (f *Forward) more() (more byte) {
	if f.First {
		more |= forwardFirst
	}
	if f.Cancel {
		more |= forwardCancel
	}
	if f.Topic != "" {
		more |= forwardTopic
	}
	if f.Trace != "" {
		more |= forwardTrace
	}
	return more
}

func appendText(dst []byte, s string) []byte {
	if len(s) < 0x80 {
		return append(append(dst, byte(len(s))), s...)
	}
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// ParseForward reads the first entry of a forward frame's body and returns the rest.
// That the payload is of its Kind has been checked where the message was accepted.
// An error is an *Error.
func ParseForward(b []byte, f *Forward) (rest []byte, err error) {
	r := linkBody{b: b}
	first := r.byte("flags")
	f.All = first&forwardAll != 0
	f.Kind = session.Kind(first >> forwardKind & 3)
	f.Wait = session.Wait(first >> forwardWait & 3)
	f.Ack = first&forwardAck != 0
	more := byte(0)
	if first&forwardMore != 0 {
		if more = r.byte("more flags"); more == 0 || more&forwardMoreReserved != 0 {
			r.fail(CodeValue, fmt.Sprintf("more flags %#02x", more))
		}
	}
	f.First, f.Cancel = more&forwardFirst != 0, more&forwardCancel != 0
	f.Origin = session.Origin{}
	if first&forwardOrigin != 0 {
		f.Origin = r.borrowedOrigin()
	}
	f.Ref = r.uint64("ref")
	f.ID = session.MessageID(r.uvarint("id"))
	f.SentMS = int64(r.bounded("sent_ms", 1<<63-1))
	f.TimeoutMS = uint32(r.bounded("timeout_ms", TimeoutMSMax))
	if f.Account, f.Topic = "", ""; more&forwardTopic == 0 {
		f.Account = r.name("account")
	} else {
		f.Topic = r.topic("topic")
	}
	f.Device = r.name("device")
	f.Except = r.name("except")
	f.From = r.name("from")
	if f.Trace = ""; more&forwardTrace != 0 {
		f.Trace = r.traceparent("trace")
	}
	f.Payload = r.bytes("payload", len(b))
	if r.err == nil {
		if wrong := f.wrong(); wrong != "" {
			r.fail(CodeValue, wrong)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return b[r.at:], nil
}

// wrong says what the parts do not agree on.
func (f *Forward) wrong() string {
	switch {
	case f.Kind > session.Binary || f.Wait > session.WaitNone:
		return "kind or wait"
	case f.Topic != "" && (f.All || f.Account != "" || f.Device != "" || f.Except != ""):
		return "to a topic, and to somebody"
	case f.All && (f.Account != "" || f.Device != "" || f.Except != ""):
		return "to everybody, and to somebody"
	case !f.All && f.Account == "" && f.Topic == "":
		return "to nobody"
	case f.Device != "" && f.Except != "":
		return "to one device, with an exception"
	case f.Cancel && (f.All || len(f.Payload) > 0):
		return "a cancel to everybody, or with a payload"
	case f.Ack && f.Wait == session.WaitAcked:
		return "an ack by two ways"
	case f.First && f.Wait != session.WaitAcked:
		return "first of the acks that nobody waits for"
	}
	return ""
}

// Valid reports whether ParseForward will take what AppendForward makes of f. A
// sender asks first, because a frame that breaks the rules ends a link.
func (f *Forward) Valid() bool {
	return f.wrong() == "" && f.SentMS >= 0 && f.TimeoutMS <= TimeoutMSMax &&
		(f.Origin == (session.Origin{}) || session.CheckNode(f.Origin.Node) == nil) &&
		(f.Trace == "" || isTrace(f.Trace)) &&
		isName(f.Account) && (f.Topic == "" || session.CheckTopic(f.Topic) == nil) && isName(f.Device) && isName(f.Except) && isName(f.From)
}

// traceparent reads a well-formed one.
func (r *linkBody) traceparent(what string) string {
	s := Borrow(r.bytes(what, MailTraceBytesMax))
	if r.err == nil && !isTrace(s) {
		r.fail(CodeValue, what+" is no traceparent")
	}
	return s
}

// isTrace reports whether nodes pass the traceparent on.
func isTrace(s string) bool { return len(s) <= MailTraceBytesMax && session.ValidTraceparent(s) }
