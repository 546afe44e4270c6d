package compare

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/hostinfo"
	"github.com/roostpush/roost/bench/report"
)

// Options is what a comparison needs beside its plan. The functions are called on the
// goroutine of Run; nil: nobody looks.
type Options struct {
	Progress func(report.Second)
	Begin    func(round int, target string) // before a target is loaded
	Warn     func(bench.Finding)            // once each
}

// Result is everything a comparison found out. Run makes it; afterwards it is read only.
type Result struct {
	Load         Load      `json:"load"`
	Targets      []Target  `json:"targets"` // the first is the one that the table's ratios are of
	Rounds       int       `json:"rounds"`
	ServerCPU    int       `json:"server_cpu"`
	GeneratorCPU int       `json:"generator_cpu"`
	Started      time.Time `json:"started"`
	Samples      []Sample  `json:"samples"`
	Ratios       []Ratio   `json:"ratios"`
	Verdicts     []Verdict `json:"thresholds"`
	Early        string    `json:"early,omitempty"` // why it ended before its time
}

// Ratio is one entry of the result: of's figure divided by to's.
type Ratio struct {
	Of     string `json:"of"`
	To     string `json:"to"`
	Metric Metric `json:"metric"`
	Spread
}

// Run starts the servers that are to be started, loads all in turn for the rounds of
// the plan, and stops them. It blocks until the end, or until ctx is done, after which
// the results so far are returned within seconds. An error means that nothing was
// measured; it may be bench.ErrUsage or bench.ErrTarget.
//
// It is one at a time in a process: with a GeneratorCPU it pins all its threads.
func Run(ctx context.Context, p Plan, o Options) (*Result, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	thresholds, err := p.parseThresholds()
	if err != nil {
		return nil, err
	}
	unpin, err := hostinfo.PinSelf(p.GeneratorCPU)
	if err != nil {
		return nil, fmt.Errorf("compare: generator: %w", err)
	}
	defer unpin()
	var servers []*server
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	for _, t := range p.Targets {
		s, err := start(ctx, t, p.Path, p.ServerCPU)
		if err != nil {
			return nil, err
		}
		servers = append(servers, s)
	}
	r := &Result{Load: p.Load, Targets: p.Targets, Rounds: p.Rounds, ServerCPU: p.ServerCPU, GeneratorCPU: p.GeneratorCPU, Started: time.Now()}
	if err := r.rounds(ctx, p, o, servers); err != nil {
		return nil, err
	}
	r.fillRatios()
	r.judge(thresholds)
	return r, nil
}

// rounds loads every server in every round. An error after the first sample ends the
// comparison early and keeps what there is.
func (r *Result) rounds(ctx context.Context, p Plan, o Options, servers []*server) error {
	warned := map[string]bool{}
	run := bench.Options{Progress: o.Progress, Warn: func(f bench.Finding) {
		if o.Warn != nil && !warned[f.What] {
			warned[f.What] = true
			o.Warn(f)
		}
	}}
	for round := range p.Rounds {
		for _, i := range order(round, len(servers)) {
			s := servers[i]
			if o.Begin != nil {
				o.Begin(round+1, s.target.Name)
			}
			one, early, err := load(ctx, p, run, s)
			if err == nil {
				err = s.alive()
			}
			switch {
			case err != nil && len(r.Samples) == 0:
				return err
			case err != nil:
				r.Early = fmt.Sprintf("round %d, target %s: %v", round+1, s.target.Name, err)
				return nil
			case early != "":
				r.Early = fmt.Sprintf("round %d, target %s: %s", round+1, s.target.Name, early)
				return nil
			}
			one.Round = round + 1
			r.Samples = append(r.Samples, one)
			s.settle(ctx, p.SettleMax)
		}
	}
	return nil
}

// order alternates between forwards and backwards and rotates every other round, so
// that nobody always comes first or after the same neighbour.
func order(round, servers int) []int {
	all := make([]int, servers)
	for i := range all {
		all[i] = (i + round/2) % servers
		if round%2 == 1 {
			all[i] = servers - 1 - (i+round/2)%servers
		}
	}
	return all
}

// load is one round for one server.
func load(ctx context.Context, p Plan, o bench.Options, s *server) (Sample, string, error) {
	var server, generator span // of the phase that the figures are of
	serverCPU := p.ServerCPU
	if s.cmd == nil {
		serverCPU = Unpinned // it runs where it likes
	}
	server.to, generator.to = read(serverCPU, s.pid), read(p.GeneratorCPU, os.Getpid())
	ended := false
	o.OnPhaseEnd = func(phase *report.Phase) {
		if !ended {
			server = span{server.to, read(serverCPU, s.pid)}
			generator = span{generator.to, read(p.GeneratorCPU, os.Getpid())}
		}
		ended = ended || phase.Kind == p.Load.measured()
	}
	result, err := bench.Run(ctx, p.scenario(s.url, s.pid), o)
	if err != nil {
		return Sample{}, "", fmt.Errorf("target %s: %w", s.target.Name, err)
	}
	return sample(p.Load, result, s, server, generator), result.Early, nil
}

// fillRatios compares the first target with each of the others.
func (r *Result) fillRatios() {
	for _, t := range r.Targets[1:] {
		for _, m := range r.Load.metrics() {
			if s, ok := r.Ratio(r.Targets[0].Name, t.Name, m); ok {
				r.Ratios = append(r.Ratios, Ratio{Of: r.Targets[0].Name, To: t.Name, Metric: m, Spread: s})
			}
		}
	}
}

// Exit returns the exit code of package report. Servers that lost messages did not do
// the same work, and a threshold on a figure that is the generator's proves nothing;
// CPU for each message stands however late the generator was.
func (r *Result) Exit() int {
	code := report.ExitOK
	for _, s := range r.Samples {
		if s.Wrong != "" {
			code = report.ExitThreshold
		}
	}
	for _, v := range r.Verdicts {
		switch {
		case v.Invalid:
			return report.ExitSaturated
		case !v.Held:
			code = report.ExitThreshold
		}
	}
	if r.Early != "" {
		return report.ExitEarly
	}
	return code
}
