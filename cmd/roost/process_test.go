package main

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
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// process is `roost serve` in a process of its own.
type process struct {
	t                *testing.T
	cmd              *exec.Cmd
	dir              string
	public, internal string
	log              testLog
	ended            chan struct{} // closed once err is there
	err              error
}

// startProcess runs this test binary as roost serve, with a descriptor limit, until it is up.
func startProcess(t *testing.T, descriptors int, args ...string) *process {
	t.Helper()
	return runProcess(t, descriptors, args...).up()
}

// startProcessor runs it as roost processor, until it is up.
func startProcessor(t *testing.T, args ...string) *process {
	t.Helper()
	return runCommand(t, 1024, "processor", args...).up()
}

// up waits until the process is up.
func (p *process) up() *process {
	t := p.t
	t.Helper()
	eventually(t, "the addresses file", func() bool {
		select {
		case <-p.ended:
			t.Fatalf("it ended with %v:\n%s", p.err, p.log.String())
		default:
		}
		var a struct{ Public, Internal string }
		text, err := os.ReadFile(filepath.Join(p.dir, "addresses.json"))
		if err == nil {
			err = json.Unmarshal(text, &a)
		}
		p.public, p.internal = a.Public, a.Internal
		return err == nil
	})
	return p
}

// runProcess runs it, whether it comes up or not. Later arguments are stronger.
func runProcess(t *testing.T, descriptors int, args ...string) *process {
	t.Helper()
	return runCommand(t, descriptors, "serve", append([]string{"--auth", "none", "--listen", "127.0.0.1:0"}, args...)...)
}

// runCommand runs roost serve or roost processor.
func runCommand(t *testing.T, descriptors int, command string, args ...string) *process {
	t.Helper()
	dir := t.TempDir()
	roost := filepath.Join(dir, "roost") // by this name the test binary is the command
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(exe, roost); err != nil {
		t.Fatal(err)
	}
	all := append([]string{"-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, descriptors), roost, command,
		"--internal", "127.0.0.1:0", "--data", filepath.Join(dir, "data"), "--addresses-file", filepath.Join(dir, "addresses.json")}, args...)
	p := &process{t: t, dir: dir, cmd: exec.Command("sh", all...), ended: make(chan struct{})}
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.err = p.cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.ended })
	return p
}

// fails waits until the process has ended with that code and said those words.
func (p *process) fails(code int, words ...string) {
	p.t.Helper()
	var exit *exec.ExitError
	if err := p.wait(); !errors.As(err, &exit) || exit.ExitCode() != code {
		p.t.Errorf("it ended with %v, want exit code %d", err, code)
	}
	for _, word := range words {
		if !p.log.has(word) {
			p.t.Errorf("its log lacks %q:\n%s", word, p.log.String())
		}
	}
}

// says waits until a line of the log of the process has all of the words. What it has
// written takes a moment to come through the pipe.
func (p *process) says(words ...string) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("the log line %q", words), func() bool { return p.log.has(words...) })
}

// wait returns how the process ended.
func (p *process) wait() error {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.err
	case <-time.After(patience):
		p.t.Fatalf("the process did not end:\n%s", p.log.String())
		return nil
	}
}

// TestDescriptorsRunOut dials 400 times at a node that may open 256 descriptors.
func TestDescriptorsRunOut(t *testing.T) {
	t.Parallel()
	p := startProcess(t, 256)
	dial := func(i int) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		c, _, _, err := ws.Dial(ctx, fmt.Sprintf("ws://%s/ws?account=a&device=d%d", p.public, i))
		return c, err
	}
	var held []net.Conn
	refused := 0
	for i := range 400 {
		c, err := dial(i)
		var status ws.StatusError
		switch {
		case err == nil:
			held = append(held, c)
			defer c.Close()
		case errors.As(err, &status) && int(status) == 503:
			refused++
		default:
			t.Fatalf("dial %d: %v", i, err)
		}
	}
	if len(held) < 100 || len(held)+refused != 400 {
		t.Fatalf("%d held, %d refused", len(held), refused)
	}
	// It still serves those it has, and says that it is full.
	resp, err := http.Post("http://"+p.internal+"/v1/messages", "application/json", strings.NewReader(`{"to":{"account":"a","device":"d0"},"payload":1}`))
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("a push to a full node: %v %v", resp, err)
	}
	resp.Body.Close()
	if resp, err = http.Get("http://" + p.internal + "/readyz"); err != nil || resp.StatusCode != 503 {
		t.Fatalf("/readyz of a full node: %v %v", resp, err)
	}
	resp.Body.Close()
	for _, c := range held[:20] {
		c.Close()
	}
	eventually(t, "a place for a new device", func() bool {
		c, err := dial(1000)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func TestSignals(t *testing.T) {
	t.Parallel()
	connect := func(p *process) net.Conn {
		c, _, _, err := ws.Dial(context.Background(), "ws://"+p.public+"/ws?account=a&device=d")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	slow := []string{"--set", "drain.ready_delay=0s", "--set", "drain.over=20m"}
	t.Run("the first drains and ends with 0", func(t *testing.T) {
		p := startProcess(t, 1024, "--set", "drain.ready_delay=0s", "--set", "drain.over=200ms", "--set", "drain.grace=100ms")
		defer connect(p).Close()
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := p.wait(); err != nil {
			t.Fatalf("%v\n%s", err, p.log.String())
		}
	})
	t.Run("the second ends at once", func(t *testing.T) {
		p := startProcess(t, 1024, slow...)
		defer connect(p).Close()
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the drain to begin", func() bool {
			resp, err := http.Get("http://" + p.public + "/readyz")
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == 503
		})
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := p.wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
			t.Fatalf("it ended with %v", err)
		}
	})
}
