package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/target"
)

// grouped returns the spec with accounts of group devices, unless the user named them.
func grouped(spec target.Spec, group int64) target.Spec {
	if spec.Account == target.Default().Account {
		spec.Account = fmt.Sprintf("acc-{i/%d}", group)
	}
	return spec
}

type stormCommand struct {
	targetFlags
	runFlags
	API         []string      `name:"api" placeholder:"URL" help:"Internal listener of roost serve, repeatable; with it the connections that stay are pushed to meanwhile."`
	APIToken    string        `name:"api-token" env:"ROOST_BENCH_API_TOKEN" help:"Service token, when the internal listener wants one."`
	Connections int64         `default:"1000" help:"Connections in all."`
	Share       float64       `default:"0.9" help:"Share of them that is reset at once."`
	Rate        float64       `default:"1000" help:"Pushes a second to the others, while the dropped come back."`
	Size        int           `default:"128" help:"Payload of a push in bytes of JSON."`
	ReturnRate  float64       `default:"5000" help:"Connections that come back a second; 0: as fast as they complete, which keeps the generator itself busy."`
	Retry       time.Duration `default:"500ms" help:"Wait before an attempt that failed is made again."`
	Timeout     time.Duration `default:"30s" help:"Until then all must be back."`
}

// Run measures a reconnect storm.
func (c stormCommand) Run(ctx context.Context, o output) error {
	if c.Share <= 0 || c.Share > 1 || c.Connections < 1 || c.Timeout <= 0 {
		return errors.New("--share must be above 0 and at most 1, --connections and --timeout positive")
	}
	load := bench.StormLoad{Dropped: max(int64(float64(c.Connections)*c.Share), 1), Timeout: c.Timeout, Retry: c.Retry, Returns: c.ReturnRate}
	load.Others = c.Connections - load.Dropped
	mustHold := []string{"missing==0", "dead==0"}
	if len(c.API) > 0 {
		load.Trickle = bench.MessageLoad{PerSecond: c.Rate, PayloadBytes: c.Size, Timeout: 5 * time.Second}
		mustHold = append(mustHold, "lost==0", "duplicated==0", "reordered==0", "corrupt==0", "unanswered==0", "undelivered==0")
	}
	s := c.scenario("storm", c.spec(), bench.StormPhases(load), mustHold...)
	if err := (apiFlags{API: c.API, APIToken: c.APIToken, Streams: 1}).into(&s); err != nil {
		return err
	}
	return c.carryOut(ctx, o, s)
}

// into gives the scenario its API, if one is named.
func (f apiFlags) into(s *bench.Scenario) (err error) {
	if len(f.API) > 0 {
		s.API, err = f.api()
	}
	return err
}

type soakCommand struct {
	targetFlags
	runFlags
	API         []string      `name:"api" placeholder:"URL" help:"Internal listener of roost serve, for --push; repeatable."`
	APIToken    string        `name:"api-token" env:"ROOST_BENCH_API_TOKEN" help:"Service token, when the internal listener wants one."`
	Connections int64         `default:"1000" help:"Connections in all; each load has an equal part of them."`
	Duration    time.Duration `default:"1h" help:"How long."`
	Churn       float64       `default:"10" help:"Connections reset and replaced a second; 0: none."`
	Echo        float64       `help:"Echoes a second, for a server that echoes."`
	Push        float64       `help:"Pushes a second (Roost)."`
	Relay       float64       `help:"Messages between devices a second (Roost)."`
	Size        int           `default:"128" help:"Payload in bytes."`
	Timeout     time.Duration `default:"10s" help:"Wait for the last answers."`
}

// Run measures a mixture for a long time.
func (c soakCommand) Run(ctx context.Context, o output) error {
	switch {
	case c.Duration <= 0 || c.Timeout <= 0 || c.Connections < 2:
		return errors.New("--duration and --timeout must be positive, and two connections are the least")
	case c.Push > 0 && len(c.API) == 0:
		return errors.New("--push needs --api, the internal listener of roost serve")
	case c.Churn < 0 || c.Echo < 0 || c.Push < 0 || c.Relay < 0:
		return errors.New("rates cannot be negative")
	}
	load := bench.SoakLoad{
		Connections: c.Connections / 2 * 2, Duration: c.Duration, Churn: c.Churn, Echo: c.Echo, Push: c.Push, Relay: c.Relay,
		Payload: c.Size, Timeout: c.Timeout,
	}
	spec := c.spec()
	if c.Relay > 0 {
		spec = grouped(spec, 2)
	}
	s := c.scenario("soak", spec, bench.SoakPhases(load),
		"lost==0", "duplicated==0", "reordered==0", "corrupt==0", "unanswered==0", "missing==0", "dead==0")
	if err := (apiFlags{API: c.API, APIToken: c.APIToken, Streams: 1}).into(&s); err != nil {
		return err
	}
	return c.carryOut(ctx, o, s)
}

type rampCommand struct {
	targetFlags
	runFlags
	API         []string      `name:"api" placeholder:"URL" help:"Internal listener of roost serve, for --of push and --of fanout; repeatable."`
	APIToken    string        `name:"api-token" env:"ROOST_BENCH_API_TOKEN" help:"Service token, when the internal listener wants one."`
	Of          string        `required:"" enum:"connect,echo,push,fanout,relay" help:"Load to step: connect, echo, push, fanout or relay."`
	Connections int64         `default:"1000" help:"Connections that are kept (not for --of connect)."`
	Start       float64       `default:"1000" help:"Rate of the first step."`
	Factor      float64       `default:"2" help:"Between two steps up."`
	Precision   float64       `default:"0.05" help:"Precision of the result, as a share."`
	Step        time.Duration `default:"5s" help:"Duration of a step."`
	Hold        time.Duration `default:"100ms" help:"For --of connect: how long each connection is kept."`
	Group       int64         `default:"2" help:"For --of relay: devices of one account."`
	Size        int           `default:"128" help:"Payload in bytes."`
	Timeout     time.Duration `default:"2s" help:"Wait for the last answers of a step."`
}

// Run looks for the highest rate that holds.
func (c rampCommand) Run(ctx context.Context, o output) error {
	if c.Step <= 0 || c.Timeout <= 0 || c.Start <= 0 {
		return errors.New("--step, --timeout and --start must be positive")
	}
	spec, step := c.spec(), 1
	load := bench.MessageLoad{PerSecond: c.Start, PayloadBytes: c.Size, Duration: c.Step, Timeout: c.Timeout}
	var phases []generator.Phase
	var mustHold []string
	switch c.Of {
	case "connect":
		phases, step, mustHold = bench.ConnectPhases(c.Start, c.Step, c.Hold), 0, []string{"failed==0", "connect.p99<1s"}
	case "echo":
		phases = bench.EchoPhases(c.Connections, bench.EchoLoad{PerSecond: c.Start, PayloadBytes: c.Size, Duration: c.Step, Timeout: c.Timeout})
		mustHold = []string{"lost==0", "unsent==0", "echo.p99<100ms"}
	case "relay":
		load.Group = max(c.Group, 2)
		spec = grouped(spec, load.Group)
		phases, mustHold = bench.MessagePhases(generator.Relay, c.Connections/load.Group*load.Group, load), append(sound, "relay.p99<100ms")
	default:
		phases, mustHold = bench.MessagePhases(generator.Kind(c.Of), c.Connections, load), append(sound, c.Of+".p99<100ms")
	}
	s := c.scenario("ramp "+c.Of, spec, phases, mustHold...)
	r := bench.DefaultRamp(step)
	r.Factor, r.Precision = c.Factor, c.Precision
	s.Ramp = &r
	if err := (apiFlags{API: c.API, APIToken: c.APIToken, Streams: 1}).into(&s); err != nil {
		return err
	}
	return c.carryOut(ctx, o, s)
}
