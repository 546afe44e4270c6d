package netpoll

import (
	"encoding/binary"
	"unicode/utf8"
)

// The close codes this package sends itself (RFC 6455 section 7.4.1; those from 4000
// on are PROTOCOL.md section 1).
const (
	CloseNormal    = 1000
	CloseGoingAway = 1001
	CloseProtocol  = 1002
	CloseNoStatus  = 1005 // never sent: a Close without a code
	CloseAbnormal  = 1006 // never sent: no Close at all
	CloseUTF8      = 1007
	ClosePolicy    = 1008
	CloseTooBig    = 1009
	CloseTryAgain  = 1013
	CloseSlow      = 4004
	CloseIdle      = 4005
	CloseRate      = 4006
)

// closeReasonBytesMax is what a control frame leaves beside the code.
const closeReasonBytesMax = controlBytesMax - 2

// closeCodeAllowed says whether a peer may send the code: those of RFC 6455 section
// 7.4.1 and the registry (1012 to 1014), the libraries' and the private range.
func closeCodeAllowed(code uint16) bool {
	switch {
	case code < 1000, code >= 5000:
		return false
	case code < 3000:
		return code <= 1003 || code >= 1007 && code <= 1014
	}
	return true
}

// parseClose reads the payload of a Close frame. fault is the code to fail with, 0
// when the payload is right; an empty one has the code 1005.
func parseClose(p []byte) (code, fault uint16) {
	switch {
	case len(p) == 0:
		return CloseNoStatus, 0
	case len(p) == 1:
		return 0, CloseProtocol
	}
	code = binary.BigEndian.Uint16(p)
	if !closeCodeAllowed(code) {
		return 0, CloseProtocol
	}
	if !utf8.Valid(p[2:]) {
		return 0, CloseUTF8
	}
	return code, 0
}

// appendClose appends a whole Close frame. 1005 stands for one without a code.
func appendClose(dst []byte, code uint16, reason string) []byte {
	if code == CloseNoStatus {
		return append(dst, 0x80|byte(OpClose), 0)
	}
	reason = cutReason(reason)
	dst = append(dst, 0x80|byte(OpClose), byte(2+len(reason)), byte(code>>8), byte(code))
	return append(dst, reason...)
}

// cutReason cuts a reason to what a Close frame has room for.
func cutReason(reason string) string {
	if len(reason) > closeReasonBytesMax {
		reason = reason[:closeReasonBytesMax]
		for !utf8.ValidString(reason) {
			reason = reason[:len(reason)-1]
		}
	}
	return reason
}

// appendEnd appends what says goodbye on the connection.
func appendEnd(dst []byte, c *Conn, code uint16, reason string) []byte {
	if c.isStream() {
		return appendCloseEvent(dst, code, reason)
	}
	return appendClose(dst, code, reason)
}

// startClose sends our Close and waits for the peer's; the client of an event stream has
// none, it sees the end.
func (l *loop) startClose(c *Conn, code uint16, reason string) {
	l.reply = appendEnd(l.reply, c, code, reason)
	if c.closeCode == 0 {
		c.closeCode = code
	}
	l.countClose(code)
	if c.isStream() {
		l.linger(c)
		return
	}
	c.state = stateClosing
	l.schedule(c, l.tickAfter(l.cfg.CloseTimeout))
}

// fail ends a connection whose peer broke the protocol: nothing it sends from now on
// is looked at (RFC 6455 section 7.1.7).
func (l *loop) fail(c *Conn, code uint16, reason string) {
	l.stats.Failed++
	if c.state == stateOpen {
		l.reply = appendEnd(l.reply, c, code, reason)
		c.closeCode = code
		l.countClose(code)
	}
	l.linger(c)
}

// linger writes what is left, ends our side and discards input until the peer ends
// its own: closing with unread input would reset the connection and could destroy
// our last bytes on their way.
func (l *loop) linger(c *Conn) {
	c.state = stateLingering
	c.flags |= flagEndAfter
	l.release(c)
	patience := l.cfg.CloseTimeout
	if c.flags&flagOverCap != 0 {
		patience = min(patience, refusalTimeout) // its place is wanted for the next refusal
	}
	l.schedule(c, l.tickAfter(patience))
}

// closed handles the peer's Close frame.
func (l *loop) closed(c *Conn, payload []byte) {
	code, fault := parseClose(payload)
	if fault != 0 {
		l.fail(c, fault, "malformed close frame")
		return
	}
	if c.state == stateOpen {
		c.closeCode = code
		l.reply = appendClose(l.reply, code, "")
		l.countClose(code)
	}
	// Both sides have said it: the server ends the connection first (RFC 6455 section
	// 7.1.1).
	l.linger(c)
	c.flags |= flagEOF
}

// countClose counts the closes by code.
func (l *loop) countClose(code uint16) {
	switch {
	case code >= 1000 && code < 1000+uint16(len(l.stats.Closed1000)):
		l.stats.Closed1000[code-1000]++
	case code >= 4000 && code < 4000+uint16(len(l.stats.Closed4000)):
		l.stats.Closed4000[code-4000]++
	default:
		l.stats.ClosedOther++
	}
}
