package compare

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/roostpush/roost/bench/hostinfo"
)

// Limits of starting a server.
const (
	listenWait   = 30 * time.Second     // from exec until it accepts; a server that needs longer is broken
	listenPoll   = 5 * time.Millisecond // between two looks
	settlePoll   = 20 * time.Millisecond
	complaintMax = 4 << 10 // bytes of what it says, kept for an error message
)

// server is one target while the comparison lasts. It belongs to the goroutine of Run.
type server struct {
	target   Target
	url      string
	pid      int
	baseline hostinfo.Process // before the first connection

	cmd    *exec.Cmd // nil: it was there before us
	temp   string
	said   *hostinfo.Tail
	exited chan error
}

// start starts the target, if it is to be started, and waits until it listens.
func start(ctx context.Context, t Target, path string, cpu int) (*server, error) {
	s := &server{target: t, url: t.URL, pid: t.PID}
	if len(t.Command) > 0 {
		if err := s.exec(ctx, path, cpu); err != nil {
			s.stop()
			return nil, err
		}
	}
	if s.pid != 0 {
		var err error
		if s.baseline, err = hostinfo.ReadProcess(s.pid); err != nil {
			s.stop()
			return nil, fmt.Errorf("target %s: %w", t.Name, err)
		}
	}
	return s, nil
}

func (s *server) exec(ctx context.Context, path string, cpu int) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	if s.temp, err = os.MkdirTemp("", "roost-compare-"); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	places := strings.NewReplacer(placeListen, addr, placeTemp, s.temp)
	var words []string
	for _, word := range s.target.Command {
		words = append(words, places.Replace(word))
	}
	cmd := exec.Command(words[0], words[1:]...)
	s.said = hostinfo.NewTail(complaintMax)
	cmd.Stdout, cmd.Stderr = s.said, s.said
	// The generator's secrets are none of the server's business, and roost refuses to
	// start with a setting in its environment that it does not know.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "ROOST_BENCH_") })
	if err := hostinfo.StartPinned(cmd, cpu); err != nil {
		return fmt.Errorf("target %s: start %s: %w", s.target.Name, words[0], err)
	}
	s.cmd, s.pid, s.exited = cmd, cmd.Process.Pid, make(chan error, 1)
	go func() { s.exited <- cmd.Wait() }()
	s.url = "ws://" + addr + "/" + strings.TrimPrefix(path, "/")
	return s.await(ctx, addr)
}

// freeAddr asks the kernel for a port. Somebody else could take it before the server
// does; the server then says so and the comparison does not begin.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("compare: no free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// await connects until the server accepts.
func (s *server) await(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, listenWait)
	defer cancel()
	ticker := time.NewTicker(listenPoll)
	defer ticker.Stop()
	var dialer net.Dialer
	for {
		if c, err := dialer.DialContext(ctx, "tcp", addr); err == nil {
			return c.Close()
		}
		select {
		case err := <-s.exited:
			s.exited <- err
			return fmt.Errorf("target %s ended before it listened (%s); it said:\n%s", s.target.Name, whyEnded(err), s.said.Text())
		case <-ctx.Done():
			return fmt.Errorf("target %s did not listen at %s in %s; it said:\n%s", s.target.Name, addr, listenWait, s.said.Text())
		case <-ticker.C:
		}
	}
}

func whyEnded(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// alive reports whether the server is still there, with its last words if not.
func (s *server) alive() error {
	if s.cmd == nil {
		return nil
	}
	select {
	case err := <-s.exited:
		s.exited <- err
		return fmt.Errorf("target %s ended (%s); it said:\n%s", s.target.Name, whyEnded(err), s.said.Text())
	default:
		return nil
	}
}

// settle waits until the server has closed what the last round left, so that it does
// not do so on the next one's time.
func (s *server) settle(ctx context.Context, most time.Duration) {
	if s.pid == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	ticker := time.NewTicker(settlePoll)
	defer ticker.Stop()
	for {
		now, err := hostinfo.ReadProcess(s.pid)
		// A runtime may open a few descriptors of its own with its first connection.
		if err != nil || now.Descriptors <= s.baseline.Descriptors+8 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// stop ends a server that was started here and removes its folder.
func (s *server) stop() {
	if s.cmd != nil {
		if err := s.cmd.Process.Kill(); err == nil || errors.Is(err, os.ErrProcessDone) {
			err := <-s.exited
			s.exited <- err
		}
	}
	if s.temp != "" {
		_ = os.RemoveAll(s.temp)
	}
}
