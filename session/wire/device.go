package wire

import (
	"fmt"

	"github.com/roostpush/roost/session"
)

// The limits of a frame from a device. They belong to the contract, not to an
// operator: a node that allowed more would have clients that other nodes refuse.
const (
	// RefBytesMax bounds a frame's id as it is written, since it is held until the
	// answer goes out.
	RefBytesMax = 128
	// AckIDsMax is how many messages one ack frame may name: a page of a mailbox.
	AckIDsMax = 1000
	// TopicsMax is how many topics one subscribe frame may name.
	TopicsMax = 100
	// TokenBytesMax bounds a token in a frame, as in an upgrade's header.
	TokenBytesMax = 8 << 10
	// TTLMSMax is the longest ttl_ms: 2^31 seconds, what RFC 8030 section 5.2 asks a
	// server to be able to read.
	TTLMSMax = (1 << 31) * 1000
)

// FrameType is what a frame from a device asks for.
type FrameType uint8

// The frames from a device (PROTOCOL.md section 1).
const (
	FrameSend FrameType = 1 + iota
	FrameAck
	FrameDevices
	FramePing
	FrameToken
	FrameSubscribe
	FrameUnsubscribe

	frameTypes
)

var frameNames = [frameTypes]string{
	"", "send", "ack", "devices", "ping", "token", "subscribe", "unsubscribe",
}

// String returns the word used on the wire.
func (t FrameType) String() string { return frameNames[t] }

// DeviceFrame is one frame from a device. Its slices are borrowed: valid until
// the input or the struct is used again. One goroutine at a time may use it; the
// zero value is ready.
type DeviceFrame struct {
	Type FrameType
	Ref  []byte // the frame's id as written, a JSON string or number, for `ref`; nil: none

	ToAccount []byte // send: nil is the sender's own
	ToDevice  []byte // send: nil with ToOthers
	ToOthers  bool   // send: the account's other devices
	Payload   []byte // send: the sender's bytes; of text and base64 what they stand for
	Kind      session.Kind
	TTLMS     int64
	Wait      session.Wait // written or acked

	IDs      [][]byte // ack: the text of message ids, 1 to AckIDsMax
	Token    []byte   // token
	Topics   [][]byte // subscribe, unsubscribe: well-formed topics or, with .*, patterns
	Presence bool     // subscribe, unsubscribe: devices coming and going
	Since    []byte   // subscribe: the id to go on from; nil: none

	top, to reader
}

// ParseDevice reads one text frame from a device. An error is an *Error; Ref is
// set even then if the frame had an id that could be read, so that the answer can
// name it.
func ParseDevice(b []byte, f *DeviceFrame) error {
	*f = DeviceFrame{IDs: f.IDs[:0], Topics: f.Topics[:0], top: f.top, to: f.to}
	r := &f.top
	r.read(b)
	f.Ref = r.scalar(memberID, RefBytesMax)
	if f.Type = f.parseType(); f.Type != 0 {
		f.parseMembers()
	}
	return r.result()
}

func (f *DeviceFrame) parseType() FrameType {
	r := &f.top
	word := r.text(memberType, len(r.b))
	for t := FrameSend; t < frameTypes; t++ {
		if string(word) == frameNames[t] {
			return t
		}
	}
	if word == nil {
		r.fail(CodeMissing, 0, "type is missing")
	} else {
		r.fail(CodeType, r.at[memberType].from, fmt.Sprintf("type %.32q is not known", word))
	}
	return 0
}

// parseMembers reads what the frame's type asks for and ignores the rest.
func (f *DeviceFrame) parseMembers() {
	r := &f.top
	switch f.Type {
	case FrameSend:
		f.parseSend()
	case FrameAck:
		f.IDs = r.list(f.IDs, memberIDs, AckIDsMax, session.IDBytesMax)
		if len(f.IDs) == 0 {
			r.fail(CodeMissing, 0, "ids is missing")
		}
	case FrameToken:
		if f.Token = r.text(memberToken, TokenBytesMax); len(f.Token) == 0 {
			r.fail(CodeMissing, 0, "token is missing")
		}
	case FrameSubscribe, FrameUnsubscribe:
		f.parseTopics()
	}
}

func (f *DeviceFrame) parseSend() {
	r := &f.top
	f.parseTo()
	f.Payload, f.Kind = r.payload()
	f.TTLMS = r.integer(memberTTLMS, 0, TTLMSMax, 0)
	word := r.text(memberWait, 16)
	if w, ok := session.ParseWait(Borrow(word)); ok && w != session.WaitNone {
		f.Wait = w
	} else {
		r.bad(memberWait, "is neither written nor acked")
	}
}

// parseTo reads {"device":…} or {"devices":"others"}, each with an account or
// without.
func (f *DeviceFrame) parseTo() {
	r, to := &f.top, &f.to
	if !r.has(memberTo) {
		r.fail(CodeMissing, 0, `to is missing: {"device":…} or {"devices":"others"}`)
		return
	}
	to.readMember(r, memberTo)
	f.ToAccount = to.name(memberAccount, checkAccount)
	f.ToDevice = to.name(memberDevice, checkDevice)
	word := to.text(memberDevices, len(r.b))
	f.ToOthers = string(word) == "others"
	switch {
	case to.err.Code != "":
		r.inherit(to)
	case word != nil && !f.ToOthers:
		r.fail(CodeValue, to.at[memberDevices].from, `devices can only be "others"`)
	case f.ToOthers == (f.ToDevice != nil):
		r.bad(memberTo, `is neither {"device":…} nor {"devices":"others"}`)
	}
}

func (f *DeviceFrame) parseTopics() {
	r := &f.top
	f.Topics = r.list(f.Topics, memberTopics, TopicsMax, session.TopicBytesMax)
	f.Presence = r.boolean(memberPresence)
	f.Since = r.text(memberSince, session.IDBytesMax)
	for _, topic := range f.Topics {
		if err := checkPattern(topic); err != nil {
			r.fail(CodeValue, r.at[memberTopics].from, err.Error())
			return
		}
	}
	if len(f.Topics) == 0 && !f.Presence {
		r.fail(CodeMissing, 0, "topics is missing, and presence is not asked for")
	}
}

// checkPattern reports what is wrong with a topic or a pattern that ends in .*.
func checkPattern(topic []byte) error {
	s := Borrow(topic)
	if n := len(s) - len(".*"); n > 0 && s[n:] == ".*" {
		s = s[:n]
	}
	return session.CheckTopic(s)
}
