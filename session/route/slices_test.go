package route

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// slicing measures look-ups beside what disturbs them. Who shares a core with this machine, on
// the other thread of a core of its host, takes half of what the core can wait for at once, for
// some seconds at a time: loads that overlap then take nearly twice as long, every program's.
// So look-ups are measured in slices of some milliseconds, in turn with a floor that suffers in
// the same way, and a slice counts as quiet by its floor, never by its look-ups. It belongs to
// one goroutine, on a thread of its own.
type slicing struct {
	floor   func()         // takes floorLoads loads that overlap
	changes *atomic.Uint64 // what the writer has done so far
	all     []slice

	began, passed time.Duration // of the slice under way: the thread's time, and since start
	start         time.Time
	before        float64 // its floor before
	written       uint64  // changes before
}

// slice is a number of look-ups between two looks at the floor.
type slice struct {
	lookups     uint64
	cpu, passed time.Duration
	floor       float64 // nanoseconds a load, the slower one of before and after
	rate        float64 // changes a second
}

const (
	sliceLookups = 1 << 15 // 3 to 6 ms
	floorLoads   = 1 << 14 // 0.5 to 1 ms

	// A slice is quiet when its floor is at most so many times the floor that one in twenty
	// is below: on a core that is shared it is 1.6 times.
	quietFloor = 1.15
	// And when the writer did at least this share of what it usually does meanwhile: a floor is
	// low, too, while the writer waits for its core.
	quietRate = 0.75
	// Fewer quiet slices than that are none.
	quietLeast = 5
)

func newSlicing(floor func(), changes *atomic.Uint64) *slicing {
	s := &slicing{floor: floor, changes: changes, all: make([]slice, 0, 1<<12), start: time.Now()}
	s.floor() // its memory is there, and its code
	s.before = s.loads()
	s.begin()
	return s
}

// loads measures the floor.
func (s *slicing) loads() float64 {
	before := threadTime()
	s.floor()
	return float64(threadTime()-before) / floorLoads
}

func (s *slicing) begin() {
	s.written, s.passed, s.began = s.changes.Load(), time.Since(s.start), threadTime()
}

// end ends the slice under way, of so many look-ups, and begins the next one.
func (s *slicing) end(lookups uint64) {
	one := slice{lookups: lookups, cpu: threadTime() - s.began, passed: time.Since(s.start) - s.passed}
	one.rate = float64(s.changes.Load()-s.written) / one.passed.Seconds()
	after := s.loads()
	one.floor = max(s.before, after)
	s.all, s.before = append(s.all, one), after
	s.begin()
}

// quiet are the slices that nobody disturbed, by their floors and the writer's rate.
func (s *slicing) quiet() (quiet []slice) {
	var floors, rates []float64
	for _, one := range s.all {
		floors, rates = append(floors, one.floor), append(rates, one.rate)
	}
	slices.Sort(floors)
	slices.Sort(rates)
	for _, one := range s.all {
		if one.floor <= quietFloor*floors[len(floors)/20] && one.rate >= quietRate*rates[len(rates)/2] {
			quiet = append(quiet, one)
		}
	}
	if len(quiet) < quietLeast {
		return nil
	}
	return quiet
}

// report reports what a look-up costs, of the processor and in time that passed, over all
// slices, and of the processor in quiet ones, with their floor, the writer's rate in them, and
// how many of all they are; without a quiet one, that alone.
func (s *slicing) report(b *testing.B) {
	all, quiet := sumOf(s.all), sumOf(s.quiet())
	b.ReportMetric(float64(all.passed)/float64(all.lookups), "ns/op")
	b.ReportMetric(all.each(), "cpu-ns/op")
	b.ReportMetric(100*float64(quiet.lookups)/float64(all.lookups), "quiet-%")
	if quiet.lookups == 0 {
		return
	}
	b.ReportMetric(quiet.each(), "quiet-ns/op")
	b.ReportMetric(quiet.floor, "quiet-floor-ns")
	b.ReportMetric(quiet.rate, "quiet-changes/s")
}

// sumOf adds slices up; the floor and the rate are means.
func sumOf(all []slice) (sum slice) {
	for _, one := range all {
		sum.lookups += one.lookups
		sum.cpu += one.cpu
		sum.passed += one.passed
		sum.floor += one.floor / float64(len(all))
		sum.rate += one.rate / float64(len(all))
	}
	return sum
}

func (s slice) each() float64 { return float64(s.cpu) / float64(s.lookups) }

// Slices are chosen by their floor and the writer's rate, whatever their look-ups took.
func TestQuietSlicesAreChosenByTheirFloor(t *testing.T) {
	var s slicing
	for range 60 { // a slow floor, cheap look-ups
		s.all = append(s.all, slice{lookups: 10, cpu: 500, floor: 56, rate: 1000})
	}
	for range 30 {
		s.all = append(s.all, slice{lookups: 10, cpu: 1000, floor: 34, rate: 1000})
	}
	for range 5 { // still quiet
		s.all = append(s.all, slice{lookups: 10, cpu: 3000, floor: 39, rate: 751})
	}
	for range 5 { // the writer waits
		s.all = append(s.all, slice{lookups: 10, cpu: 10, floor: 33.9, rate: 749})
	}
	quiet := sumOf(s.quiet())
	if len(s.quiet()) != 35 || quiet.lookups != 350 || quiet.each() != (30*1000+5*3000)/350.0 {
		t.Errorf("%d slices, %+v, %g ns", len(s.quiet()), quiet, quiet.each())
	}
	few := slicing{all: s.all[60:90:90]}
	for i := range few.all[quietLeast-1:] {
		few.all[i].rate = 2000 // the usual one; the others' is too low
	}
	if got := few.quiet(); len(got) != 30-quietLeast+1 {
		t.Errorf("%d slices at the writer's usual rate", len(got))
	}
	few.all = few.all[:quietLeast-1]
	if got := few.quiet(); got != nil {
		t.Errorf("%d slices of %d", len(got), quietLeast-1)
	}
	if all := sumOf(s.all); all.lookups != 1000 || all.each() != (60*500+30*1000+5*3000+5*10)/1000.0 {
		t.Errorf("%+v", all)
	}
}
