package presence

// Tick looks at the accounts that are due. steadyMS is a clock that is never set, nowMS
// the time that events name, both milliseconds. One goroutine calls it, while somebody watches every 25 ms or
// so; without watchers it costs next to nothing.
//
//  1. Accounts whose time has come are due.
//  2. What is due is looked at, in each shard the oldest first, until the tick's budget is
//     used up; the next tick begins with the shard behind the one where this one stopped.
//  3. Questions for names leave when no mutex is held, since answers may come at once.
func (p *Presence) Tick(steadyMS, nowMS int64) {
	if p.watchers.Load() == 0 {
		return
	}
	if steadyMS-p.lostMS >= lostEveryMS && p.lost.Swap(false) {
		p.lostMS = steadyMS
		p.Sweep(false)
	}
	t := tick{p: p, steadyMS: steadyMS, nowMS: nowMS, events: p.cfg.EventsPerTick, accounts: p.cfg.AccountsPerTick}
	first := p.next
	for i := range shardCount {
		n := (first + i) % shardCount
		p.next = (n + 1) % shardCount
		if !t.lookAt(&p.shards[n]) {
			break
		}
	}
	for i, q := range p.asks {
		p.ask(q)
		p.asks[i] = ask{}
	}
	p.asks = p.asks[:0]
}

// lostEveryMS is the least time between two looks for watchers that have lost an event:
// that they did says that the node has too much to do.
const lostEveryMS = 1000

// tick is one Tick, and what it may still do.
type tick struct {
	p                *Presence
	steadyMS, nowMS  int64
	events, accounts int
}

// lookAt looks at what is due in a shard; false: the budget is used up.
func (t *tick) lookAt(sh *shard) bool {
	if sh.length.Load() == 0 {
		return true
	}
	sh.mu.Lock()
	sh.wake(t.steadyMS)
	left := len(sh.due)
	sh.mu.Unlock()
	// Loops want the mutex, too, so it is held for one account at a time.
	for ; left > 0; left-- {
		if t.events <= 0 || t.accounts <= 0 {
			t.p.count.paced.Add(1)
			return false
		}
		t.accounts--
		sh.mu.Lock()
		a := sh.due[0]
		sh.due[0] = nil
		sh.due = sh.due[1:]
		a.due = false
		if !a.isOver() {
			t.look(sh, a)
		}
		sh.mu.Unlock()
	}
	return true
}

// wake makes accounts due whose time has come. The caller holds mu.
func (sh *shard) wake(steadyMS int64) {
	kept := sh.later[:0]
	for _, a := range sh.later {
		switch {
		case a.isOver():
			a.waits = false
		case a.lookMS <= steadyMS:
			a.waits = false
			sh.look(a)
		default:
			kept = append(kept, a)
		}
	}
	clear(sh.later[len(kept):])
	sh.later = kept
}

// look compares what was told of an account with what is. The caller holds mu.
func (t *tick) look(sh *shard, a *account) {
	t.p.count.looks.Add(1)
	a.lookMS = 0
	for i := range a.devices {
		if t.events <= 0 {
			sh.look(a) // the others next time; those that were told of are not again
			break
		}
		t.judge(a, i)
	}
	for _, w := range a.watchers {
		if w.lost.Swap(false) {
			w.fallBehind()
		}
		if w.next >= 0 && !t.catchUp(a, w) {
			sh.look(a)
		}
	}
	if a.unnamed && !a.asking {
		t.wantNames(sh, a)
	}
	if a.lookMS != 0 && !a.waits {
		a.waits = true
		sh.later = append(sh.later, a)
	}
}

// judge looks one device up and tells of it if it is not what was told.
func (t *tick) judge(a *account, i int) {
	d := &a.devices[i]
	state, sinceMS := t.p.devices.State(d.address, a.hash)
	switch {
	case state == Online:
		d.leftMS = 0
		if d.told != Online {
			d.told, d.atMS = Online, min(sinceMS, t.nowMS) // by a clock that may be ahead of this one
			t.tell(a, i)
		}
	case state == Unknown:
		// It stays what it was. A swap makes all accounts due; that a full table has room
		// again is told to nobody.
		if d.told == Online {
			a.lookAgain(t.steadyMS + unknownMS)
		}
	case d.told == Unknown:
		d.told, d.atMS = Offline, t.nowMS // nobody thinks otherwise
	case d.told == Offline:
	case d.leftMS == 0 && t.p.graceMS > 0:
		d.leftMS, d.leftAtMS = t.steadyMS, t.nowMS
		a.lookAgain(t.steadyMS + t.p.graceMS)
	case d.leftMS != 0 && t.steadyMS-d.leftMS < t.p.graceMS:
		a.lookAgain(d.leftMS + t.p.graceMS)
	default:
		if d.leftMS == 0 {
			d.leftAtMS = t.nowMS
		}
		d.told, d.atMS, d.leftMS = Offline, d.leftAtMS, 0
		t.tell(a, i)
	}
}

// unknownMS is the time after which a device is looked up again of which nobody could say
// where it is.
const unknownMS = 1000

// lookAgain makes an account due at that time, or earlier.
func (a *account) lookAgain(steadyMS int64) {
	if a.lookMS == 0 || steadyMS < a.lookMS {
		a.lookMS = steadyMS
	}
}
