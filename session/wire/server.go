package wire

import (
	"math"

	"github.com/roostpush/roost/session"
)

// ServerFrameType is what a frame from a node says.
type ServerFrameType uint8

// The frames from a node (PROTOCOL.md section 1).
const (
	ServerHello ServerFrameType = 1 + iota
	ServerMessage
	ServerResult
	ServerPresence
	ServerCancel
	ServerGoaway
	ServerPong
	ServerError

	serverFrameTypes
)

var serverFrameNames = [serverFrameTypes]string{
	"", "hello", "message", "result", "presence", "cancel", "goaway", "pong", "error",
}

// String returns the word used on the wire.
func (t ServerFrameType) String() string { return serverFrameNames[t] }

// ServerFrame is one frame from a node, as a client reads it. Its slices are
// borrowed: valid until the input or the struct is used again. One goroutine at a
// time may use it; the zero value is ready. Each member is set for the types that
// have it.
type ServerFrame struct {
	Type ServerFrameType
	Ref  []byte // as the client wrote its id; nil: none

	Session, Node, Account, Device []byte // hello; Device also presence
	PingMS, MaxPayload, ExpiresMS  int64  // hello
	Missed, SentMS, AtMS           int64  // hello, message, presence
	ReconnectMS                    int64  // goaway
	ID, Payload, From, Topic       []byte // message
	Kind                           session.Kind
	Ack                            bool     // message: the sender waits for an ack
	Trace                          []byte   // message: the sender's traceparent; nil: none
	Status, State, Reason          []byte   // result, presence, goaway
	Devices                        []byte   // result: the JSON array, as it came; nil: none
	Topics                         []byte   // result: likewise
	IDs                            [][]byte // cancel
	Code, Detail                   []byte   // error

	top, from reader
}

// ParseServer reads one text frame from a node. An error is an *Error.
func ParseServer(b []byte, f *ServerFrame) error {
	*f = ServerFrame{IDs: f.IDs[:0], top: f.top, from: f.from}
	r := &f.top
	r.read(b)
	word := r.text(memberType, len(b))
	for t := ServerHello; t < serverFrameTypes; t++ {
		if string(word) == serverFrameNames[t] {
			f.Type = t
			f.parseMembers()
			return r.result()
		}
	}
	r.fail(CodeType, r.at[memberType].from, "type is missing or not known")
	return r.result()
}

func (f *ServerFrame) parseMembers() {
	r := &f.top
	any := func(m member) []byte { return r.text(m, len(r.b)) }
	number := func(m member) int64 { return r.integer(m, 0, math.MaxInt64, 0) }
	f.Ref = r.scalar(memberRef, RefBytesMax)
	switch f.Type {
	case ServerHello:
		f.Session, f.Node, f.Account, f.Device = any(memberSession), any(memberNode), any(memberAccount), any(memberDevice)
		f.PingMS, f.MaxPayload = number(memberPingMS), number(memberMaxPayload)
		f.ExpiresMS, f.Missed = number(memberExpiresMS), number(memberMissed)
	case ServerMessage:
		f.ID, f.Topic, f.SentMS, f.Ack = any(memberID), any(memberTopic), number(memberSentMS), r.boolean(memberAck)
		f.Trace = any(memberTraceparent)
		f.Payload, f.Kind = r.payload()
		if r.has(memberFrom) {
			f.from.readMember(r, memberFrom)
			f.From = f.from.text(memberDevice, session.NameBytesMax)
			r.inherit(&f.from)
		}
	case ServerResult:
		f.Status, f.Devices, f.Topics = any(memberStatus), r.value(memberDevices), r.value(memberTopics)
	case ServerPresence:
		f.Device, f.State, f.AtMS = any(memberDevice), any(memberState), number(memberAtMS)
	case ServerCancel:
		f.IDs = r.list(f.IDs, memberIDs, AckIDsMax, session.IDBytesMax)
	case ServerGoaway:
		f.Reason, f.ReconnectMS = any(memberReason), number(memberReconnectMS)
	case ServerError:
		f.Code, f.Detail = any(memberCode), any(memberDetail)
	}
}
