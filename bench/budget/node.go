package budget

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
	"github.com/roostpush/roost/bench/target"
)

// withNode starts a node on the servers' core, with more arguments of roost serve, calls
// f, and kills it.
func (b *board) withNode(ctx context.Context, args []string, f func(*experiment.Node) error) error {
	data, err := os.MkdirTemp("", "roost-budget-")
	if err != nil {
		return fmt.Errorf("budget: %w", err)
	}
	defer os.RemoveAll(data)
	node, err := experiment.StartNodeOn(ctx, b.cfg.ServerCPU, b.cfg.Roost, data, slices.Concat(args, b.cfg.ServeArgs)...)
	if err != nil {
		return err
	}
	defer node.Kill()
	return f(node)
}

// scenario is one load of a node.
func (b *board) scenario(name string, node *experiment.Node, phases []generator.Phase) (bench.Scenario, error) {
	to := target.Default()
	to.URL, to.Sources = "ws://"+node.Public+"/ws", b.cfg.Sources
	s := bench.DefaultScenario(name, to)
	s.ServerPIDs = []int{node.PID}
	s.Phases = b.settled(phases)
	var err error
	s.API, err = bench.ParseAPI("http://" + node.Internal)
	return s, err
}

// load carries a scenario out and refuses a result that is not whole.
func (b *board) load(ctx context.Context, s bench.Scenario) (*report.Result, error) {
	return b.watched(ctx, s, nil)
}

// watched is load with a look after each phase.
func (b *board) watched(ctx context.Context, s bench.Scenario, onPhaseEnd func(*report.Phase)) (*report.Result, error) {
	r, err := bench.Run(ctx, s, bench.Options{WorkerCommand: b.cfg.Worker, Progress: b.progress, OnPhaseEnd: onPhaseEnd})
	if err != nil {
		return nil, err
	}
	if r.Early != "" && ctx.Err() == nil {
		return nil, fmt.Errorf("budget: %s: %s", s.Name, r.Early)
	}
	return r, nil
}

// wrong names what must not happen to messages.
func wrong(r *report.Result) string {
	for _, c := range []tally.Counter{
		tally.Failed, tally.Lost, tally.Undelivered, tally.Unanswered, tally.Unsent, tally.Corrupt, tally.Duplicated, tally.Reordered, tally.Ended,
	} {
		if n := r.Total.Get(c); n > 0 {
			return fmt.Sprintf("%d %s", n, c)
		}
	}
	return ""
}

// disturbed is an error when too few of a row's runs were quiet for their median to mean
// something.
func disturbed(runs []*report.Result) error {
	quiet, why := 0, ""
	for _, r := range runs {
		if len(r.Saturated) == 0 {
			quiet++
		} else {
			why = r.Saturated[0]
		}
	}
	if quiet >= minQuiet(len(runs)) {
		return nil
	}
	return fmt.Errorf("%w: %s", errDisturbed, why)
}

// median of a few figures.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	if middle := len(sorted) / 2; len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[len(sorted)/2-1] + sorted[len(sorted)/2]) / 2
}

func value(r *report.Result, name string) float64 {
	m, _ := r.Find(name)
	return m.Value
}
