//go:build linux

package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roostpush/roost/bench/compare"
	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "roost-budget-test-")
	if err != nil {
		panic(err)
	}
	built = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// built is the folder of the real programs.
var built string

var build = sync.OnceValue(func() error {
	for name, dir := range map[string]string{"roost": "../../cmd/roost", "roost-bench": "../../cmd/roost-bench", "peers": "../peers"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(built, name), ".")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return nil
})

// small is a run of every part over real processes, in seconds: what the figures are is
// for the command, that there are all of them is for the test.
func small(t *testing.T) Config {
	if testing.Short() || runtime.NumCPU() < 2 {
		t.Skip("builds and starts servers, on two cores")
	}
	if err := build(); err != nil {
		t.Fatal(err)
	}
	c := Default()
	c.Roost, c.Bench, c.Peers = filepath.Join(built, "roost"), filepath.Join(built, "roost-bench"), filepath.Join(built, "peers")
	c.Results, c.Tries, c.Settle = t.TempDir(), 1, 20*time.Millisecond
	c.Slope = slopeSizes{Low: 50, High: 200, Quiet: 100 * time.Millisecond, Idle: 300 * time.Millisecond, PerSecond: 1000, Collections: 2}
	c.Echo = echoSizes{Few: 20, Many: 100, Payloads: []int{20}, RoundsFew: 1, RoundsMany: 1, TimeFew: 300 * time.Millisecond, TimeMany: 300 * time.Millisecond}
	c.Upgrade = upgradeSizes{PerSecond: 200, Duration: 300 * time.Millisecond, Hold: 10 * time.Millisecond, Rounds: 1}
	c.Push = pushSizes{Devices: 100, Payload: 128, Window: 50, Rounds: 1, Push: 300 * time.Millisecond, Fanout: 400 * time.Millisecond, FanoutsPS: 20, FloorRuns: 2, Bursts: 2}
	// Long enough for the kernel to begin to stamp arrivals, which it does some time after it is asked.
	c.Relay = relaySizes{Devices: 100, Payload: 128, Start: 1000, Step: 200 * time.Millisecond, Half: time.Second, Rounds: 1, PerSecond: 500}
	c.Cross = crossSizes{
		Devices: 100, Payload: 128, Window: 50, Rounds: 1, Push: 300 * time.Millisecond, FloorRuns: 2,
		Few: 50, Start: 1000, Step: 200 * time.Millisecond, Half: time.Second,
	}
	c.ClusterIdle = clusterIdleSizes{Watch: 1500 * time.Millisecond, Low: 50, High: 200, Quiet: 100 * time.Millisecond, PerSecond: 1000}
	c.Delay = delaySizes{PerSecond: 30, Changes: time.Second, Hold: 10 * time.Millisecond, Movers: 10, Moves: time.Second}
	c.Loss = lossSizes{Silent: 1, Died: 1}
	c.Queue = queueSizes{Devices: 100, Payload: 128, Window: 50, TTL: time.Minute, Rounds: 1, Push: 300 * time.Millisecond, FloorRuns: 2}
	c.Kafka = kafkaSizes{Devices: 50, Payload: 128, Records: 200, Rounds: 1, FloorRuns: 2}
	c.RouteBench, c.ClusterBench = "/not/built", "/not/built" // TestGoBenches
	c.Mailbox = experiment.Hoard{Devices: 20, Each: 5, Payload: 128, Early: 1, Takers: 3, ReadyMax: time.Second, DrainMax: time.Second}
	c.Broadcast = broadcastSizes{Devices: 60, Nodes: 3, Payload: 128, PerSecond: 10, Duration: 500 * time.Millisecond}
	c.Unicast = unicastSizes{Devices: 60, Payload: 128, PerSecond: 200, Duration: 500 * time.Millisecond, BroadcastsPS: 10}
	c.Storm = stormSizes{Dropped: 100, Others: 20, PushPS: 200, Rounds: 2}
	return c
}

func TestEveryRowOverRealProcesses(t *testing.T) {
	cfg := small(t)
	var shown []Row
	say := func(format string, args ...any) {
		t.Logf("%s: %s", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
	}
	r, err := Run(context.Background(), cfg, say, nil, func(row Row) { shown = append(shown, row) })
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		// Whether it holds is the machine's business here; that it was measured is ours.
		if row.Verdict == "" || row.Budget == "" || (row.Verdict != NotHere && row.Verdict != Invalid && row.Value == 0) {
			t.Errorf("row %+v", row)
		}
	}
	if len(r.Rows) != len(shown) || len(r.Rows) != 3+1+5+2+2+2+2+2+1+2+1+1+1+1+1+2+2+2+2+5 {
		t.Errorf("%d rows, %d shown", len(r.Rows), len(shown))
	}
	for _, name := range []string{"budget.json", "budget.html", "idle-slope.json", "budget-push.json", "budget-upgrade.json", "budget-echo-20-20.json"} {
		if text, err := os.ReadFile(filepath.Join(cfg.Results, name)); err != nil || len(text) < 100 {
			t.Errorf("%s: %v, %d bytes", name, err, len(text))
		}
	}
	page, err := os.ReadFile(filepath.Join(cfg.Results, "budget.html"))
	if err != nil || !strings.Contains(string(page), whatMemory) || !strings.Contains(string(page), "<svg") {
		t.Errorf("the page lacks its rows or its plots (%v)", err)
	}
	var table strings.Builder
	r.WriteTable(&table)
	if !strings.Contains(table.String(), whatFanout) || !strings.Contains(table.String(), fmt.Sprintf("%d rows", len(r.Rows))) {
		t.Errorf("table:\n%s", table.String())
	}
}

func TestRowsAreJudged(t *testing.T) {
	for _, c := range []struct {
		row  Row
		want Verdict
	}{
		{Row{Value: 440, Limit: 440}, Held}, {Row{Value: 440.1, Limit: 440}, Broken}, {Row{Value: 1, Limit: 2, Verdict: Broken}, Broken},
		{Row{Verdict: NotHere}, NotHere},
	} {
		if got := c.row.judge().Verdict; got != c.want {
			t.Errorf("%+v: %s", c.row, got)
		}
	}
	for _, c := range []struct {
		rows []Row
		want int
	}{
		{[]Row{{Verdict: Held}, {Verdict: NotHere}}, report.ExitOK}, {[]Row{{Verdict: Invalid}, {Verdict: Held}}, report.ExitSaturated},
		{[]Row{{Verdict: Invalid}, {Verdict: Broken}}, report.ExitThreshold},
	} {
		if got := (&Result{Rows: c.rows}).Exit(); got != c.want {
			t.Errorf("%+v: exit %d, want %d", c.rows, got, c.want)
		}
	}
}

// A part whose generator was disturbed is tried again, and never passed off as held.
func TestDisturbedPartsAreTriedAgain(t *testing.T) {
	for _, c := range []struct {
		quietAt int
		want    Verdict
		tries   int
	}{{1, Held, 1}, {3, Held, 3}, {9, Invalid, 3}} {
		b := &board{cfg: Config{Tries: 3, Retrying: time.Hour}, say: func(string, ...any) {}}
		n := 0
		rows := b.try(t.Context(), part{name: "x", rows: []string{"x"}, run: func(context.Context, *board) ([]Row, error) {
			if n++; n < c.quietAt {
				return []Row{{Value: 1, Limit: 2, timed: true}, {Value: 1, Limit: 2}}, errDisturbed
			}
			return []Row{{Value: 1, Limit: 2, timed: true}, {Value: 1, Limit: 2}}, nil
		}})
		if len(rows) != 2 || rows[1].Verdict != Held || rows[0].Verdict != c.want || rows[0].Tries != c.tries || n != c.tries {
			t.Errorf("quiet at %d: %+v after %d", c.quietAt, rows, n)
		}
	}
	b := &board{cfg: Config{Tries: 3, Retrying: time.Hour}, say: func(string, ...any) {}}
	tries := 0
	rows := b.try(t.Context(), part{name: "x", run: func(context.Context, *board) ([]Row, error) {
		tries++
		rows := []Row{{Value: 2, Limit: 1, timed: true}, {Value: 1, Limit: 2, timed: true}}
		err := rows[0].excuse("a floor")
		return rows, err
	}})
	if len(rows) != 2 || rows[1].Verdict != Held || tries != 3 {
		t.Errorf("the machine was too slow for one of two rows: %+v after %d", rows, tries)
	}
	b.retrying, tries = time.Hour, 0
	if rows = b.try(t.Context(), part{name: "x", rows: []string{"x"}, run: func(context.Context, *board) ([]Row, error) { tries++; return nil, errDisturbed }}); tries != 1 || rows[0].Verdict != Invalid {
		t.Errorf("too much time went into trying again, and %d more: %+v", tries-1, rows)
	}
	rows = b.try(t.Context(), part{rows: []string{"a", "b"}, run: func(context.Context, *board) ([]Row, error) { return nil, os.ErrNotExist }})
	if len(rows) != 2 || rows[0].Verdict != Broken || rows[1].What != "b" {
		t.Errorf("%+v", rows)
	}
}

func TestPushIsJudgedByItsFloor(t *testing.T) {
	all := pushRounds{
		floors: floors{Floor: []float64{8000, 20_000, 8000}, Bursts: []float64{10_000, 30_000, 10_000}}, Push: []float64{10_900, 40_000, 10_800},
		Fanout: []float64{11_000, 60_000, 10_500}, PushRate: []float64{1, 2, 3}, FanoutLast: []float64{1, 2, 3}, FrameBytes: 200,
	}
	rows := pushRows(defaultPush(), all)
	if v := rows[0].judge(); v.Verdict != Held || v.Value != 2900 {
		t.Errorf("%+v", v)
	}
	if v := rows[1].judge(); v.Verdict != Held || v.Value != 1.1 {
		t.Errorf("%+v", v)
	}
	all.Push[2], all.Fanout[2] = 11_100, 12_000
	for _, row := range pushRows(defaultPush(), all) {
		if v := row.judge(); v.Verdict != Broken {
			t.Errorf("%+v", v)
		}
	}
	all.Push[2], all.Fanout[2], all.Wrong = 10_800, 10_500, "push: 1 lost"
	for _, row := range pushRows(defaultPush(), all) {
		if v := row.judge(); v.Verdict != Broken || v.Note != "push: 1 lost" {
			t.Errorf("lost messages: %+v", v)
		}
	}
}

func TestRelayIsJudgedByItsMedianRound(t *testing.T) {
	round := func(p50, p99 time.Duration, lost int64) *report.Result {
		r := &report.Result{Total: &tally.Tally{}}
		r.Total.Add(tally.Lost, lost)
		r.AddMetric("relay.arrived.p50", float64(p50), report.Nanos)
		r.AddMetric("relay.arrived.p99", float64(p99), report.Nanos)
		r.AddMetric("relay.window.p50", float64(p99), report.Nanos)
		return r
	}
	paused := func(window time.Duration) (rounds []*report.Result) { // p99 5 ms
		for range 3 {
			r := round(30*time.Microsecond, 5*time.Millisecond, 0)
			r.Metrics[len(r.Metrics)-1].Value = float64(window)
			rounds = append(rounds, r)
		}
		return rounds
	}
	const us, ms = time.Microsecond, time.Millisecond
	half, steady := relayBudget{what: whatRelay, p99: relayP99Max}, relayBudget{what: whatRelayRate, p50: relayRateP50Max, p99: relayRateP99Max}
	quick := []*report.Result{round(30*us, 100*us, 0), round(30*us, 5*ms, 0), round(30*us, 100*us, 0)}
	slow := []*report.Result{round(2*ms, 5*ms, 0), round(2*ms, 5*ms, 0), round(0, 0, 0)}
	slowTail := []*report.Result{round(30*us, 5*ms, 0), round(30*us, 5*ms, 0), round(30*us, 5*ms, 0)}
	for _, c := range []struct {
		name   string
		of     relayBudget
		rounds []*report.Result
		bare   []*report.Result
		want   Verdict
	}{
		{"held by its median", half, []*report.Result{round(us, 400*us, 0), round(us, 9*ms, 0), round(us, 900*us, 0)}, quick, Held},
		{"too slow", half, []*report.Result{round(us, 400*us, 0), round(us, ms, 0), round(us, 2*ms, 0)}, quick, Broken},
		{"too slow, and the floor as well", half, []*report.Result{round(us, 400*us, 0), round(us, ms, 0), round(us, 2*ms, 0)}, slow, Invalid},
		{"paused, and the floor as well", half, paused(900 * us), paused(900 * us), Held},
		{"paused, and the floor was not", half, paused(900 * us), quick, Broken},
		{"slow all the time, and the floor paused", half, paused(ms), paused(900 * us), Broken},
		{"slow all the time, as the floor is", half, paused(ms), paused(ms), Invalid},
		{"held although the floor does not", half, []*report.Result{round(us, us, 0), round(us, us, 0), round(us, us, 0)}, slow, Held},
		{"lost", half, []*report.Result{round(1, 1, 0), round(1, 1, 1), round(1, 1, 0)}, slow, Broken},
		{"without times of arrival", half, []*report.Result{round(1, 1, 0), {Total: &tally.Tally{}}, round(1, 1, 0)}, quick, Broken},
		{"steady, held", steady, []*report.Result{round(900*us, 3*ms, 0), round(9*ms, 9*ms, 0), round(us, us, 0)}, quick, Held},
		{"steady, its tail", steady, []*report.Result{round(us, 4*ms, 0), round(us, 4*ms, 0), round(us, us, 0)}, quick, Broken},
		{"steady, its tail, and the floor's", steady, []*report.Result{round(us, 4*ms, 0), round(us, 4*ms, 0), round(us, us, 0)}, slowTail, Invalid},
		{"steady, its median", steady, []*report.Result{round(ms, 2*ms, 0), round(ms, 2*ms, 0), round(us, us, 0)}, quick, Broken},
		{"steady, its median, and the floor's tail only", steady, []*report.Result{round(ms, 2*ms, 0), round(ms, 2*ms, 0), round(us, us, 0)}, slowTail, Broken},
		{"steady, its median, and the floor's", steady, []*report.Result{round(ms, 2*ms, 0), round(ms, 2*ms, 0), round(us, us, 0)}, slow, Invalid},
	} {
		row, err := relayRow(relayRounds{Rounds: c.rounds, Bare: c.bare}, c.of)
		if row = row.judge(); row.Verdict != c.want || errors.Is(err, errMachine) != (c.want == Invalid) {
			t.Errorf("%s: %+v, %v", c.name, row, err)
		}
	}
}

func TestStormsAreJudgedByTheirMedian(t *testing.T) {
	storm := func(back, p99 time.Duration, lost, dead int64) *report.Result {
		r := &report.Result{Total: &tally.Tally{}}
		r.Total.Add(tally.Lost, lost)
		r.Total.Add(tally.Dead, dead)
		if back > 0 {
			r.AddMetric("storm.back", float64(back), report.Nanos)
		}
		r.AddMetric("push.arrived.p99", float64(p99), report.Nanos)
		return r
	}
	const ms = time.Millisecond
	for _, c := range []struct {
		storms         []*report.Result
		back, messages Verdict
	}{
		{[]*report.Result{storm(9*time.Second, 90*ms, 0, 0), storm(2*time.Second, 5*ms, 0, 0), storm(4*time.Second, 19*ms, 0, 0)}, Held, Held},
		{[]*report.Result{storm(9*time.Second, 90*ms, 0, 0), storm(2*time.Second, 5*ms, 0, 0), storm(5*time.Second, 20*ms, 0, 0)}, Broken, Broken},
		{[]*report.Result{storm(time.Second, ms, 1, 0), storm(time.Second, ms, 0, 0), storm(time.Second, ms, 0, 0)}, Held, Broken},
		{[]*report.Result{storm(time.Second, ms, 0, 0), storm(time.Second, ms, 0, 1), storm(time.Second, ms, 0, 0)}, Broken, Held},
		{[]*report.Result{storm(time.Second, ms, 0, 0), storm(0, ms, 0, 0), storm(time.Second, ms, 0, 0)}, Broken, Held},
	} {
		rows := stormRows(defaultStorm(), c.storms)
		if a, b := rows[0].judge(), rows[1].judge(); a.Verdict != c.back || b.Verdict != c.messages {
			t.Errorf("%+v\n%+v", a, b)
		}
	}
}

func TestUpgradesAreJudged(t *testing.T) {
	sample := func(round int, target string, cpu, p99 float64) compare.Sample {
		return compare.Sample{Round: round, Target: target, Figures: map[compare.Metric]float64{compare.CPUPerUpgrade: cpu, compare.P99: p99}}
	}
	r := &compare.Result{Samples: []compare.Sample{sample(1, "roost", 140, 49e6), sample(1, "upgrade", 100, 1e6)}}
	rows := upgradeRows(r, defaultUpgrade())
	if rows[0].judge().Verdict != Held || rows[1].judge().Verdict != Held {
		t.Errorf("%+v", rows)
	}
	r.Samples[0] = sample(1, "roost", 141, 50e6)
	for _, row := range upgradeRows(r, defaultUpgrade()) {
		if row.judge().Verdict != Broken {
			t.Errorf("%+v", row)
		}
	}
	for _, row := range upgradeRows(&compare.Result{}, defaultUpgrade()) {
		if row.judge().Verdict != Broken {
			t.Errorf("nothing was measured: %+v", row)
		}
	}
}

func TestDensityIsReadFromAnEarlierRun(t *testing.T) {
	dir := t.TempDir()
	b := &board{cfg: Config{Results: dir}}
	rows, err := runDensity(t.Context(), b)
	if err != nil || rows[0].judge().Verdict != NotHere {
		t.Errorf("%+v, %v", rows, err)
	}
	for _, c := range []struct {
		result experiment.DensityResult
		want   Verdict
	}{
		{experiment.DensityResult{Devices: densityAt, Alive: densityAt, Process: 500, Total: 5000}, Held},
		{experiment.DensityResult{Devices: densityAt, Alive: densityAt - 1, Process: 500, Total: 5000}, Broken},
		{experiment.DensityResult{Devices: densityAt, Alive: densityAt, Process: 601, Total: 5000}, Broken},
		{experiment.DensityResult{Devices: densityAt, Alive: densityAt, Process: 500, Total: 5121}, Broken},
	} {
		text, _ := json.Marshal(c.result)
		if err := os.WriteFile(filepath.Join(dir, "density-1000000.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if rows, err := runDensity(t.Context(), b); err != nil || rows[0].judge().Verdict != c.want {
			t.Errorf("%+v: %+v, %v", c.result, rows, err)
		}
	}
}

// A floor that moves by more than the budget within the rounds tells nothing of a row that
// does not hold.
func TestUnsteadyFloors(t *testing.T) {
	const limit = 3000
	for name, c := range map[string]struct {
		value float64
		drift []float64
		want  Verdict
	}{
		"held":                              {2900, []float64{9000, 9000, 9000}, Held},
		"too much beside steady floors":     {3100, []float64{100, 9000, 100}, Broken},
		"too much beside floors that moved": {3100, []float64{9000, 100, 9000}, Invalid},
	} {
		row := Row{Value: c.value, Limit: limit}
		err := floors{Drift: c.drift}.unsteady(&row)
		if row = row.judge(); row.Verdict != c.want || errors.Is(err, errMachine) != (c.want == Invalid) {
			t.Errorf("%s: %+v, %v", name, row, err)
		}
	}
	row := Row{Value: 3100, Limit: limit, Verdict: Broken}
	if err := (floors{Drift: []float64{9000}}).unsteady(&row); err != nil || row.Verdict != Broken {
		t.Errorf("lost messages are no matter of the floor: %+v, %v", row, err)
	}
}

// A device's ack is no part of what a queued push costs until it is written.
func TestQueuedPushesAreJudgedByAFloorThatIsAnswered(t *testing.T) {
	all := queueRounds{
		floors: floors{Floor: []float64{8000, 8000, 8000}, Acked: []float64{12_000, 30_000, 12_000}}, Queued: []float64{20_000, 50_000, 19_900}, Rate: []float64{20_000, 20_000, 19_000},
	}
	rows := queueRows(defaultQueue(), all)
	if a, b := rows[0].judge(), rows[1].judge(); a.Verdict != Held || a.Value != 8000 || b.Verdict != Held {
		t.Errorf("%+v\n%+v", a, b)
	}
	all.Queued[2], all.Rate[0] = 20_100, 19_000
	for _, row := range queueRows(defaultQueue(), all) {
		if v := row.judge(); v.Verdict != Broken {
			t.Errorf("%+v", v)
		}
	}
}

// A floor that did not write to everybody is no floor.
func TestFloorMustBeWhole(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answer := `{"connections":10,"full":0,"cpu_ns_per_write":8000}`
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) })}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	defer func() { _ = server.Close(); <-done }()
	w := &writeLoop{control: l.Addr().String()}
	if each, err := w.order(t.Context(), "write", 10, 100, 1); err != nil || each != 8000 {
		t.Errorf("%v, %v", each, err)
	}
	if _, err := w.order(t.Context(), "write", 11, 100, 1); err == nil {
		t.Error("a floor of 10 of 11 connections is taken")
	}
	answer = `{"connections":10,"full":3,"cpu_ns_per_write":8000}`
	if _, err := w.order(t.Context(), "write", 10, 100, 1); err == nil {
		t.Error("a floor whose writes were not taken is taken")
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no roost": func(c *Config) { c.Roost = "/no/such/file" }, "one core": func(c *Config) { c.OwnCPU = c.ServerCPU },
		"no such part": func(c *Config) { c.Only = []string{"pish"} }, "no try": func(c *Config) { c.Tries = 0 },
	} {
		c := Default()
		c.Roost, c.Bench, c.Peers = os.Args[0], os.Args[0], os.Args[0]
		if err := c.check(); err != nil {
			t.Fatal(err)
		}
		if change(&c); c.check() == nil {
			t.Errorf("%s: taken", name)
		}
	}
	r := &report.Result{Total: &tally.Tally{}}
	if r.Total.Add(tally.Lost, 1); wrong(r) != "1 lost" {
		t.Error("a lost message is nothing wrong")
	}
}

func TestBesideTheFloor(t *testing.T) {
	sample := func(target string, cost float64) compare.Sample {
		return compare.Sample{Target: target, Round: 1, Figures: map[compare.Metric]float64{compare.CPUPerMessage: cost}}
	}
	for name, c := range map[string]struct {
		own, floor float64
		verdict    Verdict
	}{
		"held":                               {80, 95, Held},
		"the floor holds it and we do not":   {95, 80, Broken},
		"the floor does not hold it either":  {95, 95, Forbidden},
		"nor are we near to the floor":       {106, 95, Broken},
		"held although the floor does not":   {89, 95, Held},
		"the floor is exactly on the budget": {95, 90, Broken},
	} {
		result := &compare.Result{Samples: []compare.Sample{sample("roost", c.own), sample("gnet", 100), sample("raw", c.floor)}}
		row := Row{Value: c.own / 100, Limit: 0.9}
		row.beside(result, "raw", echoRival{"gnet", 0.9})
		if got := row.judge().Verdict; got != c.verdict {
			t.Errorf("%s: %s", name, got)
		}
	}
	row := Row{Value: 0.95, Limit: 0.9}
	row.beside(&compare.Result{}, "raw", echoRival{"gnet", 0.9})
	if got := row.judge().Verdict; got != Broken {
		t.Errorf("without a floor: %s", got)
	}
}
