package main

import (
	"context"
	"fmt"
	"time"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/compare"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/target"
)

// compareCommand measures servers against each other; what with is its subcommand.
type compareCommand struct {
	Echo    compareEcho    `cmd:"" help:"Messages that come back: server CPU for each, rate, latency, memory for each connection."`
	Connect compareConnect `cmd:"" help:"Upgrades at a rate: server CPU for each, latency."`
}

// Help is shown below the flags.
func (compareCommand) Help() string {
	return `Loads two or more servers in turn, round by round and in alternating order. Ratios are taken within a round, so
that a machine that is slow for a while is slow for both; server CPU for each message is the figure that survives it.

A target is a command that is started here, with {listen} where it takes host:port ({temp} is a folder of its own that
is removed at the end), or a server that runs already, with the process to look at.

Examples:
  roost-bench compare echo --server-cpu 0 --generator-cpu 1 \
      --target 'roost=bin/roost-bench echo-server --listen {listen}' \
      --target 'gws=bin/peers gws --listen {listen}' --fail 'ratio(roost/gws).cpu_per_message<=0.9'
  roost-bench compare connect --rate 2000 --path /ws \
      --target 'a=ws://127.0.0.1:8080/ws pid=4711' --target 'b=ws://127.0.0.1:9080/ws pid=4712'`
}

// compareFlags are those that every comparison has.
type compareFlags struct {
	Target       []string `required:"" sep:"none" placeholder:"'NAME=COMMAND {listen}'" help:"A server to start, or 'NAME=ws://host:port/path pid=N'; repeatable. The table's ratios are the first one's to each other."`
	Rounds       int      `default:"3" help:"Times that every target is loaded."`
	ServerCPU    int      `name:"server-cpu" default:"-1" placeholder:"CORE" help:"Core of the servers that are started here; -1: any."`
	GeneratorCPU int      `name:"generator-cpu" default:"-1" placeholder:"CORE" help:"Core of this process; -1: any."`
	Path         string   `default:"/" help:"Path of the URL of servers that are started here."`
	Account      string   `default:"acc-{i}" help:"Account of each connection; empty: none."`
	Device       string   `default:"dev-{i}" help:"Device of each connection; empty: none."`
	TokenSecret  string   `env:"ROOST_BENCH_TOKEN_SECRET" help:"Mint an HS256 token with this secret for each connection."`
	Source       string   `placeholder:"FIRST-LAST" help:"Source addresses, like 127.0.1.1-127.0.1.250."`
	Fail         []string `sep:"none" placeholder:"'ratio(A/B).METRIC<=N'" help:"Condition on a median ratio, else exit code 3; repeatable. Metrics: cpu_per_message, cpu_per_upgrade, rate, p50, p99, rss, rss_per_connection."`
	JSON         string   `name:"json" placeholder:"FILE" help:"Write every round's figures and all ratios to this file."`
}

type compareEcho struct {
	compareFlags
	Connections int64         `default:"200" help:"Connections that send."`
	Rate        float64       `help:"Messages a second over all connections (open loop); 0: closed loop, as fast as answers come."`
	Inflight    int           `default:"1" help:"Closed loop: messages under way on each connection."`
	Size        int           `default:"20" help:"Payload in bytes, at least 20."`
	Duration    time.Duration `default:"2s" help:"Of sending, for each target in each round."`
	Timeout     time.Duration `default:"5s" help:"Wait for the last echoes; who is later is lost."`
}

// Run compares echoes.
func (c compareEcho) Run(ctx context.Context, o output) error {
	if c.Rate < 0 {
		return fmt.Errorf("--rate cannot be negative")
	}
	load := compare.DefaultEcho()
	load.Connections, load.PerSecond, load.Inflight, load.PayloadBytes = c.Connections, c.Rate, c.Inflight, c.Size
	load.Duration, load.Timeout = c.Duration, c.Timeout
	return c.compare(ctx, o, load)
}

type compareConnect struct {
	compareFlags
	Rate     float64       `default:"1000" help:"Connections begun a second."`
	Duration time.Duration `default:"3s" help:"How long connections are begun, for each target in each round."`
	Hold     time.Duration `default:"500ms" help:"How long each connection is kept before it is reset."`
}

// Run compares upgrades.
func (c compareConnect) Run(ctx context.Context, o output) error {
	load := compare.DefaultConnect()
	load.PerSecond, load.Duration, load.Hold = c.Rate, c.Duration, c.Hold
	return c.compare(ctx, o, load)
}

func (f compareFlags) compare(ctx context.Context, o output, load compare.Load) error {
	plan := compare.Default(load)
	plan.Rounds, plan.Path, plan.Thresholds = f.Rounds, f.Path, f.Fail
	plan.ServerCPU, plan.GeneratorCPU = f.ServerCPU, f.GeneratorCPU
	plan.As = target.Spec{Account: f.Account, Device: f.Device, TokenSecret: f.TokenSecret, Sources: f.Source}
	for _, text := range f.Target {
		t, err := compare.ParseTarget(text)
		if err != nil {
			return err
		}
		plan.Targets = append(plan.Targets, t)
	}
	if err := report.Writable(f.JSON); err != nil { // before the run, not after it
		return err
	}
	// A line for each target tells more than one for each second of rounds this short.
	result, err := compare.Run(ctx, plan, compare.Options{
		Begin: func(round int, name string) { fmt.Fprintf(o.err, "round %d of %d: %s\n", round, plan.Rounds, name) },
		Warn:  func(f bench.Finding) { fmt.Fprintln(o.err, "warning:", f) },
	})
	if err != nil {
		return err
	}
	result.WriteTable(o.out)
	if f.JSON != "" {
		if err := report.WriteJSON(f.JSON, result); err != nil {
			return err
		}
	}
	if code := result.Exit(); code != report.ExitOK {
		return exit(code)
	}
	return nil
}
