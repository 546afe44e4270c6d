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
	whatQueue     = "queued push, synced before its answer, NDJSON, wait=none"
	whatQueueRate = "queued pushes a second, each delivered and acknowledged"
)

// The budgets of pushes that are kept.
const (
	queueAboveFloor = 8 * time.Microsecond
	queueRateMin    = 20_000
)

type queueSizes struct {
	Devices   int64
	Payload   int
	Window    int // pushes that have not arrived at one time
	TTL       time.Duration
	Rounds    int
	Push      time.Duration // long enough for a node that was quiet, and gave memory back, to be as it is under load
	FloorRuns int
}

func defaultQueue() queueSizes {
	return queueSizes{Devices: 10_000, Payload: 128, Window: 2_000, TTL: time.Minute, Rounds: 5, Push: 8 * time.Second, FloorRuns: 6}
}

// queueRounds is what the rounds found: CPU of the server for each, nanoseconds.
type queueRounds struct {
	floors
	Queued     []float64        `json:"queued_ns"` // from the API's socket to the device's, and its ack
	Rate       []float64        `json:"rate"`
	FrameBytes int              `json:"frame_bytes"`
	Wrong      string           `json:"wrong,omitempty"`
	Runs       []*report.Result `json:"runs"`
}

// runQueue measures pushes that the node stores before it answers and delivers behind
// that, as runPush measures those that it does not store. Their devices acknowledge each,
// or they would come again, and that is not to be taken off: so the floor, too, reads
// something from each device for each write.
func runQueue(ctx context.Context, b *board) ([]Row, error) {
	floor, err := b.startWriteLoop()
	if err != nil {
		return nil, err
	}
	defer stopPeer(floor.cmd)
	var all queueRounds
	z := b.cfg.Queue
	err = b.withNode(ctx, unlimited, func(node *experiment.Node) error {
		frame, err := b.frameBytes(ctx, node)
		if err != nil {
			return err
		}
		all.FrameBytes = frame + frameHead
		all.floors, err = floor.between(ctx, b, z.Devices, floorPattern{frameBytes: frame, rounds: z.FloorRuns, answered: z.FloorRuns}, z.Rounds, func() error {
			return b.queueRound(ctx, node, &all)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	b.show("queued push", all.Runs[len(all.Runs)-1])
	rows := queueRows(z, all)
	return rows, errors.Join(b.keep("budget-queue", all), all.unsteady(&rows[0]))
}

func (b *board) queueRound(ctx context.Context, node *experiment.Node, all *queueRounds) error {
	z := b.cfg.Queue
	s, err := b.scenario("queue", node, bench.MessagePhases(generator.Push, z.Devices, bench.MessageLoad{
		Window: z.Window, PayloadBytes: z.Payload, Duration: z.Push, Timeout: 5 * time.Second, TTL: z.TTL, Waits: "none",
	}))
	if err != nil {
		return err
	}
	r, err := b.load(ctx, s)
	if err != nil {
		return err
	}
	all.Queued = append(all.Queued, value(r, "server.cpu_per_message"))
	all.Rate = append(all.Rate, value(r, "push.rate"))
	all.Runs = append(all.Runs, r)
	switch w := wrong(r); {
	case w != "" && len(r.Saturated) > 0:
		return fmt.Errorf("%w: %s: %s; %s", errDisturbed, r.Scenario, w, r.Saturated[0])
	case w != "":
		all.Wrong = w
	}
	return nil
}

func queueRows(z queueSizes, all queueRounds) []Row {
	over := above(all.Queued, all.Acked)
	rate := median(all.Rate)
	rows := []Row{
		{
			What: fmt.Sprintf("%s, %d devices", whatQueue, z.Devices), Budget: "≤ the floor + 8 µs of server CPU a message",
			Value: median(over), Limit: float64(queueAboveFloor),
			Floor: fmt.Sprintf("%s; a ping written and its pong read, as a message and its ack: %s (rounds %s), which is the floor here",
				all.text(z.Devices, all.FrameBytes), micro(median(all.Acked)), list(all.Acked)),
			Figure: fmt.Sprintf("the floor + %s; %s a message with its device's ack (rounds %s)", micro(median(over)), micro(median(all.Queued)), list(all.Queued)),
		},
		{
			What: whatQueueRate, Budget: fmt.Sprintf("≥ %d a second, server and generator on one core each", queueRateMin),
			Value: queueRateMin / max(rate, 1), Limit: 1,
			Figure: fmt.Sprintf("%.0f a second (rounds %s), at most %d under way", rate, whole(all.Rate), z.Window),
		},
	}
	if all.Wrong != "" {
		for i := range rows {
			rows[i].Verdict, rows[i].Note = Broken, all.Wrong
		}
	}
	return rows
}

// whole writes numbers without their fractions.
func whole(values []float64) (text string) {
	for i, v := range values {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%.0f", v)
	}
	return text
}
