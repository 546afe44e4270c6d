package replica

import (
	"github.com/roostpush/roost/session/wire"
)

// contest is an own live session that another node's entry beats. It ends when the own
// entry is the newest again, when the session is closed, or when the other node holds
// another device with that hash. It never makes two nodes raise their versions in turn:
// only a node whose rival holds nothing re-asserts.
type contest struct {
	address uint64
	account uint64 // hash, of the entry that won
	rival   string
	version uint64 // of the rival's entry
	tries   int
	sinceMS int64 // when it was settled last
	waitMS  int64 // how long until it is again
	over    bool
}

// beaten says whether an entry of another node is newer than an own open one. Equal
// versions, made in one millisecond, are ordered by node, so that both sides agree.
func (r *Replica) beaten(address, version uint64, rival string) bool {
	own, closed, ok := r.Table.Get(r.own.set, address)
	return ok && !closed && (own < version || own == version && r.self.Node < rival)
}

// contest begins or renews the settlement of a beaten session. The question leaves at
// once: in the plain case, a device that moved, the older session is to be closed
// within 100 ms.
func (r *Replica) contest(rival string, c *wire.Change, nowMS int64, fx *effects) {
	if !ruleReassert {
		return
	}
	if v, ok := r.collided[c.Address]; ok {
		if v == c.Version && !c.Closed {
			return
		}
		delete(r.collided, c.Address)
	}
	q := r.contested[c.Address]
	switch {
	case q == nil && len(r.contests) >= r.cfg.ContestsMax:
		r.stats.DroppedContests++
		r.audit.wanted = true
		return
	case q == nil:
		q = &contest{address: c.Address}
		r.contested[c.Address] = q
		r.contests = append(r.contests, q)
	case q.version >= c.Version && !(q.version == c.Version && c.Closed):
		return
	}
	q.account, q.rival, q.version, q.tries = c.Account, rival, c.Version, 0
	r.settle(q, nowMS, fx)
}

// settle looks at a contest again: it may be over; a rival that itself said closed needs
// no question; anybody else is asked.
func (r *Replica) settle(q *contest, nowMS int64, fx *effects) {
	if !r.beaten(q.address, q.version, q.rival) {
		r.endContest(q)
		return
	}
	var closed, ok bool
	if a := r.byNode[q.rival]; a != nil && a.set != 0 {
		_, closed, ok = r.Table.Get(a.set, q.address)
		ok = ok || a.incomplete // there may have been no room for it: the rival knows
	}
	switch {
	case !ok: // the rival's entry is gone; a third node's may be there
		newest, _ := r.Table.Lookup(q.address)
		r.audit.wanted = r.audit.wanted || newest.Author != r.own.set
		r.endContest(q)
		return
	case q.tries >= r.cfg.QuestionTries:
		r.stats.DroppedContests++
		r.endContest(q)
		return
	case closed:
		own, _, _ := r.Table.Get(r.own.set, q.address)
		r.reassert(q, own, fx)
	default:
		fx.questions = append(fx.questions, *q)
		r.stats.Questions++
	}
	q.sinceMS, q.waitMS = nowMS, r.backoff(r.cfg.QuestionMS, q.tries)
	q.tries++
}

func (r *Replica) reassert(q *contest, own uint64, fx *effects) {
	r.stats.Reasserted++
	fx.verdicts = append(fx.verdicts, verdict{address: q.address, account: q.account, version: own})
}

// endContest forgets a contest; the slice is tidied by repeatQuestions.
func (r *Replica) endContest(q *contest) {
	q.over = true
	if r.contested[q.address] == q {
		delete(r.contested, q.address)
	}
}

// repeatQuestions settles what is due again and forgets what is over.
func (r *Replica) repeatQuestions(nowMS int64, fx *effects) {
	kept := r.contests[:0]
	for _, q := range r.contests {
		if !q.over && nowMS-q.sinceMS >= q.waitMS {
			r.settle(q, nowMS, fx)
		}
		if !q.over {
			kept = append(kept, q)
		}
	}
	clear(r.contests[len(kept):])
	r.contests = kept
}

// askAgain asks a node at once, now that there is a link to it, about everything that it
// could not be asked before. What was given up meanwhile is for the audit.
func (r *Replica) askAgain(node string, nowMS int64, fx *effects) {
	for _, q := range r.contests {
		if !q.over && q.rival == node {
			q.tries = 0
			r.settle(q, nowMS, fx)
		}
	}
	r.audit.wanted = true
}

// ask sends the question of a contest, with the names that only the registry knows. There
// is none under those hashes when the session has just been closed, or when the
// rival's is of another account: then the audit, which knows the own one, asks.
func (r *Replica) ask(q *contest) {
	name, ok := r.Sessions.Find(q.address, q.account)
	if !ok {
		r.mu.Lock()
		if c := r.contested[q.address]; c != nil && c.version == q.version {
			r.stats.DroppedContests++
			r.endContest(c)
			r.audit.wanted = true
		}
		r.mu.Unlock()
		return
	}
	r.send(q.rival, &wire.Question{Address: q.address, Account: q.account, Version: q.version, Name: name})
}

// reply answers a question by the registry, which knows names. An entry of the own log
// whose session is not found by the asker's hashes is of another account, or its Closed
// is about to be logged: the asker learns of that by the delta.
func (r *Replica) reply(a *answer) {
	m := wire.Answer{Address: a.Address, Version: a.Version}
	if name, ok := r.Sessions.Find(a.Address, a.Account); ok {
		m.Holding = wire.HoldsIt
		if name != a.Name {
			m.Holding = wire.HoldsOther
		}
	} else if _, closed, ok := r.Table.Get(r.own.set, a.Address); ok && !closed {
		m.Holding = wire.HoldsOther
	}
	r.send(a.to, &m)
}

// answered ends a contest by what the rival said.
func (r *Replica) answered(from string, m *wire.Answer, nowMS int64, fx *effects) {
	q := r.contested[m.Address]
	if q == nil || q.rival != from || q.version != m.Version || !r.beaten(q.address, q.version, q.rival) {
		r.stats.DroppedStale++
		return
	}
	own, _, _ := r.Table.Get(r.own.set, q.address)
	switch m.Holding {
	case wire.HoldsNone:
		r.reassert(q, own, fx)
	case wire.HoldsIt:
		r.stats.Displaced++
		fx.verdicts = append(fx.verdicts, verdict{q.address, q.account, own, true})
	case wire.HoldsOther:
		r.stats.Collisions++
		r.endContest(q)
		if len(r.collided) >= r.cfg.CollisionsMax {
			clear(r.collided) // they are asked about once more
		}
		r.collided[q.address] = q.version
		return
	}
	q.sinceMS, q.waitMS = nowMS, r.backoff(r.cfg.QuestionMS, q.tries) // should the owner not get to it
}
