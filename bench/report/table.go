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
	fmt.Fprintf(w, "\n%s  %s  %s, %d process(es) of %d loop(s)\n\n", r.Scenario, r.Target.Text(), Duration(r.Wall), r.Processes, r.Loops)
	r.writeCounts(w)
	r.writeTimings(w)
	r.writeTallies(w)
	r.writeServer(w)
	r.writeGenerator(w)
	r.writeSteps(w)
	r.writeBaseline(w)
	r.writeVerdicts(w)
}

// writeSteps lists what a ramp tried.
func (r *Result) writeSteps(w io.Writer) {
	if len(r.Steps) == 0 {
		return
	}
	fmt.Fprintln(w)
	for _, s := range r.Steps {
		word, why := "held", ""
		if !s.Held {
			word, why = "broke", "  "+strings.Join(append(slices.Clone(s.Broken), s.Saturated...), "; ")
		}
		fmt.Fprintf(w, "  ramp %14.1f/s  %-6s%s\n", s.PerSecond, word, why)
	}
	fmt.Fprintf(w, "  highest rate that holds%s\n", r.metricText("  %s", "ramp.rate"))
}

func (r *Result) writeCounts(w io.Writer) {
	t := r.Total
	fmt.Fprintf(w, "  connections   %d attempted, %d opened, %d failed, %d ended by the server%s\n",
		t.Get(tally.Attempted), t.Get(tally.Opened), t.Get(tally.Failed), t.Get(tally.Ended), r.metricText(", %s", "connect.rate"))
	if sent := t.Get(tally.Sent); sent > 0 {
		fmt.Fprintf(w, "  messages      %d sent, %d arrived, %d lost, %d duplicated, %d reordered, %d corrupt, %d unsent%s\n",
			sent, t.Get(tally.Received), t.Get(tally.Lost), t.Get(tally.Duplicated), t.Get(tally.Reordered),
			t.Get(tally.Corrupt), t.Get(tally.Unsent), r.rates())
	}
	if answered, unanswered := t.Get(tally.Answered), t.Get(tally.Unanswered); answered+unanswered > 0 {
		fmt.Fprintf(w, "  results       %d came, %d did not%s\n", answered, unanswered, r.outcomes())
	}
	if dropped := t.Get(tally.Dropped); dropped > 0 {
		fmt.Fprintf(w, "  reconnects    %d dropped, %d back, %d missing, %d tried again%s\n", dropped, t.Get(tally.Returned),
			t.Get(tally.Missing), t.Get(tally.Retried), r.metricText(", all back after %s", "storm.back"))
	}
	if moved := t.Get(tally.Moved); moved > 0 {
		fmt.Fprintf(w, "  moves         %d devices connected to another node, %d lost their first connection for it, %d did not\n", moved,
			t.Get(tally.Displaced), t.Get(tally.Missing))
	}
	if proved, dead := t.Get(tally.Proved), t.Get(tally.Dead); proved+dead > 0 {
		fmt.Fprintf(w, "  proof         %d alive, %d dead\n", proved, dead)
	}
	if pings := t.Get(tally.Pings); pings > 0 {
		fmt.Fprintf(w, "  pings         %d answered\n", pings)
	}
}

// rates lists the rates of messages.
func (r *Result) rates() (text string) {
	for _, name := range []string{"echo.rate", "push.rate", "fanout.rate", "relay.rate", "mix.rate"} {
		text += r.metricText(", %s", name)
	}
	return text
}

// outcomes lists what became of messages, by the server's word.
func (r *Result) outcomes() (text string) {
	for _, word := range slices.Sorted(maps.Keys(r.Total.Outcomes)) {
		text += fmt.Sprintf(", %s: %d", word, r.Total.Outcomes[word])
	}
	return text
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
	{tally.Connect, "upgrade, open"},
	{tally.ConnectClosed, "upgrade, closed"},
	{tally.Echo, "echo, open"},
	{tally.EchoClosed, "echo, closed"},
	{tally.Push, "push to its device, open"},
	{tally.PushClosed, "push to its device, closed"},
	{tally.PushArrived, "push to its device's kernel"},
	{tally.PushWindow, "the p99 of each 0.1 s of it, push"},
	{tally.Outcome, "push to its result, open"},
	{tally.OutcomeClosed, "push to its result, closed"},
	{tally.Fanout, "fan-out to each device"},
	{tally.FanoutLast, "fan-out to the last one"},
	{tally.Relay, "relay to its peer, open"},
	{tally.RelayClosed, "relay to its peer, closed"},
	{tally.RelayArrived, "relay to its peer's kernel"},
	{tally.RelayWindow, "the p99 of each 0.1 s of it, relay"},
	{tally.Answer, "relay to its result, open"},
	{tally.AnswerClosed, "relay to its result, closed"},
	{tally.Return, "reset to back again"},
	{tally.Displace, "move to the older's close"},
	{tally.Proof, "ping of the proof"},
}

func (r *Result) writeTimings(w io.Writer) {
	fmt.Fprintf(w, "\n  %-27s%11s%11s%11s%11s%11s%11s\n", "latency", "p50", "p90", "p99", "p99.9", "max", "count")
	for _, row := range timerLabels {
		h := r.Total.Timings[row.timer]
		if h == nil || h.Count() == 0 || (row.timer == tally.Connect && !r.connectsPaced()) {
			continue
		}
		fmt.Fprintf(w, "  %-27s", row.label)
		for _, p := range Percentiles {
			fmt.Fprintf(w, "%11s", Duration(h.Quantile(p)))
		}
		fmt.Fprintf(w, "%11s%11d\n", Duration(h.Max()), h.Count())
	}
	fmt.Fprint(w, "  open: from the intended start, waits included; closed: from the actual send\n")
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
