package netpoll

// inbound is what a connection holds while something that has begun to arrive is not
// whole: a request, a frame's header, a frame, a fragmented message. Idle connections
// have none.
type inbound struct {
	request []byte // a request so far, or the whole one while it is being verified
	scanned int    // bytes of request already searched for its end

	head    [frameHeaderBytesMax]byte
	headLen int
	partial bool // a frame's header is whole, left bytes of its payload are to come
	op      Op
	fin     bool
	key     [4]byte
	keyAt   int
	left    int64
	control []byte // payload so far of a control frame
	message []byte // payload so far of the message under way, all its frames
	counted int    // of both buffers' capacity, in Reactor.collected
	since   uint32 // tick of its first byte
	text    utf8State
}

// inboundKeptBytes bounds the buffers that a loop keeps for the next connection.
const inboundKeptBytes = 64 << 10

// busy reports whether the next bytes continue something other than a frame's start.
func (in *inbound) busy() bool { return in.partial || in.headLen > 0 }

// collected is the size so far of the message under way; nil has none.
func (in *inbound) collected() int {
	if in == nil {
		return 0
	}
	return len(in.message)
}

func (l *loop) inboundOf(c *Conn) *inbound {
	if c.in == nil {
		if n := len(l.inbounds); n > 0 {
			c.in = l.inbounds[n-1]
			l.inbounds = l.inbounds[:n-1]
		} else {
			c.in = new(inbound)
		}
		c.in.since = l.tick
		if due := l.tick + l.messageTicks; c.state == stateOpen && tickBefore(due, c.dueTick) {
			l.schedule(c, due)
		}
	}
	return c.in
}

// release lets go of everything unfinished.
func (l *loop) release(c *Conn) {
	c.fragment = 0
	if in := c.in; in != nil {
		c.in = nil
		l.putInbound(in)
	}
}

// releaseIdle lets go of the inbound unless a fragmented message is under way.
func (l *loop) releaseIdle(c *Conn) {
	if c.fragment == 0 && c.in != nil && !c.in.busy() {
		l.release(c)
	}
}

// unfinishedTooLong reports whether something began to arrive longer ago than a message
// may take.
func (l *loop) unfinishedTooLong(c *Conn) bool {
	return c.in != nil && !tickBefore(l.tick, c.in.since+l.messageTicks)
}

// putInbound keeps a few for reuse; large buffers and the rest are the collector's.
func (l *loop) putInbound(in *inbound) {
	if in.counted > 0 {
		l.reactor.collected.Add(-int64(in.counted))
		in.counted = 0
	}
	if len(l.inbounds) == cap(l.inbounds) || cap(in.message) > inboundKeptBytes || cap(in.request) > inboundKeptBytes {
		return
	}
	*in = inbound{request: in.request[:0], control: in.control[:0], message: in.message[:0]}
	l.inbounds = append(l.inbounds, in)
}

// countInbound keeps the node's account of what is unfinished; false when it is above
// its budget: then this connection, which asks for more, has to go.
func (l *loop) countInbound(in *inbound) bool {
	l.stats.MessageBytesPeak = max(l.stats.MessageBytesPeak, uint64(len(in.message)))
	more := cap(in.message) + cap(in.request) - in.counted
	if more == 0 {
		return true
	}
	in.counted += more
	return l.reactor.collected.Add(int64(more)) <= int64(l.cfg.CollectedNodeBytes)
}
