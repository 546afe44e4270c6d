// HOT PATH

package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/roostpush/roost/session"
)

// Forward is a message on its way to the node that holds its addressees. The node
// that accepted it is the origin of its id. Strings and Payload of a parsed one are
// borrowed: valid until the input is used again.
type Forward struct {
	Ref uint64 // names the message in the outcomes; 0: none are wanted
	ID  session.MessageID

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
}

// The first byte of an entry: 1 All, 2 and 4 Kind, 8 and 16 Wait, 128 a second byte
// follows: 4 a topic stands in the place of the account. The others are 0.
const (
	forwardAll      = 1
	forwardKind     = 1
	forwardWait     = 3
	forwardReserved = 0x60
	forwardMore     = 0x80

	forwardTopic        = 4
	forwardMoreReserved = 0xfb
)

// forwardFixedBytes is more than an entry takes beside its names and payload.
const forwardFixedBytes = 2 + 8 + 10 + 10 + 5 + 4*2 + 10

// SizeMax returns an upper bound of what AppendForward appends.
func (f *Forward) SizeMax() int {
	return forwardFixedBytes + len(f.Account) + len(f.Topic) + len(f.Device) + len(f.Except) + len(f.From) + len(f.Payload)
}

// AppendForward appends one entry of a forward frame. The payload is last: what
// precedes it is short and has no gaps.
func AppendForward(dst []byte, f *Forward) []byte {
	first := byte(f.Kind)<<forwardKind | byte(f.Wait)<<forwardWait
	if f.All {
		first |= forwardAll
	}
	addressee := f.Account
	if f.Topic == "" {
		dst = append(dst, first)
	} else {
		dst = append(dst, first|forwardMore, forwardTopic)
		addressee = f.Topic
	}
	dst = binary.BigEndian.AppendUint64(dst, f.Ref)
	dst = binary.AppendUvarint(dst, uint64(f.ID))
	dst = binary.AppendUvarint(dst, uint64(f.SentMS))
	dst = binary.AppendUvarint(dst, uint64(f.TimeoutMS))
	dst = appendText(dst, addressee)
	dst = appendText(dst, f.Device)
	dst = appendText(dst, f.Except)
	dst = appendText(dst, f.From)
	dst = binary.AppendUvarint(dst, uint64(len(f.Payload)))
	return append(dst, f.Payload...)
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
	more := byte(0)
	if first&forwardMore != 0 {
		if more = r.byte("more flags"); r.err == nil && (more == 0 || more&forwardMoreReserved != 0) {
			r.fail(CodeValue, fmt.Sprintf("more flags %#02x", more))
		}
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
	f.Payload = r.bytes("payload", len(b))
	if r.err == nil {
		f.check(&r, first)
	}
	if r.err != nil {
		return nil, r.err
	}
	return b[r.at:], nil
}

func (f *Forward) check(r *linkBody, first byte) {
	if first&forwardReserved != 0 {
		r.fail(CodeValue, fmt.Sprintf("flags %#02x", first))
	} else if wrong := f.wrong(); wrong != "" {
		r.fail(CodeValue, wrong)
	}
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
	}
	return ""
}

// Valid reports whether ParseForward will take what AppendForward makes of f. A
// sender asks first, because a frame that breaks the rules ends a link.
func (f *Forward) Valid() bool {
	return f.wrong() == "" && f.SentMS >= 0 && f.TimeoutMS <= TimeoutMSMax &&
		isName(f.Account) && (f.Topic == "" || session.CheckTopic(f.Topic) == nil) && isName(f.Device) && isName(f.Except) && isName(f.From)
}
