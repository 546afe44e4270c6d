package generator

import (
	"math"

	"github.com/roostpush/roost/bench/tally"
)

// never is a wake-up time that does not come.
const never = math.MaxInt64

// newPhase makes the phase that a spec describes, on the loop, at its time 0.
func newPhase(l *loop, spec Phase, atNS int64) phase {
	switch spec.Kind {
	case Open, Churn:
		return newOpening(l, spec, atNS)
	case Prove:
		return newProving(l, spec, atNS)
	case Echo:
		return newEchoing(l, spec, atNS)
	case Push:
		return newPushing(l, spec, atNS)
	case Fanout:
		return newFanning(l, spec, atNS)
	case Relay:
		return newRelaying(l, spec, atNS)
	case Cycle:
		return newCycling(l, spec, atNS)
	case Move:
		return newMoving(l, spec, atNS)
	case Mix:
		return newMixing(l, spec, atNS)
	case Close:
		return &closing{}
	default:
		return &holding{endNS: atNS + int64(spec.Duration)}
	}
}

// tag names a phase in its messages; all loops make the same phases in the same order.
func (l *loop) tag() uint8 {
	l.tags++
	return l.tags
}

// mine returns the connections that a phase has, from now on numbered from 0.
func (l *loop) mine(spec Phase) (all []ref) {
	l.slots.each(func(c *conn) {
		if c.state == stateOpen && spec.has(c.index) {
			c.sent, c.excused, c.waits, c.sequence = 0, 0, 0, tally.Sequence{}
			all = append(all, c.ref())
		}
	})
	return all
}

// settleLost counts what a connection was sent and did not get, without what a result
// said would not come, and begins anew.
func (l *loop) settleLost(c *conn) (outstanding int64) {
	outstanding = c.sequence.Outstanding(c.sent)
	l.since.Add(tally.Lost, max(outstanding-int64(c.excused), 0))
	c.sent, c.excused, c.sequence = 0, 0, tally.Sequence{}
	return outstanding
}

// holding keeps what is open; pings are answered by the loop in any phase.
type holding struct {
	endNS int64
	why   string
}

func (h *holding) turn(l *loop) (int64, bool) {
	switch {
	case l.stopping:
		h.why = whyStopped
	case l.connected == 0 && l.nowNS < h.endNS:
		h.why = WhyAllEnded
	}
	return h.endNS, h.why != "" || l.nowNS >= h.endNS
}

// settle ends the holding now.
func (h *holding) settle(l *loop) { h.endNS = l.nowNS }

func (h *holding) on(*loop, *conn, event, []byte) {}
func (h *holding) early() string                  { return h.why }

// Reasons for an early end.
const (
	whyStopped = "stopped"
	whyRefused = "the target refuses every connection"
)

// closing resets everything, a few in each turn.
type closing struct{ next int32 }

func (p *closing) turn(l *loop) (int64, bool) {
	for budget := l.plan.Config.TurnItemsMax; budget > 0 && p.next < l.slots.used; p.next++ {
		if c := l.slots.get(p.next); c.state != stateFree {
			l.reset(c)
			budget--
		}
	}
	return l.nowNS, p.next >= l.slots.used
}

func (p *closing) on(*loop, *conn, event, []byte) {}
func (p *closing) early() string                  { return "" }
