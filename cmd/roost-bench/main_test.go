//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"

	"github.com/roostpush/roost/bench/budget"
	"github.com/roostpush/roost/bench/report"
)

// TestMain lets the test binary be the program itself, so that signals and generator
// processes can be tested for real.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "worker" || os.Getenv("ROOST_BENCH_TEST_MAIN") != "") {
		main()
	}
	if os.Getenv(twiceVariable) != "" {
		interruptTwice()
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) // gnet starts a pool when it is linked in
}

// echoServer echoes on gobwas/ws and, when broken, forgets every message.
func echoServer(t *testing.T, broken bool) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
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
				for {
					message, op, err := wsutil.ReadClientData(c)
					if err != nil || (!broken && wsutil.WriteServerMessage(c, op, message) != nil) {
						return
					}
				}
			}()
		}
	}()
	return "ws://" + l.Addr().String() + "/"
}

// calm are flags that make a run valid on a busy machine: these tests are about exit
// codes and files.
var calm = []string{"--late-bound=1m", "--cpu-max=0", "--duration=300ms", "--connections=5", "--rate=100", "--timeout=3s"}

func TestExitCodes(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer plain.Close()
	good, bad := echoServer(t, false), echoServer(t, true)
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	scenario := write("s.yaml", "target: {url: "+good+"}\nfail: [lost==0, dead==0]\nphases:\n"+
		"  - {phase: open, connections: 5}\n  - {phase: echo, rate: 100, for: 200ms}\n  - {phase: prove}\n")
	typo := write("t.yaml", "target: {url: "+good+"}\nphases:\n  - {phase: open, conections: 5}\n")
	for _, c := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"help", []string{"--help"}, report.ExitOK, "Exit codes:"},
		{"help of a scenario", []string{"echo", "--help"}, report.ExitOK, "--rate"},
		{"no command", nil, report.ExitUsage, "expected"},
		{"unknown flag", []string{"echo", good, "--conections=5"}, report.ExitUsage, "--connections"},
		{"bad rate", []string{"echo", good, "--rate=0"}, report.ExitUsage, "--closed"},
		{"bad threshold", []string{"echo", good, "--fail=lst==0"}, report.ExitUsage, `"lost"`},
		{"wss, nobody there", []string{"echo", "wss://127.0.0.1:1/"}, report.ExitTarget, "nothing listens"},
		{"wss to a server without TLS", []string{"echo", "wss" + strings.TrimPrefix(good, "ws")}, report.ExitTarget, "TLS"},
		{"--ca without wss", []string{"echo", good, "--insecure"}, report.ExitUsage, "wss://"},
		{"push without an API", []string{"push", good, "--api=http://127.0.0.1:1"}, report.ExitTarget, "nothing listens"},
		{"push help", []string{"push", "--help"}, report.ExitOK, "--api http://10.0.0.2:8081"},
		{"relay help", []string{"relay", "--help"}, report.ExitOK, "ws://10.0.0.2:8080/ws --group 2"},
		{"two nodes", append([]string{"echo", good, echoServer(t, false)}, calm...), report.ExitOK, "0 lost"},
		{"two nodes, one of them down", append([]string{"echo", good, "ws://127.0.0.1:1/"}, calm...), report.ExitTarget, "nothing listens"},
		{"two APIs, one of them down", []string{"push", good, "--api=http://127.0.0.1:1", "--api=http://127.0.0.1:2"}, report.ExitTarget, "nothing listens"},
		{"relay of odd accounts", []string{"relay", good, "--connections=5"}, report.ExitUsage, "divided"},
		{"ramp without a load", []string{"ramp", good}, report.ExitUsage, "--of"},
		{"storm of nobody", []string{"storm", good, "--share=0"}, report.ExitUsage, "--share"},
		{"soak", []string{"soak", good, "--connections=10", "--echo=100", "--churn=20", "--duration=300ms", "--late-bound=1m", "--cpu-max=0"}, report.ExitOK, "0 missing"},
		{"baseline that is none", []string{"echo", good, "--baseline=/no/such/file"}, report.ExitUsage, "baseline"},
		{"a report where there is no room for one", []string{"echo", good, "--json=/dev/null/x.json"}, report.ExitUsage, "/dev/null"},
		{"a report that is a folder", []string{"echo", good, "--html=" + t.TempDir()}, report.ExitUsage, "is a folder"},
		{"scenario with a typo", []string{"run", typo}, report.ExitUsage, `did you mean "connections"`},
		{"scenario", []string{"run", scenario, "--late-bound=1m", "--cpu-max=0"}, report.ExitOK, "0 dead"},
		{"budget help names every part", []string{"budget", "--help"}, report.ExitOK, strings.Join(budget.Names()[:2], ", ")},
		{"budget of nothing", []string{"budget", "--roost=/no/such/file"}, report.ExitUsage, "/no/such/file"},
		{"nobody there", []string{"echo", "ws://127.0.0.1:1/"}, report.ExitTarget, "nothing listens"},
		{"plain HTTP", []string{"echo", "ws://" + plain.Listener.Addr().String() + "/"}, report.ExitTarget, "HTTP 200"},
		{"good", append([]string{"echo", good}, calm...), report.ExitOK, "0 lost"},
		{"two processes", append([]string{"echo", good, "--procs=2"}, calm...), report.ExitOK, "2 process(es)"},
		{"loses", append([]string{"echo", bad}, calm...), report.ExitThreshold, "FAILED"},
		{"a node that is none", []string{"disrupt", "rolling", "--control=true", "--node=n1=127.0.0.1:8080"}, report.ExitUsage, "is not NAME=PUBLIC,INTERNAL"},
		{"too few to part", []string{"disrupt", "partition", "--control=true", "--node=n1=a:1,b:2"}, report.ExitUsage, "1 nodes are too few"},
		{"no token there", []string{"disrupt", "rolling", "--control=true", "--node=n1=a:1,b:2", "--token-file=/no/such/file"}, report.ExitUsage, "/no/such/file"},
		{"no roost there", []string{"idle-slope", "--roost=/no/such/file"}, report.ExitUsage, "/no/such/file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if code := run(c.args, &out, &out); code != c.want {
				t.Errorf("exit %d, want %d", code, c.want)
			}
			if !strings.Contains(out.String(), c.says) {
				t.Errorf("%q is missing in:\n%s", c.says, out.String())
			}
		})
	}
}

func TestInterruptWritesResultsSoFar(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r.json")
	cmd := exec.Command(os.Args[0], "echo", echoServer(t, false), "--duration=1h", "--rate=200", "--procs=2", "--json="+file, "--late-bound=1m")
	cmd.Env = append(os.Environ(), "ROOST_BENCH_TEST_MAIN=1")
	var out bytes.Buffer
	cmd.Stdout = &out
	progress, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := progress.Read(make([]byte, 1)); err != nil { // the first line: it is under way
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	timeout := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer timeout.Stop()
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != report.ExitEarly {
		t.Errorf("exit %d, want %d:\n%s", code, report.ExitEarly, out.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report.Result
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if m, ok := r.Find("received"); !ok || m.Value == 0 {
		t.Errorf("received %+v", m)
	}
}
