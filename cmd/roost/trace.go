package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/roostpush/roost/cmd/roost/internal/client"
)

// traceCommand shows where a message was.
type traceCommand struct {
	ID string `arg:"" help:"The message's id, as push prints it."`
	apiFlags
}

// Help is shown below the flags.
func (traceCommand) Help() string {
	return `Prints what the nodes remember of a message, each its last trace.events: when, how long after the
first event, on which node, what happened, to which device, and which other node had to do with it.
Times are by the clock of the asked node; how far the others' are off stands below the table.

Example:
  roost trace myhost.1.7`
}

// Run asks.
func (c traceCommand) Run(t terminal) error {
	if err := checkMessageID(c.ID); err != nil {
		return err
	}
	api, ctx, done, err := c.client(t)
	if err != nil {
		return err
	}
	defer done()
	found, err := api.Trace(ctx, c.ID)
	if err != nil {
		return err
	}
	return printTrace(t.out, found)
}

func printTrace(out io.Writer, t client.Trace) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "TIME\tAFTER\tNODE\tSTEP\tDEVICE\tPEER")
	for _, e := range t.Events {
		step, device := e.Step, e.Device
		if e.Outcome != "" {
			step += " " + e.Outcome
		}
		if e.Devices > 0 {
			device = fmt.Sprintf("%d devices", e.Devices)
		}
		after := time.Duration(e.AtUS-t.Events[0].AtUS) * time.Microsecond
		fmt.Fprintf(w, "%s\t+%v\t%s\t%s\t%s\t%s\n", time.UnixMicro(e.AtUS).Format("15:04:05.000000"), after, e.Node, step, orDash(device), orDash(e.Peer))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, n := range t.Nodes {
		skew, give := time.Duration(n.SkewUS)*time.Microsecond, time.Duration(n.SkewErrorUS)*time.Microsecond
		switch {
		case n.Error != "":
			fmt.Fprintf(out, "%s did not say what it remembers: %s\n", n.Node, n.Error)
		case skew > give:
			fmt.Fprintf(out, "the clock of %s is %v ahead, give or take %v\n", n.Node, skew, give)
		case -skew > give:
			fmt.Fprintf(out, "the clock of %s is %v behind, give or take %v\n", n.Node, -skew, give)
		}
	}
	return nil
}
