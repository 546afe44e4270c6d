package generator

import "math"

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
	case Close:
		return &closing{}
	default:
		return &holding{endNS: atNS + int64(spec.Duration)}
	}
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
		h.why = whyAllEnded
	}
	return h.endNS, h.why != "" || l.nowNS >= h.endNS
}

func (h *holding) on(*loop, *conn, event, []byte) {}
func (h *holding) early() string                  { return h.why }

// Reasons for an early end.
const (
	whyStopped  = "stopped"
	whyAllEnded = "no connection is left"
	whyRefused  = "the target refuses every connection"
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
