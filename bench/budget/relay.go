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
	whatRelayRate  = "relay on one node at a steady rate"
	whatCrossRelay = "relay across two nodes at a steady rate"
)

// The budgets of relays, of the servers' share: at half the highest rate, and at a rate
// that is named.
const (
	relayP99Max     = time.Millisecond
	relayRateP50Max = time.Millisecond
	relayRateP99Max = 4 * time.Millisecond
)

type relaySizes struct {
	Devices    int64
	Payload    int
	Start      float64
	Step, Half time.Duration // of the ramp; of each round at half the rate, and at the steady one
	Rounds     int           // at each
	PerSecond  float64       // the steady rate
}

func defaultRelay() relaySizes {
	return relaySizes{Devices: 4_000, Payload: 128, Start: 8_000, Step: 2 * time.Second, Half: 2 * time.Second, Rounds: 5, PerSecond: 10_000}
}

// relayRounds are rounds of a load and, in between, of the same load of a bare relay: what
// not even that can do is the machine's doing.
type relayRounds struct {
	Rounds []*report.Result `json:"rounds"`
	Bare   []*report.Result `json:"bare"`
}

// relayResult is what a part found.
type relayResult struct {
	Ramp *report.Result `json:"ramp,omitempty"`
	Half relayRounds    `json:"half"` // at half of what the ramp found
	Rate relayRounds    `json:"rate"` // at the steady rate
}

// unlimited are settings: what one device may send is not what a node can do.
var unlimited = []string{"--set", "protocol.message_rate=100000", "--set", "protocol.message_burst=100000"}

// relayed makes the scenario of a relay's phases.
type relayed func(phases []generator.Phase) (bench.Scenario, error)

// runRelay measures messages between two devices of one node: it looks for the highest
// rate that holds and measures latency at half of it, and at the steady rate.
func runRelay(ctx context.Context, b *board) (rows []Row, err error) {
	var found error
	err = b.withNode(ctx, unlimited, func(node *experiment.Node) error {
		rows, found = b.relayOnOne(ctx, func(phases []generator.Phase) (bench.Scenario, error) { return b.scenario("relay", node, phases) })
		return nil
	})
	return rows, errors.Join(found, err)
}

func (b *board) relayOnOne(ctx context.Context, to relayed) (rows []Row, err error) {
	var all relayResult
	load := b.relayLoad()
	s, err := b.relayScenario(to, load)
	if err != nil {
		return nil, err
	}
	b.climb(&s, "relay.p99<50ms")
	if all.Ramp, err = b.load(ctx, s); err != nil {
		return nil, err
	}
	b.show("relay, ramp", all.Ramp)
	if load.PerSecond, err = halfOf(all.Ramp); err != nil {
		return nil, err
	}
	if all.Half, err = b.relayRounds(ctx, to, load); err != nil {
		return nil, err
	}
	load.PerSecond = b.cfg.Relay.PerSecond
	if all.Rate, err = b.relayRounds(ctx, to, load); err != nil {
		return nil, err
	}
	b.show("relay, half the highest rate", last(all.Half.Rounds))
	b.show("the same of a bare relay", last(all.Half.Bare))
	half, machine1 := relayRow(all.Half, relayBudget{what: whatRelay, p99: relayP99Max})
	half.Figure += fmt.Sprintf(", of a highest rate of %.0f/s", value(all.Ramp, "ramp.rate"))
	half.doubtRamp(all.Ramp)
	steady, machine2 := relayRow(all.Rate, relayBudget{what: whatRelayRate, p50: relayRateP50Max, p99: relayRateP99Max})
	return []Row{half, steady}, errors.Join(b.keep("budget-relay", all), machine1, machine2)
}

// runCrossRelay measures messages between two devices of one account that are on two
// nodes.
func runCrossRelay(ctx context.Context, b *board) (rows []Row, err error) {
	var all relayResult
	err = b.withCluster(ctx, 2, unlimited, func(c *experiment.Cluster) (err error) {
		load := b.relayLoad()
		load.PerSecond = b.cfg.Relay.PerSecond
		all.Rate, err = b.relayRounds(ctx, func(phases []generator.Phase) (bench.Scenario, error) {
			return b.clusterScenario("relay across nodes", c, c.Nodes, nil, b.settled(phases))
		}, load)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.show("relay across two nodes", last(all.Rate.Rounds))
	row, machine := relayRow(all.Rate, relayBudget{what: whatCrossRelay, p50: relayRateP50Max, p99: relayRateP99Max})
	return []Row{row}, errors.Join(b.keep("budget-cross-relay", all), machine)
}

func (b *board) relayLoad() bench.MessageLoad {
	z := b.cfg.Relay
	return bench.MessageLoad{PerSecond: z.Start, PayloadBytes: z.Payload, Duration: z.Step, Timeout: 2 * time.Second, Group: 2}
}

func (b *board) relayScenario(to relayed, load bench.MessageLoad) (bench.Scenario, error) {
	s, err := to(bench.MessagePhases(generator.Relay, b.cfg.Relay.Devices, load))
	s.Target = grouped(s.Target)
	return s, err
}

// relayRounds measures latency at a rate, in rounds, of which the median counts: a machine
// that takes a core away for some milliseconds spoils one of them. The latency is from a
// device's write to the time when its peer's kernel has the message, which is all that the
// servers do and nothing that the generator does. Sends are paced by the clock and wait for
// nobody, so leaving the generator's own lateness out omits nothing; the whole way is shown
// beside it.
func (b *board) relayRounds(ctx context.Context, to relayed, load bench.MessageLoad) (all relayRounds, err error) {
	var bare string
	floor, err := b.startPeer("relay", map[string]*string{"relay server on ": &bare})
	if err != nil {
		return all, err
	}
	defer stopPeer(floor)
	load.Duration = b.cfg.Relay.Half
	for range b.cfg.Relay.Rounds {
		s, err := b.relayScenario(to, load)
		if err != nil {
			return all, err
		}
		one, err := b.load(ctx, s)
		if err != nil {
			return all, err
		}
		all.Rounds = append(all.Rounds, one)
		if one, err = b.bareRelay(ctx, bare, floor.Process.Pid, load); err != nil {
			return all, err
		}
		all.Bare = append(all.Bare, one)
	}
	return all, nil
}

// relayBudget is what a relay is judged by: the servers' share.
type relayBudget struct {
	what string
	p50  time.Duration // 0: any
	p99  time.Duration
}

// relayRow judges the median of the rounds: by all messages, or, where the machine pauses so
// often that not even a bare relay's are in time, by the median tenth of a second of each round,
// which such pauses leave alone and a slow server does not. An error is errDisturbed when the
// generator was, and errMachine when a bare relay does not hold that either.
func relayRow(all relayRounds, of relayBudget) (row Row, err error) {
	own := func(name string) float64 { return median(values(all.Rounds, name)) }
	bare := func(name string) float64 { return median(values(all.Bare, name)) }
	said := func(ns float64) string { return report.Duration(time.Duration(ns)) }
	const p50, p99, window = "relay.arrived.p50", "relay.arrived.p99", "relay.window.p50"
	p99s := values(all.Rounds, p99)
	row = Row{
		What: of.what, Budget: fmt.Sprintf("p99 < %s, the servers' share", of.p99), Value: own(p99), Limit: float64(of.p99) - 1, timed: true,
		Figure: fmt.Sprintf("p99 %s (rounds, ms: %s), in the median 0.1 s %s, p50 %s from the device's write to its peer's kernel; %s of server CPU a message; at %.0f/s",
			said(own(p99)), millis(p99s), said(own(window)), said(own(p50)), said(own("server.cpu_per_message")), own("relay.rate")),
		Floor: fmt.Sprintf("a bare relay, the same load in the same rounds: p99 %s (rounds, ms: %s), in the median 0.1 s %s, p50 %s; %s of CPU a message",
			said(bare(p99)), millis(values(all.Bare, p99)), said(bare(window)), said(bare(p50)), said(bare("server.cpu_per_message"))),
		Note: fmt.Sprintf("to the peer's read p99 %s; from the intended send p99 %s, of which the generator's own lateness p99 %s",
			said(own("relay.closed.p99")), said(own("relay.p99")), said(own("lateness.p99"))),
	}
	slow, slowBare := "", false
	if row.Value > row.Limit && bare(p99) > row.Limit && len(values(all.Rounds, window)) == len(p99s) {
		row.Value, slowBare = own(window), bare(window) > row.Limit
		row.Note += fmt.Sprintf("; judged by the median 0.1 s: the machine's pauses keep a bare relay's p99 at %s, too", said(bare(p99)))
	}
	if row.Value > row.Limit {
		slow = fmt.Sprintf("a bare relay of reads and writes takes %s as well", said(bare(window)))
	}
	if of.p50 > 0 {
		row.Budget = fmt.Sprintf("p50 < %s, p99 < %s, the servers' share", of.p50, of.p99)
		if half := own(p50); slow == "" && half >= float64(of.p50) {
			row.Value, row.Limit = half, float64(of.p50)-1
			slow, slowBare = "half of a bare relay's messages take as long", bare(p50) > row.Limit
		}
	}
	row.doubt(all.Rounds, len(p99s))
	if err := disturbed(all.Rounds); err != nil {
		return row, err
	}
	if row.Verdict == "" && slow != "" && slowBare {
		err = row.excuse(slow)
	}
	return row, err
}

func last(runs []*report.Result) *report.Result { return runs[len(runs)-1] }

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
	s.Phases = b.settled(bench.MessagePhases(generator.Relay, b.cfg.Relay.Devices, load))
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
