package generator

import (
	"encoding/binary"

	"github.com/roostpush/roost/bench/pace"
	"github.com/roostpush/roost/bench/tally"
)

// proving sends one ping to each connection that is open and waits for its pong. A
// connection that was opened, not closed by us, and does not answer in time is dead,
// whether its socket has ended or not.
type proving struct {
	spec     Phase
	schedule pace.Schedule
	asked    []ref
	begun    int
	proved   int64
	awaited  int64
	given    int64 // of those awaited, up to which they hold nobody up any more
	answerNS int64 // time of the last answer
	endNS    int64 // of the wait, once all are asked
	why      string
}

func newProving(l *loop, spec Phase, atNS int64) *proving {
	p := &proving{spec: spec, answerNS: l.nowNS}
	p.schedule = pace.Schedule{StartNS: max(atNS, l.nowNS), PerSecond: l.plan.Config.ProofsPerSecond, Stride: l.shares, Offset: l.id}
	l.slots.each(func(c *conn) {
		if c.state == stateOpen {
			c.proved = false
			p.asked = append(p.asked, c.ref())
		}
	})
	if spec.Revive {
		l.owed = int64(len(p.asked)) // a loop that was done before the others revived nobody since
	}
	return p
}

func (p *proving) turn(l *loop) (int64, bool) {
	if l.stopping {
		p.why = whyStopped
		return 0, p.finish(l)
	}
	for p.begun < len(p.asked) {
		if at := p.schedule.At(int64(p.begun)); at > l.nowNS {
			return at, false
		}
		if wakeNS := p.holdUp(l); wakeNS > 0 {
			return wakeNS, false
		}
		if c := l.slots.live(p.asked[p.begun]); c != nil {
			p.ask(l, c)
		}
		p.begun++
		p.endNS = l.clock.Now() + int64(p.spec.Timeout)
	}
	if p.awaited == 0 || l.nowNS >= p.endNS {
		return 0, p.finish(l)
	}
	return p.endNS, false
}

// holdUp says until when nobody more is asked, because enough answers are due; 0: go on.
func (p *proving) holdUp(l *loop) (untilNS int64) {
	p.given = min(p.given, p.awaited)
	if p.awaited-p.given < l.plan.Config.ProofsInflight {
		return 0
	}
	if stalledNS := p.answerNS + int64(l.plan.Config.ProofStall); stalledNS > l.nowNS {
		return stalledNS
	}
	p.given, p.answerNS = p.awaited, l.nowNS
	return 0
}

// ask sends a ping that only this connection's pong can answer.
func (p *proving) ask(l *loop, c *conn) {
	var nonce [8]byte
	binary.LittleEndian.PutUint64(nonce[:], proofNonce(c))
	c.awaited, c.begunNS = true, l.clock.Now()
	p.awaited++
	l.send(c, opPing, nonce[:])
}

func proofNonce(c *conn) uint64 { return uint64(c.index)<<16 ^ uint64(uint16(c.generation)) }

func (p *proving) on(l *loop, c *conn, e event, payload []byte) {
	switch {
	case e == ponged && c.awaited && len(payload) == 8 && binary.LittleEndian.Uint64(payload) == proofNonce(c):
		c.awaited = false
		p.awaited--
		p.answerNS = l.nowNS
		c.proved = true
		p.proved++
		l.since.Add(tally.Proved, 1)
		l.since.Record(tally.Proof, l.clock.Now()-c.begunNS)
	case e == ended:
		if c.awaited {
			c.awaited = false
			p.awaited--
		}
		if p.spec.Revive && !c.proved && c.code != 1006 {
			l.owed-- // said goodbye, as a server may after hours
		}
	}
}

// finish counts the dead. After a stop nobody was given the time to answer, so
// nobody is called dead.
func (p *proving) finish(l *loop) bool {
	if p.why == "" {
		l.since.Add(tally.Dead, l.owed-p.proved)
	}
	return true
}

func (p *proving) early() string { return p.why }
