package kafka

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/processor"
)

// sink is a processor whose answers the test decides on.
type sink struct {
	answer func(r *processor.Record) *processor.Result // nil: it is kept until release

	mu       sync.Mutex
	capacity [session.PriorityCount]int // records kept at a time; 0: any number
	kept     []keptRecord
	room     [session.PriorityCount]chan struct{}
	order    []string // ids in the order of Take
	keys     map[string]uint64
	final    map[string]int // how often each id was final
	refused  int
	most     int // records kept at one time
}

type keptRecord struct {
	id       string
	priority session.Priority
	done     func(processor.Result)
}

func newSink(answer func(r *processor.Record) *processor.Result) *sink {
	return &sink{answer: answer, keys: map[string]uint64{}, final: map[string]int{}}
}

// written is a result with one device.
func written() *processor.Result {
	var r processor.Result
	r.Counts[session.Written] = 1
	return &r
}

func always(*processor.Record) *processor.Result { return written() }
func never(*processor.Record) *processor.Result  { return nil }

func (s *sink) Take(r *processor.Record, done func(processor.Result)) bool {
	s.mu.Lock()
	n := 0
	for _, k := range s.kept {
		if k.priority == r.Priority {
			n++
		}
	}
	if limit := s.capacity[r.Priority]; limit > 0 && n >= limit {
		s.refused++
		s.mu.Unlock()
		return false
	}
	s.order = append(s.order, r.ID)
	s.keys[r.Account+"/"+r.Device] = r.Key
	result := s.answer(r)
	if result == nil {
		s.kept = append(s.kept, keptRecord{r.ID, r.Priority, done})
		s.most = max(s.most, len(s.kept))
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

func (s *sink) Room(p session.Priority) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, k := range s.kept {
		if k.priority == p {
			n++
		}
	}
	if limit := s.capacity[p]; limit == 0 || n < limit {
		open := make(chan struct{})
		close(open)
		return open
	}
	if s.room[p] == nil {
		s.room[p] = make(chan struct{})
	}
	return s.room[p]
}

func (s *sink) Paused() bool { return false }

// release makes those records final that pick names, in any order, and returns how many.
func (s *sink) release(pick func(id string) bool, r processor.Result) int {
	s.mu.Lock()
	var now, later []keptRecord
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

// open lets the sink keep any number.
func (s *sink) open(p session.Priority) {
	s.mu.Lock()
	s.capacity[p] = 0
	s.mu.Unlock()
	s.release(func(string) bool { return false }, processor.Result{})
}

func everything(string) bool { return true }

func some(string) bool { return rand.IntN(3) == 0 }

func (s *sink) count() (final, kept int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.final), len(s.kept)
}

func (s *sink) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.order...)
}

func (s *sink) isFinal(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.final[id] > 0
}

// place reads the id of a record made by produce.
func place(t *testing.T, id string) (partition, number int) {
	t.Helper()
	parts := strings.Split(id, "/")
	if len(parts) != 3 {
		t.Fatalf("the id %q is not topic/partition/number", id)
	}
	partition, _ = strconv.Atoi(parts[1])
	number, _ = strconv.Atoi(parts[2])
	return partition, number
}
