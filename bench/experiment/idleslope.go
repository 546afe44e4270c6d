package experiment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/hostinfo"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
	"github.com/roostpush/roost/bench/target"
)

// Slope describes the measurement of memory for each idle device: the server's
// resident memory at two plateaus, each after a quiet time, divided by the devices
// between them, so that what a server needs without any device does not count.
type Slope struct {
	Program   string        // path of roost
	Low, High int64         // devices at the two plateaus
	Quiet     time.Duration // before each reading; garbage of handshakes must be gone by then
	PerSecond float64       // upgrades a second
	Sources   string        // source addresses
	BytesMax  float64       // budget for each device
	Extra     []string      // more arguments of roost serve

	Core        int           // of the node; hostinfo.Unpinned: any
	Idle        time.Duration // further time at the second plateau, of which the CPU is measured; 0: none
	Collections int           // that the node is asked for at the second plateau, whose pauses are measured
}

// DefaultSlope returns the measurement that the budgets are written for.
func DefaultSlope(program string) Slope {
	return Slope{
		Program: program, Low: 2_000, High: 18_000, Quiet: 15 * time.Second, PerSecond: 2_000,
		Sources: "127.0.1.1-127.0.1.8", BytesMax: 700, Core: hostinfo.Unpinned,
	}
}

// Plateau is one reading.
type Plateau struct {
	Devices   int64           `json:"devices"`
	RSSBytes  int64           `json:"rss_bytes"`
	AnonBytes int64           `json:"anon_bytes"`
	HeapInuse float64         `json:"heap_inuse_bytes"` // spans with an object, before a collection was asked for
	HeapLive  float64         `json:"heap_live_bytes"`  // right after a collection
	Kernel    hostinfo.Kernel `json:"kernel"`
}

// SlopeResult is what the measurement found, in bytes for each device.
type SlopeResult struct {
	Low          Plateau        `json:"low"`
	High         Plateau        `json:"high"`
	RSS          float64        `json:"rss_per_device"`
	Anon         float64        `json:"anon_per_device"`
	HeapInuse    float64        `json:"heap_inuse_per_device"`
	HeapLive     float64        `json:"heap_live_per_device"`
	KernelSocket float64        `json:"kernel_socket_per_device"` // half of the socket caches' growth
	KernelSlab   float64        `json:"kernel_slab_per_device"`   // half of the growth of all slab memory
	BytesMax     float64        `json:"bytes_max"`
	IdleCPU      float64        `json:"idle_cpu_per_device_second,omitempty"` // ns; 0: not measured
	Pauses       Distribution   `json:"pauses"`                               // of the collections asked for
	CycleCPU     time.Duration  `json:"cycle_cpu_ns"`                         // of one collection
	Others       []OtherSlope   `json:"others,omitempty"`                     // of a cluster: the nodes that have none of the devices
	Alive        int64          `json:"alive"`
	Run          *report.Result `json:"run"`
}

// Held reports whether the budget holds and every device was there to be counted.
func (r *SlopeResult) Held() bool { return r.RSS <= r.BytesMax && r.Alive == r.High.Devices }

// OtherSlope is what each device costs a node of the cluster that it is not connected to.
type OtherSlope struct {
	RSS   float64 `json:"rss_per_device"`
	Anon  float64 `json:"anon_per_device"`
	Table float64 `json:"table_per_device"` // of it the routing table, as the node's metrics say
}

// IdleSlope starts one node, measures, and stops it. progress may be nil.
func IdleSlope(ctx context.Context, s Slope, worker []string, progress func(report.Second)) (*SlopeResult, error) {
	data, err := os.MkdirTemp("", "roost-idle-slope-")
	if err != nil {
		return nil, fmt.Errorf("experiment: %w", err)
	}
	defer os.RemoveAll(data)
	node, err := StartNodeOn(ctx, s.Core, s.Program, data, s.Extra...)
	if err != nil {
		return nil, err
	}
	defer node.Kill() // a paced goodbye to 18,000 devices would take minutes
	return s.measure(ctx, node, nil, worker, progress)
}

// ClusterSlope measures the first node of a cluster, with all devices, and what they cost
// the others. It does not stop them. progress may be nil.
func ClusterSlope(ctx context.Context, s Slope, c *Cluster, worker []string, progress func(report.Second)) (*SlopeResult, error) {
	return s.measure(ctx, c.Nodes[0], c.Nodes[1:], worker, progress)
}

func (s Slope) measure(ctx context.Context, node *Node, others []*Node, worker []string, progress func(report.Second)) (*SlopeResult, error) {
	if err := rehearse(ctx, node, others); err != nil {
		return nil, err
	}
	to := target.Default()
	to.URL, to.Sources = "ws://"+node.Public+"/ws", s.Sources
	scenario := bench.DefaultScenario("idle-slope", to)
	scenario.ServerPIDs = []int{node.PID}
	scenario.Phases = []generator.Phase{
		{Kind: generator.Open, Connections: s.Low, PerSecond: s.PerSecond},
		{Kind: generator.Wait, Duration: s.Quiet},
		{Kind: generator.Open, Connections: s.High - s.Low, FirstIndex: s.Low, PerSecond: s.PerSecond},
		{Kind: generator.Wait, Duration: s.Quiet},
		{Kind: generator.Wait, Duration: s.Idle},
		{Kind: generator.Prove, Timeout: 10 * time.Second},
		{Kind: generator.Close},
	}
	var plateaus []Plateau
	var beside [][]otherPlateau
	var readErr error
	cycles := &SlopeResult{}
	run, err := bench.Run(ctx, scenario, bench.Options{
		WorkerCommand: worker, Progress: progress,
		OnPhaseEnd: func(p *report.Phase) {
			switch {
			case p.Kind != generator.Wait || readErr != nil:
			case len(plateaus) < 2:
				var plateau Plateau
				plateau, readErr = read(ctx, node, p)
				plateaus = append(plateaus, plateau)
				all, err := readOthers(ctx, others)
				beside = append(beside, all)
				readErr = errors.Join(readErr, err)
			default:
				readErr = cycles.idled(ctx, node, p, s.Collections)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	if readErr != nil {
		return nil, readErr
	}
	if len(plateaus) < 2 || run.Early != "" {
		return nil, fmt.Errorf("experiment: the run ended before both plateaus were reached: %s", run.Early)
	}
	r := slope(s, plateaus[0], plateaus[1], run)
	for i := range others {
		r.Others = append(r.Others, OtherSlope{
			RSS:   float64(beside[1][i].rss-beside[0][i].rss) / float64(s.High-s.Low),
			Anon:  float64(beside[1][i].anon-beside[0][i].anon) / float64(s.High-s.Low),
			Table: (beside[1][i].table - beside[0][i].table) / float64(s.High-s.Low),
		})
	}
	r.IdleCPU, r.Pauses, r.CycleCPU = cycles.IdleCPU, cycles.Pauses, cycles.CycleCPU
	return r, nil
}

// idled reads what the idle time cost, and then asks for collections.
func (r *SlopeResult) idled(ctx context.Context, node *Node, p *report.Phase, collections int) error {
	if p.Duration > 0 && p.ServerBefore != nil && p.ServerAfter != nil && p.Open > 0 {
		r.IdleCPU = float64(p.ServerAfter.CPU-p.ServerBefore.CPU) / float64(p.Open) / p.Wall.Seconds()
	}
	if collections == 0 {
		return nil
	}
	before, err := node.Metrics(ctx)
	if err != nil {
		return err
	}
	begun := time.Now()
	for range collections {
		if _, _, err := node.Get(ctx, "/debug/pprof/heap?gc=1"); err != nil {
			return fmt.Errorf("experiment: ask for a collection: %w", err)
		}
	}
	after, err := node.Metrics(ctx)
	if err != nil {
		return err
	}
	all := newCollection(before, after, time.Since(begun))
	r.Pauses, r.CycleCPU = all.Pauses, all.CPU/time.Duration(collections)
	return nil
}

// rehearse takes all figures once before there are devices. The first profile of a node maps
// some 700 KB of its program, and so would count as 44 bytes a device if the first plateau's
// were the first.
func rehearse(ctx context.Context, node *Node, others []*Node) error {
	if _, err := asked(ctx, node); err != nil {
		return err
	}
	_, err := readOthers(ctx, others)
	return err
}

// read takes all figures of a plateau. The resident memory was read when the quiet
// time ended; asking for a collection, which tells the live heap, comes last.
func read(ctx context.Context, node *Node, p *report.Phase) (Plateau, error) {
	plateau := Plateau{Devices: p.Open}
	if p.ServerAfter == nil {
		return plateau, fmt.Errorf("experiment: the node's memory cannot be read")
	}
	plateau.RSSBytes, plateau.AnonBytes = p.ServerAfter.RSSBytes, p.ServerAfter.AnonBytes
	var err error
	if plateau.Kernel, err = hostinfo.ReadKernel(); err != nil {
		return plateau, err
	}
	heap, err := asked(ctx, node)
	plateau.HeapInuse, plateau.HeapLive = heap.HeapInuse, heap.HeapLive
	return plateau, err
}

// asked takes the figures of a plateau that the node itself has to be asked for.
func asked(ctx context.Context, node *Node) (heap Plateau, err error) {
	if heap.HeapInuse, err = node.Metric(ctx, "go_memstats_heap_inuse_bytes"); err != nil {
		return heap, err
	}
	if _, _, err = node.Get(ctx, "/debug/pprof/heap?gc=1"); err != nil {
		return heap, fmt.Errorf("experiment: ask for a collection: %w", err)
	}
	heap.HeapLive, err = node.Metric(ctx, "go_memstats_heap_alloc_bytes")
	return heap, err
}

// otherPlateau is one reading of a node beside.
type otherPlateau struct {
	rss   int64
	anon  int64
	table float64
}

func readOthers(ctx context.Context, others []*Node) (all []otherPlateau, err error) {
	for _, n := range others {
		p, err := hostinfo.ReadProcess(n.PID)
		if err != nil {
			return all, fmt.Errorf("experiment: %w", err)
		}
		table, err := n.Metric(ctx, "roost_route_bytes")
		if err != nil {
			return all, err
		}
		all = append(all, otherPlateau{p.RSSBytes, p.AnonBytes, table})
	}
	return all, nil
}

func slope(s Slope, low, high Plateau, run *report.Result) *SlopeResult {
	devices := float64(high.Devices - low.Devices)
	return &SlopeResult{
		Low: low, High: high, Run: run, BytesMax: s.BytesMax, Alive: run.Total.Get(tally.Proved),
		RSS:          float64(high.RSSBytes-low.RSSBytes) / devices,
		Anon:         float64(high.AnonBytes-low.AnonBytes) / devices,
		HeapInuse:    (high.HeapInuse - low.HeapInuse) / devices,
		HeapLive:     (high.HeapLive - low.HeapLive) / devices,
		KernelSocket: float64(high.Kernel.SocketBytes-low.Kernel.SocketBytes) / devices / 2,
		KernelSlab:   float64(high.Kernel.SlabBytes-low.Kernel.SlabBytes) / devices / 2,
	}
}

// WriteText writes the figures as people read them.
func (r *SlopeResult) WriteText(w io.Writer) {
	line := func(what string, low, high, each float64) {
		fmt.Fprintf(w, "  %-30s%12s%12s%12s\n", what, report.Size(low), report.Size(high), report.Size(each))
	}
	fmt.Fprintf(w, "\n  %-30s%12d%12d%12s\n", "idle devices", r.Low.Devices, r.High.Devices, "each")
	line("process, resident", float64(r.Low.RSSBytes), float64(r.High.RSSBytes), r.RSS)
	line("  of it anonymous", float64(r.Low.AnonBytes), float64(r.High.AnonBytes), r.Anon)
	line("  heap in use", r.Low.HeapInuse, r.High.HeapInuse, r.HeapInuse)
	line("  heap live after a collection", r.Low.HeapLive, r.High.HeapLive, r.HeapLive)
	line("kernel, sockets (half)", float64(r.Low.Kernel.SocketBytes)/2, float64(r.High.Kernel.SocketBytes)/2, r.KernelSocket)
	line("kernel, all slab (half)", float64(r.Low.Kernel.SlabBytes)/2, float64(r.High.Kernel.SlabBytes)/2, r.KernelSlab)
	fmt.Fprint(w, "  The kernel's memory is halved: both ends of each connection live on this machine.\n\n")
	fmt.Fprintf(w, "  %d of %d devices answered the final ping\n", r.Alive, r.High.Devices)
	verdict := "ok    "
	if !r.Held() {
		verdict = "FAILED"
	}
	fmt.Fprintf(w, "  %s  %.0f bytes of process memory for each idle device, at most %.0f\n", verdict, r.RSS, r.BytesMax)
}
