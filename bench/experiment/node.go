package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/roostpush/roost/bench/hostinfo"
)

// Limits of starting and asking a node.
const (
	readyWait    = 30 * time.Second     // from exec to /readyz 200; a node that needs longer is broken
	readyPoll    = 2 * time.Millisecond // between two looks, the resolution of the time to ready
	answerMax    = 8 << 20              // bytes of one HTTP answer
	requestWait  = 10 * time.Second     // for one HTTP answer
	complaintMax = 4 << 10              // bytes of the server's log kept for an error message
)

// Node is one running roost serve. It belongs to the goroutine that started it.
type Node struct {
	Public   string // host:port of the devices' listener
	Internal string // host:port of the services' listener
	Gossip   string // host:port where other nodes find it; empty: it is alone
	PID      int
	Ready    time.Duration // from exec to the first /readyz 200

	cmd    *exec.Cmd
	client *http.Client
	log    *hostinfo.Tail
	exited chan error
}

// StartNode runs the roost program with data as its data directory, on ports that the
// kernel chooses, and waits until it is ready.
func StartNode(ctx context.Context, program, data string, extra ...string) (*Node, error) {
	return StartNodeOn(ctx, hostinfo.Unpinned, program, data, extra...)
}

// StartNodeOn is StartNode with all threads of the node on one core.
func StartNodeOn(ctx context.Context, core int, program, data string, extra ...string) (*Node, error) {
	addresses := filepath.Join(data, "addresses.json")
	if err := os.Remove(addresses); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("experiment: %w", err)
	}
	args := append([]string{"serve", "--auth", "none", "--listen", "127.0.0.1:0", "--internal", "127.0.0.1:0",
		"--data", data, "--addresses-file", addresses}, extra...)
	n := &Node{
		cmd: exec.Command(program, args...), client: &http.Client{Timeout: requestWait, Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
		log: hostinfo.NewTail(complaintMax), exited: make(chan error, 1),
	}
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	begun := time.Now()
	if err := hostinfo.StartPinned(n.cmd, core); err != nil {
		return nil, fmt.Errorf("experiment: start %s: %w", program, err)
	}
	n.PID = n.cmd.Process.Pid
	go func() { n.exited <- n.cmd.Wait() }()
	if err := n.awaitReady(ctx, addresses, begun); err != nil {
		n.Kill()
		return nil, err
	}
	return n, nil
}

// awaitReady looks for the addresses and then asks /readyz until it says 200.
func (n *Node) awaitReady(ctx context.Context, addresses string, begun time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	for {
		if n.Internal == "" {
			n.readAddresses(addresses)
		}
		if n.Internal != "" {
			if status, _, err := n.Get(ctx, "/readyz"); err == nil && status == http.StatusOK {
				n.Ready = time.Since(begun)
				return nil
			}
		}
		select {
		case err := <-n.exited:
			n.exited <- err
			return fmt.Errorf("experiment: the node ended before it was ready (%v); it said:\n%s", err, n.log.Text())
		case <-ctx.Done():
			return fmt.Errorf("experiment: the node was not ready in %s; it said:\n%s", readyWait, n.log.Text())
		case <-ticker.C:
		}
	}
}

func (n *Node) readAddresses(path string) {
	var a struct{ Public, Internal, Gossip string }
	if text, err := os.ReadFile(path); err == nil && json.Unmarshal(text, &a) == nil {
		n.Public, n.Internal, n.Gossip = a.Public, a.Internal, a.Gossip
	}
}

// Get asks the internal listener and returns status and body.
func (n *Node) Get(ctx context.Context, path string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Internal+path, nil)
	if err != nil {
		return 0, nil, err
	}
	answer, err := n.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(io.LimitReader(answer.Body, answerMax))
	return answer.StatusCode, body, err
}

// Kill ends the process as a power cut would and waits until it is gone.
func (n *Node) Kill() {
	_ = n.cmd.Process.Kill()
	n.wait()
}

func (n *Node) wait() {
	err := <-n.exited
	n.exited <- err // for whoever asks again
	n.client.CloseIdleConnections()
}

// Pause waits, or until ctx is done, whose error it then returns.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
