package main

import (
	"github.com/roostpush/roost/cmd/roost/internal/config"
)

// processorCommand runs a node that takes records from queues and no devices.
type processorCommand struct {
	Config        string   `env:"ROOST_CONFIG" placeholder:"FILE" help:"YAML file of settings, that of serve; \"roost default-config\" prints one."`
	Internal      *string  `placeholder:"HOST:PORT" help:"Internal listener, for metrics and operators (setting internal, 127.0.0.1:8081)."`
	Data          *string  `placeholder:"DIR" help:"Directory of its own store (setting data, ./data)."`
	LogLevel      *string  `placeholder:"LEVEL" help:"debug, info, warn or error (setting log.level, info)."`
	LogFormat     *string  `placeholder:"FORMAT" help:"text, json, or auto: text on a terminal (setting log.format, auto)."`
	AddressesFile string   `placeholder:"FILE" help:"Write the addresses in use there as JSON once it is up: {\"internal\":..., \"gossip\":..., \"pid\":...}."`
	Set           []string `sep:"none" placeholder:"KEY=VALUE" help:"Any other setting, repeatable: --set kafka.enabled=true."`
}

// Help is shown below the flags.
func (processorCommand) Help() string {
	return `A member of the cluster that holds no devices and is no account's home, so that as many of them
may come and go as the queues need. It needs cluster.enabled, and kafka.enabled or
jetstream.enabled. Its store holds what the homes of accounts could not be given: do not throw it
away while "roost_mailbox_waiting" is above 0.

Example:
  roost processor --config roost.yaml --set node=processor-1 --data /var/lib/roost-processor`
}

// Run loads the settings and runs it until a signal.
func (c processorCommand) Run(t terminal) error {
	as := serveCommand{Internal: c.Internal, Data: c.Data, LogLevel: c.LogLevel, LogFormat: c.LogFormat, Set: c.Set}
	cfg, _, err := config.Load(config.Sources{File: c.Config, Environ: t.environ, Flags: as.flags(), Deviceless: true})
	if err != nil {
		return badConfig(t, err)
	}
	ctx, stop := interruptible(t.ctx)
	defer stop()
	return serve(ctx, cfg, newLogger(cfg.Log, t.err), c.AddressesFile)
}
