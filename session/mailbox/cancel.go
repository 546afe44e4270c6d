package mailbox

import (
	"github.com/roostpush/roost/session"
)

// Fates returns what became of the message for each device, in the store's order; found is
// false for a message that nobody knows, or not any more. It asks the store, so it blocks.
// What was settled a moment ago, which the store may not see yet, is said from memory.
func (m *Mailbox) Fates(id session.ID) (list []Fate, found bool, err error) {
	account, list, found, err := m.store.Fates(id)
	if err != nil || !found {
		return nil, false, err
	}
	s := m.shard(account)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range list {
		if f := &list[i]; f.Outcome == session.Queued {
			if it := s.itemLocked(session.Address{Account: account, Device: f.Device}, id); it != nil && it.told == session.Written {
				f.Outcome, f.AtMS = session.Written, m.now()-(m.steady()-it.writtenMS)
			} else if it == nil {
				s.recentLocked(id, f)
			}
		}
	}
	return list, true, nil
}

// itemLocked returns the message that waits for the device; nil if it does not.
func (s *shard) itemLocked(a session.Address, id session.ID) *item {
	if b := s.boxes[a]; b != nil {
		if i, ok := b.find(id); ok {
			return &b.items[i]
		}
	}
	return nil
}

// Cancel withdraws the message from every device that has not acknowledged it, and returns
// what has become of it then. found is false for a message that nobody knows, or not any more. It
// asks the store, so it blocks.
func (m *Mailbox) Cancel(id session.ID) (list []Fate, found bool, err error) {
	account, list, found, err := m.store.Fates(id)
	if err != nil || !found {
		return nil, false, err
	}
	for i := range list {
		f := &list[i]
		if final(f.Outcome) {
			continue
		}
		if withdrawn, _ := m.withdraw(session.Address{Account: account, Device: f.Device}, id); withdrawn {
			f.Outcome, f.AtMS = session.Cancelled, m.now()
		}
	}
	return list, true, nil
}

// withdraw takes the message, which the store says waits for the device, out. shown says
// that the device may have it already.
func (m *Mailbox) withdraw(a session.Address, id session.ID) (withdrawn, shown bool) {
	s := m.shard(a.Account)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[a]
	if b == nil && !m.indexed.Load() && !m.ofThisRun(id) {
		b = s.boxLocked(a)
	}
	if b == nil {
		return false, false // settled a moment ago
	}
	if i, ok := b.find(id); ok {
		shown = b.items[i].told == session.Written || b.items[i].sentOn != 0
		s.finishLocked(b, i, session.Cancelled)
		s.releaseLocked(b)
		return true, shown
	}
	if b.known || m.ofThisRun(id) || b.isGone(id) {
		return false, false
	}
	m.count.outcomes[session.Cancelled].Add(1)
	s.settleLocked(b, id, session.Cancelled)
	return true, true
}
