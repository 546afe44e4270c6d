package disruption

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/roostpush/roost/bench/report"
)

// Result is what was done, what came out, and whether it is what must be.
type Result struct {
	Plan     string        `json:"plan"`
	Nodes    int           `json:"nodes"`
	Devices  int           `json:"devices"`
	Rate     float64       `json:"rate"`
	Moves    float64       `json:"moves"`
	Known    time.Duration `json:"known_ns"`
	Load     time.Duration `json:"load_ns"`
	Phases   []string      `json:"phases"` // in their order
	Proofs   []Proof       `json:"proofs"`
	Tally    *Tally        `json:"tally"`
	Verdicts []Verdict     `json:"verdicts"`
	Times    []PhaseTimes  `json:"times"`
}

// Proof is a moment at which every push must be written.
type Proof struct {
	Name      string `json:"name"`
	Wanted    int    `json:"wanted"`
	Written   int    `json:"written"`
	Connected int    `json:"connected"` // devices
	Doubled   int    `json:"doubled"`   // devices whose older session was not closed
}

// Verdict is one thing that must hold.
type Verdict struct {
	Held bool   `json:"held"`
	Text string `json:"text"`
}

// PhaseTimes are the times from request to answer of reachable pushes that were written.
type PhaseTimes struct {
	Phase string        `json:"phase"`
	Count int64         `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P99   time.Duration `json:"p99_ns"`
	Max   time.Duration `json:"max_ns"`
}

func newResult(name string, s Settings) *Result {
	return &Result{Plan: name, Phases: []string{connecting}, Nodes: len(s.Nodes), Devices: s.Devices, Rate: s.PerSecond, Moves: s.Moves, Known: s.Known, Tally: newTally()}
}

// connecting is the phase before the first.
const connecting = "connect"

// skippedMax is the share of pushes that may not have been made without the load having
// been another than was wanted.
const skippedMax = 0.02

// Held reports whether everything holds.
func (r *Result) Held() bool {
	return !slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return !v.Held })
}

// Valid reports whether the load was there; without it, holding proves little.
func (r *Result) Valid() bool {
	return float64(r.Tally.Skipped) <= skippedMax*float64(r.Tally.Taken+r.Tally.Skipped)
}

// judge draws the verdicts.
func (r *Result) judge() {
	t := r.Tally
	for _, phase := range r.Phases {
		h := t.times[phase]
		if h == nil {
			continue
		}
		at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) * time.Microsecond }
		r.Times = append(r.Times, PhaseTimes{phase, h.TotalCount(), at(50), at(99), time.Duration(h.Max()) * time.Microsecond})
	}
	t.Times = nil // said by Times
	say := func(held bool, format string, args ...any) {
		r.Verdicts = append(r.Verdicts, Verdict{held, fmt.Sprintf(format, args...)})
	}
	reachable := r.count(Reachable)
	say(t.Taken == t.Answered+t.Died && t.Silent == 0, "%d pushes were taken and %d outcomes returned; %d waited at a node that was killed", t.Taken, t.Answered, t.Died)
	say(t.Missed == 0 && reachable > 0, "%d of %d pushes to reachable devices were not written", t.Missed, reachable)
	say(t.Offline == 0 && reachable > 0, "%d of them were told that a device is offline that was connected throughout", t.Offline)
	say(t.Impossible == 0, "%d were written to devices that could not be reached (%d pushes)", t.Impossible, r.count(Apart)+r.count(Away))
	say(t.Denied == 0, "%d arrived although their outcome says that they did not", t.Denied)
	say(t.Vanished == 0, "%d were written to reachable devices and never arrived", t.Vanished)
	say(t.Wrong == 0, "%d messages came to another device", t.Wrong)
	say(t.Twice == 0, "%d messages came twice", t.Twice)
	for i := range r.Proofs {
		p := &r.Proofs[i]
		p.Written = t.Proofs[p.Name]["written"]
		say(p.Written == p.Wanted && p.Connected == r.Devices && p.Doubled == 0, "%s: %d of %d random pushes from random nodes were written%s; %d of %d devices connected, %d of them twice",
			p.Name, p.Written, p.Wanted, others(t.Proofs[p.Name]), p.Connected, r.Devices, p.Doubled)
	}
	if r.Plan == "partition" {
		say(r.count(Apart) > 0, "%d pushes were to devices on the other side", r.count(Apart))
	}
	if !r.Valid() {
		say(false, "INVALID: %d pushes could not be made, the load was not what was wanted", t.Skipped)
	}
}

// count is how many pushes were of a class.
func (r *Result) count(class Class) (n int) {
	for _, byClass := range r.Tally.Outcomes {
		for _, c := range byClass[class] {
			n += c
		}
	}
	return n
}

// others lists the outcomes besides written.
func others(counts map[string]int) (text string) {
	for _, outcome := range slices.Sorted(maps.Keys(counts)) {
		if outcome != "written" {
			text += fmt.Sprintf(", %d %s", counts[outcome], outcome)
		}
	}
	return text
}

// WriteText writes the tables and the verdicts as people read them.
func (r *Result) WriteText(w io.Writer) {
	fmt.Fprintf(w, "\n  %s: %d nodes, %d devices, %.0f pushes and %.0f moves a second, %v; a session must be known everywhere after %v\n",
		r.Plan, r.Nodes, r.Devices, r.Rate, r.Moves, r.Load.Round(time.Second), r.Known)
	fmt.Fprintf(w, "  %d sessions ended, %d devices were told to go, %d attempts to connect failed\n\n", r.Tally.Ended, r.Tally.Goaways, r.Tally.FailedDials)
	fmt.Fprintf(w, "  %-24s%-11s%9s  outcomes\n", "phase", "device is", "pushes")
	for _, phase := range r.Phases {
		for _, class := range classes {
			counts := r.Tally.Outcomes[phase][class]
			n := 0
			var list []string
			for _, outcome := range slices.Sorted(maps.Keys(counts)) {
				n += counts[outcome]
				list = append(list, fmt.Sprintf("%s %d", outcome, counts[outcome]))
			}
			if n > 0 {
				fmt.Fprintf(w, "  %-24s%-11s%9d  %s\n", phase, class, n, strings.Join(list, ", "))
			}
		}
	}
	fmt.Fprintf(w, "\n  %-24s%9s%10s%10s%10s  to an answer, of pushes that reached\n", "phase", "pushes", "p50", "p99", "max")
	for _, p := range r.Times {
		fmt.Fprintf(w, "  %-24s%9d%10s%10s%10s\n", p.Phase, p.Count, report.Duration(p.P50), report.Duration(p.P99), report.Duration(p.Max))
	}
	fmt.Fprintf(w, "\n  %d attempts were refused by a node and %d reset by one that left, and made at another; %d pushes were not made; %d messages written to devices that came or went did not arrive\n\n",
		r.Tally.Refused, r.Tally.Reset, r.Tally.Skipped, r.Tally.Unseen)
	for _, v := range r.Verdicts {
		word := "ok    "
		if !v.Held {
			word = "FAILED"
		}
		fmt.Fprintf(w, "  %s  %s\n", word, v.Text)
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Tally.Examples)) {
		fmt.Fprintf(w, "\n  %s, for example:\n    %s\n", kind, strings.Join(r.Tally.Examples[kind], "\n    "))
	}
}
