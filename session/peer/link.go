// HOT PATH

package peer

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// link is one connection of a pair: a queue of encoded frames, which the writer takes
// whole, and a reader. A message is copied once, into a chunk of the queue, since it is
// only borrowed.
type link struct {
	pair    *pair
	pool    *Pool
	channel wire.LinkChannel
	conn    net.Conn
	sendMax int           // bytes of a frame that both nodes take
	wake    chan struct{} // one token when the queue is no longer empty and the writer sleeps

	heard   atomic.Uint32 // tick of the last read
	busy    atomic.Bool   // the reader is with the handlers
	writing atomic.Uint32 // tick at which the write under way began; 0: none is

	mu       sync.Mutex
	full     []*chunk // frames that wait, in order
	last     *chunk   // and those behind them, with room for more; nil: none
	bytes    int      // in both
	frames   int      // in both, entries counted one by one
	answers  int      // of bytes, those that are outcomes or answers
	open     int      // where in last the frame begins that further entries of openType join; -1: none
	openType wire.LinkType
	asleep   bool // the writer waits for a token
	corked   bool // the reader will wake the writer once it is through with its buffer
	closed   bool // nothing is queued any more
	refused  bool // a control frame was refused: say when there is room
	wrote    uint32
	sent     uint64 // messages queued since the writer counted
	flights  flights

	vectors
	inbox inbox
	read  parsed // the reader's own
}

func newLink(pr *pair, channel wire.LinkChannel, conn net.Conn, in inbox, theirs *wire.LinkHello) *link {
	l := &link{pair: pr, pool: pr.pool, channel: channel, conn: conn, inbox: in, open: -1}
	l.sendMax = min(l.pool.cfg.FrameBytesMax, int(theirs.FrameBytesMax))
	l.wake = make(chan struct{}, 1)
	l.flights.max = l.pool.cfg.InFlightMax
	l.inbox.sizeMax = l.pool.cfg.FrameBytesMax
	now := l.pool.ticks.Load()
	l.wrote = now
	l.heard.Store(now)
	return l
}

// forward queues a message. The outcome is Pending, or why it was not queued.
func (l *link) forward(m *wire.Forward, r Receipt, tag uint64, due uint32) session.Outcome {
	p := l.pool
	size := wire.LinkHeaderBytes + m.SizeMax()
	if size > l.sendMax {
		p.count.tooLarge.Add(1)
		return session.TooLarge
	}
	f := *m
	f.Ref = 0
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		p.count.unreachable.Add(1)
		return session.Unreachable
	}
	if l.frames >= p.cfg.QueueMessages || l.bytes-l.answers+size > p.cfg.QueueBytes {
		l.mu.Unlock()
		p.count.queueFull.Add(1)
		return session.Overloaded
	}
	if r != nil {
		ref, ok := l.flights.take(r, tag, due)
		if !ok {
			l.mu.Unlock()
			p.count.flightsFull.Add(1)
			return session.Overloaded
		}
		f.Ref = ref
	}
	c, before := l.begin(wire.LinkTypeForward, size)
	c.b = wire.AppendForward(c.b, &f)
	l.sent++
	l.frames++
	l.bytes += len(c.b) - before
	l.finish()
	return session.Pending
}

// outcomes queues the outcomes of a message that came over this link.
func (l *link) outcomes(o *wire.Outcomes) {
	size := wire.LinkHeaderBytes + o.SizeMax()
	l.mu.Lock()
	if l.closed || l.answers+size > l.pool.cfg.AnswerQueueBytes {
		l.mu.Unlock()
		l.pool.count.answersDropped.Add(1)
		return
	}
	c, before := l.begin(wire.LinkTypeOutcomes, size)
	c.b = wire.AppendOutcomes(c.b, o)
	l.bytes += len(c.b) - before
	l.answers += len(c.b) - before
	l.finish()
}

// rouse releases mu and wakes the writer, unless it is awake or the reader will do so.
func (l *link) rouse() {
	wake := l.asleep && !l.corked
	if wake {
		l.asleep = false
	}
	l.mu.Unlock()
	if wake {
		l.wake <- struct{}{} // has room: asleep was set after the last token was taken
	}
}

// control queues a control frame; false when there is no room. Answers have room of
// their own. body is borrowed.
func (l *link) control(t wire.LinkType, body []byte) bool {
	size := wire.LinkHeaderBytes + len(body)
	answer := t == wire.LinkTypeAnswer
	cfg := &l.pool.cfg
	l.mu.Lock()
	full := l.frames >= cfg.ControlQueueFrames || l.bytes-l.answers+size > cfg.ControlQueueBytes
	if answer {
		full = l.answers+size > cfg.AnswerQueueBytes
	}
	if l.closed || full || size > l.sendMax {
		l.refused = l.refused || full && !answer
		l.mu.Unlock()
		return false
	}
	l.add(t, body)
	if answer {
		l.answers += size
	} else {
		l.frames++
	}
	l.rouse()
	return true
}

// shut ends the queue. With a goodbye, the frame's body, what is queued is still written, for a while;
// without one the connection is cut.
func (l *link) shut(goodbye []byte) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	if goodbye == nil {
		l.full, l.last, l.bytes = nil, nil, 0
		cut(l.conn)
	} else {
		l.add(wire.LinkTypeGoodbye, goodbye)
		_ = l.conn.SetDeadline(time.Now().Add(l.pool.cfg.GoodbyeTimeout))
	}
	l.corked = false
	l.rouse()
}

// lost ends every flight of a link that has been shut, and says so to its receipts.
func (l *link) lost() {
	var landings []landing
	l.mu.Lock()
	for page := range l.flights.pages {
		landings = l.flights.expire(landings, page, 0, true)
	}
	l.mu.Unlock()
	l.pool.count.lost.Add(uint64(len(landings)))
	for _, x := range landings {
		x.receipt.Failed(x.tag, session.Lost)
	}
}

func (l *link) state() (queued, inFlight int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes, l.flights.n
}
