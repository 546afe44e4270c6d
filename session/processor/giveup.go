package processor

// giveUp closes the processor and tells the sources of all records that wait that they
// are given up. Those whose attempt is on its way keep their place until it ends.
func (p *Processor) giveUp() {
	var all queue
	p.mu.Lock()
	p.closed = true
	p.wheel = wheel{}
	for i := range p.schedule.lanes {
		l := &p.schedule.lanes[i]
		l.clear()
		l.full, l.room = false, nil // whoever waits for room waits for ever
		for t := l.held.oldest; t != nil; {
			newer := t.newer
			if t.state == running {
				t.repeat, t.after = nil, nil
			} else {
				l.dismiss(t)
				if t.known != nil {
					p.ids.abandon(t.known)
				}
				t.next = nil
				all.push(t)
				p.count.givenUp++
			}
			t = newer
		}
	}
	p.mu.Unlock()
	for all.first != nil {
		t := all.pop()
		done := t.done
		p.release(t)
		done(Result{GivenUp: true})
	}
}

// clear empties the queues of a lane, and drops the turns that wait in them.
func (l *lane) clear() {
	for key, a := range l.accounts {
		for t := a.waiting.first; t != nil; t = t.next {
			if t.turn != nil {
				l.turns--
			}
		}
		a.waiting, a.next, a.listed = queue{}, nil, false
		if a.running == 0 {
			delete(l.accounts, key)
		}
	}
	l.first, l.last, l.waiting = nil, nil, 0
	clear(l.keys)
}
