package budget

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/target"
)

const (
	whatRelay   = "relay on one node at half the highest rate that holds"
	relayP99Max = time.Millisecond
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

// runRelay looks for the highest rate that holds and measures latency at half of it, in
// rounds, of which the median counts: a machine that takes a core away for some
// milliseconds spoils one of them. The latency is from a device's write to the time when
// its peer's kernel has the message, which is all that the server does and nothing that
// the generator does. Sends are paced by the clock and wait for nobody, so leaving the
// generator's own lateness out omits nothing; the whole way is shown beside it. A bare
// relay gets the same load in the same rounds: what not even that can do is the machine's
// doing.
func runRelay(ctx context.Context, b *board) ([]Row, error) {
	z := b.cfg.Relay
	var all relayResult
	var bare string
	floor, err := b.startPeer("relay", map[string]*string{"relay server on ": &bare})
	if err != nil {
		return nil, err
	}
	defer stopPeer(floor)
	// What one device may send is a setting, not what the node can do.
	unlimited := []string{"--set", "protocol.message_rate=100000", "--set", "protocol.message_burst=100000"}
	err = b.withNode(ctx, unlimited, func(node *experiment.Node) (err error) {
		load := bench.MessageLoad{PerSecond: z.Start, PayloadBytes: z.Payload, Duration: z.Step, Timeout: 2 * time.Second, Group: 2}
		if all.Ramp, err = b.relay(ctx, node, load, true); err != nil {
			return err
		}
		rate := value(all.Ramp, "ramp.rate")
		if rate == 0 && len(all.Ramp.Saturated) > 0 {
			return fmt.Errorf("%w: %s", errDisturbed, all.Ramp.Saturated[0])
		}
		if rate == 0 {
			return fmt.Errorf("budget: relay: not even the lowest rate held: %v", all.Ramp.Steps)
		}
		load.PerSecond, load.Duration = rate/2, z.Half
		for range z.Rounds {
			half, err := b.relay(ctx, node, load, false)
			if err != nil {
				return err
			}
			all.Half = append(all.Half, half)
			if half, err = b.bareRelay(ctx, bare, load); err != nil {
				return err
			}
			all.Bare = append(all.Bare, half)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	b.show("relay, ramp", all.Ramp)
	b.show("relay, half the highest rate", all.Half[len(all.Half)-1])
	b.show("the same of a bare relay", all.Bare[len(all.Bare)-1])
	row, machine := relayRow(all)
	if err := disturbed(all.Half); err != nil {
		return []Row{row}, err
	}
	if err := b.keep("budget-relay", all); err != nil {
		return []Row{row}, err
	}
	if machine != "" {
		return []Row{row}, fmt.Errorf("%w: %s", errDisturbed, machine)
	}
	return []Row{row}, nil
}

// relayRow judges the median of the rounds. machine says that it is not the node that
// takes too long: not even a bare relay holds the budget here and now.
func relayRow(all relayResult) (row Row, machine string) {
	of := func(name string) []float64 { return values(all.Half, name) }
	bare := median(values(all.Bare, "relay.arrived.p99"))
	p99s, rate := of("relay.arrived.p99"), value(all.Ramp, "ramp.rate")
	took := func(name string) string { return report.Duration(time.Duration(median(of(name)))) }
	row = Row{
		What: whatRelay, Budget: "p99 < 1 ms, the server's share", Value: median(p99s), Limit: float64(relayP99Max) - 1, timed: true,
		Figure: fmt.Sprintf("p99 %s (rounds, ms: %s), p50 %s from the device's write to its peer's kernel, at %.0f/s of %.0f/s; %s of server CPU a message",
			took("relay.arrived.p99"), millis(p99s), took("relay.arrived.p50"), rate/2, rate, took("server.cpu_per_message")),
		Floor: fmt.Sprintf("a bare relay, the same load in the same rounds: p99 %s (rounds, ms: %s), p50 %s; %s of CPU a message",
			report.Duration(time.Duration(bare)), millis(values(all.Bare, "relay.arrived.p99")),
			report.Duration(time.Duration(median(values(all.Bare, "relay.arrived.p50")))),
			report.Duration(time.Duration(median(values(all.Bare, "server.cpu_per_message"))))),
		Note: fmt.Sprintf("to the peer's read p99 %s; from the intended send p99 %s, of which the generator's own lateness p99 %s",
			took("relay.closed.p99"), took("relay.p99"), took("lateness.p99")),
	}
	if len(all.Ramp.Saturated) > 0 {
		row.Note += "; the generator, not the server, ended the ramp: the highest rate is a lower bound"
	}
	for _, r := range all.Half {
		if w := wrong(r); w != "" {
			row.Verdict, row.Note = Broken, w
		}
	}
	if len(p99s) != len(all.Half) {
		row.Verdict, row.Note = Broken, "this kernel does not say when a message arrived (SO_TIMESTAMPNS)"
	}
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
func (b *board) bareRelay(ctx context.Context, addr string, load bench.MessageLoad) (*report.Result, error) {
	to := grouped(target.Default())
	to.URL, to.Sources = "ws://"+addr+"/ws", b.cfg.Sources
	s := bench.DefaultScenario("bare relay", to)
	s.Phases = slices.Insert(bench.MessagePhases(generator.Relay, b.cfg.Relay.Devices, load), 1, generator.Phase{Kind: generator.Wait, Duration: settle})
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

func (b *board) relay(ctx context.Context, node *experiment.Node, load bench.MessageLoad, ramp bool) (*report.Result, error) {
	s, err := b.scenario("relay", node, bench.MessagePhases(generator.Relay, b.cfg.Relay.Devices, load))
	if err != nil {
		return nil, err
	}
	s.Target = grouped(s.Target)
	if ramp {
		r := bench.DefaultRamp(2)
		r.Precision = 0.1
		s.Ramp = &r
		s.Thresholds = []string{"lost==0", "undelivered==0", "unanswered==0", "unsent==0", "relay.p99<50ms"}
	}
	return b.load(ctx, s)
}

// grouped puts two devices in each account.
func grouped(to target.Spec) target.Spec {
	to.Account = "acc-{i/2}"
	return to
}
