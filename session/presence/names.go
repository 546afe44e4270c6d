package presence

// Another node's log names devices by their hashes. The names are asked for, of an account
// that is watched, when it begins to be and when a device turns up that is not known:
// one question at a time for each account, and few accounts at a time.

// ask is a question that is about to be asked.
type ask struct {
	account *account
	name    string
}

// The times between questions about one account, milliseconds: that after one with all
// its answers keeps a storm of strange devices from being a storm of questions; the
// others are doubled from failedMS on.
const (
	askedAgainMS = 100
	failedMS     = 500
	failedMaxMS  = 30_000
)

// wantNames asks for an account's names, now or when it is time. The caller holds mu.
func (t *tick) wantNames(sh *shard, a *account) {
	p := t.p
	switch {
	case t.steadyMS < a.askMS:
		a.lookAgain(a.askMS)
	case p.asking.Load() >= int64(p.cfg.QuestionsMax):
		sh.look(a)
	default:
		p.asking.Add(1)
		p.count.questions.Add(1)
		a.asking, a.unnamed, a.askedMS = true, false, t.steadyMS
		p.asks = append(p.asks, ask{a, a.name})
	}
}

// ask asks. No mutex is held.
func (p *Presence) ask(q ask) {
	a := q.account
	sh := p.shard(a.hash)
	p.devices.Names(q.name, func(devices []string) {
		sh.mu.Lock()
		defer sh.mu.Unlock()
		if a.isOver() {
			return
		}
		for _, name := range devices {
			if address, hash := p.hash(q.name, name); hash == a.hash {
				p.add(a, address, name)
			}
		}
		sh.look(a)
	}, func(complete bool) {
		p.asking.Add(-1)
		sh.mu.Lock()
		defer sh.mu.Unlock()
		a.asking = false
		if a.isOver() {
			return
		}
		if complete {
			a.failed, a.askMS = 0, a.askedMS+askedAgainMS
		} else {
			p.count.incomplete.Add(1)
			a.unnamed, a.askMS = true, a.askedMS+min(int64(failedMS)<<min(a.failed, 8), failedMaxMS)
			a.failed++
		}
		sh.look(a)
	})
}

// add makes a device known by name. The caller holds mu. Where there is no room it takes
// the place of one that is offline; else it is not followed.
func (p *Presence) add(a *account, address uint64, name string) {
	if a.find(address) >= 0 {
		return
	}
	fresh := device{address: address, name: name}
	if len(a.devices) < p.cfg.DevicesMax {
		if p.entries.Add(1) <= int64(p.cfg.EntriesMax) {
			a.devices = append(a.devices, fresh)
			return
		}
		p.entries.Add(-1)
	}
	for i := range a.devices {
		if d := &a.devices[i]; d.told == Offline && !a.isOwed(i) {
			*d = fresh
			return
		}
	}
	p.count.dropped.Add(1)
}

// isOwed says that some watcher has yet to be told of the device in that place.
func (a *account) isOwed(i int) bool {
	for _, w := range a.watchers {
		if w.lost.Load() || w.next >= 0 && w.next <= i {
			return true
		}
	}
	return false
}
