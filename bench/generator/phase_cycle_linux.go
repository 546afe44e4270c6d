package generator

import (
	"time"

	"github.com/roostpush/roost/bench/pace"
	"github.com/roostpush/roost/bench/tally"
)

// cycling resets connections and brings each back under its own number: all at time 0
// (a storm) or one after the other at a rate (churn). An attempt that fails is made
// again after Hold. In a mix with Revive it also brings back what the server ended.
type cycling struct {
	spec     Phase
	schedule pace.Schedule
	victims  []ref // to be dropped, from next on
	next     int
	begun    int64
	away     []absence // to be connected, first come first served
	head     int
	retries  []retry
	returns  pace.Schedule   // of the attempts, when they are paced
	tried    int64           // paced attempts
	inflight map[int64]int64 // intended starts of attempts under way, by number
	absent   int64           // dropped and not back
	beganNS  int64
	endNS    int64 // of dropping
	giveUpNS int64
	backNS   int64 // the last return
	why      string
}

// cycleTurnMax is how many are dropped and how many connected in one turn: each takes
// some 40 µs, and other parts of a mix want to be in time.
const cycleTurnMax = 8

// absence is a connection that has to come back, and since when.
type absence struct{ index, sinceNS int64 }

// retry is an attempt to be made again; all wait equally long, so they are in order.
type retry struct {
	absence
	atNS int64
}

func newCycling(l *loop, spec Phase, atNS int64) *cycling {
	p := &cycling{
		spec: spec, inflight: map[int64]int64{}, beganNS: atNS, endNS: atNS + int64(spec.Duration),
		schedule: pace.Schedule{StartNS: atNS, PerSecond: spec.PerSecond, Stride: l.shares, Offset: l.id},
	}
	p.giveUpNS = p.endNS + int64(spec.Timeout)
	p.returns = pace.Schedule{StartNS: atNS, PerSecond: spec.Returns, Stride: l.shares, Offset: l.id}
	l.slots.each(func(c *conn) {
		if c.state == stateOpen && spec.has(c.index) {
			p.victims = append(p.victims, c.ref())
		}
	})
	return p
}

func (p *cycling) turn(l *loop) (wakeNS int64, done bool) {
	if l.stopping && p.why == "" {
		p.why = whyStopped
	}
	dropping, wakeNS := p.drop(l)
	if dropping {
		return l.nowNS, false
	}
	wakeNS = min(wakeNS, p.bringBack(l))
	over := l.nowNS >= p.endNS || p.why != ""
	if over && (p.absent <= 0 || l.nowNS >= p.giveUpNS || p.why != "") {
		l.since.Add(tally.Missing, max(p.absent, 0))
		return 0, true
	}
	if !over {
		wakeNS = min(wakeNS, p.endNS)
	}
	return min(wakeNS, p.giveUpNS), false
}

// drop resets what is due; more says that a storm's turn was too short for all.
func (p *cycling) drop(l *loop) (more bool, wakeNS int64) {
	if p.why != "" {
		return false, never
	}
	if p.spec.PerSecond == 0 {
		for budget := cycleTurnMax; budget > 0 && p.next < len(p.victims); p.next++ {
			budget--
			p.dropOne(l, p.victims[p.next], p.beganNS)
		}
		return p.next < len(p.victims), never
	}
	for range l.plan.Config.TurnItemsMax {
		intendedNS := p.schedule.At(p.begun)
		now := l.clock.Now()
		if intendedNS > now || intendedNS >= p.endNS {
			return false, intendedNS
		}
		p.begun++
		l.begunAt(intendedNS, now)
		if r, there := p.nextVictim(); there {
			p.dropOne(l, r, intendedNS)
		}
	}
	return false, p.schedule.At(p.begun)
}

// nextVictim takes the connection that was back first; there is none when all are away.
func (p *cycling) nextVictim() (r ref, there bool) {
	if p.next == len(p.victims) {
		return r, false
	}
	r = p.victims[p.next]
	if p.next++; p.next > 1024 && p.next*2 > len(p.victims) {
		p.victims = p.victims[:copy(p.victims, p.victims[p.next:])]
		p.next = 0
	}
	return r, true
}

func (p *cycling) dropOne(l *loop, r ref, intendedNS int64) {
	c := l.slots.live(r)
	if c == nil {
		return // ended, or still on its way back
	}
	p.leave(l, c.index, intendedNS)
	l.reset(c)
}

// leave notes that a connection has to come back.
func (p *cycling) leave(l *loop, index, sinceNS int64) {
	l.since.Add(tally.Dropped, 1)
	p.absent++
	p.away = append(p.away, absence{index, sinceNS})
}

// bringBack begins as many attempts as may be under way.
func (p *cycling) bringBack(l *loop) int64 {
	for budget := cycleTurnMax; budget > 0 && len(p.inflight) < l.plan.Config.ConnectsInflight; budget-- {
		if p.spec.Returns > 0 && p.waiting() {
			if at := p.returns.At(p.tried); at > l.nowNS {
				return at
			}
			p.tried++
		}
		var a absence
		switch {
		case len(p.retries) > 0 && p.retries[0].atNS <= l.nowNS:
			a, p.retries = p.retries[0].absence, p.retries[1:]
			l.since.Add(tally.Retried, 1)
		case p.head < len(p.away):
			a = p.away[p.head]
			if p.head++; p.head == len(p.away) {
				p.away, p.head = p.away[:0], 0
			}
		case len(p.retries) > 0:
			return p.retries[0].atNS
		default:
			return never
		}
		p.inflight[a.index] = a.sinceNS
		l.connect(a.index, a.sinceNS)
	}
	if len(p.inflight) < l.plan.Config.ConnectsInflight {
		return l.nowNS
	}
	return never // the next one begins when one ends
}

// waiting says that somebody is to be connected.
func (p *cycling) waiting() bool { return p.head < len(p.away) || len(p.retries) > 0 }

// retryWait is used when a phase names none.
const retryWait = 500 * time.Millisecond

func (p *cycling) on(l *loop, c *conn, e event, _ []byte) {
	switch e {
	case opened:
		if p.spec.PerSecond > 0 && p.spec.has(c.index) {
			p.victims = append(p.victims, c.ref())
		}
		if _, ours := p.inflight[c.index]; !ours {
			return
		}
		delete(p.inflight, c.index)
		p.absent--
		p.backNS = l.clock.Now()
		l.since.Add(tally.Returned, 1)
		l.since.Record(tally.Return, p.backNS-c.intendedNS)
	case failed:
		sinceNS, ours := p.inflight[c.index]
		if !ours {
			return
		}
		delete(p.inflight, c.index)
		wait := p.spec.Hold
		if wait == 0 {
			wait = retryWait
		}
		p.retries = append(p.retries, retry{absence{c.index, sinceNS}, l.clock.Now() + int64(wait)})
	}
}

// found reports when the last one was back, if all are.
func (p *cycling) found(end *PhaseEnd) {
	if p.absent <= 0 && p.backNS > 0 {
		end.Back = time.Duration(p.backNS - p.beganNS)
	}
}

func (p *cycling) settle(l *loop) {
	p.endNS = min(p.endNS, l.nowNS)
	p.giveUpNS = min(p.giveUpNS, l.nowNS+int64(p.spec.Timeout))
}

func (p *cycling) early() string { return p.why }
