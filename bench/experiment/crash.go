package experiment

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/target"
)

// Blow describes a kill -9 in the middle of connects, and what must be true after it.
type Blow struct {
	Program    string        // path of roost
	PerSecond  float64       // connects a second
	After      time.Duration // of connects before the kill
	LossWindow time.Duration // records younger than this may be missing
	ReadyMax   time.Duration // restart to ready
	Sources    string
	Extra      []string // more arguments of roost serve
}

// DefaultBlow returns the experiment that the budgets are written for.
func DefaultBlow(program string) Blow {
	return Blow{
		Program: program, PerSecond: 5_000, After: 2 * time.Second, LossWindow: 100 * time.Millisecond,
		ReadyMax: 2 * time.Second, Sources: "127.0.1.1-127.0.1.8",
	}
}

// CrashResult is what was left after the kill.
type CrashResult struct {
	Confirmed  int           `json:"confirmed"`      // devices whose 101 was read before the kill
	Settled    int           `json:"settled"`        // of them, older than the loss window
	Recorded   int           `json:"recorded"`       // devices that the restarted node knows
	LostRecent int           `json:"lost_recent"`    // missing, within the loss window: allowed
	LostOld    []string      `json:"lost_old"`       // missing although older: a violation
	OldestLost time.Duration `json:"oldest_lost_ns"` // age at the kill of the oldest missing record
	StillOpen  []string      `json:"still_open"`     // records that claim an open session: a violation
	Wanted     float64       `json:"wanted"`         // upgrades a second that were asked for
	Rate       float64       `json:"rate"`           // upgrades a second that were reached
	Ready      time.Duration `json:"ready_ns"`       // restart to /readyz 200
	FirstReady time.Duration `json:"first_ready_ns"` // the same for the empty directory
	ReadyMax   time.Duration `json:"ready_max_ns"`
	LossWindow time.Duration `json:"loss_window_ns"`
}

// Held reports whether nothing that must be true was false.
func (r *CrashResult) Held() bool {
	return r.Settled > 0 && len(r.LostOld) == 0 && len(r.StillOpen) == 0 && r.Ready <= r.ReadyMax
}

// rateShareMin is the share of the wanted rate below which a kill was no blow in
// mid-load.
const rateShareMin = 0.8

// Valid reports whether the load was what was asked for; without it, holding proves
// little.
func (r *CrashResult) Valid() bool { return r.Rate >= r.Wanted*rateShareMin }

// Crash starts a node, loads it, kills it, starts it again on the same directory and
// asks for every device that was confirmed. progress may be nil.
func Crash(ctx context.Context, b Blow, progress func(report.Second)) (*CrashResult, error) {
	data, err := os.MkdirTemp("", "roost-crash-")
	if err != nil {
		return nil, fmt.Errorf("experiment: %w", err)
	}
	defer os.RemoveAll(data)
	node, err := StartNode(ctx, b.Program, data, b.Extra...)
	if err != nil {
		return nil, err
	}
	r := &CrashResult{Wanted: b.PerSecond, FirstReady: node.Ready, ReadyMax: b.ReadyMax, LossWindow: b.LossWindow}
	openedNS, killedNS, err := connectAndKill(ctx, b, node, progress)
	if err != nil {
		return nil, err
	}
	r.Rate = float64(len(openedNS)) / b.After.Seconds()
	again, err := StartNode(ctx, b.Program, data, b.Extra...)
	if err != nil {
		return nil, fmt.Errorf("experiment: restart after the kill: %w", err)
	}
	defer again.Kill()
	r.Ready = again.Ready
	return r, inspect(ctx, again, openedNS, killedNS, r)
}

// connectAndKill opens devices at the rate and kills the node in the middle. It
// returns when each device's 101 was read, by number, and when the node was killed.
func connectAndKill(ctx context.Context, b Blow, node *Node, progress func(report.Second)) (openedNS map[int64]int64, killedNS int64, err error) {
	var mu sync.Mutex
	openedNS = map[int64]int64{}
	first := make(chan struct{})
	to := target.Default()
	to.URL, to.Sources = "ws://"+node.Public+"/ws", b.Sources
	scenario := bench.DefaultScenario("crash", to)
	scenario.Phases = []generator.Phase{{
		Kind: generator.Open, PerSecond: b.PerSecond, Connections: int64(b.PerSecond * (b.After + time.Second).Seconds()),
	}}
	runCtx, stop := context.WithCancel(ctx)
	defer stop()
	killed := make(chan int64, 1)
	go func() {
		select {
		case <-first:
		case <-runCtx.Done():
		}
		select {
		case <-time.After(b.After):
		case <-runCtx.Done():
		}
		now := generator.NewClock().Now()
		node.Kill()
		killed <- now
		stop()
	}()
	_, err = bench.Run(runCtx, scenario, bench.Options{Progress: progress, OnOpened: func(index, atNS int64) {
		mu.Lock()
		defer mu.Unlock()
		if len(openedNS) == 0 {
			close(first)
		}
		openedNS[index] = atNS
	}})
	stop()
	killedNS = <-killed
	if err != nil {
		return nil, 0, err
	}
	return openedNS, killedNS, ctx.Err()
}

// WriteText writes the figures as people read them.
func (r *CrashResult) WriteText(w io.Writer) {
	fmt.Fprintf(w, "\n  %d devices were connected when the node was killed (%.0f connects a second), %d of them longer than the loss window of %s\n",
		r.Confirmed, r.Rate, r.Settled, r.LossWindow)
	fmt.Fprintf(w, "  restart to ready      %s (empty directory: %s), at most %s\n", report.Duration(r.Ready), report.Duration(r.FirstReady), r.ReadyMax)
	fmt.Fprintf(w, "  records found         %d\n", r.Recorded)
	fmt.Fprintf(w, "  missing, recent       %d (allowed); the oldest missing one was %s old at the kill\n", r.LostRecent, report.Duration(r.OldestLost))
	fmt.Fprintf(w, "  missing, older        %d%s\n", len(r.LostOld), some(r.LostOld))
	fmt.Fprintf(w, "  claim an open session %d%s\n", len(r.StillOpen), some(r.StillOpen))
	verdict := "ok"
	switch {
	case !r.Held():
		verdict = "FAILED"
	case !r.Valid():
		verdict = fmt.Sprintf("INVALID: %.0f connects a second were asked for and not reached; the machine is busy", r.Wanted)
	}
	fmt.Fprintf(w, "  %s\n", verdict)
}

// some names a few of many.
func some(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(", for example %v", names[:min(len(names), 5)])
}
