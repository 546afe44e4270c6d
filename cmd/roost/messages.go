package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/roostpush/roost/cmd/roost/internal/client"
	"github.com/roostpush/roost/session"
)

// messageCommand shows what has become of a push that is kept.
type messageCommand struct {
	ID    string `arg:"" help:"The message's id, as push prints it."`
	Watch bool   `help:"Stay until every device has acked the message, or never will."`
	apiFlags
}

// Help is shown below the flags.
func (messageCommand) Help() string {
	return `Prints one line for each device: its name, the outcome, since when. queued waits for the device,
written waits for its ack; the others are final.

Example:
  roost message myhost.1.7 --watch`
}

// watchEvery is how often --watch asks.
const watchEvery = 500 * time.Millisecond

// Run asks, with --watch until there is nothing to wait for.
func (c messageCommand) Run(t terminal) error {
	if err := checkMessageID(c.ID); err != nil {
		return err
	}
	api, ctx, done, err := c.client(t)
	if err != nil {
		return err
	}
	defer done()
	shown := ""
	for {
		a, err := api.Message(ctx, c.ID)
		if err != nil {
			return err
		}
		if now := fmt.Sprint(a.Outcomes); now != shown {
			shown = now
			if err := printFates(t, a); err != nil {
				return err
			}
		}
		if !c.Watch || isOver(a) || !wait(ctx, watchEvery) {
			return nil
		}
	}
}

// wait returns false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// isOver says that every outcome is final.
func isOver(a client.Answer) bool {
	for _, o := range a.Outcomes {
		if o.Outcome == session.Queued.String() || o.Outcome == session.Written.String() {
			return false
		}
	}
	return true
}

// cancelCommand withdraws a push that is kept.
type cancelCommand struct {
	ID string `arg:"" help:"The message's id, as push prints it."`
	apiFlags
}

// Help is shown below the flags.
func (cancelCommand) Help() string {
	return `Whoever has not acked the message does not get it any more, or is told not to show it. Prints
what has become of it, a line for each device.

Example:
  roost cancel myhost.1.7`
}

// Run withdraws it.
func (c cancelCommand) Run(t terminal) error {
	if err := checkMessageID(c.ID); err != nil {
		return err
	}
	api, ctx, done, err := c.client(t)
	if err != nil {
		return err
	}
	defer done()
	a, err := api.Cancel(ctx, c.ID)
	if err != nil {
		return err
	}
	return printFates(t, a)
}

func checkMessageID(id string) error {
	if _, ok := session.ParseMessageID(id); !ok {
		return usageError{fmt.Errorf("%q is no message's id: push prints it, NODE.EPOCH.NUMBER", id)}
	}
	return nil
}

func printFates(t terminal, a client.Answer) error {
	w := tabwriter.NewWriter(t.out, 0, 8, 2, ' ', 0)
	for _, o := range a.Outcomes {
		fmt.Fprintf(w, "%s\t%s\t%s\n", o.Device, o.Outcome, when(o.AtMS))
	}
	return w.Flush()
}
