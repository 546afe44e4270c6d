package mailbox

import (
	"slices"
	"strings"

	"github.com/roostpush/roost/session"
)

// What the store holds from before this run is learned in two ways. The pass over all of
// it, begun by Run, says who waits for what, and until when. What it does not say, such as
// the priorities, is read when the device is first dealt with, which may be before the pass has
// come to it. From then on its box is known, and the pass leaves it alone. Messages of this run
// need no learning: stored put them into their boxes, and what has left them since must not
// come back.

const (
	learnMessages = 256     // in one read
	learnBytes    = 1 << 20 // of payloads in one read
)

// index is the pass over the store.
type index Mailbox

// work goes through all that waits. If the store fails it begins again after the next Tick.
func (x *index) work(*worker) {
	m := (*Mailbox)(x)
	var last session.Address
	err := m.store.Mailboxes(func(a session.Address, id session.ID, expiresMS int64, collapse string) bool {
		if a != last {
			m.lookAt(last)
			last = session.Address{Account: strings.Clone(a.Account), Device: strings.Clone(a.Device)}
		}
		m.take(a, id, expiresMS, collapse)
		return true
	})
	m.lookAt(last)
	if err != nil {
		m.count.unread.Add(1)
		m.queue.delay(x)
		return
	}
	m.indexed.Store(true)
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		for _, b := range s.boxes {
			s.releaseLocked(b)
		}
		s.mu.Unlock()
	}
}

// take notes a message that the pass has found.
func (m *Mailbox) take(a session.Address, id session.ID, expiresMS int64, collapse string) {
	if m.ofThisRun(id) {
		return
	}
	s := m.shard(a.Account)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxLocked(a)
	if b.known || b.isGone(id) {
		return
	}
	if _, ok := b.find(id); ok {
		return
	}
	m.waiting.Add(1)
	if id.Node != m.began.Node {
		m.foreign.Store(true)
	}
	s.insertLocked(b, item{
		number: id.Number, origin: m.origins.number(id.Origin), expiresMS: expiresMS,
		collapse: keyOf(strings.Clone(collapse)), told: session.Queued,
	})
}

// lookAt asks whether the device is online, for which something may wait.
func (m *Mailbox) lookAt(a session.Address) {
	if a.Account == "" {
		return
	}
	s := m.shard(a.Account)
	s.mu.Lock()
	b := s.boxes[a]
	if b == nil {
		s.mu.Unlock()
		return // what the pass finds later it looks after itself
	}
	was := b.version
	s.mu.Unlock()
	if version := m.online(a); version != 0 {
		m.opened(a, was, version)
	}
}

// learn reads all that the store holds for the device.
func (b *box) learn(w *worker) error {
	s := b.shard
	m := s.mailbox
	m.count.learned.Add(1)
	var after session.ID
	for {
		page, err := m.store.Mail(w.page[:0], b.address, after, learnMessages, learnBytes)
		m.count.reads.Add(1)
		w.page = page
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for i := range page {
			k := &page[i]
			answered, err := m.answered(k)
			if err != nil {
				return err
			}
			s.mu.Lock()
			s.mergeLocked(b, k)
			if j, ok := b.find(k.ID); ok && answered {
				s.finishLocked(b, j, session.Cancelled)
			}
			s.mu.Unlock()
		}
		after = page[len(page)-1].ID
		clear(page)
	}
	s.mu.Lock()
	asked := b.askedLocked()
	s.knownLocked(b)
	s.mu.Unlock()
	m.answer(asked)
	return nil
}

// answered reports whether another device has acknowledged a message of which one ack is
// enough, but the node ended before this device was taken out.
func (m *Mailbox) answered(k *session.Kept) (bool, error) {
	if !k.First {
		return false, nil
	}
	_, list, _, err := m.store.Fates(k.ID)
	return slices.ContainsFunc(list, func(f Fate) bool { return f.Outcome == session.Acked }), err
}

// mergeLocked notes a message that was read.
func (s *shard) mergeLocked(b *box, k *session.Kept) {
	m := s.mailbox
	if m.ofThisRun(k.ID) || b.isGone(k.ID) {
		return
	}
	n := len(k.Payload)
	i, ok := b.find(k.ID)
	if !ok {
		m.waiting.Add(1)
		if k.Node != m.began.Node {
			m.foreign.Store(true)
		}
		s.insertLocked(b, item{
			number: k.Number, origin: m.origins.number(k.Origin), expiresMS: k.ExpiresMS,
			collapse: keyOf(strings.Clone(k.Collapse)), told: session.Queued,
		})
		if i, ok = b.find(k.ID); !ok {
			return // a newer one has its collapse key
		}
	}
	it := &b.items[i]
	if it.known {
		return
	}
	it.bytes, it.priority, it.first, it.traced, it.known = uint32(n), k.Priority, k.First, k.Trace != "", true
	b.bytes += n
	m.waitingBytes.Add(int64(n))
}

// knownLocked ends the learning: what was not read is not there, and the acks that came
// too early can be told from those for nothing.
func (s *shard) knownLocked(b *box) {
	m := s.mailbox
	for i := len(b.items) - 1; i >= 0; i-- {
		if !b.items[i].known {
			m.count.missing.Add(1)
			s.finishLocked(b, i, session.Lost)
		}
	}
	early := b.early()
	b.known, b.unread = true, nil
	for _, id := range early {
		if i, ok := b.find(id); ok {
			s.ackLocked(b, i)
		} else {
			m.count.acksUnknown.Add(1)
		}
	}
}
