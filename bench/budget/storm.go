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
	Rounds          int
	Returns         float64 // a second: well above what the budget asks for and below what keeps the generator itself busy
}

// 18,000 and the others are what one process may open here.
func defaultStorm() stormSizes {
	return stormSizes{Dropped: 18_000, Others: 800, PushPS: 500, Returns: 8_000, Rounds: 3}
}

// runStorm resets most connections at once and measures until all are back, a few times
// on a fresh node each, of which the median counts. Messages to the others count from the
// line that is handed to the API to the time when the device's kernel has the payload:
// the generator, which opens thousands of connections a second meanwhile, comes round to
// reading it when it can. The whole way, from the intended start, is shown beside it.
func runStorm(ctx context.Context, b *board) ([]Row, error) {
	z := b.cfg.Storm
	var all []*report.Result
	for range z.Rounds {
		err := b.withNode(ctx, nil, func(node *experiment.Node) error {
			s, err := b.scenario("storm", node, bench.StormPhases(bench.StormLoad{
				Dropped: z.Dropped, Others: z.Others, Timeout: 30 * time.Second, Returns: z.Returns,
				Trickle: bench.MessageLoad{PerSecond: z.PushPS, PayloadBytes: 128, Timeout: 5 * time.Second},
			}))
			if err != nil {
				return err
			}
			r, err := b.load(ctx, s)
			all = append(all, r)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	b.show("reconnect storm", all[len(all)-1])
	rows := stormRows(z, all)
	if err := disturbed(all); err != nil {
		return rows, err
	}
	return rows, b.keep("budget-storm", all)
}

func stormRows(z stormSizes, all []*report.Result) []Row {
	backs, p99s := values(all, "storm.back"), values(all, "push.arrived.p99")
	took := func(name string) string { return report.Duration(time.Duration(median(values(all, name)))) }
	rows := []Row{
		{
			What: fmt.Sprintf("%s, %d devices", whatStormBack, z.Dropped), Budget: "< 5 s", Value: median(backs), Limit: float64(stormBackMax) - 1, timed: true,
			Figure: fmt.Sprintf("%s at %.0f a second (%d storms), %d tried again, each %s of server CPU with what else there was",
				took("storm.back"), z.Returns, len(all), total(all, tally.Retried), stormCPU(all[len(all)-1])),
		},
		{
			What: whatStormPush, Budget: "p99 < 20 ms, the server's share", Value: median(p99s), Limit: float64(stormP99Max) - 1, timed: true,
			Figure: fmt.Sprintf("p99 %s (storms, ms: %s), p50 %s, max %s from the API to the device's kernel, %d pushes to %d others",
				took("push.arrived.p99"), millis(p99s), took("push.arrived.p50"), took("push.arrived.max"), total(all, tally.Pushed), z.Others),
			Note: fmt.Sprintf("from the intended start to the device's read p99 %s (storms, ms: %s), p50 %s, max %s",
				took("push.p99"), millis(values(all, "push.p99")), took("push.p50"), took("push.max")),
		},
	}
	if len(backs) != len(all) {
		rows[0].Verdict, rows[0].Figure = Broken, fmt.Sprintf("%d were not back after 30 s", total(all, tally.Missing))
	}
	if len(p99s) != len(all) {
		rows[1].Verdict, rows[1].Note = Broken, "this kernel does not say when a message arrived (SO_TIMESTAMPNS)"
	}
	if n := total(all, tally.Lost) + total(all, tally.Undelivered) + total(all, tally.Unanswered); n > 0 {
		rows[1].Verdict, rows[1].Note = Broken, fmt.Sprintf("%d pushes lost, undelivered or unanswered", n)
	}
	if dead := total(all, tally.Dead); dead > 0 {
		rows[0].Verdict, rows[0].Note = Broken, fmt.Sprintf("%d were dead afterwards", dead)
	}
	return rows
}

// total adds a counter up over several runs.
func total(all []*report.Result, c tally.Counter) (n int64) {
	for _, r := range all {
		n += r.Total.Get(c)
	}
	return n
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
