package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roostpush/roost/bench/experiment"
)

type promisesCommand struct {
	nodeFlags
	Pushes  int           `default:"100000" help:"Pushes that the node accepts over all its lives."`
	Devices int           `default:"500" help:"Devices they are for, which come back after each kill."`
	Kills   int           `default:"10" help:"Times that the node is killed, at random moments."`
	TTL     time.Duration `name:"ttl" default:"1h" help:"How long the messages are kept."`
}

// Help is shown below the flags.
func (promisesCommand) Help() string {
	return `Every push that was answered with 202 must reach its device or end as expired; a device may get one twice, with one id.

Example:
  roost-bench promises --pushes 10000 --kills 3`
}

// Run kills a node and looks whether it keeps what it promised.
func (c promisesCommand) Run(ctx context.Context, o output) error {
	if c.Pushes < 1 || c.Devices < 1 || c.Kills < 1 {
		return errors.New("--pushes, --devices and --kills must be at least 1")
	}
	p := experiment.DefaultPledge(c.Roost)
	p.Pushes, p.Devices, p.Kills, p.TTL, p.Extra = c.Pushes, c.Devices, c.Kills, c.TTL, c.Arg
	result, err := experiment.Promises(ctx, p, o.say)
	if err != nil {
		return err
	}
	result.WriteText(o.out)
	return c.verdict("promises", result, result.Held())
}

// say writes a line about how it goes.
func (o output) say(line string) { fmt.Fprintln(o.err, line) }

type mailboxCommand struct {
	nodeFlags
	Devices int `default:"10000" help:"Devices that messages wait for."`
	Each    int `default:"100" help:"Messages that wait for each."`
	Size    int `default:"128" help:"Payload in bytes of JSON."`
	Takers  int `default:"101" help:"Devices that come for theirs, one after the other, once the node has looked through its store behind the restart; some come before."`
}

// Help is shown below the flags.
func (mailboxCommand) Help() string {
	return `Example:
  roost-bench mailbox --devices 1000 --each 100`
}

// Run fills a node's mailboxes, kills it, starts it again and lets devices take theirs.
func (c mailboxCommand) Run(ctx context.Context, o output) error {
	h := experiment.DefaultHoard(c.Roost)
	h.Early = min(h.Early, c.Devices-c.Takers)
	if c.Devices < 1 || c.Each < 1 || c.Takers < 1 || c.Takers > c.Devices {
		return errors.New("--devices, --each and --takers must be at least 1, and no more takers than devices")
	}
	h.Devices, h.Each, h.Payload, h.Takers, h.Extra = c.Devices, c.Each, c.Size, c.Takers, c.Arg
	result, err := experiment.Mailbox(ctx, h, o.say)
	if err != nil {
		return err
	}
	result.WriteText(o.out)
	return c.verdict("mailbox", result, result.Held())
}
