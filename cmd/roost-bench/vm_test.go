//go:build linux

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/roostpush/roost/bench/report"
)

// What scripts/density-vm refuses, it refuses before it installs or boots anything.
func TestDensityVMRefuses(t *testing.T) {
	const script = "../../scripts/density-vm"
	for _, c := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"help", []string{"--help"}, report.ExitOK, "Exit codes:"},
		{"no number", []string{"many"}, report.ExitUsage, "N wants a positive number, not 'many'"},
		{"zero", []string{"0"}, report.ExitUsage, "positive number"},
		{"an option without its value", []string{"--memory"}, report.ExitUsage, "--memory wants a value"},
		{"a bad value", []string{"--timeout", "1h"}, report.ExitUsage, "not '1h'"},
		{"a typo", []string{"--memry", "1"}, report.ExitUsage, "no option --memry"},
		{"too little memory inside", []string{"1000000", "--memory", "4096"}, report.ExitUsage, "raise --memory"},
		{"too little memory here", []string{"900000000", "--memory", "99999999"}, report.ExitUsage, "MiB are available"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			cmd := exec.Command(script, c.args...)
			cmd.Stdout, cmd.Stderr = &out, &out
			var ended *exec.ExitError
			if err := cmd.Run(); err != nil && !errors.As(err, &ended) {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != c.want || !strings.Contains(out.String(), c.says) {
				t.Errorf("exit %d, want %d and %q:\n%s", code, c.want, c.says, out.String())
			}
		})
	}
}

func TestVMInitIsForProcessOneOnly(t *testing.T) {
	if os.Getpid() == 1 {
		t.Skip("this is process 1")
	}
	var out bytes.Buffer
	if code := run([]string{"vm-init"}, &out, &out); code != report.ExitUsage || !strings.Contains(out.String(), "scripts/density-vm") {
		t.Errorf("exit %d: %s", code, out.String())
	}
}

// density is a command of its own, which works outside the machine too.
func TestDensityCommandRefuses(t *testing.T) {
	for _, args := range [][]string{{"--connections=1"}, {"--procs=0"}, {"--rate=-1"}, {"--roost=/no/such/file"}} {
		var out bytes.Buffer
		if code := run(append([]string{"density", "--results="}, args...), &out, &out); code != report.ExitUsage {
			t.Errorf("%v: exit %d: %s", args, code, out.String())
		}
	}
}
