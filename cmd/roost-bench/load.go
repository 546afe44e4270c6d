package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/target"
)

// targetFlags say whom the load goes to and as whom.
type targetFlags struct {
	URL         []string `arg:"" help:"ws://host:port/path or wss://. {i} stands for the connection's number, {i/N} and {i%N} for its quotient and remainder by N. Several: the nodes of a cluster; connection i goes to number i modulo their count."`
	Account     string   `default:"acc-{i}" help:"Account of each connection, added to the query as account=; empty: none."`
	Device      string   `default:"dev-{i}" help:"Device of each connection, added to the query as device=; empty: none."`
	TokenSecret string   `env:"ROOST_BENCH_TOKEN_SECRET" help:"Mint an HS256 token with this secret for each connection (sub, device, exp), sent as a bearer token instead of the query's identity."`
	Header      []string `sep:"none" placeholder:"'NAME: VALUE'" help:"Header of the handshake; may have {i}; repeatable."`
	Subprotocol []string `help:"Subprotocols to offer, in this order."`
	CA          string   `name:"ca" placeholder:"FILE" help:"For wss://: PEM file of authorities; else the system's. TLS costs the generator two goroutines and some 60 KB a connection: thousands, not a hundred thousand."`
	Insecure    bool     `help:"For wss://: take any certificate."`
	Source      string   `placeholder:"FIRST-LAST" help:"Source addresses, like 127.0.1.1-127.0.1.250; each has its own ports."`
}

func (f targetFlags) spec() target.Spec {
	return target.Spec{
		URL: f.URL[0], Also: f.URL[1:], Account: f.Account, Device: f.Device, TokenSecret: f.TokenSecret,
		Headers: f.Header, Subprotocol: f.Subprotocol, Sources: f.Source, CA: f.CA, Insecure: f.Insecure,
	}
}

// runFlags are those that every load has.
type runFlags struct {
	Procs     int           `default:"1" help:"Generator processes; each may hold as many connections as its descriptor limit allows."`
	Loops     int           `default:"1" help:"Event loops in each process; one leaves the other cores to the server."`
	ServerPID []int         `name:"server-pid" placeholder:"PID" help:"Process id of a server on this machine: its CPU and memory are reported; repeatable, then those of all together."`
	Fail      []string      `sep:"none" placeholder:"'METRIC<VALUE'" help:"Condition that must hold, else exit code 3; repeatable. Metrics: every counter and timer of the JSON report, like connect.p99<50ms, lost==0, server.cpu_per_message<10us."`
	JSON      string        `name:"json" placeholder:"FILE" help:"Write everything measured to this file."`
	HTML      string        `name:"html" placeholder:"FILE" help:"Write one self-contained page with plots and all figures."`
	Baseline  string        `placeholder:"FILE" help:"An older --json file: every figure is shown beside its own, with the ratio."`
	LateBound time.Duration `default:"10ms" help:"A start later than this is the generator's fault."`
	LateMax   float64       `default:"0.01" help:"Share of late starts above which the run is invalid."`
	CPUMax    float64       `name:"cpu-max" default:"0.95" help:"CPU share of a generator loop above which the run is invalid; 0: do not check."`
}

// load carries out phases and shows what they measured.
func (f runFlags) load(ctx context.Context, o output, name string, spec target.Spec, phases []generator.Phase, mustHold ...string) error {
	return f.carryOut(ctx, o, f.scenario(name, spec, phases, mustHold...))
}

// apply puts the flags over a scenario.
func (f runFlags) apply(s *bench.Scenario) {
	s.Processes, s.Loops, s.ServerPIDs = f.Procs, f.Loops, f.ServerPID
	s.Config.LateBound, s.Saturation.LateShare, s.Saturation.BusiestLoop = f.LateBound, f.LateMax, f.CPUMax
	s.Thresholds = f.Fail
}

// scenario makes one of phases; mustHold are its thresholds unless the user gave some.
func (f runFlags) scenario(name string, spec target.Spec, phases []generator.Phase, mustHold ...string) bench.Scenario {
	s := bench.DefaultScenario(name, spec)
	f.apply(&s)
	if s.Phases = phases; len(f.Fail) == 0 {
		s.Thresholds = mustHold
	}
	return s
}

// carryOut runs a scenario, shows it and writes its files.
func (f runFlags) carryOut(ctx context.Context, o output, s bench.Scenario) error {
	var old *report.Result
	if f.Baseline != "" {
		var err error
		if old, err = report.ReadBaseline(f.Baseline); err != nil { // before the run, not after it
			return err
		}
	}
	if err := errors.Join(report.Writable(f.JSON), report.Writable(f.HTML)); err != nil { // as the baseline
		return err
	}
	progress := report.NewProgress(o.err, isTerminal(o.err), 5*time.Second)
	result, err := bench.Run(ctx, s, bench.Options{
		WorkerCommand: workerCommandLine(),
		Progress:      progress.Show,
		Warn:          func(f bench.Finding) { fmt.Fprintln(o.err, "warning:", f) },
	})
	progress.Done()
	if err != nil {
		return err
	}
	if old != nil {
		result.Compare(f.Baseline, old)
	}
	result.WriteTable(o.out)
	var written error // one that cannot be written does not cost the other
	if f.JSON != "" {
		written = report.WriteJSON(f.JSON, result)
	}
	if f.HTML != "" {
		written = errors.Join(written, report.WriteHTML(f.HTML, result))
	}
	if written != nil {
		return written
	}
	if code := result.Exit(); code != report.ExitOK {
		return exit(code)
	}
	return nil
}

// workerCommandLine starts this program again as a generator process.
func workerCommandLine() []string {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{self, "worker"}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

type workerCommand struct{}

// Run is a generator process's life.
func (workerCommand) Run(ctx context.Context) error {
	return generator.Run(ctx, os.Stdin, os.Stdout, nil)
}
