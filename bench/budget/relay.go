package budget

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/target"
)

const (
	whatRelay      = "relay on one node at half the highest rate that holds"
	whatCrossRelay = "relay across two nodes at half the highest rate that holds"
	relayP99Max    = time.Millisecond
)

type relaySizes struct {
	Devices    int64
	Payload    int
	Start      float64
	Step, Half time.Duration // of the ramp; of each round at half the rate
	Rounds     int           // at half the rate
}

func defaultRelay() relaySizes {
	return relaySizes{Devices: 4_000, Payload: 128, Start: 8_000, Step: 2 * time.Second, Half: 2 * time.Second, Rounds: 5}
}

// relayResult is a ramp and the load at half of what it found.
type relayResult struct {
	Ramp *report.Result   `json:"ramp"`
	Half []*report.Result `json:"half"`
	Bare []*report.Result `json:"bare"` // the same load of a bare relay, round by round
}

// relayBudget is a relay that is judged: on one node, or across two.
type relayBudget struct {
	what string
	most time.Duration // p99, the servers' share
	name string        // of its file and its plots
}

var (
	relayOnOne  = relayBudget{whatRelay, relayP99Max, "relay"}
	relayAcross = relayBudget{whatCrossRelay, crossP99Max, "cross-relay"}
)

// unlimited are settings: what one device may send is not what a node can do.
var unlimited = []string{"--set", "protocol.message_rate=100000", "--set", "protocol.message_burst=100000"}

// runRelay measures messages between two devices of one node.
func runRelay(ctx context.Context, b *board) (rows []Row, err error) {
	var found error
	err = b.withNode(ctx, unlimited, func(node *experiment.Node) error {
		rows, found = b.judgeRelay(ctx, relayOnOne, func(phases []generator.Phase) (bench.Scenario, error) {
			return b.scenario("relay", node, phases)
		})
		return nil
	})
	return rows, errors.Join(found, err)
}

// runCrossRelay measures messages between two devices of one account that are on two
// nodes.
func runCrossRelay(ctx context.Context, b *board) (rows []Row, err error) {
	var found error
	err = b.withCluster(ctx, 2, unlimited, func(c *experiment.Cluster) error {
		rows, found = b.judgeRelay(ctx, relayAcross, func(phases []generator.Phase) (bench.Scenario, error) {
			return b.clusterScenario("relay across nodes", c, c.Nodes, nil, settled(phases))
		})
		return nil
	})
	return rows, errors.Join(found, err)
}

// judgeRelay looks for the highest rate that holds and measures latency at half of it, in
// rounds, of which the median counts: a machine that takes a core away for some
// milliseconds spoils one of them. The latency is from a device's write to the time when
// its peer's kernel has the message, which is all that the servers do and nothing that
// the generator does. Sends are paced by the clock and wait for nobody, so leaving the
// generator's own lateness out omits nothing; the whole way is shown beside it. A bare
// relay gets the same load in the same rounds: what not even that can do is the machine's
// doing.
func (b *board) judgeRelay(ctx context.Context, of relayBudget, scenario func([]generator.Phase) (bench.Scenario, error)) ([]Row, error) {
	z := b.cfg.Relay
	var all relayResult
	var bare string
	floor, err := b.startPeer("relay", map[string]*string{"relay server on ": &bare})
	if err != nil {
		return nil, err
	}
	defer stopPeer(floor)
	load := bench.MessageLoad{PerSecond: z.Start, PayloadBytes: z.Payload, Duration: z.Step, Timeout: 2 * time.Second, Group: 2}
	relay := func(ramp bool) (*report.Result, error) {
		s, err := scenario(bench.MessagePhases(generator.Relay, z.Devices, load))
		if err != nil {
			return nil, err
		}
		s.Target = grouped(s.Target)
		if ramp {
			climb(&s, "relay.p99<50ms")
		}
		return b.load(ctx, s)
	}
	if all.Ramp, err = relay(true); err != nil {
		return nil, err
	}
	if load.PerSecond, err = halfOf(all.Ramp); err != nil {
		return nil, err
	}
	load.Duration = z.Half
	for range z.Rounds {
		half, err := relay(false)
		if err != nil {
			return nil, err
		}
		all.Half = append(all.Half, half)
		if half, err = b.bareRelay(ctx, bare, floor.Process.Pid, load); err != nil {
			return nil, err
		}
		all.Bare = append(all.Bare, half)
	}
	b.show(of.name+", ramp", all.Ramp)
	b.show(of.name+", half the highest rate", all.Half[len(all.Half)-1])
	b.show("the same of a bare relay", all.Bare[len(all.Bare)-1])
	row, machine := relayRow(of, all)
	if err := disturbed(all.Half); err != nil {
		return []Row{row}, err
	}
	if err := b.keep("budget-"+of.name, all); err != nil {
		return []Row{row}, err
	}
	if machine != "" {
		return []Row{row}, fmt.Errorf("%w: %s", errDisturbed, machine)
	}
	return []Row{row}, nil
}

// relayRow judges the median of the rounds. machine says that it is not the node that
// takes too long: not even a bare relay holds the budget here and now.
func relayRow(of relayBudget, all relayResult) (row Row, machine string) {
	half := func(name string) []float64 { return values(all.Half, name) }
	bare := median(values(all.Bare, "relay.arrived.p99"))
	p99s, rate := half("relay.arrived.p99"), value(all.Ramp, "ramp.rate")
	took := func(name string) string { return report.Duration(time.Duration(median(half(name)))) }
	row = Row{
		What: of.what, Budget: fmt.Sprintf("p99 < %s, the servers' share", of.most), Value: median(p99s), Limit: float64(of.most) - 1, timed: true,
		Figure: fmt.Sprintf("p99 %s (rounds, ms: %s), p50 %s from the device's write to its peer's kernel, at %.0f/s of %.0f/s; %s of server CPU a message",
			took("relay.arrived.p99"), millis(p99s), took("relay.arrived.p50"), rate/2, rate, took("server.cpu_per_message")),
		Floor: fmt.Sprintf("a bare relay, the same load in the same rounds: p99 %s (rounds, ms: %s), p50 %s; %s of CPU a message",
			report.Duration(time.Duration(bare)), millis(values(all.Bare, "relay.arrived.p99")),
			report.Duration(time.Duration(median(values(all.Bare, "relay.arrived.p50")))),
			report.Duration(time.Duration(median(values(all.Bare, "server.cpu_per_message"))))),
		Note: fmt.Sprintf("to the peer's read p99 %s; from the intended send p99 %s, of which the generator's own lateness p99 %s",
			took("relay.closed.p99"), took("relay.p99"), took("lateness.p99")),
	}
	row.doubt(all.Ramp, all.Half, len(p99s))
	if row.Verdict == "" && row.Value > row.Limit && bare > row.Limit {
		machine = fmt.Sprintf("a bare relay of reads and writes takes %s as well", report.Duration(time.Duration(bare)))
	}
	return row, machine
}

// values are a metric of several runs, of those that have it.
func values(runs []*report.Result, name string) (found []float64) {
	for _, r := range runs {
		if m, ok := r.Find(name); ok {
			found = append(found, m.Value)
		}
	}
	return found
}

// bareRelay is one round of the floor.
func (b *board) bareRelay(ctx context.Context, addr string, pid int, load bench.MessageLoad) (*report.Result, error) {
	to := grouped(target.Default())
	to.URL, to.Sources = "ws://"+addr+"/ws", b.cfg.Sources
	s := bench.DefaultScenario("bare relay", to)
	s.ServerPIDs = []int{pid}
	s.Phases = settled(bench.MessagePhases(generator.Relay, b.cfg.Relay.Devices, load))
	return b.load(ctx, s)
}

// millis writes nanoseconds as milliseconds.
func millis(ns []float64) (text string) {
	for i, v := range ns {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%.2f", v/1e6)
	}
	return text
}

// grouped puts two devices in each account.
func grouped(to target.Spec) target.Spec {
	to.Account = "acc-{i/2}"
	return to
}
