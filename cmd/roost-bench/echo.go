package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"

	"github.com/roostpush/roost/netpoll"
)

// echoServerCommand is a bare echo on Roost's own reactor: what conformance tests and
// comparisons run against.
type echoServerCommand struct {
	Listen       string `default:"127.0.0.1:9000" placeholder:"HOST:PORT" help:"Where to listen; port 0 lets the kernel choose."`
	MessageBytes int    `default:"16777216" placeholder:"BYTES" help:"Largest message that is echoed; beyond it close code 1009."`
	Loops        int    `default:"0" placeholder:"N" help:"Event loops; 0: one for each processor that Go may use."`
	CPUProfile   string `name:"cpuprofile" placeholder:"FILE" help:"Write a CPU profile for go tool pprof at the end."`
}

// Help is shown below the flags.
func (echoServerCommand) Help() string {
	return `Upgrades every request at any path and sends each message back, on the reactor of roost serve.
The address in use is printed on standard output. Ctrl-C ends it.

Example:
  roost-bench echo-server --listen 127.0.0.1:9000
  roost-bench echo ws://127.0.0.1:9000/ --connections 200 --rate 5000 --duration 10s`
}

// Run serves until it is told to stop.
func (c *echoServerCommand) Run(ctx context.Context, out output) error {
	cfg := netpoll.Default()
	if c.Loops > 0 {
		cfg.Loops = c.Loops
	}
	cfg.MessageBytesMax = c.MessageBytes
	// An echo may come back as fast as it is sent: the limits for devices do not fit.
	cfg.FramesPerSecondMax = 1 << 30
	cfg.QueuedHardBytes = max(cfg.QueuedHardBytes, 4*c.MessageBytes)
	// On loopback a segment is 64 KiB and its ACK may be delayed: a buffer that holds one
	// of them would wait 40 ms for each.
	cfg.SendBufferBytes, cfg.ReceiveBufferBytes = 4<<20, 4<<20
	cfg.CollectedNodeBytes = max(cfg.CollectedNodeBytes, 4*c.MessageBytes)
	cfg.OutboxBytes = max(cfg.OutboxBytes, cfg.QueuedHardBytes)
	cfg.QueuedNodeBytes = max(cfg.QueuedNodeBytes, 4*cfg.QueuedHardBytes)
	r, err := netpoll.New(cfg, netpoll.Echo{}, slog.New(slog.NewTextHandler(out.err, nil)))
	if err != nil {
		return err
	}
	if err := r.Listen(c.Listen); err != nil {
		return err
	}
	fmt.Fprintf(out.out, "echo server on %s\n", r.Addr())
	endProfile, err := startProfile(c.CPUProfile)
	if err != nil {
		return err
	}
	defer endProfile()
	stop := context.AfterFunc(ctx, r.Stop)
	defer stop()
	return r.Serve()
}

// startProfile begins a CPU profile; an empty path means none. The function it returns
// ends it.
func startProfile(path string) (end func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = file.Close()
	}, nil
}
