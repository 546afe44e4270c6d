package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/session/auth"
)

// checkConfigCommand checks a configuration file.
type checkConfigCommand struct {
	File        string   `arg:"" help:"The YAML file."`
	Environment bool     `help:"Apply the ROOST_... variables too, as serve does."`
	Processor   bool     `help:"Check it for roost processor, which holds no devices."`
	Set         []string `sep:"none" placeholder:"KEY=VALUE" help:"Apply settings as serve's --set does, repeatable."`
}

// Help is shown below the flags.
func (checkConfigCommand) Help() string {
	return `Prints every problem with its place, or the settings that differ from the defaults. Secrets are
not shown. Exits with 2 when there are problems.

Example:
  roost check-config /etc/roost.yaml`
}

// Run checks the file.
func (c checkConfigCommand) Run(t terminal) error {
	sources := config.Sources{File: c.File, Deviceless: c.Processor}
	if c.Environment {
		sources.Environ = t.environ
	}
	for _, argument := range c.Set {
		sources.Flags = append(sources.Flags, config.SetFlag(argument))
	}
	cfg, origins, err := config.Load(sources)
	if err != nil {
		return badConfig(t, err)
	}
	if err := checkSecrets(cfg); err != nil {
		fmt.Fprintf(t.err, "%s: %s\n", c.File, strings.ReplaceAll(err.Error(), "\n", "\n"+c.File+": "))
		return exitError(exitUsage)
	}
	changes := cfg.Changes()
	fmt.Fprintf(t.out, "%s: good, %s\n", c.File, count(len(changes), "setting differs from its default", "settings differ from their defaults"))
	for _, change := range changes {
		from := ""
		if origin := origins[change.Key]; origin != "" {
			from = "  # " + origin
		}
		fmt.Fprintf(t.out, "  %s: %s (default %s)%s\n", change.Key, change.Value, change.Default, from)
	}
	return nil
}

// checkSecrets reads the files that settings name, as serve does.
func checkSecrets(cfg config.Config) error {
	verifier, err := auth.New(cfg.Auth, slog.New(slog.DiscardHandler), time.Now)
	if err == nil {
		verifier.Close()
	}
	sources, wrong := newSources(cfg, nil, slog.New(slog.DiscardHandler))
	if wrong == nil {
		sources.end()
	}
	return errors.Join(err, cfg.API.CheckSecrets(), wrong)
}

// badConfig prints the problems, a line each, without a prefix before the place
// so that editors can jump to it.
func badConfig(t terminal, err error) error {
	var problems config.Problems
	if !errors.As(err, &problems) {
		return err
	}
	fmt.Fprintln(t.err, problems)
	fmt.Fprintf(t.err, "roost: %s in the configuration\n", count(len(problems), "problem", "problems"))
	return exitError(exitUsage)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// defaultConfigCommand prints the commented file.
type defaultConfigCommand struct{}

// Help is shown below the flags.
func (defaultConfigCommand) Help() string {
	return `Every setting is there with what it is, its unit, why its default is what it is, and its name in
the environment. A file needs to hold only what you change.

Example:
  roost default-config > roost.yaml`
}

// Run prints it.
func (defaultConfigCommand) Run(t terminal) error {
	var b strings.Builder
	if err := config.Default().Write(&b); err != nil {
		return err
	}
	_, err := fmt.Fprint(t.out, b.String())
	return err
}
