package wire

import (
	"strconv"

	"github.com/roostpush/roost/session"
)

// A ref, here and below, is the id of the frame that is answered, as DeviceFrame.Ref
// has it: a JSON string or number. Empty means that the member is left out.

// AppendMessage appends the frame that carries m to a roost.v1 device. The payload
// is embedded byte for byte; if it is JSON the caller knows that it is.
func AppendMessage(dst []byte, o session.Origin, m *session.Message) []byte {
	dst = append(dst, `{"type":"message","id":"`...)
	dst = o.Append(dst, uint64(m.ID))
	dst = appendPayload(append(dst, '"'), m.Kind, m.Payload)
	if m.From != "" {
		dst = append(dst, `,"from":{"device":`...)
		dst = append(AppendJSONString(dst, m.From), '}')
	}
	if m.Topic != "" {
		dst = appendString(dst, `,"topic":`, m.Topic)
	}
	dst = appendInteger(dst, `,"sent_ms":`, m.SentMS)
	if m.Ack {
		dst = append(dst, `,"ack":true`...)
	}
	if m.Trace != "" {
		dst = appendString(dst, `,"traceparent":`, m.Trace)
	}
	return append(dst, '}')
}

// appendPayload appends the member that carries a payload of that kind.
func appendPayload(dst []byte, kind session.Kind, payload []byte) []byte {
	switch kind {
	case session.Text:
		return AppendJSONString(append(dst, `,"text":`...), Borrow(payload))
	case session.Binary:
		return AppendBase64(append(dst, `,"base64":`...), payload)
	}
	return append(append(dst, `,"payload":`...), payload...)
}

// Hello is what the first frame after the upgrade says.
type Hello struct {
	Session         uint64 // the session's number
	Account, Device string
	PingMS          int64 // between two pings of the node
	MaxPayload      int64 // bytes of a payload that the device may send
	ExpiresMS       int64 // Unix milliseconds of the token's end; 0: none
	Missed          int64 // messages from the mailbox that are about to follow
}

// AppendHello appends a hello frame.
func AppendHello(dst []byte, o session.Origin, h *Hello) []byte {
	dst = append(dst, `{"type":"hello","session":"`...)
	dst = o.Append(dst, h.Session)
	dst = appendString(dst, `","node":`, o.Node)
	dst = appendString(dst, `,"account":`, h.Account)
	dst = appendString(dst, `,"device":`, h.Device)
	dst = appendInteger(dst, `,"ping_ms":`, h.PingMS)
	dst = appendInteger(dst, `,"max_payload":`, h.MaxPayload)
	dst = appendInteger(dst, `,"expires_ms":`, h.ExpiresMS)
	dst = appendInteger(dst, `,"missed":`, h.Missed)
	return append(dst, '}')
}

// StatusOK is the status of a result that is not one outcome: of an answer that is
// no delivery, and of a delivery whose devices' outcomes differ and are listed.
const StatusOK = "ok"

// AppendResult appends a result frame without devices. status is an outcome's word
// or StatusOK.
func AppendResult(dst, ref []byte, status string) []byte {
	return append(appendResult(dst, ref, status), '}')
}

// AppendResultOpen begins a result frame with devices, which follow each by
// AppendResultOutcome or AppendResultDevice; AppendResultClose ends it.
func AppendResultOpen(dst, ref []byte, status string) []byte {
	return append(appendResult(dst, ref, status), `,"devices":[`...)
}

func appendResult(dst, ref []byte, status string) []byte {
	dst = append(dst, `{"type":"result"`...)
	dst = appendRef(dst, ref)
	return appendString(dst, `,"status":`, status)
}

// AppendResultOutcome appends what became of a message for one device.
func AppendResultOutcome(dst []byte, device string, o session.Outcome) []byte {
	dst = appendString(appendComma(dst), `{"device":`, device)
	dst = appendString(dst, `,"outcome":`, o.String())
	return append(dst, '}')
}

// DeviceInfo is what a device is told about another one of its account.
type DeviceInfo struct {
	Device  string
	Online  bool
	SinceMS int64  // Unix milliseconds: online since, or closed at
	SeenMS  int64  // Unix milliseconds of the last sign of life
	Attrs   []byte // JSON object; nil: none
}

// The words for a device's state.
const (
	StateOnline  = "online"
	StateOffline = "offline"
)

// AppendResultDevice appends one device of a device list.
func AppendResultDevice(dst []byte, d *DeviceInfo) []byte {
	state := StateOffline
	if d.Online {
		state = StateOnline
	}
	dst = appendString(appendComma(dst), `{"device":`, d.Device)
	dst = appendString(dst, `,"state":`, state)
	dst = appendInteger(dst, `,"since_ms":`, d.SinceMS)
	dst = appendInteger(dst, `,"seen_ms":`, d.SeenMS)
	if len(d.Attrs) > 0 {
		dst = append(append(dst, `,"attrs":`...), d.Attrs...)
	}
	return append(dst, '}')
}

// AppendResultTopicsOpen begins a result frame with topics, which follow each by
// AppendResultTopic; AppendResultClose ends it.
func AppendResultTopicsOpen(dst, ref []byte, status string) []byte {
	return append(appendResult(dst, ref, status), `,"topics":[`...)
}

// AppendResultTopic appends what became of a topic, or pattern, of a subscribe or
// unsubscribe frame. Of a frame with since, replay says what follows; nil: there was none.
func AppendResultTopic(dst []byte, topic, status string, replay *ReplayInfo) []byte {
	dst = appendString(appendComma(dst), `{"topic":`, topic)
	dst = appendString(dst, `,"status":`, status)
	if replay != nil {
		dst = strconv.AppendBool(append(dst, `,"complete":`...), replay.Complete)
	}
	return append(dst, '}')
}

// ReplayInfo is what a device is told about the messages that are sent to it again.
type ReplayInfo struct {
	Complete bool // nothing is missing from since on
}

// AppendResultClose ends a result frame with devices or topics.
func AppendResultClose(dst []byte) []byte { return append(dst, "]}"...) }

// AppendError appends an error frame: what was refused, why as a stable code, and
// why for people.
func AppendError(dst, ref []byte, code, detail string) []byte {
	dst = append(dst, `{"type":"error"`...)
	dst = appendRef(dst, ref)
	dst = appendString(dst, `,"code":`, code)
	dst = appendString(dst, `,"detail":`, detail)
	return append(dst, '}')
}

// The reasons of a goaway frame.
const (
	GoawayLifetime  = "lifetime"
	GoawayDrain     = "drain"
	GoawayRebalance = "rebalance"
	GoawayExpired   = "expired"
)

// AppendGoaway appends a goaway frame; the device should close, wait that long and
// connect again.
func AppendGoaway(dst []byte, reason string, reconnectMS int64) []byte {
	dst = appendString(dst, `{"type":"goaway","reason":`, reason)
	dst = appendInteger(dst, `,"reconnect_ms":`, reconnectMS)
	return append(dst, '}')
}

// AppendReconnect appends the reason text of a close frame whose receiver should
// come back after that time. It is at most 39 of the 123 bytes there are.
func AppendReconnect(dst []byte, ms int64) []byte {
	return append(appendInteger(dst, `{"reconnect_ms":`, ms), '}')
}

// AppendPong appends the answer to an application ping.
func AppendPong(dst, ref []byte) []byte {
	return append(appendRef(append(dst, `{"type":"pong"`...), ref), '}')
}

// AppendPresence appends that a device of the account came or went.
func AppendPresence(dst []byte, device, state string, atMS int64) []byte {
	dst = appendString(dst, `{"type":"presence","device":`, device)
	dst = appendString(dst, `,"state":`, state)
	return append(appendInteger(dst, `,"at_ms":`, atMS), '}')
}

// AppendCancel appends that the messages of those ids need not be shown any more.
func AppendCancel(dst []byte, ids []session.ID) []byte {
	dst = append(dst, `{"type":"cancel","ids":[`...)
	for i, id := range ids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(id.Append(append(dst, '"'), uint64(id.Number)), '"')
	}
	return append(dst, "]}"...)
}

func appendRef(dst, ref []byte) []byte {
	if len(ref) == 0 {
		return dst
	}
	return append(append(dst, `,"ref":`...), ref...)
}

func appendString(dst []byte, before, s string) []byte {
	return AppendJSONString(append(dst, before...), s)
}

func appendInteger(dst []byte, before string, n int64) []byte {
	return strconv.AppendInt(append(dst, before...), n, 10)
}

// appendComma separates an element from the one before it, if there is one.
func appendComma(dst []byte) []byte {
	if n := len(dst); n > 0 && dst[n-1] != '[' {
		return append(dst, ',')
	}
	return dst
}
