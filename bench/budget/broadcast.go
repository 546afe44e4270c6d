package budget

import (
	"context"
	"fmt"
	"time"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/report"
)

const whatBroadcast = "broadcast to all devices of three nodes, the last one has it"

const broadcastMax = 400 * time.Millisecond

type broadcastSizes struct {
	Devices   int64
	Nodes     int
	Payload   int
	PerSecond float64
	Duration  time.Duration
}

func defaultBroadcast() broadcastSizes {
	return broadcastSizes{Devices: 18_000, Nodes: 3, Payload: 128, PerSecond: 1, Duration: 10 * time.Second}
}

// runBroadcast pushes to everybody, at each node in turn, and waits for the last device.
func runBroadcast(ctx context.Context, b *board) (rows []Row, err error) {
	z := b.cfg.Broadcast
	var r *report.Result
	err = b.withCluster(ctx, z.Nodes, nil, func(c *experiment.Cluster) error {
		s, err := b.clusterScenario("broadcast", c, c.Nodes, c.Nodes, b.settled(bench.MessagePhases(generator.Fanout, z.Devices, bench.MessageLoad{
			PerSecond: z.PerSecond, PayloadBytes: z.Payload, Duration: z.Duration, Timeout: 5 * time.Second,
		})))
		if err != nil {
			return err
		}
		r, err = b.load(ctx, s)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.show("broadcast", r)
	last := value(r, "fanout.last.p50")
	row := Row{
		What: fmt.Sprintf("%s, %d devices", whatBroadcast, z.Devices), Budget: fmt.Sprintf("< %s, the median message", broadcastMax),
		Value: last, Limit: float64(broadcastMax) - 1, timed: true,
		Figure: fmt.Sprintf("%s from the intended start, slowest %s; %s of server CPU a delivery; all %d nodes on one core",
			report.Duration(time.Duration(last)), report.Duration(time.Duration(value(r, "fanout.last.max"))),
			report.Duration(time.Duration(value(r, "server.cpu_per_delivery"))), z.Nodes),
	}
	if w := wrong(r); w != "" {
		row.Verdict, row.Note = Broken, w
	}
	return []Row{row}, b.keep("budget-broadcast", r)
}
