package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/report"
)

// densityCommand is what scripts/density-vm runs inside its virtual machine. It works
// anywhere, but the kernel's share is true on an otherwise idle machine only.
type densityCommand struct {
	nodeFlags
	Connections  int64         `default:"10000" help:"Devices to open and hold."`
	Rate         float64       `help:"Upgrades begun a second; 0: as fast as they complete."`
	Procs        int           `default:"1" help:"Generator processes."`
	Quiet        time.Duration `default:"20s" help:"Quiet time before the reading."`
	PingInterval time.Duration `default:"2h" help:"Time between the server's pings of a device."`
	Patience     time.Duration `default:"5m" help:"Longest wait for one upgrade, pong or answer of the API."`
	ProcessMax   float64       `default:"600" placeholder:"BYTES" help:"Process memory for each device above which the exit code is 3."`
	TotalMax     float64       `default:"5120" placeholder:"BYTES" help:"The same with the server's half of the kernel's memory."`
	Data         string        `placeholder:"DIR" help:"Where the node's data goes, in a folder of its own that is removed; default: a temporary one."`
	Leave        string        `placeholder:"FILE" help:"Leave node and connections as they are, and write the exit code to this file when all results are there: then the machine may be turned off."`
}

// Run fills a node and says what each device costs.
func (c densityCommand) Run(ctx context.Context, o output) error {
	err := c.run(ctx, o)
	if c.Leave == "" {
		return err
	}
	return errors.Join(err, os.WriteFile(c.Leave, fmt.Appendln(nil, exitCode(err, o.err)), 0o644))
}

func (c densityCommand) run(ctx context.Context, o output) error {
	if c.Connections < 2 || c.Procs < 1 || c.Rate < 0 {
		return fmt.Errorf("--connections %d, --procs %d and --rate %g make no sense together", c.Connections, c.Procs, c.Rate)
	}
	d := experiment.DefaultDensity(c.Roost)
	d.Devices, d.PerSecond, d.Processes, d.Quiet, d.Patience = c.Connections, c.Rate, c.Procs, c.Quiet, c.Patience
	d.PingInterval, d.ProcessBytesMax, d.TotalBytesMax = c.PingInterval, c.ProcessMax, c.TotalMax
	d.Leave = c.Leave != ""
	d.Sources, d.Kept, d.Extra = c.Source, c.Results, c.Arg
	data := c.Data
	if data == "" {
		data = os.TempDir()
	}
	data, err := os.MkdirTemp(data, "roost-density-")
	if err != nil {
		return err
	}
	if c.Leave == "" {
		defer os.RemoveAll(data)
	}
	if c.Results != "" {
		if err := os.MkdirAll(c.Results, 0o755); err != nil {
			return err
		}
	}
	progress := report.NewProgress(o.err, isTerminal(o.err), 10*time.Second)
	note := func(text string) {
		progress.Done()
		fmt.Fprintln(o.err, "density:", text)
	}
	result, err := d.Fill(ctx, data, workerCommandLine(), progress.Show, note)
	progress.Done()
	if err != nil {
		return err
	}
	return c.finish(o, result)
}

func (c densityCommand) finish(o output, result *experiment.DensityResult) error {
	result.WriteText(o.out)
	if err := c.keep(fmt.Sprintf("density-%d", c.Connections), result); err != nil {
		return err
	}
	if c.Results != "" {
		fmt.Fprintf(o.err, "density: written to %s\n", filepath.Join(c.Results, fmt.Sprintf("density-%d.json", c.Connections)))
	}
	switch {
	case result.Run.Early != "":
		return exit(report.ExitEarly)
	case !result.Held:
		return exit(report.ExitThreshold)
	}
	return nil
}
