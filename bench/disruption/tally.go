package disruption

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// examplesMax is how many cases of each kind of failure are described.
const examplesMax = 8

// Tally is what came out of pushes. It is JSON between processes.
type Tally struct {
	Outcomes map[string]map[Class]map[string]int `json:"outcomes"` // by phase, class and outcome
	Proofs   map[string]map[string]int           `json:"proofs"`   // by phase and outcome
	Times    map[string]*hdrhistogram.Snapshot   `json:"times"`    // of reachable pushes that were written, by phase, in µs

	Taken      int `json:"taken"`      // pushes that a node took
	Answered   int `json:"answered"`   // of them, those that got an outcome
	Died       int `json:"died"`       // those that got none because their node was killed
	Silent     int `json:"silent"`     // those that got none, and their node was not
	Refused    int `json:"refused"`    // attempts that a node did not take; another was asked
	Reset      int `json:"reset"`      // attempts whose new connection a leaving node reset; another was asked
	Skipped    int `json:"skipped"`    // pushes that no node took, or that were too many
	Missed     int `json:"missed"`     // reachable, and not written
	Offline    int `json:"offline"`    // of them, those that were told offline
	Impossible int `json:"impossible"` // written although apart or away
	Denied     int `json:"denied"`     // arrived although the outcome says that it did not
	Vanished   int `json:"vanished"`   // reachable, written, and never arrived
	Unseen     int `json:"unseen"`     // written to a device that came or went, and never arrived

	Wrong       int64 `json:"wrong"` // messages at another device
	Twice       int64 `json:"twice"` // messages that arrived again
	FailedDials int64 `json:"failed_dials"`
	Ended       int64 `json:"ended"` // sessions
	Goaways     int64 `json:"goaways"`

	Examples map[string][]string `json:"examples"` // of what must not be

	times map[string]*hdrhistogram.Histogram
}

func newTally() *Tally {
	return &Tally{
		Outcomes: map[string]map[Class]map[string]int{}, Proofs: map[string]map[string]int{},
		Times: map[string]*hdrhistogram.Snapshot{}, Examples: map[string][]string{},
		times: map[string]*hdrhistogram.Histogram{},
	}
}

// judge files a push. died: the node that took it was killed.
func (t *Tally) judge(p *push, class Class, arrivals int, died bool, entry string) {
	t.Taken++
	written := p.outcome == "written"
	describe := func(kind string) {
		node := ""
		if p.begin.session != nil {
			node = fmt.Sprintf(", its session on node %d", p.begin.session.node+1)
		}
		t.example(kind, fmt.Sprintf("%s %s, through %s%s: %s %s %s after %s; sessions unchanged for %s, way %v; arrived %d times; at %s",
			p.phase, p.device.name, entry, node, p.outcome, p.node, p.problem, p.took.Round(time.Millisecond),
			time.Duration(p.begunNS-p.begin.sinceNS).Round(time.Millisecond), p.begin.way, arrivals,
			time.Unix(0, p.begunNS).UTC().Format("15:04:05.000")))
	}
	switch {
	case p.outcome != unansweredX:
		t.Answered++
	case died:
		t.Died++
	default:
		t.Silent++
		describe("silent")
	}
	if p.outcome != unansweredX || !died {
		t.add(p, class)
	}
	switch {
	case class == Reachable && !written && !(p.outcome == unansweredX && died):
		t.Missed++
		describe("missed")
		if isOffline(p.outcome) {
			t.Offline++
		}
	case written && (class == Apart || class == Away):
		t.Impossible++
		describe("impossible")
	case written && arrivals == 0 && class == Reachable && p.stayed:
		t.Vanished++
		describe("vanished")
	case written && arrivals == 0:
		t.Unseen++
	}
	if arrivals > 0 && denies(p.outcome) {
		t.Denied++
		describe("denied")
	}
}

// add counts an outcome where it belongs.
func (t *Tally) add(p *push, class Class) {
	if p.proof {
		if t.Proofs[p.phase] == nil {
			t.Proofs[p.phase] = map[string]int{}
		}
		t.Proofs[p.phase][p.outcome]++
	}
	if t.Outcomes[p.phase] == nil {
		t.Outcomes[p.phase] = map[Class]map[string]int{}
	}
	if t.Outcomes[p.phase][class] == nil {
		t.Outcomes[p.phase][class] = map[string]int{}
	}
	t.Outcomes[p.phase][class][p.outcome]++
	if class == Reachable && p.outcome == "written" {
		if t.times[p.phase] == nil {
			t.times[p.phase] = newTimes()
		}
		_ = t.times[p.phase].RecordValue(min(p.took.Microseconds(), timeMaxUS)) // it is within the bounds
	}
}

const timeMaxUS = 60_000_000

func newTimes() *hdrhistogram.Histogram { return hdrhistogram.New(1, timeMaxUS, 2) }

// isOffline: the API says it in two more ways when a push is to one device.
func isOffline(outcome string) bool {
	return outcome == "offline" || outcome == "device_offline" || outcome == "device_unknown"
}

func (t *Tally) example(kind, text string) {
	if len(t.Examples[kind]) < examplesMax {
		t.Examples[kind] = append(t.Examples[kind], text)
	}
}

// pack makes t fit for JSON.
func (t *Tally) pack() *Tally {
	for phase, h := range t.times {
		t.Times[phase] = h.Export()
	}
	return t
}

// merge adds what another worker has counted.
func (t *Tally) merge(o *Tally) {
	for phase, byClass := range o.Outcomes {
		if t.Outcomes[phase] == nil {
			t.Outcomes[phase] = map[Class]map[string]int{}
		}
		for class, counts := range byClass {
			if t.Outcomes[phase][class] == nil {
				t.Outcomes[phase][class] = map[string]int{}
			}
			addCounts(t.Outcomes[phase][class], counts)
		}
	}
	for phase, counts := range o.Proofs {
		if t.Proofs[phase] == nil {
			t.Proofs[phase] = map[string]int{}
		}
		addCounts(t.Proofs[phase], counts)
	}
	for phase, s := range o.Times {
		if t.times[phase] == nil {
			t.times[phase] = newTimes()
		}
		t.times[phase].Merge(hdrhistogram.Import(s))
	}
	for _, n := range []struct{ sum, more *int }{
		{&t.Taken, &o.Taken}, {&t.Answered, &o.Answered}, {&t.Died, &o.Died}, {&t.Silent, &o.Silent}, {&t.Refused, &o.Refused}, {&t.Reset, &o.Reset},
		{&t.Skipped, &o.Skipped}, {&t.Missed, &o.Missed}, {&t.Offline, &o.Offline}, {&t.Impossible, &o.Impossible},
		{&t.Denied, &o.Denied}, {&t.Vanished, &o.Vanished}, {&t.Unseen, &o.Unseen},
	} {
		*n.sum += *n.more
	}
	t.Wrong, t.Twice = t.Wrong+o.Wrong, t.Twice+o.Twice
	t.FailedDials, t.Ended, t.Goaways = t.FailedDials+o.FailedDials, t.Ended+o.Ended, t.Goaways+o.Goaways
	for kind, list := range o.Examples {
		for _, text := range list {
			t.example(kind, text)
		}
	}
}

func addCounts(to, from map[string]int) {
	for k, n := range from {
		to[k] += n
	}
}
