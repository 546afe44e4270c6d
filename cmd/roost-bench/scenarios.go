package main

import (
	"context"
	"errors"
	"time"

	"github.com/roostpush/roost/bench"
)

type connectCommand struct {
	targetFlags
	runFlags
	Rate     float64       `default:"1000" help:"Connections begun a second, whatever becomes of the ones before."`
	Duration time.Duration `default:"10s" help:"How long connections are begun."`
	Hold     time.Duration `default:"1s" help:"How long each connection is kept after its upgrade, before it is reset."`
}

// Run measures upgrades.
func (c connectCommand) Run(ctx context.Context, o output) error {
	if c.Rate <= 0 || c.Duration <= 0 {
		return errors.New("--rate and --duration must be positive")
	}
	return c.load(ctx, o, "connect", c.spec(), bench.ConnectPhases(c.Rate, c.Duration, c.Hold), "failed==0")
}

type idleCommand struct {
	targetFlags
	runFlags
	Connections int64         `default:"1000" help:"Connections to open and hold."`
	Rate        float64       `help:"Connections begun a second; 0: as fast as they complete."`
	Hold        time.Duration `default:"10s" help:"How long all are held."`
	Timeout     time.Duration `default:"10s" help:"Wait for the pong of the final ping; who is later is dead."`
}

// Run holds connections and proves them alive.
func (c idleCommand) Run(ctx context.Context, o output) error {
	return c.load(ctx, o, "idle", c.spec(), bench.IdlePhases(c.Connections, c.Rate, c.Hold, c.Timeout), "dead==0", "failed==0")
}

type echoCommand struct {
	targetFlags
	runFlags
	Connections int64         `default:"100" help:"Connections that send."`
	Rate        float64       `default:"1000" help:"Messages a second over all connections (open loop)."`
	Closed      bool          `help:"Closed loop instead: each connection sends when its last message is back. Shows the highest rate; its latency flatters a server that stalls."`
	Inflight    int           `default:"1" help:"Closed loop: messages under way on each connection."`
	Size        int           `default:"64" help:"Payload in bytes, at least 20: number and times are in it."`
	Duration    time.Duration `default:"10s" help:"How long messages are sent."`
	Timeout     time.Duration `default:"2s" help:"Wait for the last echoes; who is later is lost."`
}

// Run measures echoes.
func (c echoCommand) Run(ctx context.Context, o output) error {
	load := bench.EchoLoad{PerSecond: c.Rate, Inflight: c.Inflight, PayloadBytes: c.Size, Duration: c.Duration, Timeout: c.Timeout}
	switch {
	case c.Closed && c.Inflight < 1:
		return errors.New("--inflight must be at least 1")
	case c.Closed:
		load.PerSecond = 0
	case c.Rate <= 0:
		return errors.New("--rate must be positive; --closed sends as fast as answers come")
	}
	if c.Duration <= 0 || c.Timeout <= 0 {
		return errors.New("--duration and --timeout must be positive")
	}
	return c.load(ctx, o, "echo", c.spec(), bench.EchoPhases(c.Connections, load),
		"failed==0", "lost==0", "duplicated==0", "reordered==0", "corrupt==0")
}
