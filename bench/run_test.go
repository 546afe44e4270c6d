//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/hostinfo"
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
	s.ProbeWait = 2 * time.Second
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

// shortEcho is 1,000 messages at 2,000 a second over 20 connections.
var shortEcho = EchoLoad{PerSecond: 2000, PayloadBytes: 64, Duration: 500 * time.Millisecond, Timeout: 5 * time.Second}

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
	load := EchoLoad{Inflight: 2, PayloadBytes: 20, Duration: 200 * time.Millisecond, Timeout: 5 * time.Second}
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
func TestLyingServers(t *testing.T) {
	var told atomic.Int64
	for _, c := range []struct {
		name    string
		counter tally.Counter
		answer  func(c *session, op ws.OpCode, payload []byte) error
	}{
		{"drops one in a hundred", tally.Lost, func(c *session, op ws.OpCode, payload []byte) error {
			if told.Add(1)%100 == 0 {
				return nil
			}
			return c.write(op, payload)
		}},
		{"says every tenth twice", tally.Duplicated, func(c *session, op ws.OpCode, payload []byte) error {
			if number(payload)%10 == 3 {
				told.Add(1)
				if err := c.write(op, payload); err != nil {
					return err
				}
			}
			return c.write(op, payload)
		}},
		{"swaps pairs", tally.Reordered, func(c *session, op ws.OpCode, payload []byte) error {
			if number(payload)%2 == 0 {
				c.kept = payload
				return nil
			}
			told.Add(1)
			if err := c.write(op, payload); err != nil {
				return err
			}
			return c.write(op, c.kept)
		}},
		{"changes a letter", tally.Corrupt, func(c *session, op ws.OpCode, payload []byte) error {
			if number(payload) == 5 {
				told.Add(1)
				payload[40]++
			}
			return c.write(op, payload)
		}},
		{"answers on the wrong connection", tally.Corrupt, func(c *session, op ws.OpCode, payload []byte) error {
			if number(payload) == 7 {
				told.Add(1)
				payload[0]++
			}
			return c.write(op, payload)
		}},
		{"sends something else too", tally.Other, func(c *session, op ws.OpCode, payload []byte) error {
			told.Add(1)
			if err := c.write(ws.OpText, []byte("hello")); err != nil {
				return err
			}
			return c.write(op, payload)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			told.Store(0)
			load := shortEcho
			load.Timeout = 500 * time.Millisecond
			s := quick((&server{answer: c.answer}).start(t).url, EchoPhases(20, load))
			s.Thresholds = []string{c.counter.String() + "==0"}
			r := mustRun(t, s, Options{})
			want := told.Load()
			if c.counter == tally.Lost {
				want /= 100
			}
			if want == 0 {
				t.Fatal("the server did not lie")
			}
			wantCounts(t, r, map[tally.Counter]int64{c.counter: want, tally.Sent: 1000})
			if r.Exit() != report.ExitThreshold {
				t.Errorf("exit %d, want %d", r.Exit(), report.ExitThreshold)
			}
		})
	}
}

// A server that pauses for 100 ms lets 10 ms of messages pile up ten times over: they
// all waited, and the open-loop figure must say so. The lower bound cannot be missed,
// because the pause is the server's own.
func TestLateBurstsShowInOpenLoop(t *testing.T) {
	const pause = 100 * time.Millisecond
	s := &server{answer: func(c *session, op ws.OpCode, payload []byte) error {
		if c.messages%50 == 0 {
			time.Sleep(pause)
		}
		return c.write(op, payload)
	}}
	load := EchoLoad{PerSecond: 200, PayloadBytes: 20, Duration: time.Second, Timeout: 5 * time.Second}
	r := mustRun(t, quick(s.start(t).url, EchoPhases(1, load)), Options{})
	if p99 := r.Total.Timing(tally.Echo).Quantile(99); p99 < pause*9/10 {
		t.Errorf("p99 %v hides a pause of %v", p99, pause)
	}
	wantCounts(t, r, map[tally.Counter]int64{tally.Sent: 200, tally.Received: 200})
}

func TestIdleProvesTheLivingAndFindsTheDead(t *testing.T) {
	for _, c := range []struct {
		name string
		pong func(n int64) bool
		dead int64
		exit int
	}{
		{"all answer", nil, 0, report.ExitOK},
		{"none answers", func(int64) bool { return false }, 30, report.ExitThreshold},
		{"every third is deaf", func(n int64) bool { return n%3 != 0 }, 10, report.ExitThreshold},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := quick((&server{pong: c.pong}).start(t).url, IdlePhases(30, 0, 50*time.Millisecond, 500*time.Millisecond))
			s.Thresholds = []string{"dead==0"}
			r := mustRun(t, s, Options{})
			wantCounts(t, r, map[tally.Counter]int64{tally.Opened: 30, tally.Dead: c.dead, tally.Proved: 30 - c.dead})
			if r.Exit() != c.exit {
				t.Errorf("exit %d, want %d", r.Exit(), c.exit)
			}
		})
	}
}

// Connections that the server ended meanwhile are dead too, and their code is counted.
func TestIdleCountsTheEnded(t *testing.T) {
	s := &server{}
	s.greet = func(c net.Conn) {
		if s.upgrade.Load()%2 == 0 {
			return
		}
		_ = ws.WriteFrame(c, ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "bye")))
	}
	r := mustRun(t, quick(s.start(t).url, IdlePhases(40, 200, 100*time.Millisecond, 2*time.Second)), Options{})
	ended := r.Total.Get(tally.Ended)
	if ended == 0 || r.Total.Closes[1001] != ended {
		t.Fatalf("ended %d, closes %v", ended, r.Total.Closes)
	}
	wantCounts(t, r, map[tally.Counter]int64{tally.Opened: 40, tally.Dead: ended, tally.Proved: 40 - ended})
}

func TestClosesAfterTheHandshake(t *testing.T) {
	s := &server{greet: func(c net.Conn) { c.Close() }}
	r := mustRun(t, quick(s.start(t).url, EchoPhases(10, shortEcho)), Options{})
	if r.Exit() != report.ExitEarly || !strings.Contains(r.Early, "no connection is left") {
		t.Errorf("exit %d, early %q", r.Exit(), r.Early)
	}
	if r.Total.Get(tally.Ended)+r.Total.Get(tally.Failed) != 10 {
		t.Errorf("%d ended, %d failed", r.Total.Get(tally.Ended), r.Total.Get(tally.Failed))
	}
}

func TestAnswersPings(t *testing.T) {
	s := &server{greet: func(c net.Conn) {
		for range 3 {
			_ = ws.WriteFrame(c, ws.NewPingFrame([]byte("are you there")))
		}
	}}
	r := mustRun(t, quick(s.start(t).url, IdlePhases(10, 0, 50*time.Millisecond, 2*time.Second)), Options{})
	wantCounts(t, r, map[tally.Counter]int64{tally.Pings: 30, tally.Proved: 10})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pongs != 30 {
		t.Errorf("the server got %d pongs", s.pongs)
	}
}

// Whatever pieces bytes come in, and however a message is fragmented, it is one.
func TestPiecesAndFragments(t *testing.T) {
	s := &server{answer: func(c *session, op ws.OpCode, payload []byte) error {
		w := slowWriter{c.Conn}
		third := len(payload) / 3
		for i, f := range []ws.Frame{
			ws.NewFrame(op, false, payload[:third]),
			ws.NewPingFrame([]byte("between")),
			ws.NewFrame(ws.OpContinuation, false, payload[third:2*third]),
			ws.NewFrame(ws.OpContinuation, true, payload[2*third:]),
		} {
			if err := ws.WriteFrame(w, f); err != nil {
				return fmt.Errorf("frame %d: %w", i, err)
			}
		}
		return nil
	}}
	load := EchoLoad{PerSecond: 200, PayloadBytes: 150, Duration: 200 * time.Millisecond, Timeout: 10 * time.Second}
	r := mustRun(t, quick(s.start(t).url, EchoPhases(5, load)), Options{})
	wantCounts(t, r, map[tally.Counter]int64{tally.Sent: 40, tally.Received: 40, tally.Lost: 0, tally.Pings: 40})
}

func TestRefusalsAreErrorsByClass(t *testing.T) {
	s := &server{refuse: func(n int64, _ string) error {
		if n%4 == 0 {
			return refusing(503)
		}
		return nil
	}}
	r := mustRun(t, quick(s.start(t).url, ConnectPhases(200, 500*time.Millisecond, 0)), Options{})
	wantCounts(t, r, map[tally.Counter]int64{tally.Attempted: 100, tally.Opened: 75, tally.Failed: 25})
	if r.Total.Errors["http 503"] != 25 {
		t.Errorf("errors %v", r.Total.Errors)
	}
}

// Each connection is somebody else, over loops and processes, and nobody comes twice.
func TestEveryIdentityConnectsOnce(t *testing.T) {
	for _, processes := range []int{1, 3} {
		t.Run(fmt.Sprint(processes, " processes"), func(t *testing.T) {
			s := honest(t)
			scenario := quick(s.url, IdlePhases(101, 0, 0, 5*time.Second))
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

func TestTargetThatDiesInMidRun(t *testing.T) {
	for _, c := range []struct {
		name   string
		phases []generator.Phase
	}{
		{"echo", EchoPhases(10, EchoLoad{PerSecond: 500, PayloadBytes: 20, Duration: time.Minute, Timeout: time.Second})},
		{"connect", ConnectPhases(200, time.Minute, 10*time.Millisecond)},
		{"idle", IdlePhases(10, 0, time.Minute, time.Second)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := honest(t)
			var seconds atomic.Int64
			r := mustRun(t, quick(s.url, c.phases), Options{Progress: func(report.Second) {
				if seconds.Add(1) == 1 {
					s.close()
				}
			}})
			if r.Exit() != report.ExitEarly || r.Total.Get(tally.Opened) == 0 {
				t.Errorf("exit %d, early %q, %d opened", r.Exit(), r.Early, r.Total.Get(tally.Opened))
			}
			if c.name == "echo" && r.Total.Get(tally.Sent) != r.Total.Get(tally.Received)+r.Total.Get(tally.Lost) {
				t.Errorf("%d sent are not %d received and %d lost", r.Total.Get(tally.Sent), r.Total.Get(tally.Received), r.Total.Get(tally.Lost))
			}
		})
	}
}

func TestStoppedRunKeepsItsResults(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := quick(honest(t).url, EchoPhases(10, EchoLoad{PerSecond: 500, PayloadBytes: 20, Duration: time.Hour, Timeout: 5 * time.Second}))
	r, err := Run(ctx, s, Options{Progress: func(report.Second) { cancel() }})
	if err != nil {
		t.Fatal(err)
	}
	if r.Exit() != report.ExitEarly || !strings.Contains(r.Early, "stopped") {
		t.Errorf("exit %d, early %q", r.Exit(), r.Early)
	}
	sent := r.Total.Get(tally.Sent)
	if sent == 0 {
		t.Error("nothing was measured before the stop")
	}
	wantCounts(t, r, map[tally.Counter]int64{tally.Received: sent, tally.Lost: 0})
}

func TestWorkerThatIsKilledEndsTheRun(t *testing.T) {
	t.Setenv(workerEnv, "1")
	s := quick(honest(t).url, IdlePhases(20, 0, time.Minute, time.Second))
	s.Processes = 2
	killed := false
	r := mustRun(t, s, Options{WorkerCommand: []string{os.Args[0]}, Progress: func(report.Second) {
		if !killed {
			killed = true
			killOneChild(t)
		}
	}})
	if r.Exit() != report.ExitEarly || !strings.Contains(r.Early, "died") {
		t.Errorf("exit %d, early %q", r.Exit(), r.Early)
	}
}

func killOneChild(t *testing.T) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	for _, task := range mustReadDir(t, "/proc/self/task") {
		if len(strings.Fields(string(text))) > 0 {
			break
		}
		text, err = os.ReadFile("/proc/self/task/" + task + "/children")
	}
	var pid int
	if _, scanErr := fmt.Sscan(string(text), &pid); err != nil || scanErr != nil {
		t.Fatalf("no child found: %v, %v", err, scanErr)
	}
	child, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Kill(); err != nil {
		t.Fatal(err)
	}
}

func mustReadDir(t *testing.T, dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestServerIsMeasuredFromProc(t *testing.T) {
	s := quick(honest(t).url, EchoPhases(10, shortEcho))
	s.ServerPID = os.Getpid()
	s.Thresholds = []string{"server.cpu_per_message>=0", "server.rss_per_connection<1GiB"}
	r := mustRun(t, s, Options{})
	if r.Exit() != report.ExitOK {
		t.Errorf("exit %d: %+v", r.Exit(), r.Thresholds)
	}
	if p := r.Phases[1]; p.ServerBefore == nil || p.ServerAfter == nil || p.ServerAfter.RSSBytes == 0 || p.ServerAfter.Descriptors < 20 {
		t.Errorf("phase %+v", p)
	}
}

func TestRunsThatMustNotBegin(t *testing.T) {
	url := honest(t).url
	for _, c := range []struct {
		name   string
		change func(*Scenario)
		want   error
		says   string
	}{
		{"typo in a threshold", func(s *Scenario) { s.Thresholds = []string{"echo.pp99<5ms"} }, ErrUsage, `did you mean "echo.p99"`},
		{"payload too small", func(s *Scenario) { s.Phases[1].PayloadBytes = 4 }, ErrUsage, "20 is the least"},
		{"no connection", func(s *Scenario) { s.Phases[0].Connections = 0 }, ErrUsage, "--connections"},
		{"no such process", func(s *Scenario) { s.ServerPID = 1 << 30 }, ErrUsage, "--server-pid"},
		{"bad URL", func(s *Scenario) { s.Target.URL = "http://x" }, ErrUsage, "ws://"},
		{"too many descriptors", func(s *Scenario) { s.Phases[0].Connections = 1 << 40 }, ErrUsage, "--procs"},
		{"source of another machine", func(s *Scenario) { s.Target.Sources = "192.0.2.1" }, ErrUsage, "ip address add 192.0.2.1"},
		{"nobody there", func(s *Scenario) { s.Target.URL = "ws://127.0.0.1:1/" }, ErrTarget, "nothing listens"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := quick(url, EchoPhases(5, shortEcho))
			c.change(&s)
			_, err := Run(context.Background(), s, Options{})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v; want %v that says %q", err, c.want, c.says)
			}
		})
	}
}

func TestPreflightSaysWhatToChange(t *testing.T) {
	limits := hostinfo.Limits{Descriptors: 1000, PortFirst: 1, PortLast: 500, AvailableBytes: 1 << 20, Somaxconn: 10}
	s := quick("ws://127.0.0.1:1/", IdlePhases(5000, 2000, 0, time.Second))
	compiled, err := s.Target.Compile(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var text string
	for _, f := range Preflight(s, compiled, limits) {
		text += f.String() + "\n"
	}
	for _, says := range []string{"--procs 6", "pass 10 or more addresses with --source", "lower --connections", "net.core.somaxconn=65535"} {
		if !strings.Contains(text, says) {
			t.Errorf("%q is missing in:\n%s", says, text)
		}
	}
	if f := Preflight(quick("ws://127.0.0.1:1/", IdlePhases(10, 1, 0, 0)), compiled, hostinfo.Limits{}); len(f) != 0 {
		t.Errorf("unknown limits must not stop a run: %v", f)
	}
}
