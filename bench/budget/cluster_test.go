//go:build linux

package budget

import (
	"errors"
	"testing"
	"time"

	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
)

func TestCrossPushIsJudgedByItsFloor(t *testing.T) {
	all := crossRounds{floors: floors{Floor: []float64{8000, 20_000, 8000}}, Push: []float64{13_900, 60_000, 13_800}, Own: []float64{8000, 20_000, 8000}, Rate: []float64{1, 2, 3}, FrameBytes: 200}
	if row := crossRow(defaultCross(), all).judge(); row.Verdict != Held || row.Value != 5900 {
		t.Errorf("%+v", row)
	}
	all.Push[2] = 14_100
	if row := crossRow(defaultCross(), all).judge(); row.Verdict != Broken {
		t.Errorf("%+v", row)
	}
	all.Push[2], all.Wrong = 13_800, "push: 1 lost"
	if row := crossRow(defaultCross(), all).judge(); row.Verdict != Broken || row.Note != all.Wrong {
		t.Errorf("lost messages: %+v", row)
	}
}

func TestCrossLatencyIsJudgedByItsMedianRound(t *testing.T) {
	round := func(p99 time.Duration, lost int64) *report.Result {
		r := &report.Result{Total: &tally.Tally{}}
		r.Total.Add(tally.Lost, lost)
		r.AddMetric("push.arrived.p99", float64(p99), report.Nanos)
		return r
	}
	const ms = time.Millisecond
	paused := func(window time.Duration) (rounds []*report.Result) { // p99 9 ms
		for range 3 {
			r := round(9*ms, 0)
			r.AddMetric("push.window.p50", float64(window), report.Nanos)
			rounds = append(rounds, r)
		}
		return rounds
	}
	quick := []*report.Result{round(ms, 0), round(9*ms, 0), round(ms, 0)}
	for _, c := range []struct {
		rounds []*report.Result
		own    []*report.Result
		want   Verdict
	}{
		{[]*report.Result{round(ms, 0), round(9*ms, 0), round(3*ms, 0)}, quick, Held},
		{[]*report.Result{round(ms, 0), round(9*ms, 0), round(4*ms, 0)}, quick, Broken},
		{[]*report.Result{round(ms, 0), round(9*ms, 0), round(4*ms, 0)}, []*report.Result{round(5*ms, 0)}, Invalid},
		{paused(3 * ms), paused(3 * ms), Held},
		{paused(3 * ms), quick, Broken},
		{paused(4 * ms), paused(3 * ms), Broken},
		{paused(4 * ms), paused(4 * ms), Invalid},
		{[]*report.Result{round(ms, 0), round(ms, 1), round(ms, 0)}, quick, Broken},
		{[]*report.Result{round(ms, 0), {Total: &tally.Tally{}}, round(ms, 0)}, quick, Broken},
	} {
		row, err := crossLatencyRow(crossLatencies{Ramp: &report.Result{}, Cross: c.rounds, Own: c.own})
		if row = row.judge(); row.Verdict != c.want || errors.Is(err, errMachine) != (c.want == Invalid) {
			t.Errorf("%+v, %v", row, err)
		}
	}
}

func TestIdleClustersAreJudged(t *testing.T) {
	z := defaultClusterIdle()
	quiet := traffic{Gossip: 2000, Links: 1000, Heads: 1000}
	for _, c := range []struct {
		traffic []traffic
		slope   experiment.SlopeResult
		want    [2]Verdict
	}{
		{[]traffic{quiet, quiet, quiet}, experiment.SlopeResult{RSS: 512, Alive: z.High}, [2]Verdict{Held, Held}},
		{[]traffic{quiet, quiet, {4000, 1000, 1000}}, experiment.SlopeResult{RSS: 513, Alive: z.High}, [2]Verdict{Broken, Broken}},
		{[]traffic{quiet, {}, {}}, experiment.SlopeResult{RSS: 300, Alive: z.High - 1}, [2]Verdict{Held, Broken}},
		{[]traffic{{}, {}, {}}, experiment.SlopeResult{RSS: 300, Alive: z.High}, [2]Verdict{Broken, Held}},
	} {
		rows := clusterIdleRows(z, clusterIdle{Traffic: c.traffic, Slope: &c.slope})
		for i, row := range rows {
			if got := row.judge(); got.Verdict != c.want[i] {
				t.Errorf("%+v", got)
			}
		}
	}
}

func TestDelaysAreJudged(t *testing.T) {
	moves := func(p99 time.Duration, moved, displaced, missing, ended, dead int64) *report.Result {
		r := &report.Result{Total: &tally.Tally{}}
		for c, n := range map[tally.Counter]int64{tally.Moved: moved, tally.Displaced: displaced, tally.Missing: missing, tally.Ended: ended, tally.Dead: dead} {
			r.Total.Add(c, n)
		}
		r.AddMetric("displace.p99", float64(p99), report.Nanos)
		return r
	}
	const ms = time.Millisecond
	for _, c := range []struct {
		all  delays
		want [2]Verdict
	}{
		{delays{Delay: experiment.Distribution{Count: 9, P99: 15 * ms}, Moves: moves(99*ms, 9, 9, 0, 9, 0)}, [2]Verdict{Held, Held}},
		{delays{Delay: experiment.Distribution{Count: 9, P99: 20 * ms}, Moves: moves(100*ms, 9, 9, 0, 9, 0)}, [2]Verdict{Broken, Broken}},
		{delays{Moves: moves(ms, 9, 8, 1, 8, 0)}, [2]Verdict{Broken, Broken}},
		{delays{Delay: experiment.Distribution{Count: 9, P99: ms}, Lost: 1, Moves: moves(ms, 9, 9, 0, 10, 0)}, [2]Verdict{Broken, Broken}},
		{delays{Delay: experiment.Distribution{Count: 9, P99: ms}, Moves: moves(ms, 9, 9, 0, 9, 1)}, [2]Verdict{Held, Broken}},
		{delays{Delay: experiment.Distribution{Count: 9, P99: ms}, Moves: moves(0, 0, 0, 0, 0, 0)}, [2]Verdict{Held, Broken}},
	} {
		rows := delayRows(c.all)
		for i, want := range c.want {
			if got := rows[i].judge(); got.Verdict != want {
				t.Errorf("%+v, want %s", got, want)
			}
		}
	}
}

func TestLossesAreJudgedByTheLongest(t *testing.T) {
	for _, c := range []struct {
		rounds []time.Duration
		want   Verdict
	}{
		{[]time.Duration{time.Millisecond, 499 * time.Millisecond}, Held}, {[]time.Duration{500 * time.Millisecond, time.Millisecond}, Broken}, {nil, Broken},
	} {
		if row := lossRow(whatLossDied, "", lossDiedMax, c.rounds).judge(); row.Verdict != c.want {
			t.Errorf("%+v", row)
		}
	}
}
