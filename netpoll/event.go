package netpoll

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// Server-Sent Events (WHATWG HTML, section 9.2, "Server-sent events"): a body of lines
// FIELD: VALUE, where an empty line ends an event and a line that begins with a colon is
// a comment. HOT PATH, as frame.go is for WebSockets.

// eventComment keeps a stream alive that has nothing to say; no client shows it.
const eventComment = ":\n"

// AppendEvent appends one whole event. name is the event's type, empty for the default
// one, which browsers call message; id is what a client says in Last-Event-ID when it
// comes back, nil leaves the last one as it is. Neither may hold a line end or a NUL.
//
// Data has a field for each of its lines, since nothing can be escaped; clients put a
// line feed between two. So a carriage return arrives as a line feed, and everything
// else as it is.
func AppendEvent(dst []byte, name string, id, data []byte) []byte {
	if name != "" {
		dst = append(append(append(dst, "event: "...), name...), '\n')
	}
	if len(id) > 0 {
		dst = append(append(append(dst, "id: "...), id...), '\n')
	}
	dst = append(dst, "data: "...)
	if bytes.IndexByte(data, '\n') < 0 && bytes.IndexByte(data, '\r') < 0 {
		dst = append(dst, data...) // the usual case: JSON on one line
	} else {
		dst = appendLines(dst, data)
	}
	return append(dst, "\n\n"...)
}

// appendLines appends data with a new field at each line end: LF, CR, or CR LF. It looks
// at each byte once, whatever they are.
func appendLines(dst, data []byte) []byte {
	from := 0
	for i := 0; i < len(data); i++ {
		if data[i] != '\n' && data[i] != '\r' {
			continue
		}
		dst = append(append(dst, data[from:i]...), "\ndata: "...)
		if data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n' {
			i++
		}
		from = i + 1
	}
	return append(dst, data[from:]...)
}

// AppendRetry appends how many milliseconds a client waits before it comes back by
// itself. It is no event; put it in front of one.
func AppendRetry(dst []byte, ms int64) []byte {
	return append(strconv.AppendInt(append(dst, "retry: "...), ms, 10), '\n')
}

// retryAfterFinal is what a stream's client is told to wait that has no reason to come
// back, such as one that was replaced: an EventSource comes back whatever happens, and two
// of one device would replace each other at the pace of their retry.
const retryAfterFinal = 60_000

// appendCloseEvent appends what stands for a Close frame on an event stream: an event
// named close with the code and the reason that a WebSocket would have got.
func appendCloseEvent(dst []byte, code uint16, reason string) []byte {
	dst = AppendRetry(dst, retryOf(reason))
	data, err := json.Marshal(struct {
		Code   uint16 `json:"code"`
		Reason string `json:"reason"`
	}{code, cutReason(reason)})
	if err != nil {
		panic(err) // a number and a string
	}
	return AppendEvent(dst, "close", nil, data)
}

// retryOf finds the wait in a reason that is {"reconnect_ms":N} (PROTOCOL.md section 1).
func retryOf(reason string) int64 {
	if digits, ok := strings.CutPrefix(reason, `{"reconnect_ms":`); ok {
		if ms, err := strconv.ParseUint(strings.TrimSuffix(digits, "}"), 10, 31); err == nil {
			return int64(ms)
		}
	}
	return retryAfterFinal
}

// appendMessage appends a message as a connection of that kind gets it.
func appendMessage(dst []byte, stream bool, op Op, payload []byte) []byte {
	switch {
	case !stream && op == OpEvent:
		panic("netpoll: an event was sent to a WebSocket: whoever sends keeps the two apart")
	case !stream:
		return append(appendFrameHeader(dst, op, len(payload)), payload...)
	case op == OpEvent:
		return append(dst, payload...)
	case op.control():
		return append(dst, eventComment...)
	}
	return AppendEvent(dst, "", nil, payload)
}

// messageBytes is at least what appendMessage appends.
func messageBytes(stream bool, op Op, payload []byte) int {
	if !stream || op == OpEvent {
		return frameHeaderBytesMax + len(payload)
	}
	lines := 1 + bytes.Count(payload, []byte{'\n'}) + bytes.Count(payload, []byte{'\r'})
	return len(payload) + lines*len("\ndata: ") + len("\n\n")
}
