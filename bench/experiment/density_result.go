package experiment

import (
	"fmt"
	"io"
	"time"

	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
)

// DensityReading is one look at the node and its machine.
type DensityReading struct {
	Sessions       int64        `json:"sessions"` // that the node says it has
	Process        Resident     `json:"process"`
	Memory         Memory       `json:"memory"`
	Network        Network      `json:"network"`
	KernelBytes    int64        `json:"kernel_bytes"` // Memory.KernelBytes
	HeapInuseBytes float64      `json:"heap_inuse_bytes"`
	HeapIdleBytes  float64      `json:"heap_idle_bytes"`     // free spans, and given back or not
	HeapReturned   float64      `json:"heap_released_bytes"` // of those, given back
	StackBytes     float64      `json:"stack_bytes"`
	RuntimeBytes   float64      `json:"runtime_bytes"` // the collector's and the allocator's own
	StoreDropped   float64      `json:"store_dropped"` // events that the store could not keep up with
	Pauses         Distribution `json:"pauses"`        // since the node began
}

func (r *DensityReading) fromMetrics(m Metrics) {
	r.KernelBytes = r.Memory.KernelBytes()
	r.HeapInuseBytes = m.Value("go_memstats_heap_inuse_bytes")
	r.HeapIdleBytes = m.Value("go_memstats_heap_idle_bytes")
	r.HeapReturned = m.Value("go_memstats_heap_released_bytes")
	r.StackBytes = m.Value("go_memstats_stack_inuse_bytes")
	r.RuntimeBytes = m.Value("go_memstats_gc_sys_bytes") + m.Value("go_memstats_mspan_inuse_bytes") +
		m.Value("go_memstats_buck_hash_sys_bytes") + m.Value("go_memstats_other_sys_bytes")
	r.StoreDropped = m.Value(`roost_store_dropped_total{reason="journal_full"}`)
	r.Pauses = m.Since(Metrics{}, pausesMetric)
}

// Collection is one cycle of the collector with every device there.
type Collection struct {
	Pauses Distribution  `json:"pauses"`
	CPU    time.Duration `json:"cpu_ns"`
	Took   time.Duration `json:"took_ns"` // of the request that asked for it; the heap profile is in it
}

func newCollection(before, after Metrics, took time.Duration) Collection {
	const cpu = "go_gc_cpu_seconds_total"
	return Collection{
		Pauses: after.Since(before, pausesMetric), Took: took,
		CPU: time.Duration((after.Value(cpu) - before.Value(cpu)) * float64(time.Second)),
	}
}

// DensityResult is what the measurement found. The figures for each device are growth
// since the first reading, divided by the devices between the two.
type DensityResult struct {
	Devices         int64          `json:"devices"`
	Attempted       int64          `json:"attempted"`
	Opened          int64          `json:"opened"`
	Failed          int64          `json:"failed"`
	Ended           int64          `json:"ended"` // by the server, before the proof
	Alive           int64          `json:"alive"`
	UpgradeSuccess  float64        `json:"upgrade_success"` // share of the attempts
	PerSecond       float64        `json:"upgrades_per_second"`
	Process         float64        `json:"process_per_device"`
	ProcessWhole    float64        `json:"process_whole_per_device"` // without taking off what a node needs that serves one device
	HeapLive        float64        `json:"heap_live_per_device"`
	Kernel          float64        `json:"kernel_per_device"`      // half of the growth of all kernel memory
	KernelSlab      float64        `json:"kernel_slab_per_device"` // half of the slabs' growth, part of it
	Total           float64        `json:"total_per_device"`
	ProcessBytesMax float64        `json:"process_bytes_max"`
	TotalBytesMax   float64        `json:"total_bytes_max"`
	HeapLiveBytes   float64        `json:"heap_live_bytes"` // right after a collection of the full node
	Held            bool           `json:"held"`
	Base            DensityReading `json:"base"`   // with one device
	Full            DensityReading `json:"full"`   // after the quiet time; the figures above are this one's
	Proved          DensityReading `json:"proved"` // after every device was asked for a sign of life
	Collection      Collection     `json:"collection"`
	Machine         Machine        `json:"machine"`
	Run             *report.Result `json:"run"`
}

// count computes the figures.
func (r *DensityResult) count(run *report.Result) {
	r.Run = run
	r.Attempted, r.Opened, r.Failed = run.Total.Get(tally.Attempted), run.Total.Get(tally.Opened), run.Total.Get(tally.Failed)
	r.Ended, r.Alive = run.Total.Get(tally.Ended), run.Total.Get(tally.Proved)
	r.UpgradeSuccess = float64(r.Opened) / float64(max(r.Devices, r.Attempted))
	for _, p := range run.Phases {
		if opened := p.Tally.Get(tally.Opened); opened > 0 && p.Wall > 0 {
			r.PerSecond = float64(opened) / p.Wall.Seconds()
		}
	}
	if r.Full.Process.RSSBytes == 0 {
		return // it ended before there was anything to read
	}
	each := func(bytes float64) float64 { return bytes / r.grown() }
	r.Process = each(float64(r.Full.Process.RSSBytes - r.Base.Process.RSSBytes))
	r.ProcessWhole = float64(r.Full.Process.RSSBytes) / float64(r.Devices)
	r.HeapLive = r.HeapLiveBytes / float64(r.Devices)
	r.Kernel = each(float64(r.Full.KernelBytes-r.Base.KernelBytes)) / 2
	r.KernelSlab = each(float64(r.Full.Memory.Slab-r.Base.Memory.Slab)) / 2
	r.Total = r.Process + r.Kernel
	r.Held = r.allUp() && r.allAlive() && r.Process <= r.ProcessBytesMax && r.Total <= r.TotalBytesMax
}

// grown is the devices between the first two readings.
func (r *DensityResult) grown() float64 { return float64(r.Devices - baseDevices) }

func (r *DensityResult) allUp() bool { return r.Failed == 0 && r.Opened == r.Devices }

// allAlive asks both sides: the devices by their pongs, the node by what it counts.
func (r *DensityResult) allAlive() bool {
	return r.Alive == r.Devices && r.Full.Sessions == r.Devices && r.Proved.Sessions == r.Devices
}

// WriteText writes the figures as people read them.
func (r *DensityResult) WriteText(w io.Writer) {
	if r.Full.Process.RSSBytes == 0 {
		fmt.Fprintf(w, "\n  %d of %d devices were opened and %d failed; there is no reading of a full node\n  The run ended early: %s\n",
			r.Opened, r.Devices, r.Failed, r.Run.Early)
		return
	}
	line := func(what string, base, full float64, each float64) {
		fmt.Fprintf(w, "  %-34s%12s%12s%10.0f B\n", what, report.Size(base), report.Size(full), each)
	}
	grown := func(what string, of func(DensityReading) float64, share float64) {
		base, full := of(r.Base), of(r.Full)
		line(what, base, full, (full-base)/r.grown()*share)
	}
	fmt.Fprintf(w, "\n  %d idle devices on one node, Linux %s\n", r.Devices, r.Machine.Kernel)
	fmt.Fprintf(w, "\n  %-34s%12s%12s%12s\n", "memory", "one device", "all", "each device")
	grown("process, resident", func(d DensityReading) float64 { return float64(d.Process.RSSBytes) }, 1)
	grown("  of it anonymous", func(d DensityReading) float64 { return float64(d.Process.AnonBytes) }, 1)
	grown("  heap in use", func(d DensityReading) float64 { return d.HeapInuseBytes }, 1)
	grown("  heap free and not given back", func(d DensityReading) float64 { return d.HeapIdleBytes - d.HeapReturned }, 1)
	grown("  runtime's own and stacks", func(d DensityReading) float64 { return d.RuntimeBytes + d.StackBytes }, 1)
	line("  heap live after a collection", 0, r.HeapLiveBytes, r.HeapLive)
	grown("kernel, both ends; each: half", func(d DensityReading) float64 { return float64(d.KernelBytes) }, 0.5)
	grown("  of it slab", func(d DensityReading) float64 { return float64(d.Memory.Slab) }, 0.5)
	grown("  of it page tables", func(d DensityReading) float64 { return float64(d.Memory.PageTables) }, 0.5)
	fmt.Fprint(w, "  The kernel's memory is all that is neither free nor a process's nor a file's; half of its\n  growth is the server's, since both ends of each connection live on this machine.\n\n")
	pauses := func(what string, p Distribution) {
		fmt.Fprintf(w, "  %-34s%d, p50 <= %s, p99 <= %s, longest <= %s\n", what, p.Count, report.Duration(p.P50), report.Duration(p.P99), report.Duration(p.Max))
	}
	pauses("collector pauses, whole run", r.Proved.Pauses)
	pauses("  of one cycle of the full node", r.Collection.Pauses)
	fmt.Fprintf(w, "  %-34s%s of CPU\n", "  cost of that cycle", report.Duration(r.Collection.CPU))
	fmt.Fprintf(w, "  %-34s%.0f a second\n", "upgrades", r.PerSecond)
	fmt.Fprintf(w, "  %-34s%.0f\n\n", "records dropped by the store", r.Proved.StoreDropped)
	verdict := func(held bool, text string, args ...any) {
		word := "ok    "
		if !held {
			word = "FAILED"
		}
		fmt.Fprintf(w, "  %s  %s\n", word, fmt.Sprintf(text, args...))
	}
	verdict(r.allUp(), "%.4f %% of the upgrades succeeded: %d of %d, %d failed", r.UpgradeSuccess*100, r.Opened, r.Devices, r.Failed)
	verdict(r.allAlive(), "%d of %d devices answered the final ping; the node has %d sessions", r.Alive, r.Devices, r.Proved.Sessions)
	verdict(r.Process <= r.ProcessBytesMax, "%.0f B of process memory each, at most %.0f (%.0f B with what a node for one device needs)", r.Process, r.ProcessBytesMax, r.ProcessWhole)
	verdict(r.Total <= r.TotalBytesMax, "%.0f B each with the server's half of the kernel's, at most %.0f", r.Total, r.TotalBytesMax)
	if lost := r.Proved.Network.Dropped - r.Base.Network.Dropped; lost > 0 {
		fmt.Fprintf(w, "  This machine's network dropped %d packets meanwhile: raise net.core.netdev_max_backlog\n", lost)
	}
	if r.Run != nil && r.Run.Early != "" {
		fmt.Fprintf(w, "  The run ended early: %s\n", r.Run.Early)
	}
}
