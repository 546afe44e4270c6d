package scenariofile

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/target"
)

func parse(text string) (bench.Scenario, error) {
	return Parse([]byte(text), bench.DefaultScenario("file", target.Default()))
}

const head = "target: {url: 'ws://h:1/ws'}\n"

func TestWholeFile(t *testing.T) {
	s, err := parse(`
name: morning rush
target: {url: "ws://h:1/ws", account: "a-{i/2}", device: "", source: 127.0.1.1-127.0.1.8, headers: ["X: y"]}
api: {url: "http://127.0.0.1:8081", token: t, streams: 2}
procs: 2
loops: 3
fail: [push.p99<20ms, lost==0]
phases:
  - {phase: open, connections: 2000, rate: 1000, group: 2}
  - {phase: hold, for: 10s}
  - {phase: push, rate: 5000, for: 10s, size: 200, wait: acked}
  - phase: mix
    for: 20s
    parts:
      - {phase: cycle, high: 1500, timeout: 20s}
      - {phase: push, rate: 1000, low: 1500}
  - {phase: echo, for: 1s, ramp: true, rate: 10}
  - {phase: prove, timeout: 3s}
  - {phase: close}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []generator.Phase{
		{Kind: generator.Open, Measured: true, Connections: 2000, PerSecond: 1000, Group: 2, Timeout: defaultTimeout},
		{Kind: generator.Wait, Duration: 10 * time.Second, Timeout: defaultTimeout},
		{Kind: generator.Push, Measured: true, PerSecond: 5000, Duration: 10 * time.Second, PayloadBytes: 200, Waits: "acked", Timeout: defaultTimeout},
		{Kind: generator.Mix, Measured: true, Duration: 20 * time.Second, PayloadBytes: defaultSize, Timeout: defaultTimeout, Parts: []generator.Phase{
			{Kind: generator.Cycle, Measured: true, High: 1500, Timeout: 20 * time.Second, Duration: 20 * time.Second, PayloadBytes: defaultSize},
			{Kind: generator.Push, Measured: true, PerSecond: 1000, Low: 1500, Duration: 20 * time.Second, PayloadBytes: defaultSize, Timeout: defaultTimeout},
		}},
		{Kind: generator.Echo, Measured: true, PerSecond: 10, Duration: time.Second, PayloadBytes: defaultSize, Timeout: defaultTimeout},
		{Kind: generator.Prove, Timeout: 3 * time.Second},
		{Kind: generator.Close, Timeout: defaultTimeout},
	}
	if !reflect.DeepEqual(s.Phases, want) {
		t.Errorf("phases\n%+v\nwant\n%+v", s.Phases, want)
	}
	if s.Name != "morning rush" || s.Target.Account != "a-{i/2}" || s.Target.Device != "" || s.Target.Sources != "127.0.1.1-127.0.1.8" ||
		s.API.Text() != "127.0.0.1:8081" || s.API.Token != "t" || s.API.Streams != 2 || s.Processes != 2 || s.Loops != 3 ||
		!slices.Equal(s.Thresholds, []string{"push.p99<20ms", "lost==0"}) || s.Ramp == nil || s.Ramp.Phase != 4 {
		t.Errorf("%+v", s)
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
}

// A cluster is written as lists where a single server is one value.
func TestSeveralNodes(t *testing.T) {
	s, err := parse(`
target: {url: ["ws://a:1/ws", "ws://b:1/ws"]}
api: {url: ["http://127.0.0.1:8081", "http://127.0.0.1:8181"]}
server_pid: [12, 13]
phases:
  - {phase: move, rate: 10, for: 1s}
`)
	if err != nil || s.Target.URL != "ws://a:1/ws" || !slices.Equal(s.Target.Also, []string{"ws://b:1/ws"}) ||
		s.API.Text() != "127.0.0.1:8081, 127.0.0.1:8181" || !slices.Equal(s.ServerPIDs, []int{12, 13}) || s.Validate() != nil {
		t.Errorf("%+v, %v, %v", s, err, s.Validate())
	}
	if s, err = parse(head + "server_pid: 7\nphases:\n  - {phase: close}\n"); err != nil || !slices.Equal(s.ServerPIDs, []int{7}) {
		t.Errorf("%v, %v", s.ServerPIDs, err)
	}
}

func TestMistakesSayWhere(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"typo at the top", head + "phasse: []\n", `line 2: there is no key "phasse"; did you mean "phases"?`},
		{"typo in the target", "target: {ulr: x}\nphases: []\n", `line 1: there is no key "ulr"; did you mean "url"?`},
		{"typo in a phase", head + "phases:\n  - phase: open\n    conections: 5\n", `line 4: there is no key "conections"; did you mean "connections"?`},
		{"typo in a part", head + "phases:\n  - phase: mix\n    parts:\n      - {phase: push, rat: 5}\n", `line 5: there is no key "rat"; did you mean "rate"?`},
		{"key of another phase", head + "phases:\n  - {phase: open, window: 5}\n", `line 3: phase open has no key "window"; it has connections, first, group, rate`},
		{"no such phase", head + "phases:\n  - {phase: puhs}\n", `did you mean "push"?`},
		{"nameless phase", head + "phases:\n  - {rate: 5}\n", "does not say which"},
		{"not a phase", head + "phases:\n  - open\n", "keys and values are expected"},
		{"two mistakes", head + "phases:\n  - {phase: open, conections: 5}\n  - {phase: hold, four: 1s}\n", `did you mean "for"?`},
		{"no duration", head + "phases:\n  - {phase: hold, for: soon}\n", "soon"},
		{"not a number", head + "phases:\n  - {phase: open, connections: many}\n", "many"},
		{"no target", "phases:\n  - {phase: hold, for: 1s}\n", "target.url is missing"},
		{"no phases", head, "phases is missing"},
		{"two ramps", head + "phases:\n  - {phase: echo, ramp: true}\n  - {phase: echo, ramp: true}\n", "two phases are a ramp"},
		{"bad API", head + "api: {url: 'https://x'}\nphases:\n  - {phase: close}\n", "--api"},
		{"empty", "", "it is empty"},
		{"two documents", head + "---\n" + head, "more than one document"},
		{"no YAML", "target: [", "yaml"},
		{"a list", "- a\n", "keys and values are expected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := parse(c.text); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v does not say %q", err, c.says)
			}
		})
	}
}

// Every kind of phase can be written, and every key belongs to some kind.
func TestSchemaIsWhole(t *testing.T) {
	used := map[string]bool{"phase": true}
	for _, kind := range generator.Kinds() {
		all, ok := keys[kind]
		if !ok {
			t.Errorf("phase %s cannot be written", kind)
		}
		for _, k := range all {
			used[k] = true
		}
	}
	for i := range reflect.TypeFor[filePhase]().NumField() {
		f := reflect.TypeFor[filePhase]().Field(i)
		if !used[key(f)] {
			t.Errorf("no phase has the key %s", key(f))
		}
		delete(used, key(f))
	}
	if len(used) > 0 {
		t.Errorf("keys that no field has: %v", used)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(head + "phases:\n  - {phase: open, connections: 5}\n"))
	f.Add([]byte("a: &a {b: *a}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, _ = Parse(text, bench.DefaultScenario("file", target.Default())) // it must come back
	})
}

func TestMissingFile(t *testing.T) {
	if _, err := Read("/no/such/file", bench.Scenario{}); err == nil || !strings.Contains(err.Error(), "/no/such/file") {
		t.Errorf("error %v", err)
	}
}
