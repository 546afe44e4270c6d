package main

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/scenariofile"
	"github.com/roostpush/roost/bench/target"
)

type runCommand struct {
	runFlags
	File string `arg:"" placeholder:"FILE" help:"Scenario in YAML."`
}

// Help is shown below the flags.
func (runCommand) Help() string {
	return `A scenario file names a target, conditions, and phases that are carried out one after the other:

  name: morning rush
  target: {url: "ws://127.0.0.1:8080/ws", source: 127.0.1.1-127.0.1.8}
  api: {url: "http://127.0.0.1:8081"}
  fail: [push.p99<20ms, lost==0, missing==0]
  phases:
    - {phase: open, connections: 2000, rate: 1000}
    - {phase: push, rate: 5000, for: 10s, size: 200}
    - phase: mix                  # at the same time; ends with its first part
      for: 20s
      parts:
        - {phase: cycle, high: 1500, timeout: 20s}          # a storm: no rate, all at once
        - {phase: push, rate: 1000, low: 1500}
    - {phase: prove}

Phases: open churn hold prove echo push fanout relay cycle mix close. A key that does not belong to its phase is an error.`
}

// Run carries a scenario file out.
func (c runCommand) Run(ctx context.Context, o output) error {
	name := strings.TrimSuffix(filepath.Base(c.File), filepath.Ext(c.File))
	s := bench.DefaultScenario(name, target.Default())
	c.apply(&s)
	s, err := scenariofile.Read(c.File, s)
	if err != nil {
		return err
	}
	return c.carryOut(ctx, o, s)
}
