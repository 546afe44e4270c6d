// HOT PATH

package peer

import (
	"fmt"

	"github.com/roostpush/roost/session/wire"
)

// keptBytesMax is the size up to which a buffer of a queue is used again.
const keptBytesMax = 1 << 20

// idleBytesMax is the size up to which an idle link keeps its buffers.
const idleBytesMax = 16 << 10

// write is the writer goroutine of a link: take everything that waits, hand it to the
// kernel as one piece, again. While a write is under way more gathers, so that batches
// grow with the load by themselves.
func (l *link) write() {
	defer l.pair.work.Done()
	var buf []byte
	for {
		var ok bool
		if buf, ok = l.takeOut(buf); !ok {
			closeWrite(l.conn) // the goodbye was the last; the reader waits for the other's end
			return
		}
		now := l.pool.ticks.Load()
		l.writing.Store(now)
		n, err := l.conn.Write(buf)
		l.writing.Store(0)
		l.pool.count.bytesOut.Add(uint64(n))
		l.pool.count.writesOut.Add(1)
		if err != nil {
			l.pair.end(wire.GoodbyeLost, fmt.Sprintf("write to the %s connection: %v", l.channel, err), false)
			return
		}
		if cap(buf) > keptBytesMax {
			buf = nil
		}
	}
}

// takeOut waits for frames and exchanges the queue's buffer for spare; false when the
// queue has ended and is empty.
func (l *link) takeOut(spare []byte) (out []byte, ok bool) {
	l.mu.Lock()
	l.spare = spare
	for len(l.out) == 0 {
		if l.closed {
			l.mu.Unlock()
			return nil, false
		}
		l.asleep = true
		l.mu.Unlock()
		<-l.wake
		l.mu.Lock()
	}
	out, l.out, l.spare = l.out, l.spare[:0], nil
	l.frames, l.answers, l.open = 0, 0, -1
	l.wrote = l.pool.ticks.Load()
	sent, room := l.sent, l.refused
	l.sent, l.refused = 0, false
	l.mu.Unlock()
	if sent > 0 {
		l.pool.count.sent.Add(sent)
	}
	if room {
		l.pool.handlers.Links.Room(l.pair.origin)
	}
	return out, true
}
