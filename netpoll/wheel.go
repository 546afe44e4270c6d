package netpoll

import "time"

// The timing wheel (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels",
// scheme 6) has one timer a connection: the moment at which somebody must look at it.
// It is a ring of lists threaded through the connections themselves by descriptor, so
// that a timer costs no object and moving one costs a few stores. Ticks are uint32 and
// wrap; they are compared by difference.

const wheelSlots = 1024

type wheel struct {
	slots  [wheelSlots]int32 // fd of the first connection, -1: none
	at     uint32            // the tick up to which timers have fired
	within bool              // of at itself some are left to fire
	later  []int32           // what the slot of at holds for another round, out of it until that is done
}

// fireBatch is how many appointments fire before input has its turn: some 12 µs each when
// they are pings.
const fireBatch = 64

func (w *wheel) init() {
	for i := range w.slots {
		w.slots[i] = -1
	}
}

// tickBefore reports whether a comes before b.
func tickBefore(a, b uint32) bool { return int32(a-b) < 0 }

// tickAfter returns the tick at or just after d from now, never the present one.
func (l *loop) tickAfter(d time.Duration) uint32 {
	ticks := (d + l.cfg.Tick - 1) / l.cfg.Tick
	t := l.tick + uint32(max(1, min(int64(ticks), 1<<30)))
	if t == 0 {
		t = 1 // 0 means never
	}
	return t
}

// schedule makes the wheel look at the connection at the tick due; it replaces any
// earlier appointment.
func (l *loop) schedule(c *Conn, due uint32) {
	l.unschedule(c)
	if !tickBefore(l.wheel.at, due) {
		due = l.wheel.at + 1
	}
	c.dueTick = due
	slot := due % wheelSlots
	head := l.wheel.slots[slot]
	c.next, c.prev = head, -1-int32(slot)
	if head >= 0 {
		l.table.at(head).prev = c.fd
	}
	l.wheel.slots[slot] = c.fd
}

func (l *loop) unschedule(c *Conn) {
	if c.prev == notLinked {
		return
	}
	if c.prev < 0 {
		l.wheel.slots[-1-c.prev] = c.next
	} else {
		l.table.at(c.prev).next = c.next
	}
	if c.next >= 0 {
		l.table.at(c.next).prev = c.prev
	}
	c.next, c.prev = -1, notLinked
}

// notLinked is a prev that no slot and no descriptor has.
const notLinked = -1 << 31

// turn fires what is due up to the tick now, but no more than that many; more says that
// some is left for the next call. A slot is emptied from its head; what is not due for another
// round goes back when the slot is done.
func (l *loop) turn(now uint32, most int) (more bool) {
	w := &l.wheel
	if behind := now - w.at; behind > wheelSlots {
		// The process was stopped for longer than a round: each slot once is enough.
		w.at = now - wheelSlots
	}
	for fired := 0; w.within || w.at != now; {
		if !w.within {
			w.at++
			w.within = true
		}
		slot := w.at % wheelSlots
		for fd := w.slots[slot]; fd >= 0; fd = w.slots[slot] {
			if fired == most {
				return true
			}
			c := l.table.at(fd)
			l.unschedule(c)
			if tickBefore(now, c.dueTick) {
				w.later = append(w.later, c.fd)
			} else {
				l.fire(c)
				fired++
			}
		}
		for _, fd := range w.later {
			c := l.table.at(fd)
			if c.owner.Load() == uint32(l.index)+1 && c.prev == notLinked {
				l.schedule(c, c.dueTick)
			}
		}
		w.later = w.later[:0]
		w.within = false
	}
	return false
}

// fire does what a connection's appointment was for.
func (l *loop) fire(c *Conn) {
	l.enter(c)
	switch c.state {
	case stateRequest:
		l.stats.HandshakeTimeouts++
		l.answer(c, refusal(408, "the request was not whole within %v", l.cfg.HandshakeTimeout), false)
	case stateVerifying:
		l.answer(c, &Answer{Status: 503, Header: "Retry-After: 1\r\n", Body: "the token could not be verified in time\n"}, false)
	case stateOpen:
		l.fireOpen(c)
	case stateClosing, stateLingering:
		l.stats.CloseTimeouts++
		c.flags |= flagBroken
	}
	l.leave(c)
}

func (l *loop) fireOpen(c *Conn) {
	if c.alarmTick != 0 && !tickBefore(l.tick, c.alarmTick) {
		c.alarmTick = 0
		l.handler.Alarm(c)
	}
	if c.state != stateOpen || l.overdue(c) {
		return
	}
	if !tickBefore(l.tick, c.pingTick) {
		if c.missed >= missedMax {
			l.stats.Idle++
			l.startClose(c, CloseIdle, l.idleReason)
			return
		}
		l.stats.Pings++
		if c.isStream() {
			l.reply = append(l.reply, eventComment...)
		} else {
			c.missed++
			l.reply = append(l.reply, 0x80|byte(OpPing), 0)
		}
		c.pingTick += l.pingTicks
		if !tickBefore(l.tick, c.pingTick) { // the process was stopped for long
			c.pingTick = l.firstPing()
		}
	}
	l.schedule(c, l.nextDue(c))
}

// Pings go out in pingSteps steps of the interval, not in as many as it has ticks. Those of
// one step leave together, and their pongs come back together: the more, the fewer wakes of
// a loop that sleeps, each of which costs about as much as a ping. 30 steps are a second of
// the default interval, and still spread a million devices' pings well enough.
const pingSteps = 30

// pingRhythm is the interval between two pings of a connection, in ticks, and the step of
// it: the interval is cut to whole steps.
func pingRhythm(interval, tick time.Duration) (every, step uint32) {
	every = ticks(interval, tick)
	step = max(1, every/pingSteps)
	return every - every%step, step
}

// firstPing is when a connection's pings begin: within an interval, each at its own step.
func (l *loop) firstPing() uint32 {
	return l.tick + l.pingStep - l.tick%l.pingStep + l.pingStep*l.random(l.pingTicks/l.pingStep)
}

// overdue ends a connection that holds memory and does not get on with it.
func (l *loop) overdue(c *Conn) bool {
	switch {
	case l.unfinishedTooLong(c):
		l.stats.MessageTimeouts++
		l.fail(c, ClosePolicy, "message not whole in time")
	case c.out != nil && !tickBefore(l.tick, c.out.progress+l.slowTicks):
		l.tooSlow(c, false)
	default:
		return false
	}
	return true
}

// nextDue is when somebody must look at an open connection again.
func (l *loop) nextDue(c *Conn) uint32 {
	due := c.pingTick
	sooner := func(t uint32) {
		if tickBefore(t, due) {
			due = t
		}
	}
	if c.alarmTick != 0 {
		sooner(c.alarmTick)
	}
	if c.in != nil {
		sooner(c.in.since + l.messageTicks)
	}
	if c.out != nil {
		sooner(c.out.progress + l.slowTicks)
	}
	return due
}

// missedMax is how many pings a peer may leave unanswered (PROTOCOL.md section 1).
const missedMax = 2
