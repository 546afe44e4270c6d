package compare

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/bench/report"
)

func TestParseTarget(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       Target
		bad        string // part of the error
	}{
		{"command", "gws=bin/peers gws  --listen {listen}", Target{Name: "gws", Command: []string{"bin/peers", "gws", "--listen", "{listen}"}}, ""},
		{"place in a word", "r=roost --listen={listen} --data={temp}", Target{Name: "r", Command: []string{"roost", "--listen={listen}", "--data={temp}"}}, ""},
		{"running", "a.b-1=ws://127.0.0.1:8080/ws?x=1 pid=4711", Target{Name: "a.b-1", URL: "ws://127.0.0.1:8080/ws?x=1", PID: 4711}, ""},
		{"running, unseen", "a=ws://h/", Target{Name: "a", URL: "ws://h/"}, ""},
		{"no name", "=x {listen}", Target{}, "NAME="},
		{"no command", "a=", Target{}, "NAME="},
		{"name with a slash", "a/b=x {listen}", Target{}, "NAME="},
		{"nowhere to listen", "a=bin/peers gws", Target{}, "{listen}"},
		{"bad pid", "a=ws://h/ pid=x", Target{}, `"pid=x" is not pid=N`},
		{"not a pid", "a=ws://h/ 4711", Target{}, `"4711" is not pid=N`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseTarget(c.text)
			switch {
			case c.bad == "" && (err != nil || !reflect.DeepEqual(got, c.want)):
				t.Errorf("%+v, %v", got, err)
			case c.bad != "" && (err == nil || !strings.Contains(err.Error(), c.bad)):
				t.Errorf("%+v, %v; want an error with %q", got, err, c.bad)
			}
		})
	}
}

func twoTargets(load Load) Plan {
	p := Default(load)
	p.Targets = []Target{{Name: "a", URL: "ws://h/"}, {Name: "b", URL: "ws://h/"}}
	return p
}

func TestPlanIsChecked(t *testing.T) {
	for _, c := range []struct {
		name, bad string
		change    func(*Plan)
	}{
		{"good", "", func(*Plan) {}},
		{"one target", "two targets", func(p *Plan) { p.Targets = p.Targets[:1] }},
		{"one name twice", "called a", func(p *Plan) { p.Targets[1].Name = "a" }},
		{"no round", "round", func(p *Plan) { p.Rounds = 0 }},
		{"no time", "--duration", func(p *Plan) { p.Load.Duration = 0 }},
		{"nobody waits", "--timeout", func(p *Plan) { p.Load.Timeout = 0 }},
		{"nothing in flight", "--inflight", func(p *Plan) { p.Load.Inflight = 0 }},
		{"no connection", "--connections", func(p *Plan) { p.Load.Connections = 0 }},
		{"small payload", "20", func(p *Plan) { p.Load.PayloadBytes = 19 }},
		{"no rate", "--rate", func(p *Plan) { p.Load = DefaultConnect(); p.Load.PerSecond = 0 }},
		{"threshold", "ratio(A/B)", func(p *Plan) { p.Thresholds = []string{"lost==0"} }},
		{"threshold on nobody", `no target "c"`, func(p *Plan) { p.Thresholds = []string{"ratio(a/c).rate>1"} }},
		{"threshold on nothing", `"cpu_per_upgrade"`, func(p *Plan) { p.Thresholds = []string{"ratio(a/b).cpu_per_upgrade<1"} }},
		{"threshold on no number", "not a number", func(p *Plan) { p.Thresholds = []string{"ratio(a/b).rate<1.2.3"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := twoTargets(DefaultEcho())
			c.change(&p)
			err := p.validate()
			if err == nil {
				_, err = p.parseThresholds()
			}
			if (c.bad == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), c.bad)) {
				t.Errorf("%v, want %q", err, c.bad)
			}
		})
	}
}

// TestOrder holds that each target is loaded once in a round, and that over the
// rounds nobody is always first.
func TestOrder(t *testing.T) {
	for n := 2; n < 9; n++ {
		first := map[int]bool{}
		for round := range 2 * n {
			all := order(round, n)
			first[all[0]] = true
			slices.Sort(all)
			for i, target := range all {
				if i != target {
					t.Fatalf("%d targets, round %d: %v", n, round, all)
				}
			}
		}
		if len(first) != n {
			t.Errorf("%d targets: only %d were ever first", n, len(first))
		}
	}
	if a, b := order(0, 2), order(1, 2); a[0] == b[0] {
		t.Errorf("two targets do not alternate: %v %v", a, b)
	}
}

func samples(values map[string][]float64) *Result {
	r := &Result{Load: DefaultEcho(), Rounds: len(values["a"]), Targets: []Target{{Name: "a"}, {Name: "b"}}}
	for name, all := range values {
		for i, v := range all {
			s := Sample{Round: i + 1, Target: name, Figures: map[Metric]float64{}}
			if v > 0 {
				s.Figures[CPUPerMessage], s.Figures[Rate] = v, v
			}
			r.Samples = append(r.Samples, s)
		}
	}
	return r
}

// TestRatioIsPairwise has rounds that were slow for both: the ratio of the medians
// would be another one.
func TestRatioIsPairwise(t *testing.T) {
	r := samples(map[string][]float64{"a": {1, 10, 30, 0}, "b": {2, 20, 20, 7}})
	s, ok := r.Ratio("a", "b", CPUPerMessage)
	if !ok || s.Median != 0.5 || s.Min != 0.5 || s.Max != 1.5 || len(s.Values) != 3 {
		t.Errorf("%+v", s)
	}
	if s, _ := r.Figure("b", CPUPerMessage); s.Median != 13.5 {
		t.Errorf("median of an even number: %+v", s)
	}
	if _, ok := r.Ratio("a", "c", CPUPerMessage); ok {
		t.Error("a ratio to nobody")
	}
}

// late does to samples what sample does when the generator was late.
func late(r *Result, name string, rounds ...int) {
	for i, s := range r.Samples {
		if s.Target == name && slices.Contains(rounds, s.Round) {
			r.Samples[i].Invalid = "late"
			delete(s.Figures, Rate)
		}
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name, fail string
		change     func(*Result)
		want       int
	}{
		{"holds", "ratio(a/b).cpu_per_message<=0.5", nil, report.ExitOK},
		{"spaces", " ratio( a / b ).cpu_per_message < 0.6 ", nil, report.ExitOK},
		{"other way", "ratio(b/a).cpu_per_message>=2", nil, report.ExitOK},
		{"does not hold", "ratio(a/b).cpu_per_message<0.5", nil, report.ExitThreshold},
		{"not measured", "ratio(a/b).p99<0.5", nil, report.ExitThreshold},
		{"the generator's rate", "ratio(a/b).rate>0.1", func(r *Result) { r.Samples[0].GeneratorBound = true }, report.ExitSaturated},
		{"the server's CPU all the same", "ratio(a/b).cpu_per_message<=0.5", func(r *Result) { r.Samples[0].GeneratorBound = true }, report.ExitOK},
		{"lost messages", "ratio(a/b).cpu_per_message<=0.5", func(r *Result) { r.Samples[0].Wrong = "1 lost" }, report.ExitThreshold},
		{"late generator", "ratio(a/b).rate>=0.5", func(r *Result) { late(r, "a", 1, 2); late(r, "b", 1) }, report.ExitSaturated},
		{"late in half of the rounds", "ratio(a/b).rate>=0.5", func(r *Result) { late(r, "a", 1) }, report.ExitOK},
		{"late, and the CPU stands", "ratio(a/b).cpu_per_message<=0.5", func(r *Result) { late(r, "a", 1, 2); late(r, "b", 1, 2) }, report.ExitOK},
		{"early", "ratio(a/b).cpu_per_message<=0.5", func(r *Result) { r.Early = "stopped" }, report.ExitEarly},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := samples(map[string][]float64{"a": {1, 1}, "b": {2, 2}})
			if c.change != nil {
				c.change(r)
			}
			p := twoTargets(r.Load)
			p.Thresholds = []string{c.fail}
			all, err := p.parseThresholds()
			if err != nil {
				t.Fatal(err)
			}
			r.judge(all)
			if got := r.Exit(); got != c.want {
				t.Errorf("exit %d, want %d: %+v", got, c.want, r.Verdicts)
			}
		})
	}
}

func TestOthers(t *testing.T) {
	const stat = "cpu  1 2 3 4 5 6 7 8 0 0\ncpu0 100 10 50 999 9 7 7 40 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\nintr 5\n"
	if core, ok := parseCore(stat, 0); !ok || core != 2*time.Second {
		t.Errorf("%v %v", core, ok)
	}
	if _, ok := parseCore(stat, 2); ok {
		t.Error("a core that is not there")
	}
	begun := time.Now()
	s := span{
		reading{at: begun, core: 10 * time.Second, coreOK: true, own: time.Second, ownOK: true},
		reading{at: begun.Add(2 * time.Second), core: 11 * time.Second, coreOK: true, own: 1500 * time.Millisecond, ownOK: true},
	}
	if share, ok := s.others(); !ok || math.Abs(share-0.25) > 1e-9 {
		t.Errorf("%v %v", share, ok)
	}
	s.to.own = 9 * time.Second // the two clocks are not read at the same moment
	if share, _ := s.others(); share != 0 {
		t.Errorf("less than nothing: %v", share)
	}
	s.to.coreOK = false
	if _, ok := s.others(); ok {
		t.Error("known without a reading")
	}
}
