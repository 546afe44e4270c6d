package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/roostpush/roost/bench/budget"
	"github.com/roostpush/roost/bench/report"
)

type budgetCommand struct {
	Roost        string   `default:"bin/roost" help:"The roost program to measure."`
	Peers        string   `default:"bin/peers" help:"The program of bench/peers, for the floors."`
	Benches      string   `default:"bin" placeholder:"DIR" help:"Folder of the programs of Go benchmarks, route.test and cluster.test; without them their rows say so."`
	Results      string   `default:"bench/results" help:"Folder for budget.json, budget.html and each part's JSON; empty: none."`
	ServerCPU    int      `name:"server-cpu" default:"0" placeholder:"CORE" help:"Core of the servers."`
	GeneratorCPU int      `name:"generator-cpu" default:"1" placeholder:"CORE" help:"Core of this process."`
	Only         []string `placeholder:"PART" help:"Measure these parts only: ${budget_parts}."`
	Tries        int      `default:"3" help:"Times that a part is measured when the generator was disturbed."`
	ServeArg     []string `name:"serve-arg" sep:"none" placeholder:"ARG" help:"One more argument of roost serve; repeatable."`
}

// Help is shown below the flags.
func (budgetCommand) Help() string {
	return `Measures every budget of Roost beside its floor, servers on one core and the generator on the other, and ends with 3
when one does not hold. Under twenty minutes; make bench builds what is needed and runs it.`
}

// Run measures the budgets.
func (c budgetCommand) Run(ctx context.Context, o output) error {
	cfg := budget.Default()
	cfg.Roost, cfg.Peers, cfg.Results, cfg.ServerCPU, cfg.OwnCPU = c.Roost, c.Peers, c.Results, c.ServerCPU, c.GeneratorCPU
	cfg.RouteBench, cfg.ClusterBench = filepath.Join(c.Benches, "route.test"), filepath.Join(c.Benches, "cluster.test")
	cfg.Only, cfg.Tries, cfg.ServeArgs = c.Only, c.Tries, c.ServeArg
	cfg.Worker = workerCommandLine()
	if len(cfg.Worker) > 0 {
		cfg.Bench = cfg.Worker[0]
	}
	progress := report.NewProgress(o.err, isTerminal(o.err), 15*time.Second)
	say := func(format string, args ...any) {
		progress.Done()
		fmt.Fprintf(o.err, "%s: %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
	}
	result, err := budget.Run(ctx, cfg, say, progress.Show, func(r budget.Row) {
		progress.Done()
		var text strings.Builder
		r.WriteRow(&text)
		fmt.Fprint(o.err, text.String())
	})
	progress.Done()
	if result == nil {
		return err
	}
	result.WriteTable(o.out)
	if err != nil {
		return err
	}
	if code := result.Exit(); code != report.ExitOK {
		return exit(code)
	}
	return nil
}
