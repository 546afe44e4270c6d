package processortest

import (
	"maps"
	"math/rand/v2"
	"sync"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/processor"
)

// Sink is a processor.Sink whose answers the test decides on. It knows records by their
// ids. Any goroutine may call it.
type Sink struct {
	answer func(r *processor.Record) *processor.Result

	mu       sync.Mutex
	capacity [session.PriorityCount]int // records kept at a time; 0: any number
	kept     []kept
	room     [session.PriorityCount]chan struct{}
	taken    []string
	keys     map[string]uint64
	final    map[string]int
}

// kept is a record without a result.
type kept struct {
	id       string
	priority session.Priority
	done     func(processor.Result)
}

// New returns a sink that gives each record the result of answer at once; nil: it keeps
// the record until Release. answer must not call the sink.
func New(answer func(r *processor.Record) *processor.Result) *Sink {
	return &Sink{answer: answer, keys: map[string]uint64{}, final: map[string]int{}}
}

// Written is a result with one device.
func Written() *processor.Result {
	var r processor.Result
	r.Counts[session.Written] = 1
	return &r
}

// Always is an answer: every record is written.
func Always(*processor.Record) *processor.Result { return Written() }

// Never is an answer: every record is kept.
func Never(*processor.Record) *processor.Result { return nil }

// Take takes a record in, unless as many of its priority as Limit allows are kept.
func (s *Sink) Take(r *processor.Record, done func(processor.Result)) bool {
	s.mu.Lock()
	if !s.hasRoom(r.Priority) {
		s.mu.Unlock()
		return false
	}
	s.taken = append(s.taken, r.ID)
	s.keys[r.Account+"/"+r.Device] = r.Key
	result := s.answer(r)
	if result == nil {
		s.kept = append(s.kept, kept{r.ID, r.Priority, done})
		s.mu.Unlock()
		return true
	}
	if !result.GivenUp {
		s.final[r.ID]++
	}
	s.mu.Unlock()
	done(*result)
	return true
}

// hasRoom reports whether the lane takes a record. The caller holds mu.
func (s *Sink) hasRoom(p session.Priority) bool {
	n := 0
	for _, k := range s.kept {
		if k.priority == p {
			n++
		}
	}
	return s.capacity[p] == 0 || n < s.capacity[p]
}

// Room returns a channel that is closed when Take may have room again.
func (s *Sink) Room(p session.Priority) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hasRoom(p) {
		open := make(chan struct{})
		close(open)
		return open
	}
	if s.room[p] == nil {
		s.room[p] = make(chan struct{})
	}
	return s.room[p]
}

// Paused is always false.
func (s *Sink) Paused() bool { return false }

// Release gives a result to those kept records that pick names, in any order, and
// returns how many they were.
func (s *Sink) Release(pick func(id string) bool, r processor.Result) int {
	s.mu.Lock()
	var now, later []kept
	for _, k := range s.kept {
		if pick(k.id) {
			now = append(now, k)
			if !r.GivenUp {
				s.final[k.id]++ // before the source hears it, so that no commit can be earlier
			}
		} else {
			later = append(later, k)
		}
	}
	s.kept = later
	for p := range s.room {
		if s.room[p] != nil {
			close(s.room[p])
			s.room[p] = nil
		}
	}
	s.mu.Unlock()
	rand.Shuffle(len(now), func(i, j int) { now[i], now[j] = now[j], now[i] })
	for _, k := range now {
		k.done(r)
	}
	return len(now)
}

// Limit bounds how many records of a priority are kept at a time; 0: not at all.
func (s *Sink) Limit(p session.Priority, n int) {
	s.mu.Lock()
	s.capacity[p] = n
	s.mu.Unlock()
	s.Release(func(string) bool { return false }, processor.Result{}) // wakes who waits for room
}

// Everything names all records, for Release.
func Everything(string) bool { return true }

// Some names a third of the records, by chance, for Release.
func Some(string) bool { return rand.IntN(3) == 0 }

// Count returns how many records have a final result, and how many are kept.
func (s *Sink) Count() (final, kept int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.final), len(s.kept)
}

// Taken returns the ids of the records in the order in which they were taken, one that
// came again as often as it came.
func (s *Sink) Taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.taken...)
}

// IsFinal reports whether that record has had a final result. It is true before the
// source hears of it.
func (s *Sink) IsFinal(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.final[id] > 0
}

// Keys returns the last order key of each address, account/device.
func (s *Sink) Keys() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.keys)
}
