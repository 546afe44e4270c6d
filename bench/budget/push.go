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
	"github.com/roostpush/roost/bench/tally"
)

const (
	whatPush   = "push to distinct devices, NDJSON, wait=written"
	whatFanout = "fan-out of one message to all"
)

// The budgets of messages through the API, beside a bare loop of write(2).
const (
	pushAboveFloor = 3 * time.Microsecond
	fanoutToFloor  = 1.1
)

type pushSizes struct {
	Devices   int64
	Payload   int
	Window    int
	Rounds    int
	Push      time.Duration
	Fanout    time.Duration
	FanoutsPS float64 // messages a second, each to all
	FloorRuns int     // writes of the floor to each connection in one round, without a pause
	Bursts    int     // and then in bursts, as often as the fan-outs
}

func defaultPush() pushSizes {
	return pushSizes{Devices: 10_000, Payload: 128, Window: 1_000, Rounds: 5, Push: 2 * time.Second, Fanout: 3 * time.Second, FanoutsPS: 4, FloorRuns: 6, Bursts: 10}
}

// pushRounds is what the rounds found: CPU of the server for each, nanoseconds.
type pushRounds struct {
	floors                      // in bursts: as often as the fan-outs
	Push       []float64        `json:"push_ns"`
	Fanout     []float64        `json:"fanout_ns"`
	PushRate   []float64        `json:"push_rate"`
	FanoutLast []float64        `json:"fanout_last_p50_ns"`
	FrameBytes int              `json:"frame_bytes"`
	Wrong      string           `json:"wrong,omitempty"`
	Runs       []*report.Result `json:"runs"`
}

// runPush measures pushes and fan-outs of a node between floors with frames of the same
// size.
func runPush(ctx context.Context, b *board) ([]Row, error) {
	floor, err := b.startWriteLoop()
	if err != nil {
		return nil, err
	}
	defer stopPeer(floor.cmd)
	var all pushRounds
	err = b.withNode(ctx, nil, func(node *experiment.Node) error {
		frame, err := b.frameBytes(ctx, node)
		if err != nil {
			return err
		}
		z := b.cfg.Push
		all.FrameBytes = frame + frameHead
		all.floors, err = floor.between(ctx, b, z.Devices, floorPattern{frameBytes: frame, rounds: z.FloorRuns, bursts: z.Bursts, perSecond: z.FanoutsPS}, z.Rounds, func() error {
			return b.pushRound(ctx, node, &all)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, r := range all.Runs[len(all.Runs)-2:] {
		b.show([]string{"push", "fan-out"}[i], r)
	}
	rows := pushRows(b.cfg.Push, all)
	return rows, errors.Join(b.keep("budget-push", all), all.unsteady(&rows[0]))
}

// frameBytes is the payload of a frame that a push becomes. A fan-out's input is its
// frames and a few answers: a short one tells.
func (b *board) frameBytes(ctx context.Context, node *experiment.Node) (int, error) {
	z := b.cfg.Push
	r, err := b.message(ctx, node, generator.Fanout, bench.MessageLoad{
		PerSecond: z.FanoutsPS, PayloadBytes: z.Payload, Duration: time.Duration(2 / z.FanoutsPS * float64(time.Second)), Timeout: 5 * time.Second,
	})
	if err != nil {
		return 0, err
	}
	measured := r.Phases[2].Tally
	return max(int(measured.Get(tally.BytesIn)/max(measured.Get(tally.Received), 1))-frameHead, 1), nil
}

func (b *board) pushRound(ctx context.Context, node *experiment.Node, all *pushRounds) error {
	z := b.cfg.Push
	load := bench.MessageLoad{Window: z.Window, PayloadBytes: z.Payload, Duration: z.Push, Timeout: 5 * time.Second}
	push, err := b.message(ctx, node, generator.Push, load)
	if err != nil {
		return err
	}
	load.PerSecond, load.Window, load.Duration = z.FanoutsPS, 0, z.Fanout
	fanout, err := b.message(ctx, node, generator.Fanout, load)
	if err != nil {
		return err
	}
	all.Push = append(all.Push, value(push, "server.cpu_per_message"))
	all.PushRate = append(all.PushRate, value(push, "push.rate"))
	all.Fanout = append(all.Fanout, value(fanout, "server.cpu_per_delivery"))
	all.FanoutLast = append(all.FanoutLast, value(fanout, "fanout.last.p50"))
	all.Runs = append(all.Runs, push, fanout)
	for _, r := range []*report.Result{push, fanout} {
		switch w := wrong(r); {
		case w != "" && len(r.Saturated) > 0:
			return fmt.Errorf("%w: %s: %s; %s", errDisturbed, r.Scenario, w, r.Saturated[0])
		case w != "":
			all.Wrong = r.Scenario + ": " + w
		}
	}
	return nil
}

// frameHead is what a server's frame of 126 to 65,535 bytes has before its payload.
const frameHead = 4

func (b *board) message(ctx context.Context, node *experiment.Node, kind generator.Kind, load bench.MessageLoad) (*report.Result, error) {
	s, err := b.scenario(string(kind), node, bench.MessagePhases(kind, b.cfg.Push.Devices, load))
	if err != nil {
		return nil, err
	}
	return b.load(ctx, s)
}

func pushRows(z pushSizes, all pushRounds) []Row {
	over := above(all.Push, all.Floor)
	var ratios []float64
	for i, floor := range all.Bursts {
		ratios = append(ratios, all.Fanout[i]/floor)
	}
	rows := []Row{
		{
			What: fmt.Sprintf("%s, %d devices", whatPush, z.Devices), Budget: "≤ the floor + 3 µs of server CPU a message",
			Value: median(over), Limit: float64(pushAboveFloor), Floor: all.text(z.Devices, all.FrameBytes),
			Figure: fmt.Sprintf("the floor + %s; %s a message (rounds %s), %.0f a second", micro(median(over)), micro(median(all.Push)), list(all.Push), median(all.PushRate)),
		},
		{
			What: fmt.Sprintf("%s, %d devices", whatFanout, z.Devices), Budget: fmt.Sprintf("≤ %g × the floor, server CPU a delivery", fanoutToFloor),
			Value: median(ratios), Limit: fanoutToFloor,
			Floor: fmt.Sprintf("the same loop, as often: %s each (rounds %s)", micro(median(all.Bursts)), list(all.Bursts)),
			Figure: fmt.Sprintf("%.2f × the floor; %s a delivery (rounds %s), last device after %s", median(ratios), micro(median(all.Fanout)), list(all.Fanout),
				report.Duration(time.Duration(median(all.FanoutLast)))),
		},
	}
	if all.Wrong != "" {
		for i := range rows {
			rows[i].Verdict, rows[i].Note = Broken, all.Wrong
		}
	}
	return rows
}

// micro writes nanoseconds as microseconds, with two digits behind the point whatever
// their size: figures that are compared.
func micro(ns float64) string { return fmt.Sprintf("%.2f µs", ns/1e3) }

// list writes nanoseconds as microseconds.
func list(ns []float64) (text string) {
	for i, v := range ns {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%.1f", v/1e3)
	}
	return text
}
