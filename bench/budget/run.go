package budget

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/roostpush/roost/bench/experiment"
	"github.com/roostpush/roost/bench/hostinfo"
	"github.com/roostpush/roost/bench/report"
)

// Config is what a run of the budgets needs. Default's values are those that the table
// is written for; tests take smaller ones.
type Config struct {
	Roost     string        // path of roost
	Bench     string        // path of roost-bench, whose echo-server is compared
	Peers     string        // path of the peers' program
	Results   string        // folder of the JSON files; empty: none
	ServerCPU int           // core of every server
	OwnCPU    int           // core of this process
	Only      []string      // names of the parts to run; empty: all
	Tries     int           // of a part whose generator was disturbed
	Retrying  time.Duration // of all parts together: what has gone on for longer is not tried again
	Settle    time.Duration // between opening connections and measuring something else, and between a ramp's steps
	Worker    []string      // command of a generator process

	Slope   slopeSizes
	Echo    echoSizes
	Upgrade upgradeSizes
	Push    pushSizes
	Relay   relaySizes
	Storm   stormSizes
	Sources string

	Cross       crossSizes
	ClusterIdle clusterIdleSizes
	Delay       delaySizes
	Loss        lossSizes

	RouteBench, ClusterBench string // programs of Go benchmarks, of packages route and cluster
	GoBenchTime              string // of each benchmark of the table, as -benchtime takes it
	StormReconnects          string // of the storm, as -benchtime takes it

	Queue     queueSizes
	Kafka     kafkaSizes
	Mailbox   experiment.Hoard // without its program
	Broadcast broadcastSizes
	Unicast   unicastSizes

	ServeArgs []string // more arguments of roost serve
}

// Default returns the sizes that the budgets are written for.
func Default() Config {
	return Config{
		Roost: "bin/roost", Bench: "bin/roost-bench", Peers: "bin/peers", Results: "bench/results",
		ServerCPU: 0, OwnCPU: 1, Tries: 3, Retrying: 90 * time.Second, Settle: 500 * time.Millisecond, Sources: "127.0.1.1-127.0.1.8",
		Slope: defaultSlope(), Echo: defaultEcho(), Upgrade: defaultUpgrade(), Push: defaultPush(), Relay: defaultRelay(), Storm: defaultStorm(),
		RouteBench: "bin/route.test", ClusterBench: "bin/cluster.test", GoBenchTime: "1s", StormReconnects: "100000x",
		Queue: defaultQueue(), Kafka: defaultKafka(), Mailbox: experiment.DefaultHoard(""), Broadcast: defaultBroadcast(), Unicast: defaultUnicast(),
		Cross: defaultCross(), ClusterIdle: defaultClusterIdle(), Delay: defaultDelay(), Loss: defaultLoss(),
	}
}

// part is some rows that are measured together.
type part struct {
	name string
	rows []string // what they are about, for when they cannot be measured
	run  func(ctx context.Context, b *board) ([]Row, error)
}

var parts = []part{
	{"idle", []string{whatMemory, whatIdleCPU, whatPauses}, runIdle},
	{"density", []string{whatDensity}, runDensity},
	{"echo", []string{"echo"}, runEcho},
	{"upgrade", []string{whatUpgradeCPU, whatUpgradeLatency}, runUpgrade},
	{"push", []string{whatPush, whatFanout}, runPush},
	{"relay", []string{whatRelay, whatRelayRate}, runRelay},
	{"queue", []string{whatQueue, whatQueueRate}, runQueue},
	{"mailbox", []string{whatMailboxReady, whatMailboxDrain}, runMailbox},
	{"kafka", []string{whatKafka}, runKafka},
	{"storm", []string{whatStormBack, whatStormPush}, runStorm},
	{"cross-push", []string{whatCrossPush}, runCrossPush},
	{"cross-latency", []string{whatCrossLatency}, runCrossLatency},
	{"cross-relay", []string{whatCrossRelay}, runCrossRelay},
	{"broadcast", []string{whatBroadcast}, runBroadcast},
	{"unicast", []string{whatUnicast}, runUnicast},
	{"cluster-idle", []string{whatClusterTraffic, whatClusterMemory}, runClusterIdle},
	{"cluster-delay", []string{whatDelay, whatDisplace}, runDelay},
	{"cluster-loss", []string{whatLossSilent, whatLossDied}, runLoss},
	{"cluster-many", []string{whatStorm, whatJoin}, runMany},
	{"table", []string{whatLookup, whatBytes, whatIndexed, whatChanges, whatHeld}, runTable},
}

// Names lists the parts.
func Names() (all []string) {
	for _, p := range parts {
		all = append(all, p.name)
	}
	return all
}

// board is what the parts share. It belongs to the goroutine of Run.
type board struct {
	cfg      Config
	say      func(format string, args ...any)
	progress func(report.Second)
	runs     []named
	retrying time.Duration // that tries after the first have taken, of all parts
}

// errDisturbed says that the generator did not get the CPU, so that the figures mean
// nothing; the part is tried again.
var errDisturbed = errors.New("the generator was disturbed")

// errMachine says that some rows do not hold because of what the machine does to everybody
// here and now, which they say of themselves: Invalid. The part is tried again.
var errMachine = errors.New("the machine is too slow, not the server")

// Run measures all parts one after the other and calls row for each row as it is known.
// It pins this process; say and progress may be nil. It blocks until the end or until
// ctx is done, after which the rows so far are returned.
func Run(ctx context.Context, cfg Config, say func(format string, args ...any), progress func(report.Second), row func(Row)) (*Result, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	undo, err := hostinfo.PinSelf(cfg.OwnCPU)
	if err != nil {
		return nil, fmt.Errorf("budget: %w", err)
	}
	defer undo()
	if say == nil {
		say = func(string, ...any) {}
	}
	r := &Result{Started: time.Now(), Machine: machine()}
	b := &board{cfg: cfg, say: say, progress: progress}
	for _, p := range parts {
		if len(cfg.Only) > 0 && !slices.Contains(cfg.Only, p.name) {
			continue
		}
		rows := b.try(ctx, p)
		if ctx.Err() != nil {
			r.Early = "stopped"
			break
		}
		for _, one := range rows {
			row(one)
		}
		r.Rows = append(r.Rows, rows...)
	}
	r.Wall, r.runs = time.Since(r.Started), b.runs
	if cfg.Results == "" {
		return r, nil
	}
	return r, errors.Join(
		report.WriteJSON(filepath.Join(cfg.Results, "budget.json"), r),
		r.WriteHTML(filepath.Join(cfg.Results, "budget.html")))
}

// try runs a part until its generator was not disturbed.
func (b *board) try(ctx context.Context, p part) (rows []Row) {
	for n := 1; (n == 1 || b.mayRetry(n)) && ctx.Err() == nil; n++ {
		kept := len(b.runs)
		b.say("%s%s", p.name, map[bool]string{true: fmt.Sprintf(", try %d", n)}[n > 1])
		var err error
		begun := time.Now()
		rows, err = p.run(ctx, b)
		if n > 1 {
			b.retrying += time.Since(begun)
		}
		for i := range rows {
			rows[i] = rows[i].judge()
			rows[i].Tries = n
		}
		switch {
		case errors.Is(err, errDisturbed):
			b.say("%s: %v", p.name, err)
			if len(rows) == 0 {
				rows = failed(err, p.rows...)
				for i := range rows {
					rows[i].timed = true
				}
			}
			for i := range rows {
				if rows[i].timed {
					rows[i].Verdict, rows[i].Note, rows[i].Tries = Invalid, err.Error(), n
				}
			}
			b.forget(kept, n)
		case errors.Is(err, errMachine):
			b.say("%s: %v", p.name, err)
			b.forget(kept, n)
		case err != nil:
			return failed(err, p.rows...)
		default:
			return rows
		}
	}
	return rows
}

// mayRetry says whether there is a try of that number.
func (b *board) mayRetry(n int) bool { return n <= b.cfg.Tries && b.retrying < b.cfg.Retrying }

// forget drops the runs of a try that is followed by another.
func (b *board) forget(kept, try int) {
	if b.mayRetry(try + 1) {
		b.runs = b.runs[:kept]
	}
}

// keep writes a part's own result beside the table.
func (b *board) keep(name string, result any) error {
	if b.cfg.Results == "" {
		return nil
	}
	return report.WriteJSON(filepath.Join(b.cfg.Results, name+".json"), result)
}

// show keeps a run for the page.
func (b *board) show(name string, run *report.Result) { b.runs = append(b.runs, named{name, run}) }

func (c Config) check() error {
	for _, path := range []string{c.Roost, c.Bench, c.Peers} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("budget: %w; make bench builds all three", err)
		}
	}
	if c.Tries < 1 || c.ServerCPU == c.OwnCPU {
		return errors.New("budget: one try is the least, and server and generator need cores of their own")
	}
	for _, name := range c.Only {
		if !slices.Contains(Names(), name) {
			return fmt.Errorf("budget: there is no part %q; the parts are %s", name, strings.Join(Names(), ", "))
		}
	}
	return nil
}

// machine names the processor and the kernel.
func machine() string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%d × %s, Linux %s, %s", runtime.NumCPU(), model, strings.TrimSpace(string(kernel)), runtime.Version())
}
