package netpoll

import (
	"golang.org/x/sys/unix"
)

// outbound is what the kernel did not take yet of one connection: bytes, and where in
// them each message ends. It exists only while a peer reads too slowly.
type outbound struct {
	buf   []byte
	off   int // written so far of buf
	sends []queuedSend
	head  int // first of sends that is not settled

	progress uint32 // tick at which the peer last took something
}

// queuedSend is one message of an outbound.
type queuedSend struct {
	start, end int // in buf
	rcpt       Receipt
	tag        uint64
}

func (o *outbound) waiting() int {
	if o == nil {
		return 0
	}
	return len(o.buf) - o.off
}

const outboundKeptBytes = 16 << 10

// HOT PATH. write gives p to the kernel. n < len(p) without an error means that the
// kernel has no room; broken means that it never will.
func (l *loop) write(c *Conn, p []byte) (n int, broken bool) {
	if l.detached != nil {
		return l.detached.write(p), false
	}
	for {
		n, err := writeSocket(c.fd, p)
		switch err {
		case nil:
			l.stats.BytesOut += uint64(n)
			return n, false
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return 0, false
		}
		return 0, true
	}
}

// writeAll gives several pieces to the kernel in one call.
func (l *loop) writeAll(c *Conn, pieces [][]byte) (n int, broken bool) {
	if l.detached != nil {
		for _, p := range pieces {
			n += l.detached.write(p)
		}
		return n, false
	}
	for {
		n, err := writeSocketAll(c.fd, pieces)
		switch err {
		case nil:
			l.stats.BytesOut += uint64(n)
			return n, false
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return 0, false
		}
		return 0, true
	}
}

// writeReply gives the connection what this event answered.
func (l *loop) writeReply(c *Conn) {
	if len(l.reply) == 0 {
		return
	}
	n, broken := 0, false
	if c.out == nil && c.flags&flagBroken == 0 {
		n, broken = l.write(c, l.reply)
	}
	l.replied(c, n, broken)
}

// replied keeps what the kernel did not take of the answer.
func (l *loop) replied(c *Conn, n int, broken bool) {
	p := l.reply
	if broken {
		l.breakOff(c)
	}
	if n < len(p) && c.flags&flagBroken == 0 {
		l.queue(c, p[n:], n, nil, 0)
	}
	l.reply = p[:0]
	if cap(p) > replyKeptBytes {
		l.reply = make([]byte, 0, replyKeptBytes/4)
	}
}

const replyKeptBytes = 256 << 10

// queue keeps the rest of one message, of which written bytes are the kernel's
// already. It ends connections that are above their budget, and those that the node's
// budget has no room for: what is half written, or an answer, cannot be left out.
func (l *loop) queue(c *Conn, rest []byte, written int, rcpt Receipt, tag uint64) {
	if c.out.waiting()+len(rest) > l.cfg.QueuedHardBytes || !l.nodeHasRoom(len(rest)) {
		if rcpt != nil {
			if written > 0 {
				rcpt.Sent(tag, ResultCut)
			} else {
				rcpt.Sent(tag, ResultFull)
			}
		}
		l.tooSlow(c, written > 0)
		return
	}
	o := c.out
	if o == nil {
		o = l.getOutbound()
		o.progress = l.tick
		c.out = o
		l.watchWrites(c, true)
		if due := l.tick + l.slowTicks; c.state == stateOpen && tickBefore(due, c.dueTick) {
			l.schedule(c, due)
		}
	}
	start := len(o.buf)
	o.buf = append(o.buf, rest...)
	o.sends = append(o.sends, queuedSend{start: start - written, end: len(o.buf), rcpt: rcpt, tag: tag})
	l.addQueued(len(rest))
	if c.flags&flagSlow == 0 && o.waiting() > l.cfg.QueuedSoftBytes {
		c.flags |= flagSlow
		l.stats.SlowNow++
		l.stats.SlowTotal++
	}
}

// nodeHasRoom says whether n more bytes may wait.
func (l *loop) nodeHasRoom(n int) bool {
	return l.reactor.queued.Load()+int64(n) <= int64(l.cfg.QueuedNodeBytes)
}

// tooSlow ends a connection that is above its hard budget. What is half written stays,
// so that the Close frame behind it can be understood; the rest is dropped and said
// to be so. midFrame: the message that broke the budget is itself half written, and
// no frame can follow it any more.
func (l *loop) tooSlow(c *Conn, midFrame bool) {
	l.stats.TooSlow++
	c.closeCode = CloseSlow
	l.countClose(CloseSlow)
	if midFrame || c.flags&flagBroken != 0 {
		l.breakOff(c)
		return
	}
	o := c.out
	if o == nil {
		o = l.getOutbound()
		c.out = o
		l.watchWrites(c, true)
	}
	keep := o.off
	for i := o.head; i < len(o.sends); i++ {
		s := &o.sends[i]
		if s.start < o.off { // half written
			keep = s.end
			continue
		}
		if s.rcpt != nil {
			s.rcpt.Sent(s.tag, ResultFull)
			s.rcpt = nil
		}
		l.stats.DroppedSlow++
	}
	for len(o.sends) > o.head && o.sends[len(o.sends)-1].end > keep {
		o.sends = o.sends[:len(o.sends)-1]
	}
	frame := appendEnd(l.scratch[:0], c, CloseSlow, l.slowReason)
	l.addQueued(keep + len(frame) - len(o.buf))
	o.buf = append(o.buf[:keep], frame...)
	o.sends = append(o.sends, queuedSend{start: keep, end: len(o.buf)})
	l.linger(c)
}

// writable goes on writing what waits.
func (l *loop) writable(c *Conn) {
	o := c.out
	if o == nil {
		return
	}
	n, broken := l.write(c, o.buf[o.off:])
	if broken {
		l.breakOff(c)
		return
	}
	o.off += n
	if n > 0 {
		o.progress = l.tick
	}
	l.addQueued(-n)
	for o.head < len(o.sends) && o.sends[o.head].end <= o.off {
		if s := &o.sends[o.head]; s.rcpt != nil {
			s.rcpt.Sent(s.tag, ResultWritten)
			s.rcpt = nil
		}
		o.head++
	}
	if c.flags&flagSlow != 0 && o.waiting() <= l.cfg.QueuedSoftBytes/2 {
		c.flags &^= flagSlow
		l.stats.SlowNow--
	}
	switch {
	case o.off == len(o.buf):
		c.out = nil
		l.putOutbound(o)
		l.watchWrites(c, false)
	case o.off > len(o.buf)/2 && o.off > outboundKeptBytes:
		o.compact()
	}
}

// compact moves what waits to the front, so that the buffer is bounded by the budget
// and not by all that ever passed through it.
func (o *outbound) compact() {
	n := copy(o.buf, o.buf[o.off:])
	o.buf = o.buf[:n]
	m := copy(o.sends, o.sends[o.head:])
	clear(o.sends[m:])
	o.sends = o.sends[:m]
	for i := range o.sends {
		o.sends[i].start -= o.off
		o.sends[i].end -= o.off
	}
	o.off, o.head = 0, 0
}

// settleOut tells whoever waits that the connection is gone.
func (l *loop) settleOut(c *Conn) {
	o := c.out
	if o == nil {
		return
	}
	c.out = nil
	l.addQueued(-o.waiting())
	for i := o.head; i < len(o.sends); i++ {
		s := &o.sends[i]
		if s.rcpt == nil {
			continue
		}
		if s.start < o.off {
			s.rcpt.Sent(s.tag, ResultCut)
		} else {
			s.rcpt.Sent(s.tag, ResultGone)
		}
		s.rcpt = nil
	}
	l.putOutbound(o)
}

// breakOff marks a connection whose socket can take nothing more; leave ends it.
func (l *loop) breakOff(c *Conn) { c.flags |= flagBroken }

func (l *loop) watchWrites(c *Conn, yes bool) {
	if l.detached != nil || (c.flags&flagWriteArmed != 0) == yes {
		return
	}
	c.flags ^= flagWriteArmed
	if err := l.poller.watchWrites(int(c.fd), yes); err != nil {
		l.breakOff(c)
	}
}

func (l *loop) addQueued(n int) {
	if n != 0 {
		l.reactor.queued.Add(int64(n))
	}
}

func (l *loop) getOutbound() *outbound {
	if n := len(l.outbounds); n > 0 {
		o := l.outbounds[n-1]
		l.outbounds = l.outbounds[:n-1]
		return o
	}
	return new(outbound)
}

func (l *loop) putOutbound(o *outbound) {
	if len(l.outbounds) == cap(l.outbounds) || cap(o.buf) > outboundKeptBytes || cap(o.sends) > 256 {
		return
	}
	clear(o.sends)
	*o = outbound{buf: o.buf[:0], sends: o.sends[:0]}
	l.outbounds = append(l.outbounds, o)
}
