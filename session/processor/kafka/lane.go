package kafka

import (
	"sync"

	"github.com/roostpush/roost/session"
)

// lane holds the fetched records of one priority until the sink takes them. The poll
// adds to it, one goroutine empties it. A full lane of the sink stops the topics of that
// priority only.
type lane struct {
	priority session.Priority
	topics   []string
	alone    bool         // no other lane has topics
	held     chan *flight // has room for held_max and one poll more, so that adding never waits

	mu     sync.Mutex
	count  int // records held, the one that feed is at included
	bytes  int
	waited bool // the poll waits until there is room for another one
	paused bool // the topics are not fetched
}

// add puts a record behind the others.
func (l *lane) add(f *flight) {
	l.mu.Lock()
	l.count++
	l.bytes += f.bytes
	l.mu.Unlock()
	l.held <- f
}

// await has the poll wait for the lane if too much is held. The poll calls it.
func (l *lane) await(s *Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused || l.count < s.cfg.HeldMax && l.bytes < s.cfg.HeldBytesMax {
		return
	}
	l.waited = true
	s.awaited.Add(1)
}

// pause stops the fetches of the lane's topics if the poll still waits for it, which it
// does no longer.
func (l *lane) pause(s *Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.waited {
		return
	}
	l.waited, l.paused = false, true
	s.awaited.Add(-1)
	s.client.PauseFetchTopics(l.topics...)
	s.count.lanePauses[l.priority].Add(1)
}

// gone notes that a record is held no longer. The poll goes on once it has room for another
// one; topics that are paused are fetched again once half of what may be held is.
func (l *lane) gone(s *Source, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count--
	l.bytes -= bytes
	switch {
	case l.waited && l.count <= s.cfg.room(s.cfg.HeldMax) && l.bytes < s.cfg.HeldBytesMax:
		l.waited = false
		s.roomier()
	case l.paused && l.count <= s.cfg.HeldMax/2 && l.bytes <= s.cfg.HeldBytesMax/2:
		l.paused = false
		s.client.ResumeFetchTopics(l.topics...)
	}
}

// feed hands the lane's records to the sink, in order, until the source stops. What is
// still held then stays uncommitted and comes again.
func (s *Source) feed(l *lane) {
	for {
		select {
		case <-s.over:
			return
		case f := <-l.held:
			bytes := f.bytes // f is not ours any more when it was handed over
			if !s.hand(f) {
				return
			}
			l.gone(s, bytes)
		}
	}
}

// hand gives a record to the sink as soon as that has room; false: the source stops.
func (s *Source) hand(f *flight) bool {
	f.read()
	for {
		select {
		case <-s.over:
			return false
		default:
		}
		if !f.window.take() {
			f.recycle() // its partition has gone
			return true
		}
		if f.rejected != nil {
			f.land(rejection(f.rejected))
			return true
		}
		priority := f.record.Priority
		if s.sink.Take(&f.record, f.heard) {
			s.count.taken[priority].Add(1)
			return true
		}
		f.window.untake()
		select {
		case <-s.over:
			return false
		case <-s.sink.Room(priority):
		}
	}
}
