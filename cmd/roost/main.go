package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/roostpush/roost/cmd/roost/internal/hush"
)

// Exit codes. Scripts depend on them, and every --help of push says so.
const (
	exitOK           = 0
	exitFailed       = 1 // it could not be done
	exitUsage        = 2 // the command line or the configuration is wrong
	exitNotDelivered = 3 // it was done, and the level asked for was not reached
)

// terminal is what a command may touch of the world around the process.
type terminal struct {
	ctx     context.Context
	in      io.Reader
	out     io.Writer
	err     io.Writer
	environ []string
}

// variable returns the value of an environment variable, empty when it is unset.
func (t terminal) variable(name string) string {
	for _, v := range t.environ {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// exitError ends the process with its code; its text is already printed, or
// there is none.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// usageError is a mistake on the command line that the grammar cannot see.
type usageError struct{ error }

func main() {
	hush.End()
	os.Exit(run(os.Args[1:], terminal{ctx: context.Background(), in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ()}))
}

// run executes one command line and returns the exit code.
func run(args []string, t terminal) (code int) {
	// Kong calls Exit after --help and does not expect to go on.
	defer func() {
		switch e := recover().(type) {
		case nil:
		case exitError:
			code = int(e)
		default:
			panic(e)
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	var c commands
	parser := newParser(&c, t)
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(t.err, "roost: %s\nRun \"%s --help\" for how it is used.\n", err, helpFor(err))
		return exitUsage
	}
	return t.report(parsed.Run(t))
}

// newParser panics when a command's tags are wrong, which a test finds.
func newParser(c *commands, t terminal) *kong.Kong {
	return kong.Must(c,
		kong.Name("roost"),
		kong.Description("A push node: it holds many idle WebSocket connections and puts a message on any of them."),
		kong.Writers(t.out, t.err),
		kong.Exit(func(code int) { panic(exitError(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
}

// helpFor names the command that was being parsed, so that the hint is the
// right one: roost push, not roost.
func helpFor(err error) string {
	var parse *kong.ParseError
	if errors.As(err, &parse) {
		if command := strings.Fields(parse.Context.Command()); len(command) > 0 {
			return "roost " + command[0]
		}
	}
	return "roost"
}

// report prints what went wrong, once, and says which exit code it is.
func (t terminal) report(err error) int {
	var exit exitError
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return int(exit)
	case errors.As(err, &usage):
		fmt.Fprintf(t.err, "roost: %s\n", err)
		return exitUsage
	}
	fmt.Fprintf(t.err, "roost: %s\n", err)
	return exitFailed
}
