package budget

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
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

// startPeer starts a peer on the servers' core.
func (b *board) startPeer(name string, addresses map[string]*string) (*exec.Cmd, error) {
	return b.startPeerOn(b.cfg.ServerCPU, name, addresses)
}

// startPeerOn starts a peer and takes its addresses from what it prints, by what stands
// before them.
func (b *board) startPeerOn(core int, name string, addresses map[string]*string) (*exec.Cmd, error) {
	cmd := exec.Command(b.cfg.Peers, name, "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("budget: %w", err)
	}
	if err := hostinfo.StartPinned(cmd, core); err != nil {
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
	answered   int     // rounds of pings, whose pongs are read
}

// pingBytesMax is the largest payload of a ping (RFC 6455 section 5.5).
const pingBytesMax = 125

// floorFound is the CPU a write in nanoseconds, by pattern; answered is of a write and
// the read of what comes for it.
type floorFound struct{ steady, bursts, answered float64 }

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
		{Kind: generator.Wait, Duration: b.cfg.Settle},
		{Kind: generator.Wait, Duration: b.cfg.Settle}, // reads what is still on its way
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
	if found.steady, err = w.order(ctx, "write", connections, p.frameBytes, p.rounds); err != nil {
		return found, err
	}
	if p.answered > 0 {
		if found.answered, err = w.order(ctx, "answered", connections, min(p.frameBytes, pingBytesMax), p.answered); err != nil {
			return found, err
		}
	}
	if p.bursts == 0 {
		return found, nil
	}
	ticker := time.NewTicker(time.Duration(float64(time.Second) / p.perSecond))
	defer ticker.Stop()
	for range p.bursts {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return found, ctx.Err()
		}
		each, err := w.order(ctx, "write", connections, p.frameBytes, 1)
		if err != nil {
			return found, err
		}
		found.bursts += each / float64(p.bursts)
	}
	return found, nil
}

// floors are what a loop of write(2) cost beside each round of a part, nanoseconds a
// write: a round is judged by the mean of the two floors that it stands between, since
// what a write costs here drifts by more than the budgets within a minute.
type floors struct {
	Floor  []float64 `json:"floor_ns"`                  // written without a pause
	Bursts []float64 `json:"floor_bursts_ns,omitempty"` // written in bursts
	Acked  []float64 `json:"floor_acked_ns,omitempty"`  // written and answered, and the answer read
	Drift  []float64 `json:"floor_drift_ns"`            // between the two floors of the round, whichever way
}

// between carries rounds out, with the floor before the first and after each.
func (w *writeLoop) between(ctx context.Context, b *board, connections int64, p floorPattern, rounds int, round func() error) (f floors, err error) {
	before, err := w.measure(ctx, b, connections, p)
	for n := 0; n < rounds && err == nil; n++ {
		if err = round(); err != nil {
			break
		}
		var after floorFound
		if after, err = w.measure(ctx, b, connections, p); err == nil {
			f.Floor = append(f.Floor, (before.steady+after.steady)/2)
			f.Drift = append(f.Drift, math.Abs(before.steady-after.steady))
			if p.bursts > 0 {
				f.Bursts = append(f.Bursts, (before.bursts+after.bursts)/2)
			}
			if p.answered > 0 {
				f.Acked = append(f.Acked, (before.answered+after.answered)/2)
			}
			before = after
		}
	}
	return f, err
}

// above is by how much each round's figure is above its floor.
func above(figures, floor []float64) (all []float64) {
	for i, floor := range floor {
		all = append(all, figures[i]-floor)
	}
	return all
}

// text says how the floor was measured and what it is.
func (f floors) text(connections int64, frameBytes int) string {
	return fmt.Sprintf("a loop of write(2) to %d sockets, no pause: %s each (rounds %s), frames of %d bytes",
		connections, micro(median(f.Floor)), list(f.Floor), frameBytes)
}

// unsteady says that a row that is above its floor by more than its limit says nothing:
// in most of its rounds the floor itself moved by more than that between the look before
// and the look after.
func (f floors) unsteady(r *Row) error {
	moved := 0
	for _, drift := range f.Drift {
		if drift > r.Limit {
			moved++
		}
	}
	if r.Verdict != "" || r.Value <= r.Limit || moved < minQuiet(len(f.Drift)) {
		return nil
	}
	why := fmt.Sprintf("the floor moved by more than the budget within %d of %d rounds (by %s µs)", moved, len(f.Drift), list(f.Drift))
	return r.excuse(why)
}

// order lets the peer write rounds times to every connection, which must all be there
// and take it; how is write or answered.
func (w *writeLoop) order(ctx context.Context, how string, connections int64, frameBytes, rounds int) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, floorWait)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://%s/%s?bytes=%d&rounds=%d", w.control, how, frameBytes, rounds), nil)
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
