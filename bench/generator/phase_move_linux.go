package generator

import (
	"encoding/binary"

	"github.com/roostpush/roost/bench/pace"
	"github.com/roostpush/roost/bench/tally"
)

// closeReplaced is the close code of a connection whose device has a newer one
// (PROTOCOL.md section 1).
const closeReplaced = 4001

// moving connects devices a second time, to the node after the one that they are
// connected to, one after the other at a rate, and waits for the close frame that the
// first connection must get for it. A device moves again when its last move is over.
type moving struct {
	spec     Phase
	schedule pace.Schedule
	movers   []ref // connections to be moved, in turn
	next     int
	begun    int64
	under    map[int64]*move // by number of the device
	endNS    int64           // of beginning
	giveUpNS int64
	why      string
}

// move is one device's.
type move struct {
	at                 int // place among the movers
	first, second      ref
	openedNS, closedNS int64 // 101 of the second, close frame of the first; 0: not yet
}

func newMoving(l *loop, spec Phase, atNS int64) *moving {
	return &moving{
		spec: spec, movers: l.mine(spec), under: map[int64]*move{}, endNS: atNS + int64(spec.Duration),
		giveUpNS: atNS + int64(spec.Duration) + int64(spec.Timeout),
		schedule: pace.Schedule{StartNS: atNS, PerSecond: spec.PerSecond, Stride: l.shares, Offset: l.id},
	}
}

func (p *moving) turn(l *loop) (wakeNS int64, done bool) {
	switch {
	case l.stopping && p.why == "":
		p.why = whyStopped
	case l.connected == 0 && l.nowNS < p.endNS:
		p.why = WhyAllEnded
	}
	if p.why != "" {
		return 0, true
	}
	wakeNS = p.moveDue(l)
	switch {
	case wakeNS < p.endNS || l.nowNS < p.endNS:
		return min(wakeNS, p.endNS), false
	case len(p.under) > 0 && l.nowNS < p.giveUpNS:
		return p.giveUpNS, false
	}
	l.since.Add(tally.Missing, int64(len(p.under)))
	return 0, true
}

// moveDue begins what is due and returns when the next is.
func (p *moving) moveDue(l *loop) int64 {
	for range l.plan.Config.TurnItemsMax {
		intendedNS := p.schedule.At(p.begun)
		now := l.clock.Now()
		if intendedNS > now || intendedNS >= p.endNS {
			return intendedNS
		}
		p.begun++
		l.begunAt(intendedNS, now)
		p.begin(l, intendedNS)
	}
	return p.schedule.At(p.begun)
}

// begin moves the device whose turn it is, if it is connected and at rest.
func (p *moving) begin(l *loop, intendedNS int64) {
	if len(p.movers) == 0 {
		return
	}
	at := p.next % len(p.movers)
	first := p.movers[at]
	p.next++
	c := l.slots.live(first)
	if c == nil || p.under[c.index] != nil {
		return
	}
	p.under[c.index] = &move{at: at, first: first}
	l.connectTo((int(c.node)+1)%len(l.target.Nodes), c.index, intendedNS)
}

func (p *moving) on(l *loop, c *conn, e event, payload []byte) {
	m := p.under[c.index]
	if m == nil {
		return
	}
	switch {
	case e == opened:
		m.second, m.openedNS = c.ref(), l.clock.Now()
		l.since.Add(tally.Moved, 1)
	case e == failed:
		delete(p.under, c.index)
		return
	case e == closed && c.ref() == m.first && len(payload) >= 2 && binary.BigEndian.Uint16(payload) == closeReplaced:
		m.closedNS = l.clock.Now()
		l.owed-- // its successor is owed
	default:
		return
	}
	if m.openedNS == 0 || m.closedNS == 0 {
		return
	}
	l.since.Add(tally.Displaced, 1)
	l.since.Record(tally.Displace, max(m.closedNS-m.openedNS, 0))
	delete(p.under, c.index)
	p.movers[m.at] = m.second
}

func (p *moving) early() string { return p.why }
