package netpoll

import (
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// HOT PATH. Bytes become messages here, in this order:
//
//	readFrames   a frame that lies whole in the buffer costs no copy
//	checkHeader  what RFC 6455 forbids is refused before its payload is looked at
//	whole        a complete message goes to the handler, borrowed
//	begin        a frame that is still arriving: its payload is collected
//	resume       more of it
//	finish       the frame is whole at last

// readFrames consumes p, the newest bytes of the connection; they may be unmasked in
// place. It stops early when the connection stops being one that messages come from.
func (l *loop) readFrames(c *Conn, p []byte) {
	for len(p) > 0 && (c.state == stateOpen || c.state == stateClosing) {
		if c.in != nil && c.in.busy() {
			p = l.resume(c, p)
			continue
		}
		h, n, herr := parseHeader(p)
		if herr != "" {
			l.fail(c, CloseProtocol, string(herr))
			return
		}
		if n == 0 {
			l.stash(c, p)
			return
		}
		if !l.checkHeader(c, &h) {
			return
		}
		p = p[n:]
		if int64(len(p)) < h.length {
			l.begin(c, &h, p)
			return
		}
		payload := p[:h.length]
		p = p[h.length:]
		ws.Cipher(payload, h.key, 0)
		l.whole(c, &h, payload)
	}
}

// checkHeader refuses what can be seen to be wrong in the header, failing fast. It
// counts the frame against the flood guard.
func (l *loop) checkHeader(c *Conn, h *header) bool {
	if !l.admitFrame(c) {
		return false
	}
	switch {
	case h.rsv != 0: // section 5.2: no extension was negotiated
		l.fail(c, CloseProtocol, "reserved bits set")
	case !h.masked: // section 5.1: a server must close on an unmasked frame
		l.fail(c, CloseProtocol, "frame not masked")
	case h.op > OpBinary && h.op < OpClose || h.op > OpPong: // section 5.2
		l.fail(c, CloseProtocol, "reserved opcode")
	case h.op.control() && !h.fin: // section 5.5
		l.fail(c, CloseProtocol, "fragmented control frame")
	case h.op.control() && h.length > controlBytesMax: // section 5.5
		l.fail(c, CloseProtocol, "control frame above 125 bytes")
	case h.op == OpContinuation && c.fragment == 0: // section 5.4
		l.fail(c, CloseProtocol, "continuation without a message")
	case (h.op == OpText || h.op == OpBinary) && c.fragment != 0: // section 5.4
		l.fail(c, CloseProtocol, "new message inside a fragmented one")
	case !h.op.control() && h.length > int64(l.cfg.MessageBytesMax-c.in.collected()): // cannot overflow this way round
		l.stats.TooBig++
		l.fail(c, CloseTooBig, l.tooBig)
	default:
		return true
	}
	return false
}

// admitFrame counts a frame within its second.
func (l *loop) admitFrame(c *Conn) bool {
	if second := uint16(l.tick / l.ticksPerSecond); second != c.window {
		c.window, c.frames = second, 0
	}
	if int(c.frames) >= l.cfg.FramesPerSecondMax {
		l.stats.FrameRateExceeded++
		l.fail(c, CloseRate, "too many frames")
		return false
	}
	c.frames++
	return true
}

// whole handles one unmasked frame that is complete.
func (l *loop) whole(c *Conn, h *header, payload []byte) {
	if h.op.control() {
		l.control(c, h.op, payload)
		return
	}
	if !h.fin || c.fragment != 0 {
		l.collect(c, h, payload)
		if c.state == stateOpen || c.state == stateClosing {
			l.endFrame(c, h.fin)
		}
		return
	}
	if h.op == OpText && !utf8.Valid(payload) {
		l.fail(c, CloseUTF8, "text is not UTF-8")
		return
	}
	l.deliver(c, h.op, payload)
}

// control handles a complete control frame, which may come between fragments.
func (l *loop) control(c *Conn, op Op, payload []byte) {
	switch op {
	case OpClose:
		l.closed(c, payload)
	case OpPing:
		if c.state == stateOpen {
			l.reply = appendFrameHeader(l.reply, OpPong, len(payload))
			l.reply = append(l.reply, payload...)
		}
	case OpPong:
		if len(payload) > 0 && c.state == stateOpen {
			l.handler.Pong(c, payload)
		}
	}
}

// deliver hands a whole message to the handler. After our Close is sent the peer may
// still be talking; nobody listens.
func (l *loop) deliver(c *Conn, op Op, payload []byte) {
	if c.state != stateOpen {
		return
	}
	l.stats.MessagesIn++
	l.handler.Message(c, op, payload)
	l.spoil(payload)
}

// begin takes the first bytes of a frame whose rest has not arrived.
func (l *loop) begin(c *Conn, h *header, p []byte) {
	in := l.inboundOf(c)
	in.op, in.fin, in.left, in.keyAt = h.op, h.fin, h.length, 0
	in.key = h.key
	in.partial = true
	l.resume(c, p)
}

// resume gives p to what is unfinished and returns what lies behind it.
func (l *loop) resume(c *Conn, p []byte) []byte {
	in := c.in
	if !in.partial {
		return l.resumeHeader(c, p)
	}
	n := int(min(int64(len(p)), in.left))
	piece := p[:n]
	ws.Cipher(piece, in.key, in.keyAt)
	in.keyAt += n
	in.left -= int64(n)
	if in.op.control() {
		in.control = append(in.control, piece...)
	} else {
		h := header{op: in.op, fin: in.fin}
		l.collect(c, &h, piece)
	}
	if (c.state != stateOpen && c.state != stateClosing) || in.left > 0 {
		return p[n:]
	}
	in.partial = false
	if in.op.control() {
		// The control frame's bytes are the loop's only until the handler returns.
		payload := append(l.scratch[:0], in.control...)
		in.control = in.control[:0]
		op := in.op
		l.releaseIdle(c)
		l.control(c, op, payload)
		return p[n:]
	}
	l.endFrame(c, in.fin)
	return p[n:]
}

// resumeHeader completes a header that arrived in pieces.
func (l *loop) resumeHeader(c *Conn, p []byte) []byte {
	in := c.in
	had := in.headLen
	copied := copy(in.head[had:], p)
	h, n, herr := parseHeader(in.head[:had+copied])
	if herr != "" {
		l.fail(c, CloseProtocol, string(herr))
		return nil
	}
	if n == 0 {
		in.headLen += copied
		return p[copied:]
	}
	in.headLen = 0
	if !l.checkHeader(c, &h) {
		return nil
	}
	p = p[n-had:]
	in.op, in.fin, in.left, in.keyAt, in.key, in.partial = h.op, h.fin, h.length, 0, h.key, true
	if h.length == 0 {
		// resume would wait for bytes that never come.
		in.partial = false
		l.releaseIdle(c)
		l.whole(c, &h, nil)
	}
	return p
}

// collect appends a piece of a data frame to the message under way and checks its
// text as it comes.
func (l *loop) collect(c *Conn, h *header, piece []byte) {
	in := l.inboundOf(c)
	if h.op != OpContinuation {
		if c.fragment == 0 {
			c.fragment = h.op
			in.text = utf8Accept
		}
	}
	if c.fragment == OpText {
		if in.text = in.text.advance(piece); in.text == utf8Reject {
			l.fail(c, CloseUTF8, "text is not UTF-8")
			return
		}
	}
	in.message = append(in.message, piece...)
	if !l.countInbound(in) {
		l.stats.RefusedCollected++
		l.fail(c, CloseTryAgain, `{"reconnect_ms":5000}`)
	}
}

// endFrame ends a data frame that was collected; with fin the message is whole.
func (l *loop) endFrame(c *Conn, fin bool) {
	if !fin {
		return
	}
	in := c.in
	op := c.fragment
	c.fragment = 0
	if op == OpText && in.text != utf8Accept {
		l.fail(c, CloseUTF8, "text ends inside a character")
		return
	}
	c.in = nil // the handler may close, which releases what the connection holds
	l.deliver(c, op, in.message)
	l.putInbound(in)
}

// stash keeps the bytes of a header that is not whole yet.
func (l *loop) stash(c *Conn, p []byte) {
	in := l.inboundOf(c)
	in.headLen = copy(in.head[:], p)
}
