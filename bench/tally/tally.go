package tally

// Tally is everything one loop, one process or one run counted. It has one owner
// at a time; the zero value is empty and ready.
type Tally struct {
	Counts  [counterCount]int64    `json:"counts"`
	Timings [timerCount]*Histogram `json:"timings"` // nil: nothing recorded
	Closes  map[uint16]int64       `json:"closes"`  // by WebSocket close code; 1006: none was sent
	Errors  map[string]int64       `json:"errors"`  // by class, a few dozen at most
}

// Add adds n to a counter.
func (t *Tally) Add(c Counter, n int64) { t.Counts[c] += n }

// Get returns a counter.
func (t *Tally) Get(c Counter) int64 { return t.Counts[c] }

// Record adds one latency in nanoseconds.
func (t *Tally) Record(timer Timer, ns int64) {
	if t.Timings[timer] == nil {
		t.Timings[timer] = NewHistogram()
	}
	t.Timings[timer].Record(ns)
}

// Timing returns a timer's histogram, an empty one when nothing was recorded.
func (t *Tally) Timing(timer Timer) *Histogram {
	if h := t.Timings[timer]; h != nil {
		return h
	}
	return NewHistogram()
}

// Close counts a connection that the server ended, by close code.
func (t *Tally) Close(code uint16) {
	if t.Closes == nil {
		t.Closes = map[uint16]int64{}
	}
	t.Closes[code]++
}

// Error counts an error by its class. A class is a short fixed text: never put a
// peer's words in it, or the map grows without bound.
func (t *Tally) Error(class string) {
	if t.Errors == nil {
		t.Errors = map[string]int64{}
	}
	t.Errors[class]++
}

// ErrorCount returns the number of errors of all classes.
func (t *Tally) ErrorCount() int64 {
	var n int64
	for _, count := range t.Errors {
		n += count
	}
	return n
}

// Merge adds everything in other, which is left as it was.
func (t *Tally) Merge(other *Tally) {
	for i, n := range other.Counts {
		t.Counts[i] += n
	}
	t.mergeTimings(other)
	for code, n := range other.Closes {
		if t.Closes == nil {
			t.Closes = map[uint16]int64{}
		}
		t.Closes[code] += n
	}
	for class, n := range other.Errors {
		if t.Errors == nil {
			t.Errors = map[string]int64{}
		}
		t.Errors[class] += n
	}
}

func (t *Tally) mergeTimings(other *Tally) {
	for i, h := range other.Timings {
		if h == nil || h.Count() == 0 {
			continue
		}
		if t.Timings[i] == nil {
			t.Timings[i] = NewHistogram()
		}
		t.Timings[i].Merge(h)
	}
}
