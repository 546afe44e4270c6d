package report

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/tally"
)

// Unit is what a metric's number means.
type Unit string

// The units.
const (
	Count     Unit = "count"
	PerSecond Unit = "1/s"
	Nanos     Unit = "ns"
	Bytes     Unit = "bytes"
	Share     Unit = "share" // 0 to 1
)

// Metric is one figure with the name that thresholds and JSON know it by.
type Metric struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  Unit    `json:"unit"`
}

// Percentiles shown everywhere; a threshold may ask for any other one.
var Percentiles = []float64{50, 90, 99, 99.9}

// Fill computes the metrics of a run that has ended.
func (r *Result) Fill() {
	for _, c := range tally.Counters() {
		r.add(c.String(), float64(r.Total.Get(c)), Count)
	}
	r.add("errors", float64(r.Total.ErrorCount()), Count)
	for _, word := range slices.Sorted(maps.Keys(r.Total.Outcomes)) {
		r.add(outcomePrefix+word, float64(r.Total.Outcomes[word]), Count)
	}
	for _, t := range tally.Timers() {
		r.addTimer(t)
	}
	if attempted := r.Total.Get(tally.Attempted); attempted > 0 {
		r.add("connect.success", float64(r.Total.Get(tally.Opened))/float64(attempted), Share)
	}
	for _, p := range r.Phases {
		r.addPhase(p)
	}
	r.add("generator.cpu", r.Generator.BusiestLoop, Share)
	r.add("generator.rss", float64(r.Generator.RSSBytes), Bytes)
}

// outcomePrefix begins the names of the metrics that count outcomes by word.
const outcomePrefix = "outcomes."

// AddMetric adds a figure that is not computed from counters and times.
func (r *Result) AddMetric(name string, value float64, unit Unit) { r.add(name, value, unit) }

func (r *Result) add(name string, value float64, unit Unit) {
	r.Metrics = append(r.Metrics, Metric{name, value, unit})
}

func (r *Result) addTimer(t tally.Timer) {
	h := r.Total.Timings[t]
	if h == nil {
		return
	}
	for _, p := range Percentiles {
		r.add(t.String()+".p"+strconv.FormatFloat(p, 'f', -1, 64), float64(h.Quantile(p)), Nanos)
	}
	r.add(t.String()+".mean", float64(h.Mean()), Nanos)
	r.add(t.String()+".max", float64(h.Max()), Nanos)
	r.add(t.String()+".count", float64(h.Count()), Count)
}

// cpuWallMin is the shortest phase whose server CPU is reported: what a runtime does now
// and then would be most of less, and some kernels count in steps of 10 ms.
const cpuWallMin = 250 * time.Millisecond

// work is what a kind of phase does: its name in metrics, the counter of what it got
// done, and what one of these is called when it is divided by.
var work = map[generator.Kind]struct {
	name string
	done tally.Counter
	unit string
}{
	generator.Open:   {"connect", tally.Opened, "upgrade"},
	generator.Churn:  {"connect", tally.Opened, "upgrade"},
	generator.Echo:   {"echo", tally.Received, "message"},
	generator.Push:   {"push", tally.Received, "message"},
	generator.Fanout: {"fanout", tally.Received, "delivery"},
	generator.Relay:  {"relay", tally.Received, "message"},
	generator.Move:   {"move", tally.Displaced, "move"},
	generator.Mix:    {"mix", tally.Received, "message"},
}

// addPhase adds the rate of a phase and what it cost the server.
func (r *Result) addPhase(p Phase) {
	seconds := p.Wall.Seconds()
	if p.Duration > 0 && p.Wall > p.Duration {
		seconds = p.Duration.Seconds() // the rest was waiting for the last answers
	}
	switch p.Kind {
	case generator.Wait:
		r.addHold(p)
	case generator.Mix, generator.Cycle:
		r.addStorm(p)
	}
	w, ok := work[p.Kind]
	done := p.Tally.Get(w.done)
	if !ok || seconds <= 0 {
		return
	}
	r.add(w.name+".rate", float64(done)/seconds, PerSecond)
	if p.ServerBefore == nil || p.ServerAfter == nil || done == 0 {
		return
	}
	if p.Kind == generator.Open && p.Open > 0 {
		r.add("server.rss_per_connection", float64(p.ServerAfter.RSSBytes-p.ServerBefore.RSSBytes)/float64(p.Open), Bytes)
	}
	if p.Wall < cpuWallMin {
		return
	}
	cpu := p.ServerAfter.CPU - p.ServerBefore.CPU
	r.add("server.cpu_per_"+w.unit, float64(cpu)/float64(done), Nanos)
	r.add("server.cpu."+w.name, cpu.Seconds()/p.Wall.Seconds(), Share)
}

// addStorm adds how long it took until everybody who was dropped was back. When
// somebody is missing there is no such time, and a threshold on it does not hold.
func (r *Result) addStorm(p Phase) {
	if p.Tally.Get(tally.Dropped) > 0 && p.Tally.Get(tally.Missing) == 0 && p.Back > 0 {
		r.add("storm.back", float64(p.Back), Nanos)
	}
}

// addHold adds what idle connections cost the server: CPU for each connection and
// second, and how its memory moved meanwhile.
func (r *Result) addHold(p Phase) {
	if p.ServerBefore == nil || p.ServerAfter == nil || p.Open == 0 || p.Wall <= 0 {
		return
	}
	cpu := p.ServerAfter.CPU - p.ServerBefore.CPU
	r.add("server.idle_cpu_per_connection_second", float64(cpu)/float64(p.Open)/p.Wall.Seconds(), Nanos)
	r.add("server.rss_slope", float64(p.ServerAfter.RSSBytes-p.ServerBefore.RSSBytes)/p.Wall.Seconds(), Bytes)
}

// Find returns a metric by name; any percentile of a timer can be asked for.
func (r *Result) Find(name string) (Metric, bool) {
	for _, m := range r.Metrics {
		if m.Name == name {
			return m, true
		}
	}
	if strings.HasPrefix(name, outcomePrefix) && r.Total.Get(tally.Answered) > 0 {
		return Metric{name, 0, Count}, true // nothing had this outcome
	}
	timer, percent, ok := splitPercentile(name)
	if !ok || r.Total.Timings[timer] == nil {
		return Metric{}, false
	}
	return Metric{name, float64(r.Total.Timings[timer].Quantile(percent)), Nanos}, true
}

// splitPercentile reads a name like connect.p99.95.
func splitPercentile(name string) (timer tally.Timer, percent float64, ok bool) {
	for _, t := range tally.Timers() {
		if text, found := strings.CutPrefix(name, t.String()+".p"); found {
			percent, err := strconv.ParseFloat(text, 64)
			if err == nil && percent >= 0 && percent <= 100 {
				return t, percent, true
			}
		}
	}
	return 0, 0, false
}

// Text returns the value as people read it.
func (m Metric) Text() string {
	switch m.Unit {
	case Nanos:
		return Duration(time.Duration(m.Value))
	case Bytes:
		return Size(m.Value)
	case Share:
		return fmt.Sprintf("%.2f %%", m.Value*100)
	case PerSecond:
		return fmt.Sprintf("%.1f/s", m.Value)
	}
	return strconv.FormatFloat(m.Value, 'f', -1, 64)
}
