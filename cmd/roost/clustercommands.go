package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/roostpush/roost/session"
)

// nodesCommand lists the nodes of the cluster.
type nodesCommand struct {
	apiFlags
}

// Help is shown below the flags.
func (nodesCommand) Help() string {
	return `The cluster as the asked node sees it, that node first. LINK says whether messages from the asked
node reach the other; SESSIONS of another node are those that the asked node's table has.

Example:
  roost nodes --api http://127.0.0.1:8081`
}

// Run lists them.
func (c nodesCommand) Run(t terminal) error {
	api, ctx, done, err := c.client(t)
	if err != nil {
		return err
	}
	defer done()
	nodes, err := api.Nodes(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(t.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tEPOCH\tSTATE\tLINK\tSESSIONS\tPUBLIC\tINTERNAL")
	for _, n := range nodes {
		state, link := n.State, "up"
		switch {
		case n.Self && n.Ready:
			state, link = "ready", "-"
		case n.Self:
			state, link = "not ready", "-"
		case !n.Linked:
			link = "down"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%d\t%s\t%s\n", n.Node, n.Epoch, state, link, n.Sessions, orDash(n.Public), orDash(n.Internal))
	}
	return w.Flush()
}

// routeCommand says where a device is.
type routeCommand struct {
	Address string `arg:"" help:"ACCOUNT/DEVICE."`
	apiFlags
}

// Help is shown below the flags.
func (routeCommand) Help() string {
	return `Says which node holds the device, since when, and what the asked node believes of it: here,
there (on the named node), closed (it left within the last seconds), nowhere, unsure (nowhere,
and its table had no room for some devices), or unknown (nowhere, but it does not know the
sessions of all other nodes yet); and which node is the home of its account and keeps its record.

Example:
  roost route alice/phone`
}

// Run asks.
func (c routeCommand) Run(t terminal) error {
	address, err := session.ParseAddress(c.Address)
	if err != nil {
		return usageError{err}
	}
	api, ctx, done, err := c.client(t)
	if err != nil {
		return err
	}
	defer done()
	r, err := api.Route(ctx, address)
	if err != nil {
		return err
	}
	if r.Home != "" {
		defer fmt.Fprintf(t.out, "its record is kept by %s\n", r.Home)
	}
	switch r.State {
	case "nowhere":
		fmt.Fprintf(t.out, "%s is nowhere, as %s knows\n", address, r.Asked)
		return nil
	case "unsure":
		fmt.Fprintf(t.out, "%s is nowhere, as far as %s knows, whose table had no room for some devices\n", address, r.Asked)
		return nil
	case "unknown":
		fmt.Fprintf(t.out, "%s is nowhere, as far as %s knows, which has not got the sessions of all other nodes yet\n", address, r.Asked)
		return nil
	case "closed":
		fmt.Fprintf(t.out, "%s has just left %s, as %s knows\n", address, orDash(r.Node), r.Asked)
		return nil
	}
	fmt.Fprintf(t.out, "%s is on %s (epoch %d) since %s, as %s knows\n", address, r.Node, r.Epoch, time.UnixMilli(r.SinceMS).Format(time.RFC3339), r.Asked)
	if !r.Linked {
		fmt.Fprintf(t.out, "there is no link from %s to %s: messages from there are unreachable\n", r.Asked, r.Node)
	}
	return nil
}
