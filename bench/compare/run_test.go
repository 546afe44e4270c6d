//go:build linux

package compare

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/roostpush/roost/bench/report"
)

// TestMain lets the test binary be the servers that are compared.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		serve(os.Args[2], os.Args[3])
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// serve is an echo server with a habit.
func serve(habit, addr string) {
	if habit == "mute" {
		fmt.Println("out of order")
		return
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		panic(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			if _, err := ws.Upgrade(c); err != nil {
				return
			}
			for n := 1; ; n++ {
				message, op, err := wsutil.ReadClientData(c)
				if err != nil {
					return
				}
				switch {
				case habit == "burn":
					burn(500 * time.Microsecond)
				case habit == "forget" && n%3 == 0:
					continue
				case habit == "die" && n == 2:
					os.Exit(7)
				case habit == "alone" && (runtime.GOMAXPROCS(0) != 1 || os.Getenv("ROOST_BENCH_TOKEN_SECRET") != ""):
					continue // lost: it was not pinned, or knows too much
				}
				if wsutil.WriteServerMessage(c, op, message) != nil {
					return
				}
			}
		}()
	}
}

// burn uses CPU time, not wall time, so that a busy machine changes nothing.
func burn(d time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpu := func() time.Duration {
		var ts unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
		return time.Duration(ts.Nano())
	}
	for end := cpu() + d; cpu() < end; {
	}
}

func habits(t *testing.T, load Load, names ...string) Plan {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := Default(load)
	for _, name := range names {
		p.Targets = append(p.Targets, Target{Name: name, Command: []string{self, "serve", name, "{listen}"}})
	}
	p.Rounds = 2
	return p
}

// small is a closed loop that a busy machine carries out too. What is late counts as lost,
// so an answer has as long as it may need.
func small() Load {
	l := DefaultEcho()
	l.Connections, l.Duration, l.Timeout = 4, 300*time.Millisecond, time.Minute
	return l
}

// TestCPUTellsServersApart compares a server with one that burns half a millisecond
// for each message.
func TestCPUTellsServersApart(t *testing.T) {
	p := habits(t, small(), "plain", "burn")
	p.ServerCPU, p.GeneratorCPU = 0, 0
	p.Thresholds = []string{"ratio(plain/burn).cpu_per_message<0.5", "ratio(burn/plain).cpu_per_message<0.5"}
	var begun []string
	r, err := Run(context.Background(), p, Options{Begin: func(_ int, name string) { begun = append(begun, name) }})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(begun, " "); got != "plain burn burn plain" {
		t.Errorf("order: %s", got)
	}
	if !r.Verdicts[0].Held || r.Verdicts[1].Held || r.Exit() != report.ExitThreshold {
		t.Errorf("%+v", r.Verdicts)
	}
	if s, _ := r.Figure("burn", CPUPerMessage); s.Min < float64(500*time.Microsecond) {
		t.Errorf("CPU for each message: %+v", s)
	}
	if s, ok := r.Figure("plain", RSS); !ok || s.Min < 1<<20 {
		t.Errorf("RSS: %+v", s)
	}
	for _, s := range r.Samples {
		if s.ServerOthers == nil || s.GeneratorOthers == nil {
			t.Errorf("nobody looked at the cores: %+v", s)
		}
	}
	var table strings.Builder
	r.WriteTable(&table)
	for _, want := range []string{"plain/it CPU/message", "burn", "FAILED  ratio(burn/plain)", "core 0"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("%q is missing in\n%s", want, table.String())
		}
	}
}

// TestPinning: the server answers only if its GOMAXPROCS followed its core and it was
// not told our secrets, and this process has its own cores back afterwards.
func TestPinning(t *testing.T) {
	t.Setenv("ROOST_BENCH_TOKEN_SECRET", "ours")
	var before, after unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	p := habits(t, small(), "alone", "plain")
	p.Rounds, p.ServerCPU, p.GeneratorCPU = 1, 0, 0
	r, err := Run(context.Background(), p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Exit() != report.ExitOK {
		t.Errorf("%+v", r.Samples)
	}
	if err := unix.SchedGetaffinity(0, &after); err != nil || before != after {
		t.Errorf("mask %v before, %v after (%v)", before, after, err)
	}
}

func TestConnect(t *testing.T) {
	load := DefaultConnect()
	load.PerSecond, load.Duration, load.Hold = 100, 300*time.Millisecond, 50*time.Millisecond
	p := habits(t, load, "plain", "burn")
	p.Thresholds = []string{"ratio(plain/burn).cpu_per_upgrade<1000"}
	r, err := Run(context.Background(), p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Verdicts[0].Held {
		t.Errorf("%+v", r.Verdicts[0])
	}
	for _, s := range r.Samples { // on a busy machine the generator may be late
		if s.Figures[CPUPerUpgrade] <= 0 || (s.Invalid == "") != (s.Figures[P99] > 0) {
			t.Errorf("%+v", s)
		}
	}
}

func TestLostMessagesAreNoResult(t *testing.T) {
	load := small()
	load.Timeout = 5 * time.Second // some answers never come: it is waited for
	r, err := Run(context.Background(), habits(t, load, "plain", "forget"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Exit() != report.ExitThreshold {
		t.Errorf("exit %d", r.Exit())
	}
	for _, s := range r.Samples {
		if wrong := strings.HasSuffix(s.Wrong, " lost"); wrong != (s.Target == "forget") {
			t.Errorf("%s: %q", s.Target, s.Wrong)
		}
	}
}

func TestServersThatFail(t *testing.T) {
	for _, c := range []struct {
		name string
		plan func(p *Plan)
		says string
	}{
		{"ends at once", func(*Plan) {}, "out of order"},
		{"is not there", func(p *Plan) { p.Targets[1].Command[0] = "/no/such/file" }, "/no/such/file"},
		{"no such core", func(p *Plan) { p.ServerCPU = 1000 }, "core 1000"},
		{"no such process", func(p *Plan) {
			p.Targets[1] = Target{Name: "gone", URL: "ws://127.0.0.1:1/", PID: 1 << 30}
		}, "gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := habits(t, small(), "plain", "mute")
			c.plan(&p)
			r, err := Run(context.Background(), p, Options{})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

func TestServerThatDiesKeepsWhatThereIs(t *testing.T) {
	r, err := Run(context.Background(), habits(t, small(), "plain", "die"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Exit() != report.ExitEarly || !strings.Contains(r.Early, "target die") {
		t.Errorf("%d %q", r.Exit(), r.Early)
	}
	if _, ok := r.Figure("plain", CPUPerMessage); !ok {
		t.Error("the first target's figures are gone")
	}
}
