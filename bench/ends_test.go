//go:build linux

package bench

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
)

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
	s := quick(honest(t).url, EchoPhases(10, EchoLoad{PerSecond: 500, PayloadBytes: 20, Duration: time.Hour, Timeout: patience}))
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
