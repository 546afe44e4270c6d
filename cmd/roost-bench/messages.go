package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/generator"
)

// apiFlags say where pushes are given to the server.
type apiFlags struct {
	API      []string `name:"api" default:"http://127.0.0.1:8081" placeholder:"URL" help:"Internal listener of roost serve; repeatable: device i is pushed to through number i modulo their count."`
	APIToken string   `name:"api-token" env:"ROOST_BENCH_API_TOKEN" help:"Service token, when the internal listener wants one."`
	Streams  int      `default:"1" help:"Streams of pushes in each loop to each node; the pushes of a device always take the same one."`
}

func (f apiFlags) api() (generator.API, error) {
	a, err := bench.ParseAPI(f.API...)
	if err == nil && f.Streams < 1 {
		err = errors.New("--streams must be at least 1")
	}
	a.Token, a.Streams = f.APIToken, f.Streams
	return a, err
}

// messageFlags say how messages are sent.
type messageFlags struct {
	Size     int           `default:"128" help:"Payload in bytes of JSON, at least 49: number and times are in it."`
	Duration time.Duration `default:"10s" help:"How long messages are sent."`
	Timeout  time.Duration `default:"5s" help:"Wait for the last ones; what comes later is lost."`
}

func (f messageFlags) messages(perSecond float64) (bench.MessageLoad, error) {
	if f.Duration <= 0 || f.Timeout <= 0 {
		return bench.MessageLoad{}, errors.New("--duration and --timeout must be positive")
	}
	return bench.MessageLoad{PerSecond: perSecond, PayloadBytes: f.Size, Duration: f.Duration, Timeout: f.Timeout}, nil
}

// sound is what must hold of messages unless --fail says something else.
var sound = []string{"failed==0", "lost==0", "duplicated==0", "reordered==0", "corrupt==0", "unsent==0", "unanswered==0", "undelivered==0"}

type pushCommand struct {
	targetFlags
	runFlags
	apiFlags
	messageFlags
	Connections int64         `default:"1000" help:"Devices, which are pushed to in turn."`
	Rate        float64       `default:"1000" help:"Pushes a second over all devices (open loop)."`
	Closed      bool          `help:"Closed loop instead: as many as --window without a result. Shows the highest rate; its latency flatters a server that stalls."`
	Window      int           `default:"256" help:"Closed loop: pushes without a result at one time."`
	TTL         time.Duration `name:"ttl" help:"The server keeps each message that long, until its device has acknowledged it, which the devices then do."`
	Wait        string        `default:"written" enum:"written,acked,none" help:"What a result waits for: written, acked or none. The devices here ack with --ttl only."`
}

// Help is shown below the flags.
func (pushCommand) Help() string {
	return `Examples:
  roost-bench push ws://127.0.0.1:8080/ws --rate 5000 --fail 'push.arrived.p99<4ms'

Messages that are stored, synced, before their result comes, and delivered behind it.
  roost-bench push ws://127.0.0.1:8080/ws --closed --window 1000 --wait none --ttl 60s

In a cluster, devices of node 1 that are pushed to through node 2: every push crosses a link.
  roost-bench push ws://10.0.0.1:8080/ws --api http://10.0.0.2:8081

Devices on two nodes in turn; the order of --api decides which pushes cross (here all, with the APIs exchanged none).
  roost-bench push ws://10.0.0.1:8080/ws ws://10.0.0.2:8080/ws --api http://10.0.0.2:8081 --api http://10.0.0.1:8081`
}

// Run measures pushes.
func (c pushCommand) Run(ctx context.Context, o output) error {
	load, err := c.messages(c.Rate)
	if err != nil {
		return err
	}
	switch {
	case c.Closed && c.Window < 1:
		return errors.New("--window must be at least 1")
	case c.Closed:
		load.PerSecond, load.Window = 0, c.Window
	case c.Rate <= 0:
		return errors.New("--rate must be positive; --closed pushes as fast as results come")
	}
	load.Waits, load.TTL = c.Wait, c.TTL
	if c.TTL < 0 || c.TTL%time.Millisecond != 0 {
		return errors.New("--ttl must be so many milliseconds, like 60s")
	}
	s := c.scenario("push", c.spec(), bench.MessagePhases(generator.Push, c.Connections, load), sound...)
	if s.API, err = c.api(); err != nil {
		return err
	}
	return c.carryOut(ctx, o, s)
}

type fanoutCommand struct {
	targetFlags
	runFlags
	apiFlags
	messageFlags
	Connections int64   `default:"1000" help:"Devices that get every message."`
	Rate        float64 `default:"5" help:"Messages a second, each to all devices."`
	To          string  `default:"all" enum:"all,account" help:"Whom to address: all, every device of the server; or account, one account that all devices are given."`
}

// Run measures fan-outs.
func (c fanoutCommand) Run(ctx context.Context, o output) error {
	load, err := c.messages(c.Rate)
	if err != nil {
		return err
	}
	if c.Rate <= 0 {
		return errors.New("--rate must be positive")
	}
	spec := c.spec()
	if load.Account = c.To == "account"; load.Account {
		spec.Account = "fanout"
	}
	s := c.scenario("fanout", spec, bench.MessagePhases(generator.Fanout, c.Connections, load), sound...)
	if s.API, err = c.api(); err != nil {
		return err
	}
	return c.carryOut(ctx, o, s)
}

type relayCommand struct {
	targetFlags
	runFlags
	messageFlags
	Connections int64   `default:"1000" help:"Devices, each of which sends to the next one of its account."`
	Rate        float64 `default:"1000" help:"Messages a second over all devices. roost serve takes 50 a second from each device (protocol.message_rate)."`
	Group       int64   `default:"2" help:"Devices of one account. Give --account yourself to call the accounts otherwise."`
}

// Help is shown below the flags.
func (relayCommand) Help() string {
	return `Examples:
  roost-bench relay ws://127.0.0.1:8080/ws --connections 4000 --rate 10000

In a cluster, the two devices of each account are on two nodes: every message crosses a link.
  roost-bench relay ws://10.0.0.1:8080/ws ws://10.0.0.2:8080/ws --group 2`
}

// Run measures messages from device to device.
func (c relayCommand) Run(ctx context.Context, o output) error {
	load, err := c.messages(c.Rate)
	switch {
	case err != nil:
		return err
	case c.Rate <= 0:
		return errors.New("--rate must be positive")
	case c.Group < 2:
		return errors.New("--group must be at least 2: a device does not send to itself")
	case c.Connections%c.Group != 0:
		return fmt.Errorf("--connections %d cannot be divided into accounts of %d devices", c.Connections, c.Group)
	}
	load.Group = c.Group
	return c.carryOut(ctx, o, c.scenario("relay", grouped(c.spec(), c.Group), bench.MessagePhases(generator.Relay, c.Connections, load), sound...))
}
