package tally

// Tally is everything one loop, one process or one run counted. It has one owner
// at a time; the zero value is empty and ready.
type Tally struct {
	Counts  [counterCount]int64    `json:"counts"`
	Timings [timerCount]*Histogram `json:"timings"` // nil: nothing recorded
	Closes  map[uint16]int64       `json:"closes"`  // by WebSocket close code; 1006: none was sent
	Errors  map[string]int64       `json:"errors"`  // by class, a few dozen at most

	Outcomes map[string]int64 `json:"outcomes,omitempty"` // what became of pushed or relayed messages, by the server's word
}

// The outcomes that a tally tells apart. A server's words are its own; more of them
// than outcomesMax, or longer ones, are counted as outcomeOther.
const (
	outcomesMax      = 64
	outcomeBytesMax  = 32
	outcomeOther     = "other"
	errorClassesMax  = 256
	errorClassesRest = "more classes"
)

// Outcome counts n messages that the server says the same word about. The word is
// borrowed.
func (t *Tally) Outcome(word []byte, n int64) {
	if t.Outcomes == nil {
		t.Outcomes = map[string]int64{}
	}
	t.Outcomes[t.outcomeName(word)] += n
}

// outcomeName returns the word as a key, without garbage for the usual ones.
func (t *Tally) outcomeName(word []byte) string {
	switch string(word) {
	case "written":
		return "written"
	case "acked":
		return "acked"
	case "offline":
		return "offline"
	case "overloaded":
		return "overloaded"
	}
	if _, known := t.Outcomes[string(word)]; !known && (len(word) > outcomeBytesMax || len(t.Outcomes) >= outcomesMax || !isWord(word)) {
		return outcomeOther
	}
	return string(word)
}

// isWord says whether a text is made of what metric names are made of.
func isWord(text []byte) bool {
	for _, b := range text {
		if (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '_' {
			return false
		}
	}
	return len(text) > 0
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
	if _, known := t.Errors[class]; !known && len(t.Errors) >= errorClassesMax {
		class = errorClassesRest
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
	for word, n := range other.Outcomes {
		if t.Outcomes == nil {
			t.Outcomes = map[string]int64{}
		}
		t.Outcomes[word] += n
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
