package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/roostpush/roost/bench/disruption"
	"github.com/roostpush/roost/bench/report"
)

// disruptCommand disturbs a cluster that runs. scripts/netns-cluster test and rolling
// start one and call it.
type disruptCommand struct {
	Partition partitionCommand `cmd:"" help:"Kill a node, cut two off from the others, heal, restart (Roost only)."`
	Rolling   rollingCommand   `cmd:"" help:"Stop and start one node after the other (Roost only)."`
	Worker    disruptWorker    `cmd:"" hidden:"" help:"A process with a share of the devices; disrupt starts it."`
}

// disruptFlags are the cluster and the load.
type disruptFlags struct {
	Node      []string      `required:"" placeholder:"NAME=PUBLIC,INTERNAL" help:"A node and its listeners, in the order in which the control program counts them; repeatable." sep:"none"`
	Control   string        `required:"" placeholder:"PROGRAM" help:"What does things to the cluster: it is called with kill N, start N, stop N, cut N,N N,N or heal."`
	TokenFile string        `placeholder:"FILE" help:"File with the service token of the nodes' API."`
	Devices   int           `default:"20000" help:"Devices, of all processes."`
	Procs     int           `default:"2" help:"Processes for the devices; each holds as many as it may open descriptors."`
	Rate      float64       `default:"400" help:"Pushes a second."`
	Moves     float64       `default:"20" help:"Devices that connect elsewhere in a second, half of them before their old session has ended."`
	Known     time.Duration `default:"200ms" help:"Time in which all nodes must know of a session; pushes to younger ones are not judged as to a connected device. Longer where the machine is too small for its load."`
	Steady    time.Duration `default:"10s" help:"Time of load before, between and after disturbances."`
	Proofs    int           `default:"10000" help:"Random pushes through random nodes that must all be written."`
	ProofRate float64       `default:"1000" help:"Of those, pushes a second."`
	JSON      string        `name:"json" placeholder:"FILE" help:"Write everything measured to this file."`
}

type partitionCommand struct {
	disruptFlags
	Killed  time.Duration `default:"20s" help:"Time with one node dead before the cut."`
	Cut     time.Duration `default:"120s" help:"Time that two nodes are cut off from the others."`
	Recover time.Duration `default:"10s" help:"Time from the healing until everything must hold."`
}

type rollingCommand struct{ disruptFlags }

// Run disturbs and judges.
func (c partitionCommand) Run(ctx context.Context, o output) error {
	p := c.plan()
	p.Killed, p.Cut, p.Recover = c.Killed, c.Cut, c.Recover
	return c.carryOut(ctx, o, p.Partition)
}

// Run restarts and judges.
func (c rollingCommand) Run(ctx context.Context, o output) error {
	return c.carryOut(ctx, o, c.plan().Rolling)
}

func (f disruptFlags) plan() disruption.Plan {
	p := disruption.DefaultPlan()
	p.Steady, p.Proofs, p.Rate = f.Steady, f.Proofs, f.ProofRate
	return p
}

func (f disruptFlags) carryOut(ctx context.Context, o output, do func(context.Context, disruption.Settings) (*disruption.Result, error)) error {
	s, err := f.settings(o)
	if err != nil {
		return err
	}
	if err := report.Writable(f.JSON); err != nil { // before the run, not after it
		return err
	}
	result, err := do(ctx, s)
	if err != nil {
		return err
	}
	result.WriteText(o.out)
	if f.JSON != "" {
		if err := report.WriteJSON(f.JSON, result); err != nil {
			return err
		}
	}
	switch {
	case !result.Valid():
		return exit(report.ExitSaturated)
	case !result.Held():
		return exit(report.ExitThreshold)
	}
	return nil
}

func (f disruptFlags) settings(o output) (s disruption.Settings, err error) {
	begun := time.Now()
	s = disruption.Settings{
		Control: []string{f.Control}, Known: f.Known, Workers: f.Procs, Devices: f.Devices, PerSecond: f.Rate, Moves: f.Moves,
		Note: func(text string) { fmt.Fprintf(o.err, "disrupt: %6.1f s  %s\n", time.Since(begun).Seconds(), text) },
	}
	for _, text := range f.Node {
		name, listeners, _ := strings.Cut(text, "=")
		public, internal, ok := strings.Cut(listeners, ",")
		if !ok || name == "" || public == "" || internal == "" {
			return s, fmt.Errorf("--node %q is not NAME=PUBLIC,INTERNAL, such as n1=10.0.0.1:8080,10.0.0.1:8081", text)
		}
		s.Nodes = append(s.Nodes, disruption.Node{Name: name, Public: public, Internal: internal})
	}
	if f.TokenFile != "" {
		token, err := os.ReadFile(filepath.Clean(f.TokenFile))
		if err != nil {
			return s, err
		}
		s.Token = strings.TrimSpace(string(token))
	}
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	s.Worker = []string{self, "disrupt", "worker"}
	return s, nil
}

type disruptWorker struct{}

// Run is a worker process: orders on standard input, news on standard output.
func (disruptWorker) Run(ctx context.Context, o output) error {
	return disruption.Work(ctx, os.Stdin, o.out)
}
