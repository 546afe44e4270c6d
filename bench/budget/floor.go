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
	w := &writeLoop{}
	var err error
	w.cmd, err = b.startPeer("writeloop", map[string]*string{"writeloop control server on ": &w.control, "writeloop echo server on ": &w.public})
	return w, err
}

// startPeer starts a peer on the servers' core and takes its addresses from what it
// prints, by what stands before them.
func (b *board) startPeer(name string, addresses map[string]*string) (*exec.Cmd, error) {
	cmd := exec.Command(b.cfg.Peers, name, "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("budget: %w", err)
	}
	if err := hostinfo.StartPinned(cmd, b.cfg.ServerCPU); err != nil {
		return nil, fmt.Errorf("budget: start %s: %w", b.cfg.Peers, err)
	}
	timeout := time.AfterFunc(floorWait, func() { _ = cmd.Process.Kill() })
	defer timeout.Stop()
	left := len(addresses)
	for lines := bufio.NewScanner(out); left > 0 && lines.Scan(); {
		for before, address := range addresses {
			if text, ok := strings.CutPrefix(lines.Text(), before); ok {
				*address = text
				left--
			}
		}
	}
	if left > 0 {
		stopPeer(cmd)
		return nil, fmt.Errorf("budget: the peer %s did not say where it listens", name)
	}
	return cmd, nil
}

func stopPeer(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// floorPattern is how the peer writes, since a write costs more when the reader has gone
// to sleep: the floor of pushes writes without a pause, that of fan-outs in bursts.
type floorPattern struct {
	frameBytes int
	rounds     int     // without a pause, to every connection
	bursts     int     // of one round each
	perSecond  float64 // bursts
}

// floorFound is the CPU a write in nanoseconds, by pattern.
type floorFound struct{ steady, bursts float64 }

// floorAnswer is what the peer says of one order.
type floorAnswer struct {
	Connections int64   `json:"connections"`
	Full        int     `json:"full"`
	Each        float64 `json:"cpu_ns_per_write"`
}

// measure opens the connections, lets the peer write to all of them while they read, and
// returns what it cost.
func (w *writeLoop) measure(ctx context.Context, b *board, connections int64, p floorPattern) (found floorFound, err error) {
	to := target.Default()
	to.URL, to.Sources = "ws://"+w.public+"/", b.cfg.Sources
	s := bench.DefaultScenario("floor", to)
	s.Phases = []generator.Phase{
		{Kind: generator.Open, Connections: connections},
		{Kind: generator.Wait, Duration: settle},
		{Kind: generator.Wait, Duration: settle}, // reads what is still on its way
		{Kind: generator.Close},
	}
	var writeErr error
	waits := 0
	run, err := bench.Run(ctx, s, bench.Options{Progress: b.progress, OnPhaseEnd: func(phase *report.Phase) {
		if phase.Kind == generator.Wait {
			if waits++; waits == 1 {
				found, writeErr = w.writeAll(ctx, connections, p)
			}
		}
	}})
	switch {
	case err != nil:
		return found, err
	case writeErr != nil:
		return found, writeErr
	case run.Early != "":
		return found, fmt.Errorf("budget: floor: %s", run.Early)
	}
	return found, nil
}

// writeAll gives the orders of a pattern.
func (w *writeLoop) writeAll(ctx context.Context, connections int64, p floorPattern) (found floorFound, err error) {
	if found.steady, err = w.order(ctx, connections, p.frameBytes, p.rounds); err != nil {
		return found, err
	}
	ticker := time.NewTicker(time.Duration(float64(time.Second) / p.perSecond))
	defer ticker.Stop()
	for range p.bursts {
		<-ticker.C
		each, err := w.order(ctx, connections, p.frameBytes, 1)
		if err != nil {
			return found, err
		}
		found.bursts += each / float64(p.bursts)
	}
	return found, nil
}

// order lets the peer write rounds times to every connection, which must all be there
// and take it.
func (w *writeLoop) order(ctx context.Context, connections int64, frameBytes, rounds int) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, floorWait)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://%s/write?bytes=%d&rounds=%d", w.control, frameBytes, rounds), nil)
	if err != nil {
		return 0, fmt.Errorf("budget: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("budget: the floor: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP %d: %s", response.StatusCode, body)
	}
	var answer floorAnswer
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	if err == nil && answer.Each <= 0 {
		err = errors.New("its writes cost no CPU: too few to be measured")
	}
	if err == nil && (answer.Connections != connections || answer.Full > 0) {
		err = fmt.Errorf("it wrote to %d of %d connections, %d writes were not taken", answer.Connections, connections, answer.Full)
	}
	if err != nil {
		return 0, fmt.Errorf("budget: the floor: %w", err)
	}
	return answer.Each, nil
}
