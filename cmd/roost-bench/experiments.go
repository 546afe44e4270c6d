package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/report"
)

// nodeFlags say which roost an experiment starts.
type nodeFlags struct {
	Roost   string   `default:"bin/roost" help:"The roost program to start."`
	Source  string   `default:"127.0.1.1-127.0.1.8" help:"Source addresses of the devices."`
	Results string   `default:"bench/results" help:"Folder for the JSON result; empty: none."`
	Arg     []string `name:"serve-arg" sep:"none" placeholder:"ARG" help:"One more argument of roost serve, like --serve-arg=--config=FILE; repeatable."`
}

func (f nodeFlags) keep(name string, result any) error {
	if f.Results == "" {
		return nil
	}
	return report.WriteJSON(filepath.Join(f.Results, name+".json"), result)
}

type idleSlopeCommand struct {
	nodeFlags
	Low      int64         `default:"2000" help:"Devices at the first reading."`
	High     int64         `default:"18000" help:"Devices at the second reading."`
	Quiet    time.Duration `default:"15s" help:"Quiet time before each reading."`
	Rate     float64       `default:"2000" help:"Upgrades a second."`
	MaxBytes float64       `default:"700" help:"Process memory for each device above which the exit code is 3."`
}

// Run measures memory for each idle device.
func (c idleSlopeCommand) Run(ctx context.Context, o output) error {
	if c.Low < 1 || c.High <= c.Low {
		return fmt.Errorf("--high %d must be above --low %d", c.High, c.Low)
	}
	s := experiment.DefaultSlope(c.Roost)
	s.Low, s.High, s.Quiet, s.PerSecond, s.Sources, s.BytesMax, s.Extra = c.Low, c.High, c.Quiet, c.Rate, c.Source, c.MaxBytes, c.Arg
	progress := report.NewProgress(o.err, isTerminal(o.err), 5*time.Second)
	result, err := experiment.IdleSlope(ctx, s, workerCommandLine(), progress.Show)
	progress.Done()
	if err != nil {
		return err
	}
	result.WriteText(o.out)
	return c.verdict("idle-slope", result, result.Held())
}

type crashCommand struct {
	nodeFlags
	Rate       float64       `default:"5000" help:"Connects a second."`
	After      time.Duration `default:"2s" help:"Time of connects before the kill."`
	LossWindow time.Duration `default:"100ms" help:"Records younger than this may be missing; the store's commit interval."`
	ReadyMax   time.Duration `default:"2s" help:"Time from restart to ready above which the exit code is 3."`
}

// Run kills a node and looks at what it left.
func (c crashCommand) Run(ctx context.Context, o output) error {
	if c.Rate <= 0 || c.After <= 0 {
		return fmt.Errorf("--rate and --after must be positive")
	}
	b := experiment.DefaultBlow(c.Roost)
	b.PerSecond, b.After, b.LossWindow, b.ReadyMax, b.Sources, b.Extra = c.Rate, c.After, c.LossWindow, c.ReadyMax, c.Source, c.Arg
	progress := report.NewProgress(o.err, isTerminal(o.err), 5*time.Second)
	result, err := experiment.Crash(ctx, b, progress.Show)
	progress.Done()
	if err != nil {
		return err
	}
	result.WriteText(o.out)
	if err := c.verdict("crash", result, result.Held()); err != nil {
		return err
	}
	if !result.Valid() {
		return exit(report.ExitSaturated)
	}
	return nil
}

// verdict keeps the result and turns a broken budget into its exit code.
func (f nodeFlags) verdict(name string, result any, held bool) error {
	if err := f.keep(name, result); err != nil {
		return err
	}
	if !held {
		return exit(report.ExitThreshold)
	}
	return nil
}
