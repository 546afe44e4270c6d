// HOT PATH

package processor

import (
	"math/rand/v2"

	"github.com/roostpush/roost/session"
)

// begin makes an attempt, or gives a turn. A record whose time is over is not pushed any
// more; one without a ttl always is once, however late it comes.
func (p *Processor) begin(t *task) {
	switch {
	case t.turn != nil:
		t.turn(t.turned)
	case t.deadlineMS > 0 && p.wallMS() >= t.deadlineMS:
		p.attempted(t, t.expired())
	default:
		t.attempts++
		p.pusher.Push(t.record, t.attempts, t.heard)
	}
}

// expired is the result of a record whose time is over. How many devices an account has
// that was never pushed to nobody knows: it counts as one.
func (t *task) expired() (r Result) {
	r.Counts[session.Expired] = max(1, t.addressees)
	return r
}

// attempted hears what became of an attempt.
func (p *Processor) attempted(t *task, r Result) {
	p.mu.Lock()
	if t.state != running {
		p.mu.Unlock()
		panic("processor: a Pusher has called done twice for one attempt")
	}
	p.schedule.end(t)
	p.count.attempts[t.lane.priority]++
	r.Repeated, r.GivenUp = false, false
	if t.passes(&r) && p.againLocked(t, &r) {
		wake := p.wakesLocked()
		p.mu.Unlock()
		p.wake(wake)
		return
	}
	repeat := p.settleLocked(t, &r)
	wake := p.wakesLocked()
	p.mu.Unlock()
	p.wake(wake)
	p.tell(t, repeat, &r)
}

// passes reports whether an attempt may have another result later. It may if no device
// has the message: one that has it would get it twice, in the name of one that does not.
// Without a ttl a record is promised at most once (PROTOCOL.md section 0), so that what
// may have arrived is not tried again either: lost, or not confirmed in time.
func (t *task) passes(r *Result) bool {
	if r.Reject != nil {
		return false
	}
	later := r.Counts[session.Overloaded] + r.Counts[session.Unreachable]
	if t.record.TTLMS > 0 {
		later += r.Counts[session.Lost] + r.Counts[session.Timeout]
	}
	all := 0
	for _, n := range r.Counts {
		all += n
	}
	t.addressees = all
	return later > 0 && later == all
}

// againLocked has a record tried again after a backoff. If there is no time left for that
// it returns false, and the result is final: expired if its ttl is over, else what the
// last attempt said.
func (p *Processor) againLocked(t *task, r *Result) bool {
	wall, steady := p.wallMS(), p.steadyMS()
	if t.deadlineMS > 0 && wall >= t.deadlineMS {
		*r = t.expired()
		return false
	}
	switch {
	case p.closed:
		*r = Result{GivenUp: true}
		return false
	case steady >= t.endMS:
		p.count.exhausted++
		return false
	}
	wait := min(p.backoffMS(t.attempts), t.endMS-steady) // the last one when its time is over
	if t.deadlineMS > 0 {
		wait = min(wait, t.deadlineMS-wall)
	}
	t.dueMS = steady + wait
	p.wheel.add(t)
	p.count.retries[t.lane.priority]++
	return true
}

// backoffMS is how long to wait after so many attempts. Half of it is left to chance, so
// that what failed together is not tried again together.
func (p *Processor) backoffMS(attempts int) int64 {
	wait, longest := p.cfg.RetryMin.Milliseconds(), p.cfg.RetryMax.Milliseconds()
	for i := 1; i < attempts && wait < longest; i++ {
		wait *= 2
	}
	wait = min(wait, longest)
	return wait - rand.Int64N(wait/2+1)
}

// settleLocked ends a record with its result, and returns those with its ID that wait for
// the same one.
func (p *Processor) settleLocked(t *task, r *Result) (repeat *task) {
	p.schedule.settled(t)
	t.lane.dismiss(t)
	for o, n := range r.Counts {
		p.count.outcomes[o] += uint64(n)
	}
	switch {
	case r.GivenUp:
		p.count.givenUp++
	case r.Reject != nil:
		p.count.rejected++
	}
	if t.known != nil {
		// What may have another result later is worth another push when it comes again.
		if r.GivenUp || t.passes(r) {
			p.ids.abandon(t.known)
		} else {
			p.ids.settle(t.known, r, p.steadyMS())
		}
	}
	for same := t.repeat; same != nil; same = same.next {
		same.lane.dismiss(same)
	}
	return t.repeat
}

// tell tells the sources of a record, and of those with its ID, its result.
func (p *Processor) tell(t, repeat *task, r *Result) {
	done := t.done
	p.release(t)
	done(*r)
	r.Repeated = !r.GivenUp
	for repeat != nil {
		next, done := repeat.next, repeat.done
		p.release(repeat)
		done(*r)
		repeat = next
	}
}
