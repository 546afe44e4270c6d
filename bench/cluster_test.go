//go:build linux

package bench

import (
	"testing"
	"time"

	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
)

// clustered is a scenario against two nodes; the devices are on both in turn.
func clustered(t *testing.T, a, b *fakeNode, phases []generator.Phase, apis ...string) Scenario {
	t.Helper()
	s := a.against(t, phases)
	s.Target.Also = []string{b.url}
	var err error
	if s.API, err = ParseAPI(apis...); err != nil {
		t.Fatal(err)
	}
	return s
}

// The order of the APIs decides which pushes have to cross: these nodes know nothing of
// each other, so that those are undelivered.
func TestPushesGoToTheirNodes(t *testing.T) {
	for _, c := range []struct {
		name    string
		loops   int
		crossed bool
		want    map[tally.Counter]int64
	}{
		{"each device's own", 1, false, map[tally.Counter]int64{tally.Opened: 20, tally.Sent: 1000, tally.Received: 1000, tally.Undelivered: 0}},
		{"each device's own, two loops", 2, false, map[tally.Counter]int64{tally.Opened: 20, tally.Sent: 1000, tally.Received: 1000, tally.Undelivered: 0}},
		{"each device's other", 1, true, map[tally.Counter]int64{tally.Opened: 20, tally.Sent: 1000, tally.Received: 0, tally.Undelivered: 1000, tally.Lost: 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := (&fakeNode{}).start(t), (&fakeNode{}).start(t)
			apis := []string{a.api, b.api}
			if c.crossed {
				apis = []string{b.api, a.api}
			}
			load := shortPush
			load.Timeout = time.Minute // everything arrives, however busy the machine is
			s := clustered(t, a, b, MessagePhases(generator.Push, 20, load), apis...)
			s.Loops = c.loops
			r := mustRun(t, s, Options{})
			wantCounts(t, r, c.want)
			if a.pushes != 500 || b.pushes != 500 {
				t.Errorf("%d and %d pushes", a.pushes, b.pushes)
			}
			// The kernel begins to stamp some time after it was asked to (net_enable_timestamp defers
			// it to a worker), so the first few may have no time.
			if arrived := r.Total.Timings[tally.PushArrived]; (arrived == nil) != c.crossed || arrived != nil && arrived.Count() > 1000 {
				t.Errorf("times of arrival: %+v", arrived)
			}
		})
	}
}

// Fan-outs go to the nodes of the API in turn.
func TestFanoutsGoToAllNodes(t *testing.T) {
	t.Parallel()
	a, b := (&fakeNode{}).start(t), (&fakeNode{}).start(t)
	load := shortPush
	load.PerSecond, load.Timeout = 20, vain // neither node has the other's devices
	mustRun(t, clustered(t, a, b, MessagePhases(generator.Fanout, 20, load), a.api, b.api), Options{})
	if a.pushes != 5 || b.pushes != 5 {
		t.Errorf("%d and %d pushes", a.pushes, b.pushes)
	}
}

// A device that connects to the next node must lose its first connection, and a cluster
// that forgets to end it is found out.
func TestDevicesMove(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		keeps bool // the nodes do not displace
	}{{"honest", false}, {"keeps the older", true}} {
		t.Run(c.name, func(t *testing.T) {
			a, b := (&fakeNode{}).start(t), (&fakeNode{}).start(t)
			if !c.keeps {
				a.rival, b.rival = b, a
			}
			s := clustered(t, a, b, []generator.Phase{
				{Kind: generator.Open, Connections: 20},
				{Kind: generator.Move, Measured: true, PerSecond: 100, Duration: 500 * time.Millisecond, Timeout: time.Minute},
				{Kind: generator.Prove, Timeout: time.Minute},
			})
			if c.keeps {
				s.Phases[1].Timeout = vain
				r := mustRun(t, s, Options{})
				wantCounts(t, r, map[tally.Counter]int64{tally.Moved: 20, tally.Displaced: 0, tally.Missing: 20, tally.Ended: 0, tally.Dead: 0})
				return
			}
			r := mustRun(t, s, Options{})
			moved := r.Total.Get(tally.Moved)
			wantCounts(t, r, map[tally.Counter]int64{tally.Displaced: moved, tally.Missing: 0, tally.Ended: moved, tally.Dead: 0, tally.Proved: 20})
			if moved < 20 || r.Total.Closes[4001] != moved || r.Total.Timing(tally.Displace).Count() != moved {
				t.Errorf("%d moves, closed by code %v", moved, r.Total.Closes)
			}
			if m, ok := r.Find("displace.p99"); !ok || r.Exit() != report.ExitOK {
				t.Errorf("%+v, exit %d, early %q", m, r.Exit(), r.Early)
			}
		})
	}
	s := quick("ws://127.0.0.1:1/", []generator.Phase{{Kind: generator.Move, PerSecond: 1}})
	if err := s.Validate(); err == nil {
		t.Error("devices may move within one node")
	}
}
