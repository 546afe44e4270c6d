// HOT PATH

package mailbox

import (
	"strings"

	"github.com/roostpush/roost/session"
)

// Acked says that the device has the message, which is final. It is false for a message
// that does not wait for this device: another's, unknown, or settled already. Soon after a start
// it may be true for a message that is found to be none of those later, and is counted then.
func (m *Mailbox) Acked(a session.Address, id session.ID) bool {
	s := m.shard(a.Account)
	s.mu.Lock()
	b := s.boxes[a]
	if b == nil && !m.indexed.Load() && !m.ofThisRun(id) {
		b = s.boxLocked(a)
	}
	if b == nil {
		s.mu.Unlock()
		m.count.acksUnknown.Add(1)
		return false
	}
	i, ok := b.find(id)
	if !b.known && !m.ofThisRun(id) {
		ok = s.ackEarlyLocked(b, id)
	} else if ok {
		s.ackLocked(b, i)
	}
	start := b.pumpLocked()
	s.releaseLocked(b)
	s.mu.Unlock()
	if start {
		m.start(b)
	}
	if !ok {
		m.count.acksUnknown.Add(1)
	}
	return ok
}

// ackLocked settles a message that its device has acknowledged.
func (s *shard) ackLocked(b *box, i int) {
	if b.items[i].first {
		s.mailbox.queue.push(&rest{s.mailbox, b.address, b.id(&b.items[i])})
	}
	s.finishLocked(b, i, session.Acked)
}

// ackEarlyLocked keeps an ack until the device's mailbox has been read: only then it is
// known whether the message is there and whether other devices are concerned.
func (s *shard) ackEarlyLocked(b *box, id session.ID) bool {
	if len(b.early) >= s.mailbox.cfg.EarlyAcksMax {
		return false
	}
	id.Node = strings.Clone(id.Node)
	b.early = append(b.early, id)
	return true
}

// rest is the account's other devices, after one has acknowledged a message of which that
// is enough (acks: first).
type rest struct {
	mailbox *Mailbox
	acked   session.Address
	id      session.ID
}

// work withdraws the message from them.
func (r *rest) work(*worker) {
	m := r.mailbox
	_, list, _, err := m.store.Fates(r.id)
	if err != nil {
		m.count.unread.Add(1)
		m.queue.delay(r)
		return
	}
	for _, f := range list {
		if f.Device == r.acked.Device || final(f.Outcome) {
			continue
		}
		a := session.Address{Account: r.acked.Account, Device: f.Device}
		if _, shown := m.withdraw(a, r.id); shown {
			m.canceller.Cancel(a, []session.ID{r.id})
		}
	}
}

// final reports whether nothing comes after the outcome of a kept message.
func final(o session.Outcome) bool {
	return o != session.Pending && o != session.Queued && o != session.Written
}
