package mailbox

import "github.com/roostpush/roost/session"

// tickBoxes is how many boxes are dealt with in one hold of a shard's mutex.
const tickBoxes = 64

// setMS is by how much the wall clock must have been set for boxes to be placed anew; less
// is what a clock drifts.
const setMS = 1000

// Tick settles what has expired and gets those going whose pause is over. Its owner calls
// it every 100 ms or so, from one goroutine, with the clocks of its ports. A message that is due
// is not sent any more, however late Tick comes.
func (m *Mailbox) Tick(steadyMS, nowMS int64) {
	m.queue.wake()
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		if ahead := nowMS - steadyMS; ahead-s.aheadMS >= setMS || s.aheadMS-ahead >= setMS {
			s.setLocked(ahead)
		}
		s.due = s.wheel.turn(s.due[:0], steadyMS)
		for _, b := range s.due {
			b.due = true
		}
		due, overdue := s.due, s.overdueLocked(steadyMS)
		s.mu.Unlock()
		m.count.missedUnread.Add(uint64(len(overdue)))
		m.answer(overdue)
		for len(due) > 0 {
			n := min(len(due), tickBoxes)
			s.tick(due[:n], steadyMS, nowMS)
			due = due[n:]
		}
		clear(s.due)
	}
}

// setLocked follows a wall clock that was set: messages expire sooner or later than it had
// seemed.
func (s *shard) setLocked(aheadMS int64) {
	s.aheadMS = aheadMS
	for _, b := range s.wheel.takeAll() { // a box that is not in there waits for nothing
		dueMS, ok := b.earliest()
		if b.patienceMS != 0 && (!ok || b.patienceMS < dueMS) {
			dueMS, ok = b.patienceMS, true
		}
		if ok {
			s.wheel.put(b, dueMS)
		}
	}
}

// tick deals with boxes that are due.
func (s *shard) tick(due []*box, steadyMS, nowMS int64) {
	s.mu.Lock()
	var again []*box
	var lives []uint32
	var starts []*box
	for _, b := range due {
		b.due = false
		for i := len(b.items) - 1; i >= 0; i-- {
			if b.items[i].expiresMS <= nowMS {
				s.finishLocked(b, i, session.Expired)
			}
		}
		if b.retryMS != 0 && b.retryMS <= steadyMS {
			b.retryMS = 0
			again, lives = append(again, b), append(lives, b.life)
		}
		if dueMS, ok := b.earliest(); ok {
			s.dueLocked(b, dueMS)
		}
		if b.pumpLocked() { // some may have passed
			starts = append(starts, b)
		}
		s.releaseLocked(b)
	}
	s.mu.Unlock()
	for _, b := range starts {
		s.mailbox.start(b)
	}
	for i, b := range again {
		s.mailbox.lookAgain(b, lives[i], 0)
	}
}

// jitterLocked returns 0 to n.
func (s *shard) jitterLocked(n int64) int64 { return s.dice.Int64N(n + 1) }
