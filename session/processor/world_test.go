package processor

import (
	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
)

// world is everything around a processor, with nobody in it but the test: it begins what
// is to begin when the test says so, and the attempts stay where they are until the test
// ends them.
type world struct {
	t        rapid.TB
	p        *Processor
	wall     int64
	steady   int64
	attempts []*attempt // on their way, oldest first
	begun    int
}

// attempt is one call of Push.
type attempt struct {
	record *Record
	number int
	done   func(Result)
}

func newWorld(t rapid.TB, cfg Config) *world {
	w := &world{t: t, wall: 1_800_000_000_000, steady: 1}
	w.p = New(cfg, w, func() int64 { return w.wall }, func() int64 { return w.steady })
	return w
}

func (w *world) Push(r *Record, number int, done func(Result)) {
	w.begun++
	w.attempts = append(w.attempts, &attempt{r, number, done})
}

// pump begins everything that Run would.
func (w *world) pump() {
	select {
	case <-w.p.awake:
	default:
	}
	for t := w.p.next(); t != nil; t = w.p.next() {
		w.p.begin(t)
	}
}

// pass lets time go by, in steps that a ticker would make.
func (w *world) pass(ms int64) {
	for ; ms > 0; ms -= 50 {
		step := min(ms, 50)
		w.wall, w.steady = w.wall+step, w.steady+step
		w.p.Tick()
		w.pump()
	}
}

// end ends the oldest attempt.
func (w *world) end(r Result) *attempt {
	w.t.Helper()
	if len(w.attempts) == 0 {
		w.t.Fatal("no attempt is on its way")
	}
	a := w.attempts[0]
	w.attempts = w.attempts[1:]
	a.done(r)
	w.pump()
	return a
}

// take hands a record in and returns where its results will be.
func (w *world) take(r *Record) *[]Result {
	w.t.Helper()
	results := new([]Result)
	if !w.p.Take(r, func(r Result) { *results = append(*results, r) }) {
		w.t.Fatalf("the record of %q was not taken", r.Account)
	}
	w.pump()
	return results
}

// came returns a result of so many devices with each outcome.
func came(outcomes ...session.Outcome) (r Result) {
	for _, o := range outcomes {
		r.Counts[o]++
	}
	return r
}

// only fails unless there is exactly one result, and it is want.
func only(t rapid.TB, results *[]Result, want Result) {
	t.Helper()
	if len(*results) != 1 || (*results)[0] != want {
		t.Errorf("results are %v, want one: %v", *results, want)
	}
}
