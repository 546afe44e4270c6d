package mailbox

import (
	"slices"

	"github.com/roostpush/roost/session"
)

// How many messages wait for a device is what its greeting says (hello.missed). Once the
// pass over the store is through memory knows it. Before that the store alone may:
//
//  1. Learn has the device's box read, as its coming would have a moment later;
//  2. a worker reads it (learn.go), and tells everybody who asked;
//  3. Tick tells those for whom that takes too long: a greeting does not wait for a disk
//     that has stopped.

// Missed returns how many messages wait for the device, sent or not. Until Indexed it
// is true only of a device that Learn has said so of, or that has been here since the start.
func (m *Mailbox) Missed(a session.Address) int {
	s := m.shard(a.Account)
	s.mu.Lock()
	defer s.mu.Unlock()
	b, n, nowMS := s.boxes[a], 0, m.now()
	if b == nil {
		return 0
	}
	for i := range b.items {
		if b.items[i].expiresMS > nowMS {
			n++
		}
	}
	return n
}

// Indexed reports whether the pass over the store is through: from then on Missed is true of
// every device.
func (m *Mailbox) Indexed() bool { return m.indexed.Load() }

// question is somebody who waits until Missed is true of a device.
type question struct {
	learned    func()
	deadlineMS int64 // by the steady clock
	answered   bool
}

// Learn reads what waits for the device, which is borrowed, unless Missed is true of it
// already: then, or when missed_max are being read for, it returns false. Else learned is called once,
// on any goroutine and with no lock held: when Missed is true of the device, or when it could not be
// made so in missed_timeout_ms. It must not block. Learn does not block, so event loops may call it.
func (m *Mailbox) Learn(a session.Address, learned func()) bool {
	if m.indexed.Load() {
		return false
	}
	s := m.shard(a.Account)
	s.mu.Lock()
	if b := s.boxes[a]; b != nil && b.known {
		s.mu.Unlock()
		return false
	}
	if m.asking.Add(1) > int64(m.cfg.MissedMax) {
		s.mu.Unlock()
		m.asking.Add(-1)
		m.count.missedUnread.Add(1)
		return false
	}
	b := s.boxLocked(a)
	if b.known { // the pass has come to its end just now
		s.releaseLocked(b)
		s.mu.Unlock()
		m.asking.Add(-1)
		return false
	}
	q := &question{learned: learned, deadlineMS: m.steady() + int64(m.cfg.MissedTimeoutMS)}
	u := b.unreadLocked()
	u.asked = append(u.asked, q)
	s.asked = append(s.asked, q)
	start := b.pumpLocked()
	s.mu.Unlock()
	if start {
		m.start(b)
	}
	return true
}

// askedLocked takes the questions about the box, which are to be answered once the shard is
// not locked any more.
func (b *box) askedLocked() (list []*question) {
	if b.unread == nil {
		return nil
	}
	list = slices.DeleteFunc(b.unread.asked, func(q *question) bool { return q.answered })
	b.unread.asked = nil
	for _, q := range list {
		q.answered = true
	}
	return list
}

// overdueLocked takes the questions that have waited for too long. All wait equally long, so
// they are due in the order in which they came.
func (s *shard) overdueLocked(steadyMS int64) (list []*question) {
	n := 0
	for ; n < len(s.asked) && (s.asked[n].answered || s.asked[n].deadlineMS <= steadyMS); n++ {
		if q := s.asked[n]; !q.answered {
			q.answered = true
			list = append(list, q)
		}
	}
	clear(s.asked[:n])
	if s.asked = s.asked[n:]; len(s.asked) == 0 {
		s.asked = nil
	}
	return list
}

// answer answers questions.
func (m *Mailbox) answer(list []*question) {
	m.asking.Add(-int64(len(list)))
	for _, q := range list {
		q.learned()
	}
}
