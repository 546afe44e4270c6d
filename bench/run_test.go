//go:build linux

package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
	"github.com/roostpush/roost/bench/target"
)

// workerEnv makes this test binary a generator process; with the value "tenth" one
// that gets a tenth of the time.
const workerEnv = "ROOST_BENCH_TEST_WORKER"

func TestMain(m *testing.M) {
	switch os.Getenv(workerEnv) {
	case "":
		goleak.VerifyTestMain(m)
	case "tenth":
		// A process that is stopped nine tenths of the time sees what one sees that is
		// confined to a tenth of a core.
		throttle := exec.Command("/bin/sh", "-c", `while kill -STOP $PPID; do sleep 0.09; kill -CONT $PPID; sleep 0.01; done 2>/dev/null`)
		if err := throttle.Start(); err != nil {
			panic(err)
		}
		fallthrough
	default:
		if err := generator.Run(context.Background(), os.Stdin, os.Stdout, nil); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// quick is a scenario against a server of this test. The generator's own lateness is
// no matter here: the machine is shared, and counts do not depend on it.
func quick(url string, phases []generator.Phase) Scenario {
	spec := target.Default()
	spec.URL = url
	s := DefaultScenario("test", spec)
	s.Phases = phases
	s.Saturation = Saturation{LateShare: 1, BeatShare: 1}
	s.ProbeWait = patience
	return s
}

func mustRun(t *testing.T, s Scenario, o Options) *report.Result {
	t.Helper()
	r, err := Run(context.Background(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantCounts(t *testing.T, r *report.Result, want map[tally.Counter]int64) {
	t.Helper()
	for c, n := range want {
		if got := r.Total.Get(c); got != n {
			t.Errorf("%s = %d, want %d", c, got, n)
		}
	}
	if t.Failed() {
		r.WriteTable(testWriter{t})
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// How long tests wait. What is late counts as lost, so what must arrive is waited for as long
// as a busy machine may need; where something never comes the time is spent, and is short.
// Such tests have a light load, which a slow machine carries within that time although it
// falls behind, and run beside each other.
const (
	patience = time.Minute
	vain     = 5 * time.Second
)

// shortEcho is 1,000 messages at 2,000 a second over 20 connections.
var shortEcho = EchoLoad{PerSecond: 2000, PayloadBytes: 64, Duration: 500 * time.Millisecond, Timeout: patience}

// lightEcho is 200 messages at 200 a second, of which some never come back.
var lightEcho = EchoLoad{PerSecond: 200, PayloadBytes: 64, Duration: time.Second, Timeout: vain}

func TestHonestServer(t *testing.T) {
	for _, c := range []struct {
		name    string
		loops   int
		payload int
	}{{"one loop", 1, 20}, {"three loops", 3, 200}, {"payload beyond 64 KiB", 1, 100_000}} {
		t.Run(c.name, func(t *testing.T) {
			load := shortEcho
			load.PayloadBytes = c.payload
			s := quick(honest(t).url, EchoPhases(20, load))
			s.Loops = c.loops
			s.Thresholds = []string{"lost==0", "echo.p99>1ns", "connect.success>=100%"}
			r := mustRun(t, s, Options{})
			wantCounts(t, r, map[tally.Counter]int64{
				tally.Attempted: 20, tally.Opened: 20, tally.Failed: 0, tally.Ended: 0, tally.Sent: 1000, tally.Received: 1000,
				tally.Lost: 0, tally.Duplicated: 0, tally.Reordered: 0, tally.Corrupt: 0, tally.Other: 0, tally.Paced: 1000,
			})
			if r.Exit() != report.ExitOK {
				t.Errorf("exit %d: %+v", r.Exit(), r.Thresholds)
			}
		})
	}
}

func TestClosedLoop(t *testing.T) {
	load := EchoLoad{Inflight: 2, PayloadBytes: 20, Duration: 200 * time.Millisecond, Timeout: patience}
	r := mustRun(t, quick(honest(t).url, EchoPhases(10, load)), Options{})
	sent := r.Total.Get(tally.Sent)
	if sent < 20 || sent != r.Total.Get(tally.Received) || r.Total.Get(tally.Lost) != 0 {
		t.Errorf("sent %d, received %d, lost %d", sent, r.Total.Get(tally.Received), r.Total.Get(tally.Lost))
	}
	if r.Total.Timings[tally.Echo] != nil || r.Total.Timing(tally.EchoClosed).Count() != sent {
		t.Error("a closed loop must have the closed-loop figure and no other")
	}
}

// Every lie that a server can tell about messages is counted exactly.
// A server that pauses for 100 ms lets 10 ms of messages pile up ten times over: they
// all waited, and the open-loop figure must say so. The lower bound cannot be missed,
// because the pause is the server's own.
// Connections that the server ended meanwhile are dead too, and their code is counted.
// Whatever pieces bytes come in, and however a message is fragmented, it is one.
// Each connection is somebody else, over loops and processes, and nobody comes twice.
func TestEveryIdentityConnectsOnce(t *testing.T) {
	for _, processes := range []int{1, 3} {
		t.Run(fmt.Sprint(processes, " processes"), func(t *testing.T) {
			s := honest(t)
			scenario := quick(s.url, IdlePhases(101, 0, 0, patience))
			scenario.Processes, scenario.Loops = processes, 2
			scenario.Target.Sources = "127.0.1.1-127.0.1.7"
			t.Setenv(workerEnv, "1")
			r := mustRun(t, scenario, Options{WorkerCommand: []string{os.Args[0]}})
			wantCounts(t, r, map[tally.Counter]int64{tally.Opened: 101, tally.Proved: 101, tally.Dead: 0})
			accounts := s.accounts(t)
			for i := range 101 {
				if n := accounts[fmt.Sprintf("acc-%d", i)]; n != 1 {
					t.Errorf("account %d connected %d times", i, n)
				}
			}
			if len(accounts) != 101 {
				t.Errorf("%d accounts", len(accounts))
			}
		})
	}
}

func TestGeneratorOnATenthOfACoreSaysSo(t *testing.T) {
	t.Setenv(workerEnv, "tenth")
	s := quick(honest(t).url, EchoPhases(10, EchoLoad{PerSecond: 500, PayloadBytes: 20, Duration: 2 * time.Second, Timeout: 10 * time.Second}))
	s.Processes = 2
	s.Saturation = DefaultScenario("", target.Spec{}).Saturation
	s.Thresholds = []string{"lost==1"} // cannot hold, and must not hide that the run is invalid
	r := mustRun(t, s, Options{WorkerCommand: []string{os.Args[0]}})
	if r.Exit() != report.ExitSaturated {
		t.Errorf("exit %d, want %d; generator %+v", r.Exit(), report.ExitSaturated, r.Generator)
	}
}

func TestServerIsMeasuredFromProc(t *testing.T) {
	s := quick(honest(t).url, EchoPhases(10, shortEcho))
	s.ServerPIDs = []int{os.Getpid()}
	s.Thresholds = []string{"server.cpu_per_message>=0", "server.rss_per_connection<1GiB"}
	r := mustRun(t, s, Options{})
	if r.Exit() != report.ExitOK {
		t.Errorf("exit %d: %+v", r.Exit(), r.Thresholds)
	}
	if p := r.Phases[1]; p.ServerBefore == nil || p.ServerAfter == nil || p.ServerAfter.RSSBytes == 0 || p.ServerAfter.Descriptors < 20 {
		t.Errorf("phase %+v", p)
	}
}
