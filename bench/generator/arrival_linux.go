package generator

import "github.com/roostpush/roost/bench/tally"

// HOT PATH

// readMine reads a message of this phase, and counts what is another's or damaged.
func (l *loop) readMine(payload, filler []byte, kind stampKind, tag uint8) (m stamp, ok bool) {
	m, found, intact := readStamp(payload, filler)
	switch {
	case !found || (intact && (m.kind != kind || m.tag != tag)):
		l.since.Add(tally.Other, 1) // a greeting, or a straggler of the phase before
		return m, false
	case !intact:
		l.since.Add(tally.Corrupt, 1)
		return m, false
	}
	return m, true
}

// arrive counts message number of a connection; false: it came before.
func (l *loop) arrive(c *conn, number uint32) bool {
	switch c.sequence.Arrive(number) {
	case tally.Again:
		l.since.Add(tally.Duplicated, 1)
		return false
	case tally.Behind:
		l.since.Add(tally.Reordered, 1)
	}
	l.since.Add(tally.Received, 1)
	return true
}

// roster is the devices of a phase. The numbers of a device's messages go on when it
// comes back on another connection: a message may have been under way meanwhile.
type roster struct {
	refs map[int64]ref     // the latest connection of each, by number
	away map[int64]account // of those whose connection has ended
}

// account is what a device was sent and what it got.
type account struct {
	sequence tally.Sequence
	sent     uint32
	excused  uint32
}

func newRoster(l *loop, mine []ref) roster {
	r := roster{refs: make(map[int64]ref, len(mine)), away: map[int64]account{}}
	for _, c := range mine {
		r.refs[l.slots.get(c.slot).index] = c
	}
	return r
}

// live returns a device's connection, nil while it has none.
func (r roster) live(l *loop, index int64) *conn {
	at, known := r.refs[index]
	if !known {
		return nil
	}
	return l.slots.live(at)
}

// leaves keeps the account of a connection that has ended and returns how many messages
// it did not get and nobody excused.
func (r roster) leaves(c *conn) (outstanding int64) {
	if c.sent == 0 {
		return 0
	}
	r.away[c.index] = account{c.sequence, c.sent, c.excused}
	return max(c.sequence.Outstanding(c.sent)-int64(c.excused), 0)
}

// returns gives a new connection its device's account and returns how many messages are
// still to come.
func (r roster) returns(c *conn) (outstanding int64) {
	r.refs[c.index] = c.ref()
	a, was := r.away[c.index]
	if !was {
		return 0
	}
	delete(r.away, c.index)
	c.sequence, c.sent, c.excused = a.sequence, a.sent, a.excused
	return max(c.sequence.Outstanding(c.sent)-int64(c.excused), 0)
}

// excuse notes that a result says that a device did not get a message; open says that
// the device is connected.
func (r roster) excuse(l *loop, index int64) (open bool) {
	if c := r.live(l, index); c != nil {
		c.excused++
		return true
	}
	if a, was := r.away[index]; was {
		a.excused++
		r.away[index] = a
	}
	return false
}

// settle counts what never came and begins anew.
func (r roster) settle(l *loop) {
	for _, at := range r.refs {
		if c := l.slots.live(at); c != nil {
			l.settleLost(c)
		}
	}
	for _, a := range r.away {
		l.since.Add(tally.Lost, max(a.sequence.Outstanding(a.sent)-int64(a.excused), 0))
	}
	clear(r.away)
}
