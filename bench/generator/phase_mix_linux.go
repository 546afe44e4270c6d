package generator

import "time"

// part is a phase that can be part of a mix.
type part interface {
	phase
	settle(l *loop) // end what it begins, and then itself, without a complaint
}

// mixing runs several phases at the same time, each with connections of its own. When
// the first one has ended the others are asked to end too. With Revive, connections
// that the server ends come back.
type mixing struct {
	spec    Phase
	parts   []part
	over    []bool
	reviver *cycling // nil: none
	asked   bool
}

// reviveTimeout is how long after the parts have ended the last one may be away.
const reviveTimeout = 10 * time.Second

func newMixing(l *loop, spec Phase, atNS int64) *mixing {
	m := &mixing{spec: spec, over: make([]bool, len(spec.Parts))}
	for _, s := range spec.Parts {
		m.parts = append(m.parts, newPhase(l, s, atNS).(part)) // Plan.Validate allows no others
	}
	if spec.Revive {
		// An empty range: it has no victims but those that the server makes.
		m.reviver = newCycling(l, Phase{Kind: Cycle, Low: 1 << 62, Duration: 1 << 61, Timeout: reviveTimeout}, atNS)
	}
	return m
}

func (m *mixing) turn(l *loop) (wakeNS int64, done bool) {
	wakeNS, done = never, true
	for i, p := range m.parts {
		if m.over[i] {
			continue
		}
		wake, over := p.turn(l)
		if m.over[i] = over; over {
			continue
		}
		done = false
		wakeNS = min(wakeNS, wake)
	}
	if m.over[0] && !m.asked {
		m.asked = true
		for i, p := range m.parts {
			if !m.over[i] {
				p.settle(l)
			}
		}
		return l.nowNS, false
	}
	if done && m.reviver != nil { // until now the parts need everybody
		m.reviver.settle(l)
	}
	if m.reviver != nil {
		wake, over := m.reviver.turn(l)
		if !over {
			done, wakeNS = false, min(wakeNS, wake)
		}
	}
	return wakeNS, done
}

// on tells the part that has the connection.
func (m *mixing) on(l *loop, c *conn, e event, payload []byte) {
	if m.reviver != nil {
		if e == ended {
			l.owed-- // its successor is owed
			m.reviver.leave(l, c.index, l.clock.Now())
		}
		m.reviver.on(l, c, e, payload)
	}
	for i, s := range m.spec.Parts {
		if s.has(c.index) && !m.over[i] {
			m.parts[i].on(l, c, e, payload)
		}
	}
}

func (m *mixing) found(end *PhaseEnd) {
	for _, p := range m.parts {
		if f, ok := p.(finder); ok {
			f.found(end)
		}
	}
}

func (m *mixing) early() string {
	for _, p := range m.parts {
		if why := p.early(); why != "" {
			return why
		}
	}
	return ""
}
