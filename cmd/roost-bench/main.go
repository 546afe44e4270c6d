package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/budget"
	"github.com/roostpush/roost/bench/report"
)

// grammar is the whole command line. A command of its own file is added by a field
// here; its Run method may ask for a context.Context and an output.
type grammar struct {
	Connect    connectCommand    `cmd:"" help:"Open connections at a steady rate: rate, success and latency of upgrades."`
	Idle       idleCommand       `cmd:"" help:"Open many connections, hold them, and prove at the end that each is alive."`
	Echo       echoCommand       `cmd:"" help:"Send numbered messages to a server that echoes: latency, lost, duplicated, reordered."`
	Push       pushCommand       `cmd:"" help:"Push through the API to devices in turn: latency to the device and to the result, lost, duplicated, reordered (Roost only)."`
	Fanout     fanoutCommand     `cmd:"" help:"Push one message to all devices: latency to each and to the last, CPU for each delivery (Roost only)."`
	Relay      relayCommand      `cmd:"" help:"Send from device to device of an account: latency to the peer and to the result (Roost only)."`
	Storm      stormCommand      `cmd:"" help:"Reset a share of the connections at once and measure until all are back."`
	Soak       soakCommand       `cmd:"" help:"Mix loads with churn for hours, and prove at the end that each connection is alive."`
	Ramp       rampCommand       `cmd:"" help:"Step a load until a threshold breaks, then search for the highest rate that holds."`
	Run        runCommand        `cmd:"" help:"Carry out a scenario file: phases one after the other, or at the same time."`
	EchoServer echoServerCommand `cmd:"" help:"Serve a bare echo on Roost's own reactor, for conformance and comparisons."`
	Compare    compareCommand    `cmd:"" help:"Measure two or more servers in one run, in turn: figures and ratios, pair by pair."`
	Budget     budgetCommand     `cmd:"" help:"Measure every budget of Roost beside its floor (Roost only)."`
	IdleSlope  idleSlopeCommand  `cmd:"" help:"Start one roost serve and measure its memory for each idle device (Roost only)."`
	Crash      crashCommand      `cmd:"" help:"Kill -9 a roost serve under connects, restart it, check its records (Roost only)."`
	Promises   promisesCommand   `cmd:"" help:"Kill -9 a roost serve again and again while it accepts messages to keep, and see whether it kept them (Roost only)."`
	Mailbox    mailboxCommand    `cmd:"" help:"A million messages that wait for devices: restart, and how fast a device gets its own (Roost only)."`
	Disrupt    disruptCommand    `cmd:"" help:"Disturb a cluster under load and judge every push."`
	Density    densityCommand    `cmd:"" hidden:"" help:"Fill one roost serve with idle devices and measure what each costs (Roost only)."`
	VMInit     vmInitCommand     `cmd:"" hidden:"" name:"vm-init" help:"Process 1 of the virtual machine of scripts/density-vm."`
	Worker     workerCommand     `cmd:"" hidden:"" help:"A generator process; roost-bench starts it."`
}

const description = `Load tester for WebSocket servers (Linux).

Every latency is shown twice where it is paced: open loop, from the intended start, and closed loop, from the actual send.

Exit codes:
  0  the run is valid and every threshold held
  1  the command line or this machine does not allow the run
  2  the target cannot be reached or is not a WebSocket server
  3  a threshold (--fail) did not hold
  4  the generator itself was the bottleneck: the figures are not the server's
  5  the run ended before its time (Ctrl-C, or the target died); results so far are written

Examples:
  roost-bench echo ws://127.0.0.1:9000/ --connections 200 --rate 5000 --duration 10s
  roost-bench connect ws://127.0.0.1:8080/ws --rate 1000 --fail 'connect.p99<50ms'
  roost-bench idle ws://127.0.0.1:8080/ws --connections 15000 --rate 2000 --hold 1m --server-pid 4711`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// exit is an error that has been shown already and only carries its code.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// output is where a command writes: results to out, progress and complaints to err.
type output struct{ out, err io.Writer }

func run(args []string, stdout, stderr io.Writer) int {
	code := -1
	parser, err := kong.New(&grammar{}, kong.Name("roost-bench"), kong.Description(description),
		kong.Writers(stdout, stderr), kong.Exit(func(c int) { code = c }), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Vars{"budget_parts": strings.Join(budget.Names(), ", ")})
	if err != nil {
		panic(err) // the grammar itself is wrong; a test parses it
	}
	parsed, err := parser.Parse(args)
	if code >= 0 {
		return code // --help
	}
	if err != nil {
		fmt.Fprintf(stderr, "roost-bench: %v\nTry roost-bench --help.\n", err)
		return report.ExitUsage
	}
	ctx, stop := interruptible(context.Background())
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	return exitCode(parsed.Run(output{stdout, stderr}), stderr)
}

// exitCode shows an error and returns its code.
func exitCode(err error, stderr io.Writer) int {
	var code exit
	switch {
	case err == nil:
		return report.ExitOK
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintf(stderr, "roost-bench: %v\n", err)
	if errors.Is(err, bench.ErrTarget) {
		return report.ExitTarget
	}
	return report.ExitUsage
}
