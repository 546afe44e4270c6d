package netpoll

import (
	"sync"
	"sync/atomic"
)

// The outbox is how other goroutines reach a loop's connections. HOT PATH, in order:
//
//	Send     frames the message into the outbox's arena, and rings the bell of a loop that
//	         is asleep
//	drain    at the end of its turn the loop takes the whole outbox and works it off in
//	         batches
//	link     a batch's sends are strung together by connection
//	flush    each connection of the batch gets one write
//
// Between two batches input has its turn. There are no objects: sends refer to spans of an
// arena, and two outboxes change places for ever.

// outbox is one side of the exchange.
type outbox struct {
	sends []send
	arena []byte
	tasks []func()
}

// send is one frame for one connection.
type send struct {
	id       ConnID
	from, to uint32 // the frame's span in the arena; a close: its reason's
	rcpt     Receipt
	tag      uint64
	next     int32 // in the batch: next send of the same connection +1, 0: none
	close    uint16
}

// exchange is the outbox that is being filled.
type exchange struct {
	mu      sync.Mutex
	filling outbox
	awake   atomic.Bool // the loop is in a turn, or its bell was rung: it looks here before it waits. Taken back under mu
	closed  bool
}

// wants says that the bell must be rung: the loop is asleep, and nobody has rung. Under mu.
func (x *exchange) wants() bool {
	if x.awake.Load() {
		return false
	}
	x.awake.Store(true)
	return true
}

// Send sends one message to a connection. Any goroutine may call it; the payload is
// borrowed. rcpt may be nil. It never blocks and allocates nothing: when the loop's
// outbox is full the send settles as ResultFull at once.
func (r *Reactor) Send(id ConnID, op Op, payload []byte, rcpt Receipt, tag uint64) {
	l := r.loopOf(id)
	if l == nil {
		settle(rcpt, tag, ResultGone)
		return
	}
	x := &l.exchange
	x.mu.Lock()
	from, ok := l.frame(id.stream(), op, payload)
	if !ok || len(x.filling.sends) >= l.cfg.OutboxSends || x.closed {
		result := ResultFull
		if x.closed {
			result = ResultGone
		} else {
			l.refusedFull++
		}
		x.mu.Unlock()
		settle(rcpt, tag, result)
		return
	}
	x.filling.sends = append(x.filling.sends, send{id: id, from: from, to: uint32(len(x.filling.arena)), rcpt: rcpt, tag: tag})
	ring := x.wants()
	x.mu.Unlock()
	if ring {
		l.bell.ring()
	}
}

// frame appends a message to the arena, as a connection of that kind gets it, under the
// exchange's mutex. An event that could never wait for a peer is refused at once: payload
// that is all line ends has seven times its size as an event.
func (l *loop) frame(stream bool, op Op, payload []byte) (from uint32, ok bool) {
	o := &l.exchange.filling
	size := messageBytes(stream, op, payload)
	if len(o.arena)+size > l.cfg.OutboxBytes || stream && size > l.cfg.QueuedHardBytes {
		return 0, false
	}
	from = uint32(len(o.arena))
	o.arena = appendMessage(o.arena, stream, op, payload)
	return from, true
}

// SendMany sends one message to many connections: it is framed and copied once for each
// loop and kind of connection. Receipt i gets tag+i. Otherwise as Send.
func (r *Reactor) SendMany(ids []ConnID, op Op, payload []byte, rcpt Receipt, tag uint64) {
	for _, l := range r.loops {
		l.sendMany(ids, op, payload, rcpt, tag)
	}
	for i, id := range ids {
		if r.loopOf(id) == nil {
			settle(rcpt, tag+uint64(i), ResultGone)
		}
	}
}

func (l *loop) sendMany(ids []ConnID, op Op, payload []byte, rcpt Receipt, tag uint64) {
	x := &l.exchange
	x.mu.Lock()
	var spans [2]struct {
		from, to uint32
		framed   bool
	}
	framed, ring, refused := false, false, -1
	for i, id := range ids {
		if id.loop() != l.index || id == 0 {
			continue
		}
		span := &spans[id.gen()&genStream]
		if !span.framed {
			var ok bool
			if span.from, ok = l.frame(id.stream(), op, payload); !ok || x.closed {
				refused = i
				break
			}
			span.to, span.framed, framed = uint32(len(x.filling.arena)), true, true
		}
		if len(x.filling.sends) >= l.cfg.OutboxSends {
			refused = i
			break
		}
		x.filling.sends = append(x.filling.sends, send{id: id, from: span.from, to: span.to, rcpt: rcpt, tag: tag + uint64(i)})
	}
	if framed {
		ring = x.wants()
	}
	result := ResultFull
	if x.closed {
		result = ResultGone
	} else if refused >= 0 {
		for _, id := range ids[refused:] {
			if id.loop() == l.index && id != 0 {
				l.refusedFull++
			}
		}
	}
	x.mu.Unlock()
	if ring {
		l.bell.ring()
	}
	if refused >= 0 {
		for i, id := range ids[refused:] {
			if id.loop() == l.index && id != 0 {
				settle(rcpt, tag+uint64(refused+i), result)
			}
		}
	}
}

// Close closes a connection behind everything that was sent to it before, with a code
// and a reason of at most 123 bytes. Any goroutine may call it. A close is taken even
// when the outbox is full.
func (r *Reactor) Close(id ConnID, code uint16, reason string) {
	l := r.loopOf(id)
	if l == nil {
		return
	}
	x := &l.exchange
	x.mu.Lock()
	if x.closed { // the bell's descriptor may be somebody else's by now
		x.mu.Unlock()
		return
	}
	from := uint32(len(x.filling.arena))
	x.filling.arena = append(x.filling.arena, reason...)
	x.filling.sends = append(x.filling.sends, send{id: id, from: from, to: uint32(len(x.filling.arena)), close: code})
	ring := x.wants()
	x.mu.Unlock()
	if ring {
		l.bell.ring()
	}
}

// Resume asks the handler again about a connection whose verdict was pending. Any
// goroutine may call it.
func (r *Reactor) Resume(id ConnID) {
	r.Do(id, func(c *Conn) { c.loop.resumeUpgrade(c) })
}

// Do runs f on the connection's loop, as an event of the connection, unless the
// connection is gone by then. Any goroutine may call it; it is for what is rare.
func (r *Reactor) Do(id ConnID, f func(c *Conn)) {
	l := r.loopOf(id)
	if l == nil {
		return
	}
	l.do(func() {
		if c := l.lookup(id); c != nil {
			l.enter(c)
			f(c)
			l.leave(c)
		}
	})
}

// do runs f on the loop. It returns false when the loop has ended.
func (l *loop) do(f func()) bool {
	x := &l.exchange
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return false
	}
	x.filling.tasks = append(x.filling.tasks, f)
	ring := x.wants()
	x.mu.Unlock()
	if ring {
		l.bell.ring()
	}
	return true
}

// drain works off one batch, of at most so many sends, of what take has taken. It returns
// its size, tasks included.
func (l *loop) drain(most int) int {
	tasks := len(l.draining.tasks)
	for _, task := range l.draining.tasks {
		task()
	}
	clear(l.draining.tasks)
	l.draining.tasks = l.draining.tasks[:0]
	batch := l.draining.sends[l.drained:]
	if len(batch) > most {
		batch = batch[:most]
	}
	l.link(batch)
	for _, c := range l.dirty {
		l.flush(c, batch)
	}
	l.dirty = l.dirty[:0]
	l.drained += len(batch)
	if l.drained == len(l.draining.sends) {
		l.emptied()
	}
	return tasks + len(batch)
}

// take sees to it that there is something to drain; false: nobody has sent anything. Then,
// if the loop is about to sleep, whoever sends from now on rings its bell.
func (l *loop) take(sleeps bool) bool {
	if l.drained < len(l.draining.sends) {
		return true
	}
	x := &l.exchange
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.filling.sends) == 0 && len(x.filling.tasks) == 0 {
		if sleeps {
			x.awake.Store(false)
		}
		return false
	}
	l.draining, x.filling = x.filling, l.draining
	l.drained = 0
	return true
}

// emptied makes the worked-off outbox ready to be filled.
func (l *loop) emptied() {
	clear(l.draining.sends) // receipts are the collector's again
	l.draining.sends = l.draining.sends[:0]
	if cap(l.draining.arena) > outboxKeptBytes {
		l.draining.arena = nil
	}
	if cap(l.draining.sends) > outboxKeptSends {
		l.draining.sends = nil
	}
	l.draining.arena = l.draining.arena[:0]
	l.drained = 0
}

// What an outbox keeps between bursts.
const (
	outboxKeptBytes = 1 << 20
	outboxKeptSends = 1 << 14
)

// link strings the batch's sends together by connection, in order.
func (l *loop) link(batch []send) {
	for i := range batch {
		s := &batch[i]
		c := l.lookup(s.id)
		if c == nil {
			settle(s.rcpt, s.tag, ResultGone)
			continue
		}
		if c.turnHead == 0 {
			c.turnHead = int32(i) + 1
			l.dirty = append(l.dirty, c)
		} else {
			batch[c.turnTail-1].next = int32(i) + 1
		}
		c.turnTail = int32(i) + 1
	}
}

// flush gives one connection its sends of this batch.
func (l *loop) flush(c *Conn, batch []send) {
	head := c.turnHead
	c.turnHead, c.turnTail = 0, 0
	l.enter(c)
	s := &batch[head-1]
	if s.next == 0 && s.close == 0 && c.out == nil && c.state == stateOpen && c.flags&flagBroken == 0 {
		// The usual case: one message, nothing waiting.
		frame := l.draining.arena[s.from:s.to]
		n, broken := l.write(c, frame)
		l.wrote(c, s, frame, n, broken)
		l.leave(c)
		return
	}
	for head != 0 {
		head = l.gather(c, batch, head)
	}
	l.leave(c)
}

// wrote settles one send of which the kernel took n bytes.
func (l *loop) wrote(c *Conn, s *send, frame []byte, n int, broken bool) {
	switch {
	case n == len(frame):
		l.stats.MessagesOut++
		settle(s.rcpt, s.tag, ResultWritten)
	case broken:
		l.breakOff(c)
		if n > 0 {
			settle(s.rcpt, s.tag, ResultCut)
		} else {
			settle(s.rcpt, s.tag, ResultGone)
		}
	case n == 0 && !l.nodeHasRoom(len(frame)):
		l.stats.RefusedNode++
		settle(s.rcpt, s.tag, ResultFull)
	default:
		l.stats.MessagesOut++
		l.queue(c, frame[n:], n, s.rcpt, s.tag)
	}
}

// gather writes the connection's next sends, up to a close or the most pieces one call
// takes, and returns the first that is left.
func (l *loop) gather(c *Conn, batch []send, head int32) int32 {
	first, count := head, 0
	l.pieces = l.pieces[:0]
	for head != 0 && count < piecesMax {
		s := &batch[head-1]
		if s.close != 0 {
			break
		}
		l.pieces = append(l.pieces, l.draining.arena[s.from:s.to])
		head = s.next
		count++
	}
	if count > 0 {
		l.settleGathered(c, batch, first, count)
		return head
	}
	s := &batch[head-1]
	if c.state == stateOpen {
		l.startClose(c, s.close, string(l.draining.arena[s.from:s.to]))
	}
	return s.next
}

// piecesMax bounds one vectored write; the kernel's own bound is 1024 (IOV_MAX).
const piecesMax = 256

// settleGathered writes count sends from first on and settles each.
func (l *loop) settleGathered(c *Conn, batch []send, first int32, count int) {
	n, broken := 0, false
	open := c.state == stateOpen && c.flags&flagBroken == 0
	if open && c.out == nil {
		n, broken = l.writeAll(c, l.pieces)
	}
	for i := range count {
		s := &batch[first-1]
		first = s.next
		frame := l.pieces[i]
		took := min(n, len(frame))
		n -= took
		switch {
		case !open:
			settle(s.rcpt, s.tag, ResultGone)
		case c.state != stateOpen && took < len(frame): // 4004 just now
			settle(s.rcpt, s.tag, ResultFull)
		default:
			l.wrote(c, s, frame, took, broken)
		}
	}
}

func settle(rcpt Receipt, tag uint64, r Result) {
	if rcpt != nil {
		rcpt.Sent(tag, r)
	}
}
