package mailbox

import (
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// The end of a hand-over (handover.go): what a new home says of a letter, and what it is told of
// one that ended here meanwhile.

// ended notes that a letter ended here which was sent to its new home. It is called with
// the shard locked.
func (d *departure) ended(id session.ID, a session.Address, o session.Outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.moves[letter{id, a}]
	if v == nil {
		return
	}
	v.ended = o
	if !v.flying { // it may be there: that is said by whoever is called with no lock held
		d.homes.box.queue.push(lateEnd{d.homes, v})
		d.forgetLocked(v)
	}
}

// lateEnd tells a home of the end of a letter that it may have.
type lateEnd struct {
	homes *Homes
	move  *move
}

func (e lateEnd) work(*worker) { e.homes.tellEnd(e.move) }

// tellEnd tells the home that may have a letter how it ended here. Expiry it sees itself.
func (m *Homes) tellEnd(v *move) {
	if v.ended == session.Acked || v.ended == session.Cancelled {
		m.passOn(v.node, &wire.MailAck{ID: v.id, Account: v.to.Account, Device: v.to.Device, Withdrawn: v.ended == session.Cancelled})
	}
}

// Moved is the answer of a new home, borrowed.
func (m *Homes) Moved(a *wire.MailMoved) {
	d := &m.departure
	d.mu.Lock()
	v := d.refs[a.Ref]
	d.mu.Unlock()
	if v == nil {
		m.count.lateAnswers.Add(1)
		return
	}
	released := a.Taken && m.box.release(v.to, v.id, a.Outcome)
	d.mu.Lock()
	if v.flying {
		d.landLocked(v)
	}
	over := a.Taken || v.ended != session.Pending
	if over {
		d.forgetLocked(v)
	}
	d.taken = d.taken || a.Taken
	goOn := d.pass && d.flying <= m.cfg.MoveMax/2
	d.mu.Unlock()
	switch {
	case !a.Taken:
		m.count.movesRefused.Add(1)
	case released:
		m.count.moved.Add(1)
		m.note(session.Event{ID: v.id, Step: session.StepKept, Device: v.to.Device, Peer: v.node})
	default:
		m.tellEnd(v) // what is not here any more has ended, which was noted before
	}
	if goOn {
		d.goOn()
	}
}

// release lets go of a message that another node keeps now, or has settled with o. It is
// false if the message is not here any more.
func (m *Mailbox) release(a session.Address, id session.ID, o session.Outcome) bool {
	s := m.shard(a.Account)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[a]
	if b == nil {
		return false
	}
	i, ok := b.find(id)
	if !ok {
		return false
	}
	b.items[i].moving = false
	if final(o) {
		s.finishLocked(b, i, o)
	} else {
		it := b.items[i]
		b.remove(i)
		m.waiting.Add(-1)
		m.waitingBytes.Add(-int64(it.bytes))
		s.settleLocked(b, id, session.Queued) // of what became of it there nothing is said here
		if it.watched {
			m.watches.remove(id)
		}
	}
	s.releaseLocked(b)
	return true
}
