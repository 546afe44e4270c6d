package processor

import "github.com/roostpush/roost/session"

// Turn has run called when it is the turn of the account in the lane, among the records
// that wait there. run must not block, and must call its argument exactly once, on any
// goroutine, when what it has begun is over: until then it takes one of the places of the
// lane and of the account. account is borrowed. False: the lane holds turns_max already,
// or the processor is closed, and run is never called. A turn that waits when the
// processor is closed is not given either.
func (p *Processor) Turn(priority session.Priority, account string, run func(done func())) bool {
	t := p.newTask(priority)
	t.turn, t.party = run, p.partyOf(account, "")
	p.mu.Lock()
	l := t.lane
	if p.closed || l.turns >= l.cfg.TurnsMax {
		p.count.turnsRefused[priority]++
		p.mu.Unlock()
		p.release(t)
		return false
	}
	l.turns++
	p.count.turns[priority]++
	p.schedule.add(t)
	wake := p.wakesLocked()
	p.mu.Unlock()
	p.wake(wake)
	return true
}

// turned hears that a turn is over.
func (p *Processor) turned(t *task) {
	p.mu.Lock()
	if t.state != running {
		p.mu.Unlock()
		panic("processor: a turn has called done twice")
	}
	p.schedule.end(t)
	t.lane.turns--
	wake := p.wakesLocked()
	p.mu.Unlock()
	p.wake(wake)
	p.release(t)
}
