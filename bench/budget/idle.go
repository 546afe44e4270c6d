package budget

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/target"
)

const (
	whatMemory  = "idle devices, process memory of each"
	whatIdleCPU = "idle devices with a ping each 30 s, CPU"
	whatPauses  = "a collector cycle, stop-the-world p99"
	whatDensity = "1,000,000 devices in one process"
)

// The budgets of idle devices.
const (
	memoryMax     = 440.0            // bytes of process memory a device
	idleCPUMax    = time.Microsecond // a connection and second
	pauseMax      = time.Millisecond
	densityAt     = 1_000_000
	pingInterval  = 30 * time.Second
	pauseSamples  = 40 // collections; each stops the world twice
	densityScript = "scripts/density-vm 1000000"
)

type slopeSizes struct {
	Low, High   int64
	Quiet, Idle time.Duration
	PerSecond   float64
	Collections int
}

func defaultSlope() slopeSizes {
	return slopeSizes{Low: 2_000, High: 18_000, Quiet: 15 * time.Second, Idle: pingInterval, PerSecond: 2_000, Collections: pauseSamples}
}

// runIdle measures memory, CPU and pauses of one node with idle devices.
func runIdle(ctx context.Context, b *board) ([]Row, error) {
	s := experiment.DefaultSlope(b.cfg.Roost)
	z := b.cfg.Slope
	s.Low, s.High, s.Quiet, s.Idle, s.PerSecond, s.Collections = z.Low, z.High, z.Quiet, z.Idle, z.PerSecond, z.Collections
	s.Core, s.Sources, s.BytesMax = b.cfg.ServerCPU, b.cfg.Sources, memoryMax
	s.Extra = append([]string{"--set", fmt.Sprintf("netpoll.ping_interval=%s", pingInterval)}, b.cfg.ServeArgs...)
	r, err := experiment.IdleSlope(ctx, s, b.cfg.Worker, b.progress)
	if err != nil {
		return nil, err
	}
	b.show("idle devices", r.Run)
	bare, err := b.bareIdle(ctx, s.High, s.PerSecond, s.Idle)
	if err != nil {
		return nil, err
	}
	rows := []Row{
		{
			What: whatMemory, Budget: fmt.Sprintf("≤ %.0f B, slope from %d to %d", memoryMax, s.Low, s.High), Value: r.RSS, Limit: memoryMax,
			Figure: fmt.Sprintf("%.0f B (anonymous %.0f B, live heap %.0f B), %d of %d alive", r.RSS, r.Anon, r.HeapLive, r.Alive, s.High),
		},
		{
			What: whatIdleCPU, Budget: "≤ 1 µs a connection and second", Value: r.IdleCPU, Limit: float64(idleCPUMax),
			Figure: fmt.Sprintf("%s a connection and second, %d connections, %s", report.Duration(time.Duration(r.IdleCPU)), s.High, s.Idle),
			Floor:  fmt.Sprintf("a bare loop, a write for each ping and a read for its pong: %s", report.Duration(time.Duration(bare))),
		},
		{
			What: whatPauses, Budget: "< 1 ms", Value: float64(r.Pauses.P99), Limit: float64(pauseMax) - 1,
			Figure: fmt.Sprintf("≤ %s, p50 ≤ %s, %d pauses of %d cycles at %d devices (the upper bounds of the runtime's buckets)",
				report.Duration(r.Pauses.P99), report.Duration(r.Pauses.P50), r.Pauses.Count, s.Collections, s.High),
			Note: fmt.Sprintf("a cycle cost %s of CPU with %s of live heap", report.Duration(r.CycleCPU), report.Size(r.High.HeapLive)),
		},
	}
	rows[1].forbid(bare, "a bare loop's write(2) and read(2)")
	if r.Alive != s.High {
		rows[0].Verdict, rows[0].Note = Broken, "not all devices were alive"
	}
	if r.Pauses.Count == 0 {
		rows[2].Verdict, rows[2].Figure = Broken, "the node's metrics have no pauses"
	}
	return rows, b.keep("idle-slope", r)
}

// bareIdle is what idle devices cost a server that does nothing but ping them, in
// nanoseconds a connection and second.
func (b *board) bareIdle(ctx context.Context, connections int64, perSecond float64, idle time.Duration) (float64, error) {
	var addr string
	floor, err := b.startPeer("pinger", map[string]*string{"pinger server on ": &addr})
	if err != nil {
		return 0, err
	}
	defer stopPeer(floor)
	to := target.Default()
	to.URL, to.Sources = "ws://"+addr+"/", b.cfg.Sources
	s := bench.DefaultScenario("bare idle", to)
	s.ServerPIDs = []int{floor.Process.Pid}
	s.Phases = slices.Insert(bench.IdlePhases(connections, perSecond, idle, 10*time.Second), 1, generator.Phase{Kind: generator.Wait, Duration: b.cfg.Settle})
	r, err := b.load(ctx, s)
	if err != nil {
		return 0, err
	}
	for _, p := range r.Phases {
		if p.Kind == generator.Wait && p.Duration == idle && p.ServerBefore != nil && p.ServerAfter != nil && p.Open == connections {
			return float64(p.ServerAfter.CPU-p.ServerBefore.CPU) / float64(connections) / p.Wall.Seconds(), nil
		}
	}
	return 0, fmt.Errorf("budget: the floor of idle devices: not all %d connections were there", connections)
}

// runDensity shows what the virtual machine found, if it was run: it takes 20 minutes
// and is not part of this.
func runDensity(_ context.Context, b *board) ([]Row, error) {
	limits := experiment.DefaultDensity("")
	row := Row{
		What: whatDensity, Verdict: NotHere,
		Budget: fmt.Sprintf("all alive, ≤ %.0f B of process memory, ≤ %.0f B with the kernel's share, each", limits.ProcessBytesMax, limits.TotalBytesMax),
		Figure: "not run: " + densityScript,
	}
	text, err := os.ReadFile(filepath.Join(b.cfg.Results, fmt.Sprintf("density-%d.json", densityAt)))
	if errors.Is(err, os.ErrNotExist) || b.cfg.Results == "" {
		return []Row{row}, nil
	}
	var r experiment.DensityResult
	if err = errors.Join(err, json.Unmarshal(text, &r)); err != nil {
		return nil, fmt.Errorf("budget: the result of %s: %w", densityScript, err)
	}
	row.Verdict, row.Value, row.Limit = Broken, r.Process, limits.ProcessBytesMax
	row.Figure = fmt.Sprintf("%d of %d alive, %.0f B of process memory, %.0f B with the kernel's share, each", r.Alive, r.Devices, r.Process, r.Total)
	if row.Note = "from an earlier run of " + densityScript; r.Run != nil {
		row.Note += " at " + r.Run.Started.Format(time.DateTime)
	}
	if r.Alive == densityAt && r.Process <= limits.ProcessBytesMax && r.Total <= limits.TotalBytesMax {
		row.Verdict = Held
	}
	return []Row{row}, nil
}
