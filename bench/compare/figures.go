package compare

import (
	"fmt"
	"maps"
	"slices"

	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
)

// Metric is a figure that every target has in every round.
type Metric string

// The metrics.
const (
	CPUPerMessage    Metric = "cpu_per_message"    // server CPU, user + system, for each echo; ns
	CPUPerUpgrade    Metric = "cpu_per_upgrade"    // server CPU for each upgrade and its end; ns
	Rate             Metric = "rate"               // echoes or upgrades a second
	P50              Metric = "p50"                // latency; open loop when the load is paced; ns
	P99              Metric = "p99"                // ns
	RSS              Metric = "rss"                // resident memory at the end of the load; bytes
	RSSPerConnection Metric = "rss_per_connection" // what it grew by since the start, for each connection; bytes
)

var units = map[Metric]report.Unit{
	CPUPerMessage: report.Nanos, CPUPerUpgrade: report.Nanos, Rate: report.PerSecond, P50: report.Nanos, P99: report.Nanos,
	RSS: report.Bytes, RSSPerConnection: report.Bytes,
}

// rssConnectionsMin is the least number of connections whose share of memory is
// reported: with fewer, the steps in which a heap grows are all that shows.
const rssConnectionsMin = 1000

// metrics lists what a load measures, in the order of the table; CPU comes first.
func (l Load) metrics() []Metric {
	if l.Kind == Connect {
		return []Metric{CPUPerUpgrade, Rate, P50, P99, RSS}
	}
	all := []Metric{CPUPerMessage, Rate, P50, P99, RSS}
	if l.Connections >= rssConnectionsMin {
		all = append(all, RSSPerConnection)
	}
	return all
}

// ofBoth says that the figure depends on the generator's speed as much as on the
// server's.
func (m Metric) ofBoth() bool { return m == Rate || m == P50 || m == P99 }

// Sample is one target in one round.
type Sample struct {
	Round           int                `json:"round"` // from 1
	Target          string             `json:"target"`
	Figures         map[Metric]float64 `json:"figures"`
	GeneratorCPU    float64            `json:"generator_cpu"`     // share of a core that its busiest loop used
	GeneratorBound  bool               `json:"generator_bound"`   // closed loop: it, not the server, set the pace
	ServerOthers    *float64           `json:"server_others"`     // share of the server's core that others used
	GeneratorOthers *float64           `json:"generator_others"`  // the same of the generator's core
	Wrong           string             `json:"wrong,omitempty"`   // messages lost, connections failed: the figures are not of the same work
	Invalid         string             `json:"invalid,omitempty"` // open loop: the generator was late; there is no rate and no latency, the CPU stands
}

// counted is what the server's CPU is divided by.
func (l Load) counted() tally.Counter {
	if l.Kind == Connect {
		return tally.Opened
	}
	return tally.Received
}

// sample takes the figures out of a run's result.
func sample(l Load, r *report.Result, s *server, load, generator span) Sample {
	out := Sample{Target: s.target.Name, Figures: map[Metric]float64{}, GeneratorCPU: r.Generator.BusiestLoop}
	take := func(m Metric, name string) {
		if found, ok := r.Find(name); ok && found.Value > 0 {
			out.Figures[m] = found.Value
		}
	}
	switch {
	case l.Kind == Connect:
		take(Rate, "connect.rate")
		take(P50, "connect.p50")
		take(P99, "connect.p99")
	case l.closedLoop():
		take(P50, "echo.closed.p50")
		take(P99, "echo.closed.p99")
	default:
		take(P50, "echo.p50")
		take(P99, "echo.p99")
	}
	if l.Kind == Echo {
		take(Rate, "echo.rate")
	}
	if done := r.Total.Get(l.counted()); done > 0 {
		if cpu, ok := load.cpu(); ok {
			out.Figures[l.metrics()[0]] = float64(cpu) / float64(done)
		}
	}
	if share, ok := load.others(); ok {
		out.ServerOthers = &share
	}
	if share, ok := generator.others(); ok {
		out.GeneratorOthers = &share
	}
	for _, p := range r.Phases {
		if p.Kind != l.measured() || p.ServerAfter == nil {
			continue
		}
		out.Figures[RSS] = float64(p.ServerAfter.RSSBytes)
		if l.Connections >= rssConnectionsMin && p.Open > 0 {
			out.Figures[RSSPerConnection] = float64(p.ServerAfter.RSSBytes-s.baseline.RSSBytes) / float64(p.Open)
		}
	}
	out.Wrong = wrong(r)
	switch {
	case len(r.Saturated) == 0:
	case l.closedLoop():
		// To leave such rounds out would keep those in which the server was slow.
		out.GeneratorBound = true
	default:
		out.Invalid = r.Saturated[0]
		maps.DeleteFunc(out.Figures, func(m Metric, _ float64) bool { return m.ofBoth() })
	}
	return out
}

// wrong names what must not happen while servers are compared.
func wrong(r *report.Result) string {
	for _, c := range []tally.Counter{tally.Failed, tally.Lost, tally.Corrupt, tally.Duplicated, tally.Reordered, tally.Ended} {
		if n := r.Total.Get(c); n > 0 {
			return fmt.Sprintf("%d %s", n, c)
		}
	}
	return ""
}

// Spread is a figure over the rounds.
type Spread struct {
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Values []float64 `json:"values"` // in the order of the rounds
}

// spread is false when there are no values.
func spread(values []float64) (Spread, bool) {
	if len(values) == 0 {
		return Spread{}, false
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return Spread{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1], Values: values}, true
}

// Figure returns a target's figure over the rounds.
func (r *Result) Figure(name string, m Metric) (Spread, bool) {
	var values []float64
	for _, s := range r.Samples {
		if v, ok := s.Figures[m]; ok && s.Target == name {
			values = append(values, v)
		}
	}
	return spread(values)
}

// Ratio returns of's figure divided by to's, round by round: both were measured
// within seconds of each other.
func (r *Result) Ratio(of, to string, m Metric) (Spread, bool) {
	var values []float64
	for _, a := range r.Samples {
		for _, b := range r.Samples {
			if a.Target != of || b.Target != to || a.Round != b.Round {
				continue
			}
			x, ok1 := a.Figures[m]
			y, ok2 := b.Figures[m]
			if ok1 && ok2 && y > 0 {
				values = append(values, x/y)
			}
		}
	}
	return spread(values)
}

// generatorBound reports whether the generator set the pace of any of the target's
// rounds.
func (r *Result) generatorBound(name string) bool {
	return slices.ContainsFunc(r.Samples, func(s Sample) bool { return s.Target == name && s.GeneratorBound })
}
