package budget

import (
	"context"
	"fmt"
	"time"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
)

const (
	whatStormBack = "a reconnect storm, all back"
	whatStormPush = "a reconnect storm, messages to the others meanwhile"
)

// The budgets of a storm.
const (
	stormBackMax = 5 * time.Second
	stormP99Max  = 20 * time.Millisecond
)

type stormSizes struct {
	Dropped, Others int64
	PushPS          float64
	Returns         float64 // a second: well above what the budget asks for and below what keeps the generator itself busy
}

// 18,000 and the others are what one process may open here.
func defaultStorm() stormSizes {
	return stormSizes{Dropped: 18_000, Others: 800, PushPS: 500, Returns: 8_000}
}

// runStorm resets most connections at once and measures until all are back.
func runStorm(ctx context.Context, b *board) ([]Row, error) {
	z := b.cfg.Storm
	var r *report.Result
	err := b.withNode(ctx, nil, func(node *experiment.Node) error {
		s, err := b.scenario("storm", node, bench.StormPhases(bench.StormLoad{
			Dropped: z.Dropped, Others: z.Others, Timeout: 30 * time.Second, Returns: z.Returns,
			Trickle: bench.MessageLoad{PerSecond: z.PushPS, PayloadBytes: 128, Timeout: 5 * time.Second},
		}))
		if err == nil {
			r, err = b.load(ctx, s)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	b.show("reconnect storm", r)
	back, ok := r.Find("storm.back")
	p99 := value(r, "push.p99")
	rows := []Row{
		{
			What: fmt.Sprintf("%s, %d devices", whatStormBack, z.Dropped), Budget: "< 5 s", Value: back.Value, Limit: float64(stormBackMax) - 1, timed: true,
			Figure: fmt.Sprintf("%s at %.0f a second, %d tried again, each %s of server CPU with what else there was", back.Text(), z.Returns, r.Total.Get(tally.Retried), stormCPU(r)),
		},
		{
			What: whatStormPush, Budget: "p99 < 20 ms", Value: p99, Limit: float64(stormP99Max) - 1, timed: true,
			Figure: fmt.Sprintf("p99 %s, p50 %s, max %s, %d pushes to %d others", report.Duration(time.Duration(p99)), report.Duration(time.Duration(value(r, "push.p50"))),
				report.Duration(time.Duration(value(r, "push.max"))), r.Total.Get(tally.Pushed), z.Others),
		},
	}
	if !ok {
		rows[0].Verdict, rows[0].Figure = Broken, fmt.Sprintf("%d were not back after 30 s", r.Total.Get(tally.Missing))
	}
	if n := r.Total.Get(tally.Lost) + r.Total.Get(tally.Undelivered) + r.Total.Get(tally.Unanswered); n > 0 {
		rows[1].Verdict, rows[1].Note = Broken, fmt.Sprintf("%d pushes lost, undelivered or unanswered", n)
	}
	if dead := r.Total.Get(tally.Dead); dead > 0 {
		rows[0].Verdict, rows[0].Note = Broken, fmt.Sprintf("%d were dead afterwards", dead)
	}
	if len(r.Saturated) > 0 {
		return rows, fmt.Errorf("%w: %s", errDisturbed, r.Saturated[0])
	}
	return rows, b.keep("budget-storm", r)
}

// stormCPU is what the storm cost the server for each that came back.
func stormCPU(r *report.Result) string {
	for _, p := range r.Phases {
		if n := p.Tally.Get(tally.Returned); n > 0 && p.ServerBefore != nil && p.ServerAfter != nil {
			return report.Duration((p.ServerAfter.CPU - p.ServerBefore.CPU) / time.Duration(n))
		}
	}
	return "?"
}
