package gossip

import (
	"log/slog"

	"github.com/roostpush/roost/session"
)

// change is one call of Events.
type change struct {
	kind   changeKind
	member Member
	why    Reason
}

type changeKind uint8

const (
	joined changeKind = iota
	changed
	left
)

// take returns what is to be told next, in order, and counts it as told.
func (r *roster) take() (changes []change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for node := range r.marked {
		delete(r.marked, node)
		changes = r.settleLocked(node, changes)
	}
	r.telling = len(changes) > 0
	return changes
}

// toldAll notes that Events have been told what take returned.
func (r *roster) toldAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.telling = false
}

// settleLocked compares what is to be believed of a node with what was told.
func (r *roster) settleLocked(node string, changes []change) []change {
	before, was := r.told[node]
	now, is := r.believedLocked(node)
	switch {
	case was && is && now == before:
	case was && is && now.Epoch == before.Epoch:
		changes = append(changes, change{changed, now, 0})
	default:
		if was {
			changes = append(changes, change{left, before, r.reasonLocked(before, is)})
		}
		if is {
			changes = append(changes, change{joined, now, 0})
		}
	}
	if is {
		r.told[node] = now
		delete(r.lost, node)
	} else {
		delete(r.told, node)
	}
	r.forgetLocked(node)
	return changes
}

// believedLocked returns the process of a node that is alive and the newest known.
func (r *roster) believedLocked(node string) (Member, bool) {
	if node == r.self.Node { // another process with our id is not a member beside us
		return Member{}, false
	}
	e := r.entries[session.Origin{Node: node, Epoch: r.epochs[node]}]
	if e == nil || !e.alive || e.buried {
		return Member{}, false
	}
	m := e.member
	if e.leaving {
		m.State = Leaving
	}
	return m, true
}

// reasonLocked says why a member is no longer one, and notes what is missing.
func (r *roster) reasonLocked(m Member, another bool) Reason {
	e := r.entries[m.Origin()]
	switch {
	case another || r.epochs[m.Node] > m.Epoch && !r.goneLocked(e):
		return Replaced
	case m.State == Leaving || e != nil && (e.leaving || e.member.State == Leaving):
		return Left
	}
	r.lost[m.Node] = r.now()
	return Dead
}

// goneLocked reports whether a process has ended by itself.
func (r *roster) goneLocked(e *entry) bool { return e == nil || !e.alive || e.buried }

// forgetLocked drops entries that will not be asked for again: memberlist tells of a
// return as of any other news.
func (r *roster) forgetLocked(node string) {
	for o, e := range r.entries {
		if o.Node == node && !e.alive {
			delete(r.entries, o)
		}
	}
}

// tell calls events for what was marked, until stop. It is the only goroutine that does.
func (r *roster) tell(events Events, log *slog.Logger, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-r.wake:
		}
		for _, c := range r.take() {
			m := c.member
			switch c.kind {
			case joined:
				r.count.joins.Add(1)
				log.Info("member joined", "node", m.Node, "epoch", m.Epoch, "addr", m.GossipAddr, "state", m.State.String())
				events.Joined(m)
			case changed:
				log.Info("member changed", "node", m.Node, "epoch", m.Epoch, "addr", m.GossipAddr, "state", m.State.String())
				events.Changed(m)
			case left:
				r.count.leaves[c.why].Add(1)
				log.Info("member left", "node", m.Node, "epoch", m.Epoch, "addr", m.GossipAddr, "why", c.why.String())
				events.Left(m, c.why)
			}
		}
		r.toldAll()
	}
}
