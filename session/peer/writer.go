// HOT PATH

package peer

import (
	"fmt"
	"net"

	"github.com/roostpush/roost/session/wire"
)

// writeChunks is how many chunks are given to the kernel in one call, so that a slow
// path is seen to make progress within stall_max.
const writeChunks = 8

// write is the writer goroutine of a link: take everything that waits, hand it to the
// kernel in few pieces, again. While a write is under way more gathers, so that batches
// grow with the load by themselves.
func (l *link) write() {
	defer l.pair.work.Done()
	var chunks []*chunk
	for {
		var ok bool
		if chunks, ok = l.takeOut(chunks); !ok {
			closeWrite(l.conn) // the goodbye was the last; the reader waits for the other's end
			return
		}
		for from := 0; from < len(chunks); from += writeChunks {
			if err := l.writeOut(chunks[from:min(len(chunks), from+writeChunks)]); err != nil {
				l.pair.end(wire.GoodbyeLost, fmt.Sprintf("write to the %s connection: %v", l.channel, err), false)
				return
			}
		}
	}
}

// takeOut waits for frames and takes all of them; spare is used for the next. It is
// false when the queue has ended and is empty.
func (l *link) takeOut(spare []*chunk) (chunks []*chunk, ok bool) {
	l.mu.Lock()
	for l.bytes == 0 {
		if l.closed {
			l.mu.Unlock()
			return nil, false
		}
		l.asleep = true
		l.mu.Unlock()
		<-l.wake
		l.mu.Lock()
	}
	chunks, l.full = append(l.full, l.last), spare[:0]
	l.last, l.bytes, l.frames, l.answers, l.open = nil, 0, 0, 0, -1
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
	return chunks, true
}

// writeOut writes chunks and gives them back.
func (l *link) writeOut(chunks []*chunk) error {
	l.writing.Store(l.pool.ticks.Load())
	defer l.writing.Store(0)
	var n int64
	var err error
	if len(chunks) == 1 {
		var m int
		m, err = l.conn.Write(chunks[0].b)
		n = int64(m)
	} else {
		l.vector = l.vectorRoom[:0]
		for _, c := range chunks {
			l.vector = append(l.vector, c.b)
		}
		n, err = l.vector.WriteTo(l.conn)
	}
	l.pool.count.bytesOut.Add(uint64(n))
	l.pool.count.writesOut.Add(1)
	for i, c := range chunks {
		l.pool.freeChunk(c)
		chunks[i] = nil
	}
	return err
}

// vectors are the writer's own.
type vectors struct {
	vector     net.Buffers // WriteTo eats it
	vectorRoom [writeChunks][]byte
}
