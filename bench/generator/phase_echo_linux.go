package generator

import (
	"github.com/roostpush/roost/bench/pace"
	"github.com/roostpush/roost/bench/tally"
)

// HOT PATH

// echoing sends numbered messages and checks what comes back: at a rate over all
// connections in turn (open loop), or each connection's next when its last is back
// (closed loop). After its time it waits for what is under way.
type echoing struct {
	spec        Phase
	schedule    pace.Schedule
	connections []ref // those that are still open, more or less
	next        int   // of them, for the open loop
	begun       int64
	endNS       int64 // of sending
	drainNS     int64 // of waiting
	rescueNS    int64 // next look for stalled connections of the closed loop
	outstanding int64
	payload     []byte
	started     bool
	why         string
}

func newEchoing(l *loop, spec Phase, atNS int64) *echoing {
	p := &echoing{spec: spec, payload: newEchoPayload(spec.PayloadBytes), endNS: atNS + int64(spec.Duration)}
	p.schedule = pace.Schedule{StartNS: atNS, PerSecond: spec.PerSecond, Stride: l.shares, Offset: l.id}
	p.drainNS = p.endNS + int64(spec.Timeout)
	p.rescueNS = atNS + int64(spec.Timeout)
	p.connections = l.mine(spec)
	return p
}

func (p *echoing) turn(l *loop) (wakeNS int64, done bool) {
	if l.stopping && p.why == "" {
		p.stop(l, whyStopped)
	}
	if l.connected == 0 && p.why == "" && l.nowNS < p.drainNS {
		p.stop(l, WhyAllEnded)
	}
	if p.spec.PerSecond > 0 {
		// What was meant to start before the end is sent however late it has become: to
		// leave it out would be the omission that open loop is there to avoid.
		if wakeNS = p.sendDue(l); wakeNS < p.endNS {
			return wakeNS, false
		}
	} else if l.nowNS < p.endNS {
		return min(p.sendClosed(l), p.endNS), false
	}
	if l.nowNS < p.endNS {
		return p.endNS, false
	}
	if p.outstanding <= 0 || l.nowNS >= p.drainNS {
		p.finish(l)
		return 0, true
	}
	return p.drainNS, false
}

// stop ends the sending now; what is under way still has its time to come back.
func (p *echoing) stop(l *loop, why string) {
	p.why = why
	p.endNS = min(p.endNS, l.nowNS)
	p.drainNS = min(p.drainNS, l.nowNS+int64(p.spec.Timeout))
}

// settle ends the sending without a reason to complain.
func (p *echoing) settle(l *loop) { p.stop(l, p.why) }

// sendDue sends what is due and returns when the next item is.
func (p *echoing) sendDue(l *loop) int64 {
	for range l.plan.Config.TurnItemsMax {
		intendedNS := p.schedule.At(p.begun)
		now := l.clock.Now()
		if intendedNS > now || intendedNS >= p.endNS {
			return intendedNS
		}
		p.begun++
		l.begunAt(intendedNS, now)
		if c := p.pick(l); c != nil {
			p.send(l, c, intendedNS, now)
			p.drainNS = max(p.drainNS, now+int64(p.spec.Timeout))
		}
	}
	return p.schedule.At(p.begun)
}

// pick returns the next connection in turn, forgetting those that have ended.
func (p *echoing) pick(l *loop) *conn {
	for len(p.connections) > 0 {
		if p.next >= len(p.connections) {
			p.next = 0
		}
		if c := l.slots.live(p.connections[p.next]); c != nil {
			p.next++
			return c
		}
		last := len(p.connections) - 1
		p.connections[p.next] = p.connections[last]
		p.connections = p.connections[:last]
	}
	return nil
}

// sendClosed starts every connection once, and later those that wait in vain: a lost
// message must not silence its connection for the rest of the run.
func (p *echoing) sendClosed(l *loop) int64 {
	if p.started && l.nowNS < p.rescueNS {
		return p.rescueNS
	}
	stalledNS := l.nowNS - int64(p.spec.Timeout)
	for _, r := range p.connections {
		c := l.slots.live(r)
		if c == nil || (p.started && c.begunNS > stalledNS) {
			continue
		}
		for range p.spec.Inflight {
			now := l.clock.Now()
			p.send(l, c, now, now)
		}
	}
	p.started = true
	p.rescueNS = l.nowNS + max(int64(p.spec.Timeout)/4, 1)
	return p.rescueNS
}

func (p *echoing) send(l *loop, c *conn, intendedNS, nowNS int64) {
	head := echoHead{connection: uint32(c.index), number: c.sent, intendedNS: intendedNS, delayUS: delayUS(nowNS - intendedNS)}
	head.put(p.payload)
	if !l.send(c, opBinary, p.payload) {
		l.since.Add(tally.Unsent, 1)
		return
	}
	c.sent++
	c.begunNS = nowNS
	p.outstanding++
	l.since.Add(tally.Sent, 1)
}

func (p *echoing) on(l *loop, c *conn, e event, payload []byte) {
	switch e {
	case message:
		p.received(l, c, payload)
	case ended:
		p.outstanding -= l.settleLost(c)
	case opened: // it came back, in a mix
		p.connections = append(p.connections, c.ref())
	}
}

func (p *echoing) received(l *loop, c *conn, payload []byte) {
	head, ok := readEcho(payload, p.payload, uint32(c.index))
	switch {
	case !ok && len(payload) != len(p.payload):
		l.since.Add(tally.Other, 1) // a greeting, or another protocol's frame
		return
	case !ok || head.number >= c.sent:
		l.since.Add(tally.Corrupt, 1)
		return
	}
	now := l.clock.Now()
	switch c.sequence.Arrive(head.number) {
	case tally.Again:
		l.since.Add(tally.Duplicated, 1)
		return
	case tally.Behind:
		l.since.Add(tally.Reordered, 1)
	}
	p.outstanding--
	l.since.Add(tally.Received, 1)
	if p.spec.PerSecond > 0 {
		l.since.Record(tally.Echo, now-head.intendedNS)
	}
	l.since.Record(tally.EchoClosed, now-head.sentNS())
	if p.spec.PerSecond == 0 && now < p.endNS {
		p.send(l, c, now, now)
	}
}

// finish counts what never came back.
func (p *echoing) finish(l *loop) {
	for _, r := range p.connections {
		if c := l.slots.live(r); c != nil {
			l.settleLost(c)
		}
	}
}

func (p *echoing) early() string { return p.why }
