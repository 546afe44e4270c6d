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

// AckedThrough is Acked of the message that the client of an event stream has received
// last: it has everything as well that went to that stream before, in the order of sending. What
// it cannot place, because the message is of another node and not kept here, or of before the
// start, acknowledges that one alone, and the rest is sent once more.
func (m *Mailbox) AckedThrough(a session.Address, id session.ID) bool {
	s := m.shard(a.Account)
	s.mu.Lock()
	if b := s.boxes[a]; b != nil {
		s.throughLocked(b, id)
	}
	s.mu.Unlock()
	return m.Acked(a, id)
}

// throughLocked settles what went to the stream of a message before it. Written is noted in
// the order of the stream, because attempts on a device are made one after another and their
// receipts come in order. Of a message that is not in the box, but whose number is of this
// run, the kernel had everything before that number was made; which stream it was for is
// not known, so only what went to the newest counts.
func (s *shard) throughLocked(b *box, id session.ID) {
	before, session := id.Number, b.version
	if i, ok := b.find(id); ok {
		if !b.items[i].isWritten() {
			return // which stream it has come by is not known yet
		}
		before, session = b.items[i].writtenAt, b.items[i].sentOn
	} else if !s.mailbox.ofThisRun(id) {
		return
	}
	for i := len(b.items) - 1; i >= 0 && session != 0; i-- {
		if it := &b.items[i]; it.sentOn == session && it.isWritten() && it.writtenAt < before {
			s.mailbox.count.through.Add(1)
			s.ackLocked(b, i)
		}
	}
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
	if len(b.early()) >= s.mailbox.cfg.EarlyAcksMax {
		return false
	}
	id.Node = strings.Clone(id.Node)
	u := b.unreadLocked()
	u.early = append(u.early, id)
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
