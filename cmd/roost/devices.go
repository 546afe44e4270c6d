package main

import (
	"cmp"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/roostpush/roost/session"
)

// devicesCommand lists an account's devices.
type devicesCommand struct {
	Account string `arg:"" help:"The account."`
	apiFlags
}

// Help is shown below the flags.
func (devicesCommand) Help() string {
	return `Online devices first, then remembered ones, with their node, the time of the last change, the
address they came from and the attributes of their token.

Example:
  roost devices alice`
}

// Run lists them.
func (c devicesCommand) Run(t terminal) error {
	if err := session.CheckName("account", c.Account); err != nil {
		return usageError{err}
	}
	api, ctx, done, err := c.client(t)
	if err != nil {
		return err
	}
	defer done()
	list, err := api.Devices(ctx, c.Account)
	if err != nil {
		return err
	}
	if len(list.Devices) == 0 {
		fmt.Fprintf(t.out, "%s has no devices\n", c.Account)
		return nil
	}
	w := tabwriter.NewWriter(t.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "DEVICE\tSTATE\tSINCE\tNODE\tREMOTE\tATTRS")
	for _, d := range list.Devices {
		state, since := "offline", d.LastSeenMS
		if d.Online {
			state, since = "online", d.SinceMS
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", d.Device, state, when(since), orDash(d.Node), orDash(d.Remote), orDash(string(d.Attrs)))
	}
	if list.Truncated {
		fmt.Fprintln(w, "(there are more than the node lists)")
	}
	return w.Flush()
}

func orDash(s string) string { return cmp.Or(s, "-") }

func when(unixMS int64) string {
	if unixMS == 0 {
		return "-"
	}
	return time.UnixMilli(unixMS).Format(time.RFC3339)
}

// disconnectCommand closes a device's connection.
type disconnectCommand struct {
	Address string `arg:"" help:"ACCOUNT/DEVICE."`
	apiFlags
}

// Help is shown below the flags.
func (disconnectCommand) Help() string {
	return `The device gets close code 4007. It may connect again: keeping it out is a matter of its token.

Example:
  roost disconnect alice/phone`
}

// Run closes it.
func (c disconnectCommand) Run(t terminal) error {
	address, err := session.ParseAddress(c.Address)
	if err != nil {
		return usageError{err}
	}
	api, ctx, done, err := c.client(t)
	if err != nil {
		return err
	}
	defer done()
	if err := api.Disconnect(ctx, address); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s disconnected\n", address)
	return nil
}
