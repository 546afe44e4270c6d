package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/tally"
)

// WriteTable writes the final table.
func (r *Result) WriteTable(w io.Writer) {
	fmt.Fprintf(w, "\n%s  %s  %s, %d process(es) of %d loop(s)\n\n", r.Scenario, r.Target.URL, Duration(r.Wall), r.Processes, r.Loops)
	r.writeCounts(w)
	r.writeTimings(w)
	r.writeTallies(w)
	r.writeServer(w)
	r.writeGenerator(w)
	r.writeVerdicts(w)
}

func (r *Result) writeCounts(w io.Writer) {
	t := r.Total
	fmt.Fprintf(w, "  connections   %d attempted, %d opened, %d failed, %d ended by the server%s\n",
		t.Get(tally.Attempted), t.Get(tally.Opened), t.Get(tally.Failed), t.Get(tally.Ended), r.metricText(", %s", "connect.rate"))
	if sent := t.Get(tally.Sent); sent > 0 {
		fmt.Fprintf(w, "  messages      %d sent, %d back, %d lost, %d duplicated, %d reordered, %d corrupt, %d unsent%s\n",
			sent, t.Get(tally.Received), t.Get(tally.Lost), t.Get(tally.Duplicated), t.Get(tally.Reordered),
			t.Get(tally.Corrupt), t.Get(tally.Unsent), r.metricText(", %s", "echo.rate"))
	}
	if proved, dead := t.Get(tally.Proved), t.Get(tally.Dead); proved+dead > 0 {
		fmt.Fprintf(w, "  proof         %d alive, %d dead\n", proved, dead)
	}
	if pings := t.Get(tally.Pings); pings > 0 {
		fmt.Fprintf(w, "  pings         %d answered\n", pings)
	}
}

func (r *Result) metricText(format, name string) string {
	m, ok := r.Find(name)
	if !ok {
		return ""
	}
	return fmt.Sprintf(format, m.Text())
}

// timerLabels say what each latency is measured from.
var timerLabels = []struct {
	timer tally.Timer
	label string
}{
	{tally.Connect, "upgrade, open loop"},
	{tally.ConnectClosed, "upgrade, closed loop"},
	{tally.Echo, "echo, open loop"},
	{tally.EchoClosed, "echo, closed loop"},
	{tally.Proof, "ping of the proof"},
}

func (r *Result) writeTimings(w io.Writer) {
	fmt.Fprintf(w, "\n  %-22s%11s%11s%11s%11s%11s%11s\n", "latency", "p50", "p90", "p99", "p99.9", "max", "count")
	for _, row := range timerLabels {
		h := r.Total.Timings[row.timer]
		if h == nil || h.Count() == 0 || (row.timer == tally.Connect && !r.connectsPaced()) {
			continue
		}
		fmt.Fprintf(w, "  %-22s", row.label)
		for _, p := range Percentiles {
			fmt.Fprintf(w, "%11s", Duration(h.Quantile(p)))
		}
		fmt.Fprintf(w, "%11s%11d\n", Duration(h.Max()), h.Count())
	}
	fmt.Fprint(w, "  open loop: from the intended start, waits included; closed loop: from the actual send\n")
}

// connectsPaced says whether connections were begun at a rate. If not, their
// open-loop figure would be the closed one under another name.
func (r *Result) connectsPaced() bool {
	for _, p := range r.Phases {
		if p.PerSecond > 0 && (p.Kind == generator.Open || p.Kind == generator.Churn) {
			return true
		}
	}
	return false
}

func (r *Result) writeTallies(w io.Writer) {
	if len(r.Total.Closes) > 0 {
		var parts []string
		for _, code := range slices.Sorted(maps.Keys(r.Total.Closes)) {
			name := fmt.Sprint(code)
			if code == 1006 {
				name = "1006 (no close frame)"
			}
			parts = append(parts, fmt.Sprintf("%s: %d", name, r.Total.Closes[code]))
		}
		fmt.Fprintf(w, "\n  closes        %s\n", strings.Join(parts, ", "))
	}
	if len(r.Total.Errors) > 0 {
		var parts []string
		for _, class := range slices.Sorted(maps.Keys(r.Total.Errors)) {
			parts = append(parts, fmt.Sprintf("%s: %d", class, r.Total.Errors[class]))
		}
		fmt.Fprintf(w, "  errors        %s\n", strings.Join(parts, ", "))
	}
}

func (r *Result) writeServer(w io.Writer) {
	var last *Phase
	for i := range r.Phases {
		if r.Phases[i].ServerAfter != nil {
			last = &r.Phases[i]
		}
	}
	if last == nil {
		return
	}
	first := r.Phases[0].ServerBefore
	fmt.Fprintf(w, "\n  server        RSS %s -> %s, %d descriptors at the end\n",
		Size(float64(first.RSSBytes)), Size(float64(last.ServerAfter.RSSBytes)), last.ServerAfter.Descriptors)
	for _, m := range r.Metrics {
		if strings.HasPrefix(m.Name, "server.") {
			fmt.Fprintf(w, "    %-38s %s%s\n", m.Name, m.Text(), map[bool]string{true: " a second"}[m.Name == "server.rss_slope"])
		}
	}
}

func (r *Result) writeGenerator(w io.Writer) {
	g := r.Generator
	fmt.Fprintf(w, "\n  generator     busiest loop %.0f %% of a core, %.2f %% of starts and %.2f %% of heartbeats later than %s, %s of memory\n",
		g.BusiestLoop*100, g.LateShare*100, g.BeatShare*100, Duration(g.LateBound), Size(float64(g.RSSBytes)))
}

func (r *Result) writeVerdicts(w io.Writer) {
	for _, v := range r.Thresholds {
		word, measured := "ok    ", "not measured"
		if !v.Held {
			word = "FAILED"
		}
		if v.Measured != nil {
			measured = v.Measured.Text()
		}
		fmt.Fprintf(w, "  %s        %s (%s)\n", word, v.Text, measured)
	}
	if r.Early != "" {
		fmt.Fprintf(w, "  EARLY         the run ended before its time: %s; these are the results so far\n", r.Early)
	}
	for _, why := range r.Saturated {
		fmt.Fprintf(w, "  INVALID       the generator was the bottleneck: %s\n", why)
	}
}
