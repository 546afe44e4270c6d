// HOT PATH

package mailbox

import "github.com/roostpush/roost/session"

// attempt is a message on its way to a session of its device. It is used again and again.
type attempt struct {
	mailbox *Mailbox
	box     *box
	life    uint32
	id      session.ID
	version uint64            // of that session, as far as was known
	number  session.MessageID // no other attempt has it; see underWay

	heard func(session.Outcome)
}

func newAttempt(m *Mailbox) *attempt {
	a := &attempt{mailbox: m}
	a.heard = a.whenHeard
	return a
}

// attemptLocked notes that the item goes to the session its device has.
func (m *Mailbox) attemptLocked(b *box, it *item) *attempt {
	a := m.attempts.Get().(*attempt)
	a.box, a.life, a.id, a.version = b, b.life, b.id(it), b.version
	a.number = underWay + session.MessageID(m.count.attempts.Add(1))
	b.send(it, a.number)
	return a
}

// whenHeard is called with what became of the attempt.
func (a *attempt) whenHeard(o session.Outcome) {
	m, b, version := a.mailbox, a.box, a.version
	s := b.shard
	s.mu.Lock()
	i, ok := 0, b.life == a.life
	if ok {
		i, ok = b.find(a.id)
	}
	if ok && ruleConditional {
		ok = b.items[i].writtenAt == a.number // otherwise it has been sent once more since
	}
	life := b.life
	a.box, a.id = nil, session.ID{}
	m.attempts.Put(a)
	if !ok {
		s.mu.Unlock()
		m.count.late.Add(1)
		return
	}
	look := s.heardLocked(b, i, version, o)
	start := b.pumpLocked()
	s.releaseLocked(b)
	s.mu.Unlock()
	if start {
		m.start(b)
	}
	if look {
		m.lookAgain(b, life, version)
	}
}

// heardLocked notes the outcome of the item's attempt on that session. look says that the
// session seems to be gone, so that it is time to ask for a newer one.
func (s *shard) heardLocked(b *box, i int, version uint64, o session.Outcome) (look bool) {
	m, it := s.mailbox, &b.items[i]
	switch o {
	case session.Written:
		m.count.written.Add(1)
		b.tries = 0
		b.written(it, m.newID().Number, m.steady())
		if !ruleKeep {
			s.finishLocked(b, i, session.Acked)
			return false
		}
		s.tellLocked(b, it, session.Written)
	case session.Offline, session.Misrouted, session.Lost:
		b.leave(it)
		if b.version == version || !ruleConditional {
			b.sees(0)
		}
		s.tellLocked(b, it, session.Queued)
		return true
	case session.TooLarge, session.Forbidden:
		s.finishLocked(b, i, o)
	default:
		b.leave(it)
		s.tellLocked(b, it, session.Queued)
		if b.version == version {
			s.pauseLocked(b)
		}
	}
	return false
}

// lookAgain asks whether the device has another session than that one, which seems to be
// gone. If that one is said to be there still, nobody will tell when it is not, so the
// mailbox asks again after a pause.
func (m *Mailbox) lookAgain(b *box, life uint32, gone uint64) {
	s := b.shard
	s.mu.Lock()
	if b.life != life {
		s.mu.Unlock()
		return
	}
	address, was := b.address, b.version
	s.mu.Unlock()
	version := m.online(address)
	s.mu.Lock()
	start := false
	if b.life == life {
		switch {
		case version != 0 && version != gone:
			s.seesLocked(b, was, version)
		case version != 0:
			s.pauseLocked(b)
		}
		start = b.pumpLocked()
	}
	s.mu.Unlock()
	if start {
		m.start(b)
	}
}

// online returns the version of the device's session; 0: it has none, whatever version
// Presence gives for one that has ended.
func (m *Mailbox) online(a session.Address) uint64 {
	if version, ok := m.presence.Online(a); ok {
		return version
	}
	return 0
}

// seesLocked notes what Presence said of the device, which was believed to have the session
// was when it was asked: a newer session counts, and an older one or none only if no newer one
// has been heard of meanwhile. The device may well have an older one: the newer was opened
// by a node whose clock is ahead, or that nobody could reach, and has ended.
func (s *shard) seesLocked(b *box, was, version uint64) {
	if version == b.version || version < b.version && b.version != was {
		return
	}
	if version != 0 {
		b.tries = 0
		b.retryMS = 0
	}
	b.sees(version)
}

// pauseLocked has the device left alone for a while, longer each time, and not all devices
// for equally long. What comes after the pause asks who is online.
func (s *shard) pauseLocked(b *box) {
	if b.retryMS != 0 || len(b.items) == 0 && b.known {
		return
	}
	m := s.mailbox
	pause := m.cfg.RetryMaxMS
	if b.tries < 20 && m.cfg.RetryMinMS<<b.tries < pause {
		pause = m.cfg.RetryMinMS << b.tries
		b.tries++
	}
	m.count.pauses.Add(1)
	b.retryMS = m.steady() + int64(pause) - s.jitterLocked(int64(pause)/2)
	s.dueLocked(b, b.retryMS)
}
