package compare

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// threshold is a condition on a ratio: ratio(roost/gws).cpu_per_message<=0.9. The
// median over the rounds is what must hold.
type threshold struct {
	text   string
	of, to string
	metric Metric
	op     string
	number float64
}

var thresholdForm = regexp.MustCompile(`^\s*ratio\(\s*([^/()\s]+)\s*/\s*([^/()\s]+)\s*\)\.([a-z0-9_]+)\s*(<=|>=|<|>)\s*([0-9.]+)\s*$`)

// parseThreshold reads a threshold and checks that the plan has its targets and its
// metric, so that a typo ends the command before the first round.
func (p Plan) parseThreshold(text string) (threshold, error) {
	m := thresholdForm.FindStringSubmatch(text)
	if m == nil {
		return threshold{}, fmt.Errorf("threshold %q is not of the form ratio(A/B).METRIC<=NUMBER", text)
	}
	t := threshold{text: strings.TrimSpace(text), of: m[1], to: m[2], metric: Metric(m[3]), op: m[4]}
	var err error
	if t.number, err = strconv.ParseFloat(m[5], 64); err != nil {
		return threshold{}, fmt.Errorf("threshold %q: %q is not a number", text, m[5])
	}
	for _, name := range []string{t.of, t.to} {
		if !slices.ContainsFunc(p.Targets, func(t Target) bool { return t.Name == name }) {
			return threshold{}, fmt.Errorf("threshold %q: there is no target %q", text, name)
		}
	}
	if all := p.Load.metrics(); !slices.Contains(all, t.metric) {
		return threshold{}, fmt.Errorf("threshold %q: this comparison does not measure %q; it has %v", text, t.metric, all)
	}
	return t, nil
}

func (p Plan) parseThresholds() (all []threshold, err error) {
	for _, text := range p.Thresholds {
		t, err := p.parseThreshold(text)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// Verdict is a threshold beside what was measured.
type Verdict struct {
	Text     string  `json:"text"`
	Measured *Spread `json:"measured,omitempty"` // nil: there is no such figure, which is no proof
	Held     bool    `json:"held"`
	Invalid  bool    `json:"invalid,omitempty"` // the generator set the pace or was late: the figure is not the servers'
}

func (r *Result) judge(all []threshold) {
	for _, t := range all {
		v := Verdict{Text: t.text}
		if s, ok := r.Ratio(t.of, t.to, t.metric); ok {
			v.Measured, v.Held = &s, t.holds(s.Median)
		}
		if t.metric.ofBoth() && !r.sound(t, v.Measured) {
			v.Held, v.Invalid = false, true
		}
		r.Verdicts = append(r.Verdicts, v)
	}
}

// sound reports whether a figure that depends on the generator too is the servers': it
// set the pace in no round, and was in time in at least half of them.
func (r *Result) sound(t threshold, s *Spread) bool {
	if r.generatorBound(t.of) || r.generatorBound(t.to) {
		return false
	}
	late := slices.ContainsFunc(r.Samples, func(s Sample) bool { return s.Invalid != "" })
	return !late || (s != nil && 2*len(s.Values) >= r.Rounds)
}

func (t threshold) holds(value float64) bool {
	switch t.op {
	case "<":
		return value < t.number
	case "<=":
		return value <= t.number
	case ">":
		return value > t.number
	}
	return value >= t.number
}
