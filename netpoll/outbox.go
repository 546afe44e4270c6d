package netpoll

import (
	"sync"
	"sync/atomic"
)

// The outbox is how other goroutines reach a loop's connections: Send frames the message
// into the outbox's arena, and rings the bell of a loop that is asleep; drain.go is the
// loop's side. There are no objects: sends refer to spans of an arena, and two outboxes
// change places for ever. HOT PATH.

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
