package experiment

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
	"github.com/roostpush/roost/bench/target"
)

// Density describes one node that is filled with idle devices: what each costs in
// memory, of the process and of the kernel, and whether all of them are alive at the
// end. It is made for a machine of its own (scripts/density-vm): whatever else grows
// on the machine meanwhile is counted as the kernel's.
type Density struct {
	Program         string        // path of roost
	Devices         int64         // to open and hold
	PerSecond       float64       // upgrades begun a second; 0: as fast as they complete
	Inflight        int           // upgrades under way when no rate is given
	Settle          time.Duration // before the first reading, which everything is compared with
	Quiet           time.Duration // before the second one; garbage of handshakes must be gone by then
	PingInterval    time.Duration // of the server
	Patience        time.Duration // for one upgrade, one proof, one answer of the API; an emulated machine is slow
	ProofsPerSecond float64       // final pings a second
	Sources         string        // source addresses
	Processes       int           // generator processes
	ProcessBytesMax float64       // budget of process memory for each device
	TotalBytesMax   float64       // the same with the server's share of the kernel's memory
	Kept            string        // folder for the heap profile and the metrics; empty: none
	Leave           bool          // leave node, data and connections: the machine is turned off, and a million resets take minutes there
	Extra           []string      // more arguments of roost serve
}

// DefaultDensity returns the measurement that the budgets are written for, with the
// patience that an emulated machine needs.
func DefaultDensity(program string) Density {
	return Density{
		Program: program, Devices: 10_000, Inflight: 128, Settle: 5 * time.Second, Quiet: 20 * time.Second,
		PingInterval: 2 * time.Hour, Patience: 5 * time.Minute, ProofsPerSecond: 3_000,
		Sources: "127.0.1.1-127.0.1.64", Processes: 1, ProcessBytesMax: 600, TotalBytesMax: 5 << 10,
	}
}

const (
	baseDevices      = 1     // at the first reading
	connectionsSpare = 1_000 // that the node is told to take above the wanted ones; the probe before the run is one
)

// serveArgs are the settings without which a slow machine would measure timeouts
// instead of memory, and Extra, which is stronger.
func (d Density) serveArgs() []string {
	set := func(key string, value any) []string { return []string{"--set", fmt.Sprintf("%s=%v", key, value)} }
	args := []string{"--max-connections", fmt.Sprint(d.Devices + connectionsSpare)}
	args = append(args, set("protocol.lifetime", false)...)
	args = append(args, set("netpoll.ping_interval", d.PingInterval)...)
	args = append(args, set("netpoll.handshake_timeout", d.Patience)...)
	args = append(args, set("netpoll.close_timeout", d.Patience)...)
	args = append(args, set("store.stall_after", d.Patience)...)
	return append(args, d.Extra...)
}

func (d Density) scenario(node *Node) bench.Scenario {
	to := target.Default()
	to.URL, to.Sources = "ws://"+node.Public+"/ws", d.Sources
	s := bench.DefaultScenario("density", to)
	s.Processes, s.ProbeWait = d.Processes, d.Patience
	s.Config.ConnectTimeout, s.Config.ConnectsInflight, s.Config.ProofsPerSecond = d.Patience, d.Inflight, d.ProofsPerSecond
	s.Config.LeaveOpen = d.Leave
	s.Config.ProofsInflight, s.Config.ProofStall = int64(d.Inflight), d.Patience/10
	s.Phases = []generator.Phase{
		{Kind: generator.Open, Connections: baseDevices}, // what is made for the first one is not what each costs
		{Kind: generator.Wait, Duration: d.Settle},
		{Kind: generator.Open, Connections: d.Devices - baseDevices, FirstIndex: baseDevices, PerSecond: d.PerSecond},
		{Kind: generator.Wait, Duration: d.Quiet},
		{Kind: generator.Prove, Timeout: d.Patience},
	}
	return s
}

// Fill starts a node, with its store below data, fills it, and kills it. The result
// holds what was measured even when devices are missing or the node died, which
// Run.Early then says. Progress and note may be nil; note gets a sentence for each step
// that has no progress of its own.
func (d Density) Fill(ctx context.Context, data string, worker []string, progress func(report.Second), note func(string)) (*DensityResult, error) {
	if note == nil {
		note = func(string) {}
	}
	if d.Devices <= baseDevices {
		return nil, fmt.Errorf("experiment: %d devices are too few", d.Devices)
	}
	// Old records would be read at the start and count as the node's own memory.
	data = filepath.Join(data, "density")
	if err := errors.Join(os.RemoveAll(data), os.MkdirAll(data, 0o755)); err != nil {
		return nil, fmt.Errorf("experiment: %w", err)
	}
	if !d.Leave {
		defer os.RemoveAll(data)
	}
	note("starting roost serve")
	node, err := StartNode(ctx, d.Program, data, d.serveArgs()...)
	if err != nil {
		return nil, err
	}
	if !d.Leave {
		defer node.Kill()
	}
	node.client.Timeout = d.Patience
	note(fmt.Sprintf("roost serve is ready after %s, process %d", report.Duration(node.Ready), node.PID))
	filling := &filling{density: d, node: node, note: note, result: &DensityResult{
		Devices: d.Devices, ProcessBytesMax: d.ProcessBytesMax, TotalBytesMax: d.TotalBytesMax, Machine: readMachine(),
	}}
	run, err := bench.Run(ctx, d.scenario(node), bench.Options{
		WorkerCommand: worker, Progress: progress,
		Warn:       func(f bench.Finding) { note("warning: " + f.String()) },
		OnPhaseEnd: func(p *report.Phase) { filling.phaseEnded(ctx, p) },
	})
	if err != nil {
		return nil, err
	}
	if filling.err != nil && run.Early == "" {
		run.Early = filling.err.Error()
	}
	filling.result.count(run)
	return filling.result, nil
}

// filling takes the readings between the phases. It belongs to the goroutine of
// bench.Run.
type filling struct {
	density Density
	node    *Node
	note    func(string)
	result  *DensityResult
	waits   int
	err     error
}

func (f *filling) phaseEnded(ctx context.Context, p *report.Phase) {
	if f.err != nil || ctx.Err() != nil {
		return
	}
	r := f.result
	switch {
	case p.Kind == generator.Wait && f.waits == 0:
		f.waits++
		r.Base, f.err = f.read(ctx)
	case p.Kind == generator.Wait:
		if r.Full, f.err = f.read(ctx); f.err == nil {
			f.err = f.collect(ctx)
		}
	case p.Kind == generator.Open && f.waits > 0:
		f.note(fmt.Sprintf("%d of %d devices are connected, %.0f upgrades a second; quiet for %s",
			p.Open, f.density.Devices, float64(p.Tally.Get(tally.Opened))/max(p.Wall.Seconds(), 1e-9), f.density.Quiet))
	case p.Kind == generator.Prove:
		f.note(fmt.Sprintf("%d of %d devices answered a ping", p.Tally.Get(tally.Proved), f.density.Devices))
		r.Proved, f.err = f.read(ctx)
		if !f.density.Leave {
			f.note("resetting every connection")
		}
	}
}

// read takes a reading. Memory is read before the node is asked anything.
func (f *filling) read(ctx context.Context) (reading DensityReading, err error) {
	if reading.Process, err = readResident(f.node.PID); err != nil {
		return reading, err
	}
	if reading.Memory, err = readMemory(); err != nil {
		return reading, err
	}
	if reading.Network, err = readNetwork(); err != nil {
		return reading, err
	}
	m, err := f.node.Metrics(ctx)
	if err != nil {
		return reading, err
	}
	reading.Sessions = int64(m.Value("roost_sessions"))
	reading.fromMetrics(m)
	f.note(fmt.Sprintf("reading: %d devices, process %s, kernel %s", reading.Sessions,
		report.Size(float64(reading.Process.RSSBytes)), report.Size(float64(reading.Memory.KernelBytes()))))
	return reading, nil
}

// collect asks the full node for a collection, whose pauses and cost are what a cycle
// with so many devices costs, and keeps the heap profile of right after it.
func (f *filling) collect(ctx context.Context) error {
	before, err := f.node.Metrics(ctx)
	if err != nil {
		return err
	}
	f.note("asking the node for a collection and its heap profile")
	begun := time.Now()
	status, profile, err := f.node.Get(ctx, "/debug/pprof/heap?gc=1&debug=1")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("HTTP %d", status)
	}
	if err != nil {
		return fmt.Errorf("experiment: heap profile: %w", err)
	}
	took := time.Since(begun)
	after, err := f.node.Metrics(ctx)
	if err != nil {
		return err
	}
	f.result.Collection = newCollection(before, after, took)
	f.result.HeapLiveBytes = after.Value("go_memstats_heap_alloc_bytes")
	if f.density.Kept == "" {
		return nil
	}
	name := filepath.Join(f.density.Kept, fmt.Sprintf("density-%d", f.density.Devices))
	if err := os.WriteFile(name+"-heap.txt", profile, 0o644); err != nil {
		return fmt.Errorf("experiment: %w", err)
	}
	return os.WriteFile(name+"-metrics.txt", after.text, 0o644)
}
