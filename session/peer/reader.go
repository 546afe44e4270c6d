// HOT PATH

package peer

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/roostpush/roost/session/wire"
)

// inbox takes frames off a connection. Its buffer is as large as it was made and, while
// a frame needs that, as large as the frame.
type inbox struct {
	buf     []byte
	r, w    int // what was read and not taken
	size    int // of the buffer between large frames
	sizeMax int // of a frame
}

// next takes a frame that is whole; body is nil when none is. What it returned is
// valid until fill.
func (in *inbox) next() (t wire.LinkType, body []byte, err error) {
	t, body, size, err := wire.ParseLinkFrame(in.buf[in.r:in.w], in.sizeMax)
	if err != nil || body != nil {
		in.r += size
		return t, body, err
	}
	in.reserve(size)
	return 0, nil, nil
}

// isTLS reports whether what came first is how TLS begins: a handshake record, of version
// 3.x (RFC 8446 section 5.1).
func (in *inbox) isTLS() bool { return in.w >= 2 && in.buf[0] == 22 && in.buf[1] == 3 }

// reserve makes room for a frame of that size, which has begun to arrive or is not
// known yet (0).
func (in *inbox) reserve(size int) {
	want := max(in.size, size)
	if len(in.buf) < want || len(in.buf) > want && size <= in.size && in.w-in.r <= want {
		buf := make([]byte, want)
		in.w = copy(buf, in.buf[in.r:in.w])
		in.buf, in.r = buf, 0
		return
	}
	if in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
}

// fill reads once; call it when next has found nothing.
func (in *inbox) fill(c net.Conn) (int, error) {
	n, err := c.Read(in.buf[in.w:])
	in.w += n
	return n, err
}

// readLink is the reader goroutine of a link: read what there is, hand every whole
// frame to the handlers, again.
func (l *link) readLink() {
	defer l.pair.work.Done()
	l.inbox.size = l.pool.cfg.ReadBufferBytes
	for {
		if err := l.handle(); err != nil {
			if l.pair.leave(l, err) {
				drain(l.conn)
			}
			return
		}
		n, err := l.inbox.fill(l.conn)
		if n > 0 {
			l.heard.Store(l.pool.ticks.Load())
			l.pool.count.bytesIn.Add(uint64(n))
			continue
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && l.pair.late():
			// The time for the hellos ended just as the link came up.
		case errors.Is(err, io.EOF):
			l.pair.end(wire.GoodbyeLost, fmt.Sprintf("the %s connection was closed without a goodbye", l.channel), false)
			return
		default:
			l.pair.end(wire.GoodbyeLost, fmt.Sprintf("read from the %s connection: %v", l.channel, err), false)
			return
		}
	}
}

// handle hands on every frame that is whole. What handlers answer meanwhile is written
// together when it is through.
func (l *link) handle() error {
	t, body, err := l.inbox.next()
	if body == nil || err != nil {
		return err
	}
	if t != wire.LinkTypeGoodbye {
		if err := l.pair.wait(); err != nil {
			return err
		}
	}
	l.busy.Store(true)
	l.cork(true)
	frames := uint64(0)
	for ; body != nil && err == nil; t, body, err = l.inbox.next() {
		frames++
		if err = l.dispatch(t, body); err != nil {
			break
		}
		spoil(body)
	}
	l.cork(false)
	l.heard.Store(l.pool.ticks.Load())
	l.busy.Store(false)
	l.pool.count.framesIn.Add(frames)
	return err
}

// cork says that what is queued from now on can wait a moment, or that the moment is
// over.
func (l *link) cork(on bool) {
	l.mu.Lock()
	l.corked = on
	if on || l.bytes == 0 {
		l.mu.Unlock()
		return
	}
	l.rouse()
}

// errEnded says that the pair ended for a reason that is known already.
var errEnded = errors.New("peer: the link has ended")

// errEarly is the error of a control connection on which frames come too soon.
var errEarly = errors.New("peer: a frame before the link has its messages connection")

// leaving is the error of a link whose other side has said goodbye.
type leaving struct{ wire.Goodbye }

func (e *leaving) Error() string { return fmt.Sprintf("goodbye: %s: %s", e.Reason, e.Detail) }

// drain reads what the other node still sends, until it closes or the deadline of the
// goodbye: a close with unread bytes would reset the connection, and the goodbye
// might never be read.
func drain(c net.Conn) {
	var room [4 << 10]byte
	for {
		if _, err := c.Read(room[:]); err != nil {
			return
		}
	}
}
