package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// revision is set by the Makefile, because a build outside of a clone knows
// none: -ldflags "-X main.revision=...".
var revision string

// versionCommand prints the version.
type versionCommand struct{}

// Help is shown below the flags.
func (versionCommand) Help() string {
	return `Module version, revision when it is known, Go version, operating system and architecture.

Example:
  roost version`
}

// Run prints it on one line, to be pasted into a report.
func (versionCommand) Run(t terminal) error {
	_, err := fmt.Fprintf(t.out, "roost %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// version returns the module's version and, when known, the revision.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	text, rev := info.Main.Version, revision
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && rev == "":
			rev = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true" && revision == "":
			rev += "+changes"
		}
	}
	if text == "" {
		text = "(devel)"
	}
	if rev != "" {
		text += " " + rev
	}
	return text
}
