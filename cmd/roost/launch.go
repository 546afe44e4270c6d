package main

import "github.com/roostpush/roost/cmd/roost/internal/config"

// serveCommand runs a node. What the node does is serve; here is only how it is
// told its settings.
type serveCommand struct {
	Config         string   `env:"ROOST_CONFIG" placeholder:"FILE" help:"YAML file of settings; \"roost default-config\" prints one."`
	Listen         *string  `placeholder:"HOST:PORT" help:"Public listener, for devices (setting listen, :8080)."`
	Internal       *string  `placeholder:"HOST:PORT" help:"Internal listener, for services and operators (setting internal, 127.0.0.1:8081)."`
	Data           *string  `placeholder:"DIR" help:"Directory of the node's store (setting data, ./data)."`
	Auth           *string  `placeholder:"token|none" help:"Who may connect: token, signed tokens; none, everybody on loopback (setting auth.mode, token)."`
	MaxConnections *string  `placeholder:"N" help:"Connections held at most; 0: as many as descriptors allow (setting max_connections)."`
	LogLevel       *string  `placeholder:"LEVEL" help:"debug, info, warn or error (setting log.level, info)."`
	LogFormat      *string  `placeholder:"FORMAT" help:"text, json, or auto: text on a terminal (setting log.format, auto)."`
	AddressesFile  string   `placeholder:"FILE" help:"Write the addresses in use there as JSON once the node is up: {\"public\":..., \"internal\":..., \"pid\":...}, in a cluster also \"gossip\"."`
	Set            []string `sep:"none" placeholder:"KEY=VALUE" help:"Any other setting, repeatable: --set netpoll.ping_interval=30s."`
}

// Help is shown below the flags.
func (serveCommand) Help() string {
	return `Settings come from the file, then ROOST_... variables, then flags; the later is stronger.
SIGTERM and SIGINT drain the node and exit 0; a second one ends it at once.

Example:
  roost serve --listen 127.0.0.1:8080 --auth none --data ./data`
}

// Run loads the settings and runs the node until a signal.
func (c serveCommand) Run(t terminal) error {
	cfg, _, err := config.Load(config.Sources{File: c.Config, Environ: t.environ, Flags: c.flags()})
	if err != nil {
		return badConfig(t, err)
	}
	ctx, stop := interruptible(t.ctx)
	defer stop()
	return serve(ctx, cfg, newLogger(cfg.Log, t.err), c.AddressesFile)
}

// flags turns the flags that were given into settings. --set comes last: it is
// the most explicit of all.
func (c serveCommand) flags() []config.Flag {
	var flags []config.Flag
	for _, f := range []struct {
		name, key string
		value     *string
	}{
		{"--listen", "listen", c.Listen},
		{"--internal", "internal", c.Internal},
		{"--data", "data", c.Data},
		{"--auth", "auth.mode", c.Auth},
		{"--max-connections", "max_connections", c.MaxConnections},
		{"--log-level", "log.level", c.LogLevel},
		{"--log-format", "log.format", c.LogFormat},
	} {
		if f.value != nil {
			flags = append(flags, config.Flag{Name: f.name, Key: f.key, Value: *f.value})
		}
	}
	for _, argument := range c.Set {
		flags = append(flags, config.SetFlag(argument))
	}
	return flags
}
