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
	counted int    // of message's capacity, in Reactor.collected
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

// countInbound keeps the node's account of unfinished messages; false when it is above
// its budget: then this connection, which asks for more, has to go.
func (l *loop) countInbound(in *inbound) bool {
	if n := uint64(len(in.message)); n > l.stats.MessageBytesPeak {
		l.stats.MessageBytesPeak = n
	}
	more := cap(in.message) - in.counted
	if more == 0 {
		return true
	}
	in.counted += more
	return l.reactor.collected.Add(int64(more)) <= int64(l.cfg.CollectedNodeBytes)
}
