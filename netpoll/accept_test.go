package netpoll

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// TestOutOfDescriptors is the parent of a server that runs with a small descriptor limit
// and then eats the rest of it: accept fails with EMFILE. Those who are connected must
// notice nothing, accepting must pause with one line in the log, and resume.
func TestOutOfDescriptors(t *testing.T) {
	child := startChild(t, 64)
	conn := dial(t, child.addr)
	echo(t, conn, "before")
	child.tell(t, "eat")
	// These wait in the kernel's accept queue. Their handshakes get no answer yet.
	waiting := make(chan error, 5)
	for range cap(waiting) {
		go func() {
			c, _, _, err := ws.Dialer{Timeout: time.Minute}.Dial(context.Background(), "ws://"+child.addr+"/")
			if err == nil {
				c.Close()
			}
			waiting <- err
		}()
	}
	child.waitLog(t, "accepting pauses")
	for range 20 {
		echo(t, conn, "during")
	}
	select {
	case err := <-waiting:
		t.Fatalf("a connection was served without a descriptor: %v", err)
	default:
	}
	child.tell(t, "release")
	for range cap(waiting) {
		if err := <-waiting; err != nil {
			t.Fatalf("after descriptors were free again: %v", err)
		}
	}
	child.waitLog(t, "accepting resumes")
	echo(t, conn, "after")
	if n := strings.Count(child.logText(), "accepting pauses"); n != 1 {
		t.Fatalf("the pause was said %d times:\n%s", n, child.logText())
	}
}

func echo(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if err := wsutil.WriteClientText(conn, []byte(text)); err != nil {
		t.Fatal(err)
	}
	got, _, err := wsutil.ReadServerData(conn)
	if err != nil || string(got) != text {
		t.Fatalf("echo of %q: %q, %v", text, got, err)
	}
}

// child is a server in a process of its own.
type child struct {
	addr  string
	stdin io.Writer
	mu    sync.Mutex
	log   bytes.Buffer
	lines chan string
}

func startChild(t *testing.T, descriptors int) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" -test.run '^TestChildServer$' -test.v`, descriptors), exe)
	cmd.Env = append(os.Environ(), "ROOST_TEST_CHILD=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ch := &child{stdin: stdin, lines: make(chan string, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := bufio.NewScanner(stderr); s.Scan(); {
			ch.mu.Lock()
			fmt.Fprintln(&ch.log, s.Text())
			ch.mu.Unlock()
			ch.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		stdin.Close() // the child ends when its input does
		<-done
		if err := cmd.Wait(); err != nil {
			t.Errorf("child: %v\n%s", err, ch.logText())
		}
	})
	ch.addr = strings.TrimPrefix(ch.waitLog(t, "listening "), "listening ")
	return ch
}

func (c *child) logText() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.String()
}

func (c *child) tell(t *testing.T, word string) {
	t.Helper()
	if _, err := fmt.Fprintln(c.stdin, word); err != nil {
		t.Fatal(err)
	}
	c.waitLog(t, "done "+word)
}

// waitLog returns the next line of the child that has the words.
func (c *child) waitLog(t *testing.T, words string) string {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case line := <-c.lines:
			if strings.Contains(line, words) {
				return line
			}
		case <-timeout:
			t.Fatalf("the child never said %q:\n%s", words, c.logText())
		}
	}
}

// TestChildServer is the child: it obeys its standard input.
func TestChildServer(t *testing.T) {
	if os.Getenv("ROOST_TEST_CHILD") == "" {
		t.Skip("this is the other process of TestOutOfDescriptors, which starts it")
	}
	cfg := Default()
	cfg.DescriptorsReserved = 2
	cfg.RefusalsMax = 1
	r, err := New(cfg, Echo{}, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Serve() }()
	fmt.Fprintf(os.Stderr, "listening %s\n", r.Addr())
	var eaten []*os.File
	for s := bufio.NewScanner(os.Stdin); s.Scan(); {
		switch s.Text() {
		case "eat":
			for {
				f, err := os.Open("/dev/null")
				if err != nil {
					break
				}
				eaten = append(eaten, f)
			}
		case "release":
			for _, f := range eaten {
				f.Close()
			}
		}
		fmt.Fprintf(os.Stderr, "done %s\n", s.Text())
	}
	r.Stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestAboveTheCap(t *testing.T) {
	cfg := Default()
	cfg.Loops = 2
	cfg.MaxConnections = 3
	cfg.RefusalsMax = 2
	h := newCollector()
	r, addr := serve(t, cfg, h)
	var conns []net.Conn
	for range 3 {
		conns = append(conns, dial(t, addr))
		<-h.opened
	}
	for range 10 {
		resp, err := http.Get("http://" + addr + "/anything")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Fatalf("above the cap: %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
		}
	}
	// More silent connections than refusals fit: accepting pauses, and comes back by
	// itself when they are cut.
	var silent []net.Conn
	for range 6 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, c)
	}
	echoText(t, conns[0])
	for _, c := range append(silent, conns[1]) {
		c.Close()
	}
	<-h.closed
	// The places of those in the accept queue are free once the loops have seen them go.
	for end := time.Now().Add(time.Minute); ; {
		c, _, _, err := ws.Dial(context.Background(), "ws://"+addr+"/")
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("no place although one is free: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if s := r.Stats(); s.RefusedFull < 10 || s.Connections > 3+2 {
		t.Fatalf("refused %d, connections %d", s.RefusedFull, s.Connections)
	}
}

func echoText(t *testing.T, conn net.Conn) { t.Helper(); echo(t, conn, "still here") }

func TestUnreasonableLimits(t *testing.T) {
	cfg := Default()
	cfg.MaxConnections = connectionsCeiling
	_, err := New(cfg, Echo{}, nil)
	if err == nil || !strings.Contains(err.Error(), "ulimit -n") {
		t.Fatalf("more connections than descriptors: %v", err)
	}
	cfg = Default()
	cfg.Loops, cfg.QueuedSoftBytes, cfg.ProxyTrusted = 257, cfg.QueuedHardBytes+1, []string{"nonsense"}
	err = cfg.Validate()
	for _, want := range []string{"loops is 257", "queued_soft_bytes", "proxy_trusted"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate does not name %s: %v", want, err)
		}
	}
}

// TestDripFedRequest sends a request one byte at a time while others are served.
func TestDripFedRequest(t *testing.T) {
	_, addr := serve(t, Default(), Echo{})
	slow, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	other := dial(t, addr)
	for i := range len(upgradeRequest) {
		if _, err := slow.Write([]byte(upgradeRequest[i : i+1])); err != nil {
			t.Fatal(err)
		}
		if i%20 == 0 {
			echoText(t, other)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(slow), nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v %v", resp, err)
	}
}
