// HOT PATH

package peer

import "github.com/roostpush/roost/session/wire"

// chunk is a part of a queue. Chunks of the usual size are shared by all links of a
// pool: an idle link holds none, and a busy one does not make the collector work.
type chunk struct{ b []byte }

func (p *Pool) newChunk(size int) *chunk {
	if size > p.cfg.WriteBufferBytes {
		return &chunk{make([]byte, 0, size)}
	}
	return p.chunks.Get().(*chunk)
}

func (p *Pool) freeChunk(c *chunk) {
	if cap(c.b) == p.cfg.WriteBufferBytes {
		c.b = c.b[:0]
		p.chunks.Put(c)
	}
}

// begin makes room for another entry of at most so many bytes: in the last frame, if
// that is of the same type and not large, or in a new one. The entry is appended to the
// chunk's b; before is what it held. The caller holds mu.
func (l *link) begin(t wire.LinkType, size int) (c *chunk, before int) {
	if c = l.last; l.open >= 0 && l.openType == t && len(c.b)+size <= cap(c.b) &&
		len(c.b)-l.open+size <= min(l.pool.cfg.BatchBytes, l.sendMax) {
		return c, len(c.b)
	}
	c = l.room(size)
	before = len(c.b)
	l.open, l.openType = before, t
	c.b = wire.BeginLinkFrame(c.b, t)
	return c, before
}

// room returns a chunk at the end of the queue that has room for so many bytes.
func (l *link) room(size int) *chunk {
	if l.last == nil || len(l.last.b)+size > cap(l.last.b) {
		if l.last != nil {
			l.full = append(l.full, l.last)
		}
		l.last, l.open = l.pool.newChunk(size), -1
	}
	return l.last
}

// finish completes the last frame, releases mu and sees to it that the writer takes it.
func (l *link) finish() {
	wire.EndLinkFrame(l.last.b, l.open)
	l.rouse()
}

// add appends a whole frame. The caller holds mu.
func (l *link) add(t wire.LinkType, body []byte) {
	size := wire.LinkHeaderBytes + len(body)
	c := l.room(size)
	c.b = wire.AppendLinkFrame(c.b, t, body)
	l.bytes += size
	l.open = -1
}
