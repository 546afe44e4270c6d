package generator

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/roostpush/roost/bench/tally"
	"github.com/roostpush/roost/bench/target"
)

// HOT PATH

// handle does what one epoll event asks for.
func (l *loop) handle(e *unix.EpollEvent) {
	c := l.slots.get(e.Fd)
	if c.generation != e.Pad || c.state == stateFree {
		return // of a connection that was dropped earlier in this turn
	}
	if c.state == stateConnecting {
		if e.Events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) == 0 {
			return
		}
		l.connectDone(c)
		if c.generation != e.Pad {
			return
		}
	} else if e.Events&unix.EPOLLOUT != 0 && c.rare {
		l.flush(c)
	}
	if e.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		l.read(c, e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0)
	}
}

// read takes what has come. A read that does not fill the buffer has emptied the
// socket (epoll(7), edge-triggered); only an end still to be read is looked for.
func (l *loop) read(c *conn, ending bool) {
	generation := c.generation
	for {
		n, errno := l.receive(c)
		switch {
		case errno == unix.EAGAIN:
			return
		case errno != 0:
			l.ended(c, dialClass(errno))
			return
		case n == 0:
			l.ended(c, "closed without a close frame")
			return
		}
		l.since.Add(tally.BytesIn, int64(n))
		if class := l.take(c, l.buffer[:n]); class != "" {
			l.ended(c, class)
			return
		}
		if c.generation != generation || (n < len(l.buffer) && !ending) {
			return
		}
	}
}

// receive reads once, with the time of arrival where a phase has asked for it.
func (l *loop) receive(c *conn) (n int, errno unix.Errno) {
	if !l.stamps.on {
		return rawRead(int(c.fd), l.buffer)
	}
	n, l.arrivedNS, errno = l.stamps.read(int(c.fd), l.buffer)
	return n, errno
}

// take parses new bytes behind those that were left over. A class says that the
// connection cannot go on.
func (l *loop) take(c *conn, data []byte) (class string) {
	if c.rare && len(l.rare[c.slot].unparsed) > 0 {
		r := l.rare[c.slot]
		r.unparsed = append(r.unparsed, data...)
		data = r.unparsed
	}
	generation := c.generation
	n, class := l.parse(c, data)
	if class != "" || c.generation != generation {
		return class
	}
	if n < len(data) {
		r := l.rareOf(c)
		r.unparsed = append(r.unparsed[:0], data[n:]...) // may overlap; append copies as copy does
	} else if c.rare {
		r := l.rare[c.slot]
		r.unparsed = nil
		l.settle(c, r)
	}
	return ""
}

// parse returns how many bytes are done with.
func (l *loop) parse(c *conn, data []byte) (done int, class string) {
	if c.state == stateUpgrading {
		n, err := target.ReadAnswer(data)
		var status target.StatusError
		switch {
		case errors.As(err, &status):
			return 0, status.Error()
		case err != nil:
			return 0, err.Error()
		case n == 0:
			return 0, ""
		}
		done = n
		generation := c.generation
		l.upgraded(c)
		if c.generation != generation {
			return done, ""
		}
	}
	for c.state == stateOpen {
		f, n, class := readFrame(data[done:], l.plan.Config.MessageBytesMax)
		if class != "" || n == 0 {
			return done, class
		}
		done += n
		generation := c.generation
		if class := l.frame(c, f); class != "" || c.generation != generation {
			return done, class
		}
	}
	return len(data), "" // after a close frame nothing counts
}

// frame is one frame of the server; its payload is borrowed.
type frame struct {
	payload []byte
	opcode  byte
	final   bool
}

// readFrame reads the frame at the start of data and its length, 0 when it is not
// whole yet (RFC 6455 section 5.2).
func readFrame(data []byte, bytesMax int) (f frame, n int, class string) {
	if len(data) < 2 {
		return f, 0, ""
	}
	if data[0]&0x70 != 0 {
		return f, 0, "protocol: reserved bit"
	}
	if data[1]&0x80 != 0 {
		return f, 0, "protocol: masked by the server"
	}
	f.opcode, f.final = data[0]&0x0f, data[0]&0x80 != 0
	head, size := 2, uint64(data[1])
	switch size {
	case 126:
		if len(data) < 4 {
			return f, 0, ""
		}
		head, size = 4, uint64(binary.BigEndian.Uint16(data[2:]))
	case 127:
		if len(data) < 10 {
			return f, 0, ""
		}
		head, size = 10, binary.BigEndian.Uint64(data[2:])
	}
	if size > uint64(bytesMax) {
		return f, 0, "protocol: message too large"
	}
	n = head + int(size)
	if len(data) < n {
		return f, 0, ""
	}
	f.payload = data[head:n]
	return f, n, ""
}

// frame acts on one frame.
func (l *loop) frame(c *conn, f frame) (class string) {
	switch f.opcode {
	case opPing:
		l.since.Add(tally.Pings, 1)
		l.send(c, opPong, f.payload)
	case opPong:
		l.tell(c, ponged, f.payload)
	case opClose:
		c.code = 1005 // RFC 6455 section 7.1.5: none given
		if len(f.payload) >= 2 {
			c.code = binary.BigEndian.Uint16(f.payload)
		}
		l.send(c, opClose, f.payload[:min(len(f.payload), 2)])
		c.state = stateClosing // the server closes first (section 7.1.1)
		l.tell(c, closed, f.payload)
	case opText, opBinary, opContinuation:
		return l.data(c, f)
	default:
		return "protocol: unknown opcode"
	}
	return ""
}

// data puts fragments together and passes whole messages on.
func (l *loop) data(c *conn, f frame) (class string) {
	if f.final && f.opcode != opContinuation && !c.rare {
		l.tell(c, message, f.payload)
		return ""
	}
	r := l.rareOf(c)
	if (f.opcode == opContinuation) != r.inside {
		return "protocol: fragments out of order"
	}
	if f.final && !r.inside {
		l.tell(c, message, f.payload)
		return ""
	}
	if len(r.message)+len(f.payload) > l.plan.Config.MessageBytesMax {
		return "protocol: message too large"
	}
	r.message = append(r.message, f.payload...)
	r.inside = !f.final
	if f.final {
		whole := r.message
		r.message = nil
		l.tell(c, message, whole)
	}
	return ""
}
