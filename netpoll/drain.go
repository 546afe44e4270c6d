package netpoll

// A turn of a loop is the events that one look at the poller brings, then what has been
// sent meanwhile, by others and by the handlers of those events. Between two turns the loop
// may sleep. HOT PATH, in order:
//
//	beginTurn  nobody need wake the loop from here on
//	endTurn    turns the wheel, then takes the outbox and drains it, as much as fits in one turn
//	link       a batch's sends are strung together by connection
//	flush      each connection of the batch gets one write, many of them in one call of the kernel

// beginTurn says that the loop is awake: nobody need ring its bell.
func (l *loop) beginTurn() { l.exchange.awake.Store(true) }

// endTurn fires what is due, and works off what others, and the turn itself, have sent. more
// says that there is more than fits in one turn: input comes first, and the loop must not
// wait for it.
func (l *loop) endTurn() (more bool) {
	if l.behind {
		l.behind = l.turn(l.tick, fireBatch)
	}
	for budget := l.cfg.OutboxBatch; budget > 0; {
		if !l.take(!l.behind) {
			if !l.behind {
				return false
			}
			break
		}
		budget -= l.drain(budget)
	}
	l.yieldIfDue() // a message to everybody must not keep the requests of others waiting
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
	for dirty := l.dirty; len(dirty) > 0; {
		n := min(len(dirty), togetherMax)
		if l.together == nil || n < togetherMin {
			n = 1
			l.flush(dirty[0], batch)
		} else {
			l.flushTogether(dirty[:n], batch)
		}
		dirty = dirty[n:]
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

// takes says that a send is the usual case: one message, and nothing waits before it.
func (c *Conn) takes(s *send) bool {
	return s.next == 0 && s.close == 0 && c.out == nil && c.state == stateOpen && c.flags&flagBroken == 0
}

// flush gives one connection its sends of this batch.
func (l *loop) flush(c *Conn, batch []send) {
	head := c.turnHead
	c.turnHead, c.turnTail = 0, 0
	l.enter(c)
	if s := &batch[head-1]; c.takes(s) {
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
