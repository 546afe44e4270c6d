package processor

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/session"
)

// What every source needs and none of them is special about: complaints that do not flood
// the log, the checks of its settings, the headers of a dead letter, and what is counted of
// results.

// The headers of a dead letter of any source, beside those that its record came with.
const (
	HeaderErrorCode   = "roost-error-code"     // one of the codes of a Reject
	HeaderErrorDetail = "roost-error"          // a sentence for people
	HeaderLeftOut     = "roost-error-left-out" // LeftOutValue or LeftOutAll: with them it was too large

	LeftOutValue = "value"
	LeftOutAll   = "value and headers"
)

// Complaints logs each kind of trouble at most once in a while: a queue that is away says
// so many times a second. Any goroutine may call it.
type Complaints struct {
	*slog.Logger
	every time.Duration
	now   func() time.Time

	mu   sync.Mutex
	last map[string]time.Time
}

// complaintKindsMax bounds the kinds that are remembered; when there are more, all may be
// logged once more.
const complaintKindsMax = 256

// NewComplaints returns one that logs the same kind once in every so long by now, a clock
// that any goroutine may call.
func NewComplaints(log *slog.Logger, every time.Duration, now func() time.Time) *Complaints {
	return &Complaints{Logger: log, every: every, now: now, last: map[string]time.Time{}}
}

// Complain warns, unless it did so for this kind lately.
func (c *Complaints) Complain(kind, message string, args ...any) {
	if c.due(kind) {
		c.Warn(message, args...)
	}
}

func (c *Complaints) due(kind string) bool {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if last, ok := c.last[kind]; ok && now.Sub(last) < c.every {
		return false
	}
	if len(c.last) >= complaintKindsMax {
		clear(c.last)
	}
	c.last[kind] = now
	return true
}

// Problems gathers what is wrong with a source's settings. The zero value has none.
type Problems struct {
	Section string // of the settings; it stands in front of each problem
	list    []error
}

// Check adds a problem unless ok.
func (p *Problems) Check(ok bool, format string, args ...any) {
	if !ok {
		p.list = append(p.list, fmt.Errorf(p.Section+format, args...))
	}
}

// Count checks that a number is within its limits.
func (p *Problems) Count(name string, v, low, high int) {
	p.Check(v >= low && v <= high, "%s is %d: %d to %d are allowed", name, v, low, high)
}

// Duration checks that a time is within its limits.
func (p *Problems) Duration(name string, v, low, high time.Duration) {
	p.Check(v >= low && v <= high, "%s is %v: %v to %v are allowed", name, v, low, high)
}

// Any reports whether there is a problem.
func (p *Problems) Any() bool { return len(p.list) > 0 }

// Err returns all of them as one error; nil: there are none.
func (p *Problems) Err() error { return errors.Join(p.list...) }

// LaneCounters are a counter for each lane. Any goroutine may add to one.
type LaneCounters [session.PriorityCount]atomic.Uint64

// Load returns the numbers, each exact.
func (c *LaneCounters) Load() (n ByLane) {
	for i := range c {
		n[i] = c[i].Load()
	}
	return n
}

// ResultCounters count what became of a source's records. Any goroutine may call it.
type ResultCounters struct {
	outcomes           [session.OutcomeCount]atomic.Uint64
	Repeated, Rejected atomic.Uint64
}

// Count counts a final result.
func (c *ResultCounters) Count(r *Result) {
	for o, n := range r.Counts {
		if n > 0 {
			c.outcomes[o].Add(uint64(n))
		}
	}
	if r.Repeated {
		c.Repeated.Add(1)
	}
	if r.Reject != nil {
		c.Rejected.Add(1)
	}
}

// Outcomes returns how many devices had which outcome, each exact.
func (c *ResultCounters) Outcomes() (n [session.OutcomeCount]uint64) {
	for i := range c.outcomes {
		n[i] = c.outcomes[i].Load()
	}
	return n
}
