package budget

import (
	"context"
	"fmt"
	"time"

	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
)

const (
	whatDelay    = "a change of an idle 3-node cluster, until it is in the others' tables"
	whatDisplace = "a device that reconnects to another node, until the older connection is closed"
)

// The budgets of news between nodes.
const (
	delayMax    = 20 * time.Millisecond
	displaceMax = 100 * time.Millisecond
	delayMetric = "roost_replica_delay_seconds"
	newsWait    = 500 * time.Millisecond // in which what was opened and closed last is in all tables
)

type delaySizes struct {
	// Opened and closed a second, over three nodes: changes of one node must be further
	// apart than replica.batch_ms, or the cluster is not idle.
	PerSecond     float64
	Changes, Hold time.Duration
	Movers        int64
	Moves         time.Duration
}

func defaultDelay() delaySizes {
	return delaySizes{PerSecond: 15, Changes: 12 * time.Second, Hold: 100 * time.Millisecond, Movers: 300, Moves: 20 * time.Second}
}

// delays is what the part found.
type delays struct {
	Delay  experiment.Distribution `json:"delay"`
	Lost   float64                 `json:"lost"` // deltas that came out of order or found no room: their delay is not known
	Moves  *report.Result          `json:"moves"`
	Change *report.Result          `json:"changes"`
}

// runDelay opens and closes connections now and then, on three nodes in turn, and reads
// from the nodes how long the others' tables took to have it. Then devices connect a
// second time, to the next node.
func runDelay(ctx context.Context, b *board) ([]Row, error) {
	z := b.cfg.Delay
	var all delays
	err := b.withCluster(ctx, 3, nil, func(c *experiment.Cluster) (err error) {
		if err = b.measureChanges(ctx, c, &all); err != nil {
			return err
		}
		s, err := b.clusterScenario("moves", c, c.Nodes, nil, b.settled([]generator.Phase{
			{Kind: generator.Open, Connections: z.Movers},
			{Kind: generator.Move, Measured: true, PerSecond: z.PerSecond, Duration: z.Moves, Timeout: 5 * time.Second},
			{Kind: generator.Prove, Timeout: 10 * time.Second},
			{Kind: generator.Close},
		}))
		if err != nil {
			return err
		}
		all.Moves, err = b.load(ctx, s)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.show("devices that move between nodes", all.Moves)
	rows := delayRows(all)
	if err := disturbed([]*report.Result{all.Change, all.Moves}); err != nil {
		return rows, err
	}
	return rows, b.keep("budget-cluster-delay", all)
}

func (b *board) measureChanges(ctx context.Context, c *experiment.Cluster, all *delays) error {
	z := b.cfg.Delay
	nodes := int64(len(c.Nodes))
	hold := generator.Phase{Kind: generator.Wait, Duration: newsWait}
	s, err := b.clusterScenario("changes", c, c.Nodes, nil, []generator.Phase{
		{Kind: generator.Open, Connections: nodes}, hold,
		{
			Kind: generator.Churn, Measured: true, FirstIndex: nodes, PerSecond: z.PerSecond, Duration: z.Changes, Hold: z.Hold,
			Connections: int64(z.PerSecond * z.Changes.Seconds()),
		},
		hold, {Kind: generator.Close},
	})
	if err != nil {
		return err
	}
	var readings []experiment.Metrics
	var readErr error
	all.Change, err = b.watched(ctx, s, func(p *report.Phase) {
		if p.Kind != generator.Wait || readErr != nil {
			return
		}
		var sum experiment.Metrics
		for _, n := range c.Nodes {
			var m experiment.Metrics
			if m, readErr = n.Metrics(ctx); readErr != nil {
				return
			}
			sum.Add(m)
		}
		readings = append(readings, sum)
	})
	if err != nil {
		return err
	}
	if readErr != nil || len(readings) != 2 {
		return fmt.Errorf("budget: the nodes' metrics before and after the changes: %w", readErr)
	}
	all.Delay = readings[1].Since(readings[0], delayMetric)
	for _, name := range []string{"roost_replica_gaps_total", "roost_replica_unsent_total"} {
		all.Lost += readings[1].Value(name) - readings[0].Value(name)
	}
	return nil
}

func delayRows(all delays) []Row {
	moves := all.Moves
	took := func(name string) string { return report.Duration(time.Duration(value(moves, name))) }
	moved, displaced := moves.Total.Get(tally.Moved), moves.Total.Get(tally.Displaced)
	rows := []Row{
		{
			What: whatDelay, Budget: "p99 < 20 ms", Value: float64(all.Delay.P99), Limit: float64(delayMax) - 1, timed: true,
			Figure: fmt.Sprintf("p99 ≤ %s, p50 ≤ %s, max ≤ %s, of %d arrivals (upper bounds of the buckets of %s)", report.Duration(all.Delay.P99),
				report.Duration(all.Delay.P50), report.Duration(all.Delay.Max), all.Delay.Count, delayMetric),
		},
		{
			What: whatDisplace, Budget: "p99 < 100 ms from the newer's upgrade to the older's close frame", Value: value(moves, "displace.p99"),
			Limit: float64(displaceMax) - 1, timed: true,
			Figure: fmt.Sprintf("p99 %s, p50 %s, max %s, %d of %d closed with 4001", took("displace.p99"), took("displace.p50"), took("displace.max"), displaced, moved),
		},
	}
	if all.Delay.Count == 0 {
		rows[0].Verdict, rows[0].Figure = Broken, "the nodes' metrics have no delays"
	}
	if all.Lost > 0 {
		rows[0].Verdict, rows[0].Note = Broken, fmt.Sprintf("%.0f deltas came out of order or found no room on their link: theirs is not known", all.Lost)
	}
	switch w := moves.Total; {
	case moved == 0 || displaced != moved || w.Get(tally.Missing) > 0 || w.Get(tally.Failed) > 0:
		rows[1].Verdict, rows[1].Note = Broken, fmt.Sprintf("%d moved, %d of them displaced, %d not in time, %d attempts failed", moved, displaced, w.Get(tally.Missing), w.Get(tally.Failed))
	case w.Get(tally.Dead) > 0 || w.Get(tally.Ended) != displaced:
		rows[1].Verdict, rows[1].Note = Broken, fmt.Sprintf("%d connections ended, %d were dead afterwards: more than were displaced", w.Get(tally.Ended), w.Get(tally.Dead))
	}
	return rows
}
