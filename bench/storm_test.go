//go:build linux

package bench

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
)

// shortStorm drops 30 of 40 connections; 10 are pushed to meanwhile.
var shortStorm = StormLoad{
	Dropped: 30, Others: 10, Timeout: patience, Retry: 20 * time.Millisecond,
	Trickle: MessageLoad{PerSecond: 500, PayloadBytes: 80, Timeout: patience},
}

func TestStorm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*StormLoad)
		refuse func(n int64) error
		want   map[tally.Counter]int64
		exit   int
	}{
		{"all come back", func(*StormLoad) {}, nil,
			map[tally.Counter]int64{tally.Dropped: 30, tally.Returned: 30, tally.Missing: 0, tally.Retried: 0, tally.Proved: 40, tally.Dead: 0}, report.ExitOK},
		{"paced", func(s *StormLoad) { s.Returns = 100 }, nil,
			map[tally.Counter]int64{tally.Dropped: 30, tally.Returned: 30, tally.Missing: 0, tally.Retried: 0, tally.Proved: 40, tally.Dead: 0}, report.ExitOK},
		{"refused at first", func(*StormLoad) {}, func(n int64) error {
			if n >= 40 && n < 50 { // the first forty opened the run
				return errors.New("come again")
			}
			return nil
		}, map[tally.Counter]int64{tally.Dropped: 30, tally.Returned: 30, tally.Missing: 0, tally.Retried: 10, tally.Proved: 40}, report.ExitOK},
		{"some never come back", func(s *StormLoad) { s.Timeout = vain }, func(n int64) error {
			if n >= 45 {
				return errors.New("full")
			}
			return nil
		}, map[tally.Counter]int64{tally.Dropped: 30, tally.Returned: 5, tally.Missing: 25, tally.Proved: 15}, report.ExitThreshold},
	} {
		t.Run(c.name, func(t *testing.T) {
			storm := shortStorm
			c.change(&storm)
			s := (&fakeNode{refuse: c.refuse}).start(t).against(t, StormPhases(storm))
			s.Loops = 2
			s.Thresholds = []string{"missing==0", "storm.back<60s", "lost==0"}
			r := mustRun(t, s, Options{})
			wantCounts(t, r, c.want)
			wantCounts(t, r, map[tally.Counter]int64{tally.Lost: 0, tally.Undelivered: 0, tally.Unanswered: 0})
			if back, _ := r.Find("storm.back"); storm.Returns > 0 && back.Value < 0.28e9 {
				t.Errorf("30 came back in %s at 100 a second", back.Text())
			}
			if r.Exit() != c.exit {
				t.Errorf("exit %d, want %d: %+v", r.Exit(), c.exit, r.Thresholds)
			}
			if r.Total.Get(tally.Missing) == 0 && (r.Total.Get(tally.Pushed) == 0 || r.Total.Get(tally.Received) != r.Total.Get(tally.Pushed)) {
				t.Errorf("the others got %d of %d pushes", r.Total.Get(tally.Received), r.Total.Get(tally.Pushed))
			}
		})
	}
}

// In a soak the server may end connections: they come back, with the numbers of their
// messages, and nothing is called lost.
func TestSoakRevives(t *testing.T) {
	node := &fakeNode{farewel: func(n int64) bool { return n%100 == 50 }}
	phases := SoakPhases(SoakLoad{
		Connections: 40, Duration: 800 * time.Millisecond, Churn: 50, Push: 500, Relay: 500, Payload: 80, Timeout: patience,
	})
	s := node.start(t).against(t, phases)
	s.Target.Account = "acc-{i/2}"
	s.Loops = 2
	r := mustRun(t, s, Options{})
	wantCounts(t, r, map[tally.Counter]int64{
		tally.Lost: 0, tally.Duplicated: 0, tally.Reordered: 0, tally.Corrupt: 0, tally.Unanswered: 0, tally.Missing: 0,
		tally.Dead: 0, tally.Proved: 40,
	})
	if r.Total.Closes[1001] == 0 || r.Total.Get(tally.Dropped) <= r.Total.Closes[1001] {
		t.Errorf("closes %v, %d dropped", r.Total.Closes, r.Total.Get(tally.Dropped))
	}
	if r.Exit() != report.ExitOK {
		t.Errorf("exit %d, early %q", r.Exit(), r.Early)
	}
}

func TestSoakOfAnEchoServer(t *testing.T) {
	phases := SoakPhases(SoakLoad{Connections: 20, Duration: 500 * time.Millisecond, Churn: 40, Echo: 400, Payload: 64, Timeout: patience})
	r := mustRun(t, quick(honest(t).url, phases), Options{})
	dropped := r.Total.Get(tally.Dropped) // 20, and fewer by a generator that comes round late
	wantCounts(t, r, map[tally.Counter]int64{tally.Sent: 200, tally.Received: 200, tally.Lost: 0, tally.Returned: dropped, tally.Proved: 20, tally.Dead: 0})
	if dropped == 0 || dropped > 20 {
		t.Errorf("%d dropped", dropped)
	}
}

// A server that loses messages above 300 a second is found out to within the
// precision. It sees the rate in the messages themselves, so that no clock matters.
func TestRampFindsTheLimit(t *testing.T) {
	t.Parallel()
	const limit = 300
	s := &server{answer: func(c *session, op ws.OpCode, payload []byte) error {
		intended := int64(binary.LittleEndian.Uint64(payload[8:]))
		gap := intended - c.last
		c.last = intended
		if gap > 0 && gap < int64(time.Second)/limit {
			return nil
		}
		return c.write(op, payload)
	}}
	load := EchoLoad{PerSecond: 20, PayloadBytes: 64, Duration: 300 * time.Millisecond, Timeout: vain}
	scenario := quick(s.start(t).url, EchoPhases(1, load))
	r := DefaultRamp(1)
	r.Pause = 0
	scenario.Ramp = &r
	scenario.Thresholds = []string{"lost==0"}
	result := mustRun(t, scenario, Options{})
	m, ok := result.Find("ramp.rate")
	if !ok || m.Value > limit || m.Value < limit/1.06 {
		t.Errorf("found %v; steps %+v", m, result.Steps)
	}
	broke := slices.ContainsFunc(result.Steps, func(s report.Step) bool {
		return !s.Held && strings.Contains(strings.Join(s.Broken, " "), "lost==0")
	})
	if result.Exit() != report.ExitOK || !broke {
		t.Errorf("exit %d, steps %+v", result.Exit(), result.Steps)
	}
}

// A server that sends everybody away above 300 a second, as a rate limit does, is a
// finding: the connections come back and the ramp goes on below.
func TestRampBringsBackWhatAStepEnded(t *testing.T) {
	t.Parallel()
	const limit = 300
	s := &server{answer: func(c *session, op ws.OpCode, payload []byte) error {
		intended := int64(binary.LittleEndian.Uint64(payload[8:]))
		gap := intended - c.last
		c.last = intended
		if gap > 0 && gap < 4*int64(time.Second)/limit { // four connections take turns
			return errors.New("too fast")
		}
		return c.write(op, payload)
	}}
	load := EchoLoad{PerSecond: 80, PayloadBytes: 64, Duration: 200 * time.Millisecond, Timeout: vain}
	scenario := quick(s.start(t).url, EchoPhases(4, load))
	r := DefaultRamp(1)
	r.Pause = 0
	scenario.Ramp, scenario.Thresholds = &r, []string{"lost==0"}
	result := mustRun(t, scenario, Options{})
	m, ok := result.Find("ramp.rate")
	if !ok || m.Value > limit || m.Value < limit/1.06 || result.Exit() != report.ExitOK {
		t.Errorf("found %v, exit %d, early %q; steps %+v", m, result.Exit(), result.Early, result.Steps)
	}
	if !slices.ContainsFunc(result.Steps, func(s report.Step) bool { return s.Ended == 4 && !s.Held }) {
		t.Errorf("no step ended all: %+v", result.Steps)
	}
}

func TestRampThatNothingHolds(t *testing.T) {
	s := &server{answer: func(*session, ws.OpCode, []byte) error { return nil }}
	scenario := quick(s.start(t).url, EchoPhases(1, EchoLoad{PerSecond: 64, PayloadBytes: 64, Duration: 100 * time.Millisecond, Timeout: 50 * time.Millisecond}))
	r := DefaultRamp(1)
	r.Pause, r.StepsMax = 0, 4
	scenario.Ramp, scenario.Thresholds = &r, []string{"lost==0"}
	if result := mustRun(t, scenario, Options{}); result.Exit() != report.ExitThreshold || len(result.Steps) != 4 {
		t.Errorf("exit %d after %d steps", result.Exit(), len(result.Steps))
	}
}

func TestRampsThatMakeNoSense(t *testing.T) {
	for name, change := range map[string]func(*Scenario){
		"no thresholds":  func(s *Scenario) { s.Thresholds = nil },
		"no rate":        func(s *Scenario) { s.Phases[1].PerSecond, s.Phases[1].Inflight = 0, 1 },
		"no such phase":  func(s *Scenario) { s.Ramp.Phase = 9 },
		"does not climb": func(s *Scenario) { s.Ramp.Factor = 1 },
	} {
		s := quick("ws://127.0.0.1:1/", EchoPhases(1, shortEcho))
		r := DefaultRamp(1)
		s.Ramp, s.Thresholds = &r, []string{"lost==0"}
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		if change(&s); s.Validate() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// A phase that needs every connection, or has no end that can be asked for, is no part.
func TestPartsOfAMixMustFit(t *testing.T) {
	s := quick("ws://127.0.0.1:1/", []generator.Phase{{Kind: generator.Mix, Parts: []generator.Phase{{Kind: generator.Fanout, PerSecond: 1, PayloadBytes: 80}}}})
	s.API.Nodes = []generator.APINode{{Addr: "127.0.0.1:1"}}
	if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "cannot be part of a mix") {
		t.Errorf("error %v", err)
	}
}
