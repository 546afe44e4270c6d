package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/hostinfo"
	"github.com/roostpush/roost/bench/tally"
)

// sample is a run of 1,000 echoes of 1 ms to 1 s and 10 connections.
func sample() *Result {
	t := &tally.Tally{}
	t.Add(tally.Attempted, 11)
	t.Add(tally.Opened, 10)
	t.Add(tally.Failed, 1)
	t.Add(tally.Sent, 1000)
	t.Add(tally.Received, 999)
	t.Add(tally.Lost, 1)
	t.Error("http 503")
	t.Close(4001)
	for i := range 1000 {
		t.Record(tally.Echo, int64(i+1)*1e6)
	}
	r := &Result{Scenario: "echo", Total: t, Wall: 12 * time.Second, Processes: 1, Loops: 1}
	r.Phases = []Phase{{
		Phase: generator.Phase{Kind: generator.Echo, Duration: 10 * time.Second, PerSecond: 100}, Wall: 12 * time.Second, Tally: t,
		ServerBefore: &hostinfo.Process{CPU: time.Second}, ServerAfter: &hostinfo.Process{CPU: time.Second + 999*10*time.Microsecond},
	}}
	r.Fill()
	return r
}

func TestThresholds(t *testing.T) {
	for _, c := range []struct {
		text string
		held bool
	}{
		{"lost==1", true}, {"lost==0", false}, {"lost!=0", true}, {"errors<=1", true}, {"errors < 1", false},
		{"echo.p50<501ms", true}, {"echo.p50<499ms", false}, {"echo.p99.9>=0.9s", true}, {"echo.max<2s", true},
		{"echo.p12.5<200ms", true}, {"echo.p12.5<100ms", false}, // any percentile, not only those shown
		{"connect.success>=90%", true}, {"connect.success>=0.99", false},
		{"echo.rate>99", true}, {"echo.rate>100", false}, // by the time of sending, not by the whole wall time
		{"server.cpu_per_message<11us", true}, {"server.cpu_per_message<9us", false},
		{"connect.p99<1s", false}, // the run has no such figure: silence is no proof
	} {
		threshold, err := ParseThreshold(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		r := sample()
		r.Judge([]Threshold{threshold})
		if r.Thresholds[0].Held != c.held {
			t.Errorf("%s: held %v, measured %+v", c.text, r.Thresholds[0].Held, r.Thresholds[0].Measured)
		}
		if code := r.Exit(); (code == ExitOK) != c.held {
			t.Errorf("%s: exit %d", c.text, code)
		}
	}
}

func TestBadThresholdsSayWhy(t *testing.T) {
	for text, says := range map[string]string{
		"lost":                         "NAME OP NUMBER",
		"lost=0":                       "NAME OP NUMBER",
		"lst==0":                       `did you mean "lost"`,
		"conect.p99<5ms":               `did you mean "connect.p99"`,
		"echo.p101<5ms":                "no metric",
		"echo.p99<5":                   "a time with its unit, like 5ms",
		"echo.p99<5MiB":                "a time with its unit",
		"lost<5ms":                     "a plain number, like 0",
		"echo.p99<5parsecs":            "unit",
		"server.rss_per_connection<1s": "a size, like 700B",
		"echo.p99<1.2.3ms":             "not a number",
	} {
		if _, err := ParseThreshold(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v does not say %q", text, err, says)
		}
	}
}

// Every metric that a run can have may stand in a threshold.
func TestEveryMetricIsKnownToThresholds(t *testing.T) {
	r := sample()
	r.Total.Add(tally.Attempted, 1)
	hold := r.Phases[0]
	hold.Kind, hold.Open = generator.Wait, 10
	open := r.Phases[0]
	open.Kind, open.Open = generator.Open, 10
	r.Phases = append(r.Phases, hold, open)
	for _, timer := range tally.Timers() {
		r.Total.Record(timer, 1)
	}
	r.Metrics = nil
	r.Fill()
	for _, m := range r.Metrics {
		unit, ok := unitOf(m.Name)
		if !ok || unit != m.Unit {
			t.Errorf("%s: unit %q, known as %q", m.Name, m.Unit, unit)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Result)
		want   int
	}{
		{"fine", func(*Result) {}, ExitOK},
		{"early", func(r *Result) { r.Early = "x" }, ExitEarly},
		{"saturated hides a threshold", func(r *Result) { r.Saturated = []string{"x"}; r.Thresholds = []Verdict{{}} }, ExitSaturated},
		{"threshold", func(r *Result) { r.Thresholds = []Verdict{{Held: true}, {}} }, ExitThreshold},
	} {
		r := sample()
		c.change(r)
		if got := r.Exit(); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestTableSaysWhatHappened(t *testing.T) {
	r := sample()
	r.Saturated = []string{"no CPU"}
	var b strings.Builder
	r.WriteTable(&b)
	for _, says := range []string{"11 attempted, 10 opened, 1 failed", "1 lost", "http 503: 1", "4001: 1", "echo, open", "INVALID", "cpu_per_message", "10.0 µs"} {
		if !strings.Contains(b.String(), says) {
			t.Errorf("%q is missing in:\n%s", says, b.String())
		}
	}
}

func TestJSONRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "r.json")
	r := sample()
	if err := WriteJSON(path, r); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var back Result
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if back.Total.Timing(tally.Echo).Quantile(99) != r.Total.Timing(tally.Echo).Quantile(99) || back.Total.Get(tally.Lost) != 1 {
		t.Error("the file says something else than the run")
	}
	if m, ok := back.Find("echo.p99"); !ok || m.Value != float64(r.Total.Timing(tally.Echo).Quantile(99)) {
		t.Errorf("metric %+v", m)
	}
}

func TestProgressInATerminalAndElsewhere(t *testing.T) {
	seconds := []Second{{At: time.Second}, {At: 2 * time.Second}, {At: 6 * time.Second}}
	for _, c := range []struct {
		terminal bool
		lines    int
	}{{true, 0}, {false, 2}} {
		var b strings.Builder
		p := NewProgress(&b, c.terminal, 5*time.Second)
		for _, s := range seconds {
			p.Show(s)
		}
		p.Done()
		if got := strings.Count(b.String(), "\n"); got != c.lines {
			t.Errorf("terminal %v: %d lines in %q", c.terminal, got, b.String())
		}
	}
}

func TestDurationAndSize(t *testing.T) {
	for d, want := range map[time.Duration]string{834: "834 ns", 12300: "12.3 µs", 4560 * time.Microsecond: "4.56 ms", 1200 * time.Millisecond: "1.20 s", 0: "0 ns", 150 * time.Second: "150 s"} {
		if got := Duration(d); got != want {
			t.Errorf("%d: %q, want %q", d, got, want)
		}
	}
	for n, want := range map[float64]string{447: "447 B", 5000: "5000 B", 20480: "20.0 KiB", 3 << 20: "3.0 MiB", -2 << 30: "-2.0 GiB"} {
		if got := Size(n); got != want {
			t.Errorf("%v: %q, want %q", n, got, want)
		}
	}
}

// Every figure that a phase can have may stand in a threshold.
func TestThresholdsKnowEveryPhasesFigures(t *testing.T) {
	for kind, w := range work {
		for _, name := range []string{w.name + ".rate", "server.cpu_per_" + w.unit, "server.cpu." + w.name} {
			if _, ok := unitOf(name); !ok {
				t.Errorf("%s of a phase %s is not known", name, kind)
			}
		}
	}
}
