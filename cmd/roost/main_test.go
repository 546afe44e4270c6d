package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// checked fails a run of tests that leaves goroutines behind.
type checked struct{ *testing.M }

func (c checked) Run() int {
	code := c.M.Run()
	if code == 0 {
		if err := leaks(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// leaks looks for longer than goleak does, which is half a second: memberlist does not wait
// for its probes when it is shut down, and they take up to a second.
func leaks() (err error) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if err = goleak.Find(); err == nil {
			return nil
		}
	}
	return err
}

// TestMain makes this test binary the command roost for the scripts: they run
// real processes.
//
// Most tests here wait: for ticks, probes, disks and processes. So more of them run at
// one time than there are cores, unless -parallel says otherwise.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	testscript.Main(checked{m}, map[string]func(){"roost": main})
}

// TestScripts runs testdata/script. $API and $WS are a node's two listeners as
// the commands see them (fakenode_test.go), so that every answer can be made.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			node := newFakeNode()
			env.Defer(node.close)
			env.Setenv("API", node.api.URL)
			env.Setenv("WS", "ws"+strings.TrimPrefix(node.public.URL, "http")+"/ws")
			address, release := nobody()
			env.Defer(release)
			env.Setenv("NOBODY", address)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "listening": listening, "until": until, "pushed": pushed,
		},
	})
}

// patience is how long a test waits for one thing before it fails: far longer than
// anything takes on a busy machine. Only a failure takes that long.
const patience = time.Minute

// listening waits for the file of a node's addresses and sets $API and $WS:
// listening addresses.json
func listening(ts *testscript.TestScript, neg bool, args []string) {
	var addresses struct{ Public, Internal string }
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil {
			ts.Check(json.Unmarshal(text, &addresses))
			break
		}
		if time.Now().After(end) {
			ts.Fatalf("no node within %s: %v", patience, err)
		}
	}
	ts.Setenv("API", "http://"+addresses.Internal)
	ts.Setenv("WS", "ws://"+addresses.Public+"/ws")
}

// pushed sets $ID to the id that the push before it has printed: pushed
func pushed(ts *testscript.TestScript, neg bool, args []string) {
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if id, ok := strings.CutPrefix(strings.TrimSpace(line), "message "); ok {
			ts.Setenv("ID", id)
			return
		}
	}
	ts.Fatalf("no push has printed a message's id")
}

// until runs a command again and again until its output has a text: until TEXT
// COMMAND ...
func until(ts *testscript.TestScript, neg bool, args []string) {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%q did not come within %s", args[0], patience)
		}
	}
}

// exits runs a command and checks its exit code: exits 3 roost push ...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code is %d, want %d", got, want)
	}
}

// TestEveryHelp builds the grammar, which panics on a wrong tag, and holds that
// each command explains itself with an example that begins with its name.
func TestEveryHelp(t *testing.T) {
	names := []string{""}
	for _, n := range newParser(&commands{}, terminal{}).Model.Leaves(false) {
		names = append(names, n.Name)
	}
	if len(names) != 17 {
		t.Errorf("commands are %v", names)
	}
	for _, name := range names {
		t.Run("roost "+name, func(t *testing.T) {
			var out, errs bytes.Buffer
			args := append(strings.Fields(name), "--help")
			if code := run(args, terminal{ctx: t.Context(), in: strings.NewReader(""), out: &out, err: &errs}); code != exitOK || errs.Len() > 0 {
				t.Fatalf("exit %d: %s", code, &errs)
			}
			if !strings.Contains(out.String(), "Usage: roost") {
				t.Errorf("no usage in:\n%s", &out)
			}
			if name != "" && !strings.Contains(out.String(), "\n    roost "+name) {
				t.Errorf("no example in:\n%s", &out)
			}
			for line := range strings.Lines(out.String()) {
				if len(strings.TrimRight(line, "\n")) > 100 {
					t.Errorf("wider than 100 columns: %s", line)
				}
			}
		})
	}
}

// TestFlagsAreDocumented holds that each flag and argument has a help text.
func TestFlagsAreDocumented(t *testing.T) {
	err := kong.Visit(newParser(&commands{}, terminal{}).Model, func(node kong.Visitable, next kong.Next) error {
		switch n := node.(type) {
		case *kong.Flag:
			if n.Help == "" {
				t.Errorf("--%s has no help", n.Name)
			}
		case *kong.Value:
			if n.Help == "" {
				t.Errorf("%s has no help", n.Name)
			}
		}
		return next(nil)
	})
	if err != nil {
		t.Error(err)
	}
}
