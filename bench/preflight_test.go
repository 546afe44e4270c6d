//go:build linux

package bench

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/bench/hostinfo"
)

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
		{"no such process", func(s *Scenario) { s.ServerPIDs = []int{1 << 30} }, ErrUsage, "--server-pid"},
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
