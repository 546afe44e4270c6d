package compare

import (
	"fmt"
	"io"
	"strings"

	"github.com/roostpush/roost/bench/report"
)

// noisyShare is the share of a core used by others from which on the table says that
// the machine is noisy.
const noisyShare = 0.05

// WriteTable writes the comparison as people read it.
func (r *Result) WriteTable(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n\n", r.title())
	r.writeFigures(w)
	r.writeNotes(w)
	for _, v := range r.Verdicts {
		fmt.Fprintf(w, "  %s\n", v.line())
	}
	if r.Early != "" {
		fmt.Fprintf(w, "  EARLY   the comparison ended before its time: %s; these are the results so far\n", r.Early)
	}
}

func (r *Result) title() string {
	l := r.Load
	text := ""
	switch {
	case l.Kind == Connect:
		text = fmt.Sprintf("connect, %.0f a second, each held %s", l.PerSecond, report.Duration(l.Hold))
	case l.closedLoop():
		text = fmt.Sprintf("echo, %d connections, %d B, closed loop (%d in flight on each)", l.Connections, l.PayloadBytes, l.Inflight)
	default:
		text = fmt.Sprintf("echo, %d connections, %d B, open loop, %.0f a second", l.Connections, l.PayloadBytes, l.PerSecond)
	}
	text += fmt.Sprintf("; %d rounds of %s, interleaved", r.Rounds, report.Duration(l.Duration))
	if r.ServerCPU != Unpinned {
		text += fmt.Sprintf("; servers on core %d", r.ServerCPU)
	}
	if r.GeneratorCPU != Unpinned {
		text += fmt.Sprintf("; generator on core %d", r.GeneratorCPU)
	}
	return text
}

// labels are the heads of the columns.
var labels = map[Metric]string{
	CPUPerMessage: "CPU/message", CPUPerUpgrade: "CPU/upgrade", Rate: "rate", P50: "p50", P99: "p99", RSS: "RSS", RSSPerConnection: "RSS/conn",
}

// compared are the metrics whose ratios the table shows.
func (l Load) compared() []Metric {
	var some []Metric
	for _, m := range l.metrics() {
		if m == CPUPerMessage || m == CPUPerUpgrade || m == Rate || m == RSSPerConnection {
			some = append(some, m)
		}
	}
	return some
}

func (r *Result) writeFigures(w io.Writer) {
	first := r.Targets[0].Name
	fmt.Fprintf(w, "  %-12s", "target")
	for _, m := range r.Load.metrics() {
		fmt.Fprintf(w, "%13s", labels[m])
	}
	for _, m := range r.Load.compared() {
		fmt.Fprintf(w, "   %-24s", first+"/it "+labels[m])
	}
	fmt.Fprintln(w)
	for _, t := range r.Targets {
		fmt.Fprintf(w, "  %-12s", t.Name)
		for _, m := range r.Load.metrics() {
			text := "-"
			if s, ok := r.Figure(t.Name, m); ok {
				text = report.Metric{Value: s.Median, Unit: units[m]}.Text()
				if m.ofBoth() && r.generatorBound(t.Name) {
					text = "~" + text
				}
			}
			fmt.Fprintf(w, "%13s", text)
		}
		for _, m := range r.Load.compared() {
			text := ""
			if s, ok := r.Ratio(first, t.Name, m); ok && t.Name != first {
				text = s.ratioText()
			}
			fmt.Fprintf(w, "   %-24s", text)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "\n  Medians of the rounds; a ratio is the median of %s's figure divided by the other's in the same round, (min..max).\n", first)
}

func (s Spread) ratioText() string { return fmt.Sprintf("%.2f (%.2f..%.2f)", s.Median, s.Min, s.Max) }

// writeNotes says what must be known before the figures are believed.
func (r *Result) writeNotes(w io.Writer) {
	bound, late := 0, 0
	for _, s := range r.Samples {
		if s.GeneratorBound {
			bound++
		}
		if s.Wrong != "" {
			fmt.Fprintf(w, "  WRONG   %s, round %d: %s\n", s.Target, s.Round, s.Wrong)
		}
		if s.Invalid != "" {
			late++
		}
	}
	if bound > 0 {
		fmt.Fprintf(w, "  ~       in %d of %d runs the generator set the pace, or did not get the CPU: rate and latency are no figures of the server; its CPU for each message is\n", bound, len(r.Samples))
	}
	if late > 0 {
		fmt.Fprintf(w, "  late    in %d of %d runs the generator was late and their rate and latency are left out; the server's CPU stands\n", late, len(r.Samples))
	}
	r.writeNoise(w, "server", r.ServerCPU, func(s Sample) *float64 { return s.ServerOthers })
	r.writeNoise(w, "generator", r.GeneratorCPU, func(s Sample) *float64 { return s.GeneratorOthers })
}

func (r *Result) writeNoise(w io.Writer, whose string, cpu int, of func(Sample) *float64) {
	var values []float64
	for _, s := range r.Samples {
		if v := of(s); v != nil {
			values = append(values, *v)
		}
	}
	s, ok := spread(values)
	if !ok {
		return
	}
	word := "quiet"
	if s.Max >= noisyShare {
		word = "noisy"
	}
	fmt.Fprintf(w, "  %s   others used %.0f %% of the %s's core %d during the rounds (median; %.0f to %.0f %%)\n",
		word, s.Median*100, whose, cpu, s.Min*100, s.Max*100)
}

func (v Verdict) line() string {
	word := "ok     "
	switch {
	case v.Invalid:
		word = "INVALID"
	case !v.Held:
		word = "FAILED "
	}
	measured := "not measured"
	if v.Measured != nil {
		measured = v.Measured.ratioText()
	}
	return strings.Join([]string{word, v.Text, "(" + measured + ")"}, " ")
}
