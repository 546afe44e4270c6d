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
)

const (
	whatCrossPush    = "push across two nodes, NDJSON, wait=written"
	whatCrossLatency = "push across two nodes at half the highest rate that holds"
)

// The budgets of pushes that enter at one node and reach their device on another.
const (
	crossAboveFloor = 6 * time.Microsecond
	crossP99Max     = 4 * time.Millisecond
)

type crossSizes struct {
	Devices   int64 // of the closed loop, whose CPU is measured
	Payload   int
	Window    int
	Rounds    int // of each row
	Push      time.Duration
	FloorRuns int

	Few        int64 // devices of the ramp and of what follows it
	Start      float64
	Step, Half time.Duration // of the ramp; of each round at half the rate
}

func defaultCross() crossSizes {
	return crossSizes{
		Devices: 10_000, Payload: 128, Window: 1_000, Rounds: 5, Push: 2 * time.Second, FloorRuns: 6,
		Few: 4_000, Start: 8_000, Step: 2 * time.Second, Half: 4 * time.Second,
	}
}

// crossRounds is what the rounds found: CPU of both servers for each message, nanoseconds.
type crossRounds struct {
	floors
	Push       []float64        `json:"push_ns"`
	Own        []float64        `json:"own_ns"` // the same, given to the node that has the devices
	Rate       []float64        `json:"rate"`
	FrameBytes int              `json:"frame_bytes"`
	Wrong      string           `json:"wrong,omitempty"`
	Runs       []*report.Result `json:"runs"`
}

// runCrossPush measures pushes given to the second node for devices of the first, and the
// same given to the first itself, between floors with frames of the same size.
func runCrossPush(ctx context.Context, b *board) ([]Row, error) {
	z := b.cfg.Cross
	floor, err := b.startWriteLoop()
	if err != nil {
		return nil, err
	}
	defer stopPeer(floor.cmd)
	var all crossRounds
	err = b.withCluster(ctx, 2, nil, func(c *experiment.Cluster) error {
		frame, err := b.frameBytes(ctx, c.Nodes[0])
		if err != nil {
			return err
		}
		all.FrameBytes = frame + frameHead
		all.floors, err = floor.between(ctx, b, z.Devices, floorPattern{frameBytes: frame, rounds: z.FloorRuns}, z.Rounds, func() error {
			return b.crossRound(ctx, c, &all)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	b.show("push across two nodes", all.Runs[len(all.Runs)-1])
	row := crossRow(z, all)
	err = errors.Join(b.keep("budget-cross-push", all), all.unsteady(&row))
	return []Row{row}, err
}

func (b *board) crossRound(ctx context.Context, c *experiment.Cluster, all *crossRounds) error {
	z := b.cfg.Cross
	load := bench.MessageLoad{Window: z.Window, PayloadBytes: z.Payload, Duration: z.Push, Timeout: 5 * time.Second}
	for _, api := range []int{0, 1} {
		s, err := b.clusterScenario("push given to "+experiment.NodeName(api), c, c.Nodes[:1], c.Nodes[api:api+1], b.settled(bench.MessagePhases(generator.Push, z.Devices, load)))
		if err != nil {
			return err
		}
		r, err := b.load(ctx, s)
		if err != nil {
			return err
		}
		switch w := wrong(r); {
		case w != "" && len(r.Saturated) > 0:
			return fmt.Errorf("%w: %s: %s; %s", errDisturbed, r.Scenario, w, r.Saturated[0])
		case w != "":
			all.Wrong = r.Scenario + ": " + w
		}
		all.Runs = append(all.Runs, r)
		if cpu := value(r, "server.cpu_per_message"); api == 0 {
			all.Own = append(all.Own, cpu)
		} else {
			all.Push, all.Rate = append(all.Push, cpu), append(all.Rate, value(r, "push.rate"))
		}
	}
	return nil
}

func crossRow(z crossSizes, all crossRounds) Row {
	over := above(all.Push, all.Floor)
	var way []float64
	for i, own := range all.Own {
		way = append(way, all.Push[i]-own)
	}
	row := Row{
		What: fmt.Sprintf("%s, %d devices", whatCrossPush, z.Devices), Budget: "≤ the floor + 6 µs of CPU a message, both servers together",
		Value: median(over), Limit: float64(crossAboveFloor),
		Figure: fmt.Sprintf("the floor + %s; %s a message (rounds %s), %.0f a second", micro(median(over)), micro(median(all.Push)), list(all.Push), median(all.Rate)),
		Floor:  all.text(z.Devices, all.FrameBytes),
		Note:   fmt.Sprintf("given to the devices' own node %s a message (rounds %s): the way between the nodes costs %s", micro(median(all.Own)), list(all.Own), micro(median(way))),
	}
	if all.Wrong != "" {
		row.Verdict, row.Note = Broken, all.Wrong
	}
	return row
}

// crossLatencies is a ramp, and the load at half of what it found.
type crossLatencies struct {
	Ramp  *report.Result   `json:"ramp"`
	Cross []*report.Result `json:"cross"`
	Own   []*report.Result `json:"own"` // the same load, given to the node that has the devices
}

// runCrossLatency looks for the highest rate of pushes across nodes that holds and
// measures latency at half of it, as runRelay does: until the device's kernel has the
// message. The same load through the devices' own node is measured in the same rounds.
func runCrossLatency(ctx context.Context, b *board) ([]Row, error) {
	z := b.cfg.Cross
	var all crossLatencies
	err := b.withCluster(ctx, 2, nil, func(c *experiment.Cluster) error {
		load := bench.MessageLoad{PerSecond: z.Start, PayloadBytes: z.Payload, Duration: z.Step, Timeout: 2 * time.Second}
		push := func(api *experiment.Node, ramp bool) (*report.Result, error) {
			s, err := b.clusterScenario("push", c, c.Nodes[:1], []*experiment.Node{api}, b.settled(bench.MessagePhases(generator.Push, z.Few, load)))
			if err != nil {
				return nil, err
			}
			if ramp {
				b.climb(&s, "push.p99<50ms")
			}
			return b.load(ctx, s)
		}
		var err error
		if all.Ramp, err = push(c.Nodes[1], true); err != nil {
			return err
		}
		if load.PerSecond, err = halfOf(all.Ramp); err != nil {
			return err
		}
		load.Duration = z.Half
		for range z.Rounds {
			cross, err := push(c.Nodes[1], false)
			if err != nil {
				return err
			}
			own, err := push(c.Nodes[0], false)
			if err != nil {
				return err
			}
			all.Cross, all.Own = append(all.Cross, cross), append(all.Own, own)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	b.show("push across two nodes, ramp", all.Ramp)
	b.show("push across two nodes, half the highest rate", all.Cross[len(all.Cross)-1])
	row, machine := crossLatencyRow(all)
	return []Row{row}, errors.Join(b.keep("budget-cross-latency", all), machine)
}

// climb makes a scenario with a pause behind its opening look for the highest rate.
func (b *board) climb(s *bench.Scenario, mustHold string) {
	r := bench.DefaultRamp(2)
	r.Precision, r.Pause = 0.1, b.cfg.Settle
	s.Ramp = &r
	s.Thresholds = []string{"lost==0", "undelivered==0", "unanswered==0", "unsent==0", mustHold}
}

// halfOf is half the rate that a ramp found.
func halfOf(ramp *report.Result) (float64, error) {
	rate := value(ramp, "ramp.rate")
	switch {
	case rate > 0:
		return rate / 2, nil
	case len(ramp.Saturated) > 0:
		return 0, fmt.Errorf("%w: %s", errDisturbed, ramp.Saturated[0])
	}
	return 0, fmt.Errorf("budget: %s: not even the lowest rate held: %v", ramp.Scenario, ramp.Steps)
}

// crossLatencyRow judges the median of the rounds: by all messages, or, where the same load
// within one node is not in time either, by the median tenth of a second of each round, as
// relayRow does. An error is errDisturbed when the generator was, and errMachine when the load
// within one node takes too long there as well, so that it is not the way between nodes.
func crossLatencyRow(all crossLatencies) (row Row, err error) {
	const arrived, window = "push.arrived.p99", "push.window.p50"
	p99s, own, rate := values(all.Cross, arrived), values(all.Own, arrived), value(all.Ramp, "ramp.rate")
	took := func(runs []*report.Result, name string) string {
		return report.Duration(time.Duration(median(values(runs, name))))
	}
	row = Row{
		What: whatCrossLatency, Budget: "p99 < 4 ms, the servers' share", Value: median(p99s), Limit: float64(crossP99Max) - 1, timed: true,
		Figure: fmt.Sprintf("p99 %s (rounds, ms: %s), in the median 0.1 s %s, p50 %s from the line's write to the device's kernel, at %.0f/s of %.0f/s; %s of CPU a message, both servers",
			took(all.Cross, arrived), millis(p99s), took(all.Cross, window), took(all.Cross, "push.arrived.p50"), rate/2, rate, took(all.Cross, "server.cpu_per_message")),
		Floor: fmt.Sprintf("the same load through the devices' own node: p99 %s (rounds, ms: %s), in the median 0.1 s %s, p50 %s; %s of CPU a message",
			took(all.Own, arrived), millis(own), took(all.Own, window), took(all.Own, "push.arrived.p50"), took(all.Own, "server.cpu_per_message")),
		Note: fmt.Sprintf("to the result's read p99 %s; from the intended push p99 %s, of which the generator's own lateness p99 %s",
			took(all.Cross, "outcome.closed.p99"), took(all.Cross, "push.p99"), took(all.Cross, "lateness.p99")),
	}
	slow := median(own) > row.Limit
	if slow && row.Value > row.Limit && len(values(all.Cross, window)) == len(p99s) {
		row.Value, slow = median(values(all.Cross, window)), median(values(all.Own, window)) > row.Limit
		row.Note += fmt.Sprintf("; judged by the median 0.1 s: the machine's pauses keep the p99 of pushes within one node at %s, too", took(all.Own, arrived))
	}
	row.doubtRamp(all.Ramp)
	row.doubt(all.Cross, len(p99s))
	if err := disturbed(all.Cross); err != nil {
		return row, err
	}
	if row.Verdict == "" && row.Value > row.Limit && slow {
		err = row.excuse(fmt.Sprintf("pushes within one node take %s as well", took(all.Own, arrived)))
	}
	return row, err
}
