package budget

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/hostinfo"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/target"
)

// writeLoop is the peer that writes one frame to every connection, one write(2) after
// the other: what pushes and fan-outs cannot be cheaper than without another kernel
// interface. It belongs to the goroutine that started it.
type writeLoop struct {
	public, control string
	cmd             *exec.Cmd
}

// floorWait bounds the start of the peer and one answer of it.
const floorWait = 30 * time.Second

// startWriteLoop starts the peer on the servers' core.
func (b *board) startWriteLoop() (*writeLoop, error) {
	cmd := exec.Command(b.cfg.Peers, "writeloop", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("budget: %w", err)
	}
	if err := hostinfo.StartPinned(cmd, b.cfg.ServerCPU); err != nil {
		return nil, fmt.Errorf("budget: start %s: %w", b.cfg.Peers, err)
	}
	w := &writeLoop{cmd: cmd}
	timeout := time.AfterFunc(floorWait, func() { _ = cmd.Process.Kill() })
	defer timeout.Stop()
	lines := bufio.NewScanner(out)
	for (w.public == "" || w.control == "") && lines.Scan() {
		if addr, ok := strings.CutPrefix(lines.Text(), "writeloop control server on "); ok {
			w.control = addr
		}
		if addr, ok := strings.CutPrefix(lines.Text(), "writeloop echo server on "); ok {
			w.public = addr
		}
	}
	if w.public == "" || w.control == "" {
		w.stop()
		return nil, errors.New("budget: the peer writeloop did not say where it listens")
	}
	return w, nil
}

func (w *writeLoop) stop() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

// measure opens the connections, lets the peer write to all of them a few times while
// they read, and returns its CPU a write in nanoseconds.
func (w *writeLoop) measure(ctx context.Context, b *board, connections int64, frameBytes, rounds int) (float64, error) {
	to := target.Default()
	to.URL, to.Sources = "ws://"+w.public+"/", b.cfg.Sources
	s := bench.DefaultScenario("floor", to)
	s.Phases = []generator.Phase{
		{Kind: generator.Open, Connections: connections},
		{Kind: generator.Wait, Duration: settle},
		{Kind: generator.Wait}, // reads what is still on its way
		{Kind: generator.Close},
	}
	var answer struct {
		Connections int64   `json:"connections"`
		Full        int     `json:"full"`
		Each        float64 `json:"cpu_ns_per_write"`
	}
	var writeErr error
	waits := 0
	run, err := bench.Run(ctx, s, bench.Options{Progress: b.progress, OnPhaseEnd: func(p *report.Phase) {
		if p.Kind == generator.Wait {
			if waits++; waits == 1 {
				writeErr = w.order(ctx, fmt.Sprintf("/write?bytes=%d&rounds=%d", frameBytes, rounds), &answer)
			}
		}
	}})
	switch {
	case err != nil:
		return 0, err
	case writeErr != nil:
		return 0, writeErr
	case run.Early != "":
		return 0, fmt.Errorf("budget: floor: %s", run.Early)
	case answer.Connections != connections || answer.Full > 0:
		return 0, fmt.Errorf("budget: the floor wrote to %d of %d connections, %d writes were not taken", answer.Connections, connections, answer.Full)
	}
	return answer.Each, nil
}

func (w *writeLoop) order(ctx context.Context, path string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, floorWait)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+w.control+path, nil)
	if err != nil {
		return fmt.Errorf("budget: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("budget: the floor: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP %d: %s", response.StatusCode, body)
	}
	if err == nil {
		err = json.Unmarshal(body, answer)
	}
	if err != nil {
		return fmt.Errorf("budget: the floor: %w", err)
	}
	return nil
}
