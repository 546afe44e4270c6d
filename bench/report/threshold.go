package report

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"

	"github.com/roostpush/roost/bench/tally"
)

// Threshold is a condition that must hold for a run to pass: a metric's name, a
// comparison, a number. connect.p99<50ms, lost==0, server.rss_per_connection<=700B,
// connect.success>=99.9%.
type Threshold struct {
	Text   string
	Name   string
	Op     string
	Number float64 // in the base unit: ns, bytes, 1, 0 to 1
}

// Verdict is a threshold beside what was measured.
type Verdict struct {
	Text     string  `json:"text"`
	Measured *Metric `json:"measured,omitempty"` // nil: the run has no such figure
	Held     bool    `json:"held"`
}

var thresholdForm = regexp.MustCompile(`^\s*([a-z][a-z0-9_.]*)\s*(<=|>=|==|!=|<|>)\s*(-?[0-9.]+)\s*([A-Za-zµ%]*)\s*$`)

// suffixes are the units a threshold may be written in.
var suffixes = map[string]struct {
	unit   Unit
	factor float64
}{
	"": {Count, 1}, "ns": {Nanos, 1}, "us": {Nanos, 1e3}, "µs": {Nanos, 1e3}, "ms": {Nanos, 1e6}, "s": {Nanos, 1e9},
	"m": {Nanos, float64(time.Minute)}, "%": {Share, 0.01},
	"B": {Bytes, 1}, "KiB": {Bytes, 1 << 10}, "MiB": {Bytes, 1 << 20}, "GiB": {Bytes, 1 << 30},
	"KB": {Bytes, 1e3}, "MB": {Bytes, 1e6}, "GB": {Bytes, 1e9},
}

// unitWords say how a number of a unit is written.
var unitWords = map[Unit]string{
	Count: "a plain number, like 0", PerSecond: "a plain number, of a second, like 1000", Nanos: "a time with its unit, like 5ms or 80us",
	Bytes: "a size, like 700B or 2MiB", Share: "a share, like 99.9% or 0.999",
}

// otherNames are the metrics that are neither a counter nor a timer's.
var otherNames = map[string]Unit{
	"errors": Count, "connect.success": Share, "connect.rate": PerSecond, "echo.rate": PerSecond,
	"push.rate": PerSecond, "fanout.rate": PerSecond, "relay.rate": PerSecond, "mix.rate": PerSecond, "ramp.rate": PerSecond,
	"move.rate": PerSecond, "server.cpu_per_move": Nanos, "server.cpu.move": Share,
	"storm.back": Nanos, "server.cpu_per_delivery": Nanos,
	"server.cpu.push": Share, "server.cpu.fanout": Share, "server.cpu.relay": Share, "server.cpu.mix": Share,
	"generator.cpu": Share, "generator.rss": Bytes,
	"server.cpu_per_upgrade": Nanos, "server.cpu_per_message": Nanos, "server.cpu.connect": Share, "server.cpu.echo": Share,
	"server.rss_per_connection": Bytes, "server.rss_slope": Bytes, "server.idle_cpu_per_connection_second": Nanos,
}

// ParseThreshold reads a threshold and checks its name and unit, so that a typo ends
// the command before the run and not after it.
func ParseThreshold(text string) (Threshold, error) {
	m := thresholdForm.FindStringSubmatch(text)
	if m == nil {
		return Threshold{}, fmt.Errorf("threshold %q is not NAME OP NUMBER, like connect.p99<50ms or lost==0", text)
	}
	number, err := strconv.ParseFloat(m[3], 64)
	suffix, ok := suffixes[m[4]]
	if err != nil || !ok {
		return Threshold{}, fmt.Errorf("threshold %q: %q is not a number with a unit like ms, B, MiB or %%", text, m[3]+m[4])
	}
	unit, ok := unitOf(m[1])
	if !ok {
		return Threshold{}, fmt.Errorf("threshold %q: there is no metric %q; did you mean %q?", text, m[1], nearest(m[1]))
	}
	if unit != suffix.unit && (m[4] != "" || unit == Nanos) && number != 0 {
		return Threshold{}, fmt.Errorf("threshold %q: %s wants %s", text, m[1], unitWords[unit])
	}
	return Threshold{Text: strings.TrimSpace(text), Name: m[1], Op: m[2], Number: number * suffix.factor}, nil
}

// unitOf returns the unit of a metric that some run can have.
func unitOf(name string) (Unit, bool) {
	if unit, ok := otherNames[name]; ok {
		return unit, true
	}
	for _, c := range tally.Counters() {
		if c.String() == name {
			return Count, true
		}
	}
	if word, ok := strings.CutPrefix(name, outcomePrefix); ok && word != "" {
		return Count, true
	}
	if _, _, ok := splitPercentile(name); ok {
		return Nanos, true
	}
	for _, t := range tally.Timers() {
		switch name {
		case t.String() + ".mean", t.String() + ".max":
			return Nanos, true
		case t.String() + ".count":
			return Count, true
		}
	}
	return "", false
}

// nearest returns the known name with the fewest letters changed.
func nearest(name string) string {
	best, distance := "", math.MaxInt
	try := func(candidate string) {
		d := levenshtein.ComputeDistance(name, candidate)
		if d < distance || (d == distance && candidate < best) {
			best, distance = candidate, d
		}
	}
	for candidate := range otherNames {
		try(candidate)
	}
	for _, c := range tally.Counters() {
		try(c.String())
	}
	for _, t := range tally.Timers() {
		for _, p := range []string{".p50", ".p90", ".p99", ".p99.9", ".mean", ".max", ".count"} {
			try(t.String() + p)
		}
	}
	return best
}

// Judge compares the thresholds with the result. One whose figure the run does not
// have did not hold: silence is no proof.
func (r *Result) Judge(thresholds []Threshold) {
	for _, t := range thresholds {
		v := Verdict{Text: t.Text}
		if m, ok := r.Find(t.Name); ok {
			v.Measured, v.Held = &m, t.holds(m.Value)
		}
		r.Thresholds = append(r.Thresholds, v)
	}
}

func (t Threshold) holds(value float64) bool {
	switch t.Op {
	case "<":
		return value < t.Number
	case "<=":
		return value <= t.Number
	case ">":
		return value > t.Number
	case ">=":
		return value >= t.Number
	case "==":
		return value == t.Number
	}
	return value != t.Number
}
