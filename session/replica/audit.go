package replica

import "github.com/roostpush/roost/session/wire"

// audit is a walk over the own sessions that looks for any that the table does not
// lead to.
type audit struct {
	wanted  bool // begin one as soon as none is running
	running bool
	cursor  uint64
	lastMS  int64 // when the last one began
	step    []wire.Change
}

// auditStep audits the next AuditStep sessions. A walk that finds no room for its
// contests waits where it is.
func (r *Replica) auditStep(nowMS int64) {
	if !ruleReassert || !r.ticking.TryLock() {
		return
	}
	defer r.ticking.Unlock()
	if !r.auditDue(nowMS) {
		return
	}
	step, next := r.Sessions.AppendOpen(r.audit.step[:0], r.audit.cursor, r.cfg.AuditStep)
	r.audit.step = step
	fx := r.effects.Get().(*effects)
	r.mu.Lock()
	full := false
	for i := range step {
		if full = len(r.contests) >= r.cfg.ContestsMax; full {
			break
		}
		r.auditSession(&step[i], nowMS, fx)
	}
	if !full {
		r.audit.cursor = next
		r.audit.running = next != 0
		if next == 0 {
			r.stats.Audits++
		}
	}
	r.mu.Unlock()
	r.run(fx)
}

// auditDue says whether there is something to walk, and begins it.
func (r *Replica) auditDue(nowMS int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &r.audit
	if !a.running && (a.wanted || nowMS-a.lastMS >= int64(r.cfg.AuditMS)) {
		a.wanted, a.running, a.cursor, a.lastMS = false, true, 0, nowMS
	}
	return a.running
}

// auditSession opens a session again that has no entry, and contests one that is beaten.
func (r *Replica) auditSession(c *wire.Change, nowMS int64, fx *effects) {
	own, closed, ok := r.Table.Get(r.own.set, c.Address)
	if !ok || closed && own < c.Version {
		if c.Version != 0 {
			r.stats.Missing++
			if r.Table.Room(r.own.set) == 0 {
				return // it would be refused again; the other nodes have it
			}
			fx.verdicts = append(fx.verdicts, verdict{address: c.Address, account: c.Account, version: c.Version})
		}
		return
	}
	newest, found := r.Table.Lookup(c.Address)
	if closed || !found || newest.Author == r.own.set {
		return
	}
	if rival, ok := r.Origin(newest.Author); ok {
		beats := wire.Change{Address: c.Address, Account: c.Account, Version: newest.Version, Closed: newest.Closed}
		r.contest(rival.Node, &beats, nowMS, fx)
	}
}
