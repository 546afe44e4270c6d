package budget

import (
	"context"
	"fmt"
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
	Step, Half time.Duration // of the ramp; at half the rate
}

func defaultRelay() relaySizes {
	return relaySizes{Devices: 4_000, Payload: 128, Start: 8_000, Step: 2 * time.Second, Half: 5 * time.Second}
}

// relayResult is a ramp and the load at half of what it found.
type relayResult struct {
	Ramp *report.Result `json:"ramp"`
	Half *report.Result `json:"half"`
}

// runRelay looks for the highest rate that holds and measures latency at half of it. The
// latency is from a device's write to its peer's read, which is more than the server's
// share. Sends are paced by the clock and wait for nobody, so leaving the generator's own
// lateness out omits nothing that the server did; the whole way is shown beside it.
func runRelay(ctx context.Context, b *board) ([]Row, error) {
	z := b.cfg.Relay
	var all relayResult
	// What one device may send is a setting, not what the node can do.
	unlimited := []string{"--set", "protocol.message_rate=100000", "--set", "protocol.message_burst=100000"}
	err := b.withNode(ctx, unlimited, func(node *experiment.Node) (err error) {
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
		all.Half, err = b.relay(ctx, node, load, false)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.show("relay, ramp", all.Ramp)
	b.show("relay, half the highest rate", all.Half)
	p99, rate := value(all.Half, "relay.closed.p99"), value(all.Ramp, "ramp.rate")
	row := Row{
		What: whatRelay, Budget: "p99 < 1 ms, the server's share", Value: p99, Limit: float64(relayP99Max) - 1, timed: true,
		Figure: fmt.Sprintf("p99 %s, p50 %s from the device's write to its peer's read, at %.0f/s of %.0f/s; %s of server CPU a message",
			report.Duration(time.Duration(p99)), report.Duration(time.Duration(value(all.Half, "relay.closed.p50"))), rate/2, rate,
			report.Duration(time.Duration(value(all.Half, "server.cpu_per_message")))),
		Note: fmt.Sprintf("from the intended send p99 %s, of which the generator's own lateness p99 %s",
			report.Duration(time.Duration(value(all.Half, "relay.p99"))), report.Duration(time.Duration(value(all.Half, "lateness.p99")))),
	}
	if len(all.Ramp.Saturated) > 0 {
		row.Note += "; the generator, not the server, ended the ramp: the highest rate is a lower bound"
	}
	if w := wrong(all.Half); w != "" {
		row.Verdict, row.Note = Broken, w
	}
	rows := []Row{row}
	if len(all.Half.Saturated) > 0 {
		return rows, fmt.Errorf("%w: %s", errDisturbed, all.Half.Saturated[0])
	}
	return rows, b.keep("budget-relay", all)
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
