package redis

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is an address of loopback that is nobody else's: a port that was free there a moment
// ago is so when a server starts, and when it starts again.
const host = "127.41.7.2"

// server is a real redis-server on loopback.
type server struct {
	t    *testing.T
	port int
	dir  string
	args []string
	cmd  *exec.Cmd
}

// startServer starts one that syncs each write, unless args say otherwise.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		const missing = "there is no redis-server, against which this is tested: apt-get install redis-server"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, port: l.Addr().(*net.TCPAddr).Port, dir: t.TempDir(), args: args}
	_ = l.Close()
	s.start()
	t.Cleanup(s.kill)
	return s
}

// start starts the process, on the port and the files of the one before, and waits until it
// has read those.
func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", append([]string{
		"--port", strconv.Itoa(s.port), "--bind", host, "--dir", s.dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction",
	}, s.args...)...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for ; !s.answers(deadline); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatal("redis-server does not answer")
		}
	}
}

// answers reports whether the server does what it is asked for.
func (s *server) answers(deadline time.Time) bool {
	c, err := net.Dial("tcp", s.addr())
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(deadline)
	_, _ = c.Write([]byte("PING\r\n"))
	answer := make([]byte, 5)
	_, err = io.ReadFull(c, answer)
	return err == nil && string(answer) == "+PONG"
}

// kill ends the process at once (kill -9).
func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) addr() string { return fmt.Sprintf("%s:%d", host, s.port) }

func (s *server) config() Config {
	cfg := Default()
	cfg.URL = "redis://" + s.addr() + "/0"
	cfg.RetryInterval = 10 * time.Millisecond
	return cfg
}

func (s *server) open(cfg Config) *Store {
	s.t.Helper()
	if err := cfg.Validate(); err != nil {
		s.t.Fatal(err)
	}
	store, err := Open(cfg, "n1")
	if err != nil {
		s.t.Fatal(err)
	}
	return store
}
