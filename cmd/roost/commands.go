package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/roostpush/roost/cmd/roost/internal/client"
)

// commands is the grammar of the command line. Each command's Help has an
// example that can be pasted.
type commands struct {
	Serve         serveCommand         `cmd:"" help:"Run a node."`
	Processor     processorCommand     `cmd:"" help:"Run a member of the cluster that pushes what queues hold, and takes no devices."`
	Push          pushCommand          `cmd:"" help:"Push a message to a device, an account or everybody."`
	Message       messageCommand       `cmd:"" help:"Say what has become of a message that is kept."`
	Trace         traceCommand         `cmd:"" help:"Show where a message was, and when."`
	Cancel        cancelCommand        `cmd:"" help:"Withdraw a message that is kept."`
	Devices       devicesCommand       `cmd:"" help:"List an account's devices."`
	Disconnect    disconnectCommand    `cmd:"" help:"Close a device's connection."`
	Nodes         nodesCommand         `cmd:"" help:"List the nodes of the cluster."`
	Route         routeCommand         `cmd:"" help:"Say which node holds a device."`
	Connect       connectCommand       `cmd:"" help:"Be a device: connect, print what arrives, send lines."`
	Token         tokenCommand         `cmd:"" help:"Mint a development token for a device."`
	KafkaProduce  kafkaProduceCommand  `cmd:"" help:"Put records into a Kafka topic."`
	CheckConfig   checkConfigCommand   `cmd:"" help:"Check a configuration file."`
	DefaultConfig defaultConfigCommand `cmd:"" help:"Print a configuration file with every setting and its reason."`
	Version       versionCommand       `cmd:"" help:"Print the version."`
}

// apiFlags are the flags of every command that calls a node.
type apiFlags struct {
	API   string `name:"api" env:"ROOST_API" default:"http://127.0.0.1:8081" placeholder:"URL" help:"The node's internal listener (${default})."`
	Token string `env:"ROOST_API_TOKEN" placeholder:"TOKEN" help:"Service token, wanted when the listener is not on loopback."`
}

// client returns a client of the node that the flags name, and a context that
// ends at an interrupt. done frees both.
func (f apiFlags) client(t terminal) (c *client.Client, ctx context.Context, done func(), err error) {
	c, err = client.New(f.API, f.Token)
	if err != nil {
		return nil, nil, nil, usageError{err}
	}
	ctx, stop := interruptible(t.ctx)
	return c, ctx, func() { stop(); c.Close() }, nil
}

// interruptible returns a context that ends at the first SIGINT or SIGTERM. The
// second one ends the process at once, as the system does by itself: the
// handlers are gone before the context ends, so whoever sees that it is ending
// (a /readyz that says no) can already send it.
func interruptible(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
		}
		signal.Stop(signals)
		cancel()
		select {
		case second := <-signals: // came before Stop
			_ = syscall.Kill(os.Getpid(), second.(syscall.Signal))
		default:
		}
	}()
	return ctx, cancel
}
