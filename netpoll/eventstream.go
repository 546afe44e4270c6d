package netpoll

import (
	"bytes"
	"strings"
)

// The walk of a request for an event stream, in order:
//
//	stream        what HTTP asks is checked, then the handler, as for an upgrade
//	beginStream   the 200 and the handler's first events leave in one write
//	ignore        what the client says afterwards counts against a limit
//
// From there on a stream is an open connection like a WebSocket: the same outbox, writer,
// budgets, alarms and close codes. Different are the frame around a message (event.go), a
// comment in the place of a ping, which nobody answers, and the end: a Close that nobody
// answers either. Nothing of the peer's shows that it is alive, so the kernel is told how
// long it may leave our bytes unacknowledged.
//
// The body has neither a length nor chunks: it ends with the connection (RFC 9112 section
// 6.3, rule 8). Every client and proxy understands that; a chunk around each event would
// cost its bytes and tell a client nothing that the event close does not.

const streamAnswer = "HTTP/1.1 200 OK\r\n" +
	"Content-Type: text/event-stream\r\n" +
	"Cache-Control: no-store\r\n" +
	"X-Accel-Buffering: no\r\n" + // nginx would collect events for its buffer's sake
	"Connection: close\r\n"

// stream decides about a request whose path the handler says is an event stream's.
func (l *loop) stream(c *Conn, req *Request, block, behind []byte, head bool) {
	switch {
	case head:
		l.answer(c, &Answer{Status: 405, Header: "Allow: GET\r\n", Body: "a stream of events is asked for with GET\n"}, true)
		return
	case !req.acceptsEvents():
		l.answer(c, refusal(406, "the answer would be text/event-stream, which the Accept header does not allow"), false)
		return
	}
	l.work += workOpen
	req.Events = true
	c.gen |= genStream // before the handler learns the connection's name
	switch v := l.handler.Upgrade(c, req); {
	case v.Refuse != nil:
		l.answer(c, v.Refuse, false)
	case v.Pending:
		l.park(c, block, behind)
	default:
		l.beginStream(c, v.Header, behind)
	}
}

// beginStream opens the stream.
func (l *loop) beginStream(c *Conn, header string, behind []byte) {
	l.stats.StreamsOpened++
	l.stats.Streams++
	l.reply = append(append(append(l.reply, streamAnswer...), header...), crlf...)
	c.frames = 0
	if l.detached == nil {
		limitUnacked(c.fd, missedMax*l.cfg.PingInterval)
	}
	l.opened(c)
	if c.state == stateOpen && len(behind) > 0 {
		l.ignore(c, behind)
	}
}

// ignore counts what the client of a stream sends: it has nothing to say, but a proxy may
// send a line end too many.
func (l *loop) ignore(c *Conn, p []byte) {
	c.frames += uint32(len(p))
	if int(c.frames) > l.cfg.StreamInputBytesMax {
		l.fail(c, ClosePolicy, "nothing that is sent on a stream of events is read")
	}
}

// acceptsEvents reads the Accept header (RFC 9110 section 12.5.1); without one everything
// is accepted. Of preferences only the refusal, q=0, matters.
func (r *Request) acceptsEvents() bool {
	if r.Accept == nil {
		return true
	}
	for item := range bytes.SplitSeq(r.Accept, []byte(",")) {
		kind, parameters, _ := strings.Cut(strings.ToLower(string(item)), ";")
		switch strings.TrimSpace(kind) {
		case "text/event-stream", "text/*", "*/*":
			if !refusedByQuality(parameters) {
				return true
			}
		}
	}
	return false
}

// refusedByQuality finds a q of zero among a media range's parameters.
func refusedByQuality(parameters string) bool {
	for p := range strings.SplitSeq(parameters, ";") {
		if name, value, ok := strings.Cut(strings.TrimSpace(p), "="); ok && name == "q" {
			return value != "" && strings.Trim(value, "0.") == ""
		}
	}
	return false
}
