package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/hostinfo"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
	"github.com/roostpush/roost/bench/target"
)

// The ways a run does not begin. An error that is one of them has a text of its own,
// which says what to change.
var (
	ErrUsage  = errors.New("the command line or this machine does not allow the run")
	ErrTarget = errors.New("the target cannot be reached or is not a WebSocket server")
)

// blamed is an error that is also one of those above, without their words.
type blamed struct{ err, kind error }

func (b blamed) Error() string   { return b.err.Error() }
func (b blamed) Unwrap() []error { return []error{b.err, b.kind} }

// Options is what a run needs beside its scenario. The functions are called on the
// goroutine of Run, OnOpened on the loops.
type Options struct {
	WorkerCommand []string                  // starts a process that calls generator.Run on its stdin and stdout
	Progress      func(report.Second)       // each second; nil: nobody looks
	Warn          func(Finding)             // findings that are not fatal; nil: nobody reads them
	OnOpened      func(index, atNS int64)   // each upgrade, with one process only
	OnPhaseEnd    func(phase *report.Phase) // after each phase, before the next begins
}

// Run checks the scenario, the machine and the target, carries the scenario out, and
// returns what was measured. It blocks until the end, or until ctx is done, after
// which the results so far are returned within seconds. An error means that nothing
// was measured; ErrUsage and ErrTarget say whose fault it is.
func Run(ctx context.Context, s Scenario, o Options) (*report.Result, error) {
	if !generator.Supported {
		return nil, blamed{generator.ErrLinuxOnly, ErrUsage}
	}
	thresholds, err := s.check()
	if err != nil {
		return nil, blamed{err, ErrUsage}
	}
	compiled, err := s.Target.Compile(time.Now())
	if err != nil {
		return nil, blamed{err, ErrUsage}
	}
	for _, f := range Preflight(s, compiled, hostinfo.ReadLimits()) {
		if f.Fatal {
			return nil, blamed{errors.New(f.String()), ErrUsage}
		}
		if o.Warn != nil {
			o.Warn(f)
		}
	}
	if s.Target.Addrs, err = target.Probe(ctx, compiled, s.ProbeWait); err != nil {
		return nil, blamed{err, ErrTarget}
	}
	if slices.ContainsFunc(s.Phases, generator.Phase.NeedsAPI) {
		if s.API, err = probeAPI(ctx, s.API, s.ProbeWait); err != nil {
			return nil, blamed{err, ErrTarget}
		}
	}
	c := &conductor{scenario: s, options: o, clock: generator.NewClock(), open: map[int64]int64{}}
	if c.fleet, err = startFleet(ctx, s, o); err != nil {
		return nil, err
	}
	defer c.fleet.end()
	if err := c.muster(); err != nil {
		return nil, err
	}
	return c.conduct(ctx, thresholds), nil
}

// check validates what needs no machine and no target.
func (s Scenario) check() ([]report.Threshold, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	var all []report.Threshold
	for _, text := range s.Thresholds {
		t, err := report.ParseThreshold(text)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	for _, pid := range s.ServerPIDs {
		if _, err := hostinfo.ReadProcess(pid); err != nil {
			return nil, fmt.Errorf("--server-pid %d cannot be read: %w", pid, err)
		}
	}
	return all, nil
}

// muster waits until every worker is ready.
func (c *conductor) muster() error {
	for ready := 0; ready < len(c.fleet.workers); {
		t := <-c.fleet.news
		switch {
		case t.err != nil:
			t.from.gone = true
			return fmt.Errorf("bench: generator process %d did not start: %w", t.from.number, t.err)
		case t.news.Fatal != "":
			return fmt.Errorf("bench: generator process %d did not start: %s", t.from.number, t.news.Fatal)
		case t.news.Ready:
			ready++
		}
	}
	return nil
}

// finish ends the workers and computes the figures.
func (c *conductor) finish(thresholds []report.Threshold, begun time.Time) *report.Result {
	r := &c.result
	r.Scenario, r.Target, r.Started, r.Wall = c.scenario.Name, c.scenario.Target.Redacted(), begun, time.Since(begun)
	r.Processes, r.Loops = c.scenario.Processes, c.scenario.Loops
	c.fleet.order(generator.Order{Finish: true})
	for c.fleet.present() > 0 {
		c.hear(<-c.fleet.news)
	}
	r.Total = &tally.Tally{}
	for _, p := range r.Phases {
		r.Total.Merge(p.Tally)
	}
	r.API = c.scenario.API.Text()
	if c.scenario.Ramp == nil {
		r.Generator, r.Saturated = c.scenario.judgeGenerator(r.Generator, r.Phases, r.Total)
		r.Fill()
		r.Judge(thresholds)
		return r
	}
	r.Generator, _ = c.scenario.judgeGenerator(r.Generator, r.Phases, r.Total)
	r.Fill()
	judgeRamp(r)
	return r
}

// judgeGenerator says whether the figures of some phases are the server's or the
// generator's, and why not. g has what is known already.
func (s Scenario) judgeGenerator(g report.Generator, phases []report.Phase, total *tally.Tally) (report.Generator, []string) {
	var why []string
	bounds := s.Saturation
	g.LateBound = s.Config.LateBound
	for _, p := range phases {
		if p.Measured {
			g.BusiestLoop = max(g.BusiestLoop, p.BusiestLoop)
		}
	}
	g.LateShare = share(total.Get(tally.Late), total.Get(tally.Paced))
	g.BeatShare = share(total.Get(tally.LateBeats), total.Get(tally.Beats))
	if g.LateShare > bounds.LateShare {
		why = append(why, fmt.Sprintf("%.1f %% of the starts were more than %s late, %.1f %% are tolerated; lower the rate, or add --loops or --procs",
			g.LateShare*100, report.Duration(g.LateBound), bounds.LateShare*100))
	}
	if g.BeatShare > bounds.BeatShare {
		why = append(why, fmt.Sprintf("its loops came round more than %s late in %.1f %% of the cases, %.1f %% are tolerated: they do not get the CPU",
			report.Duration(g.LateBound), g.BeatShare*100, bounds.BeatShare*100))
	}
	if bounds.BusiestLoop > 0 && g.BusiestLoop > bounds.BusiestLoop {
		why = append(why, fmt.Sprintf("a loop used %.0f %% of a core, %.0f %% are tolerated; add --loops or --procs",
			g.BusiestLoop*100, bounds.BusiestLoop*100))
	}
	return g, why
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
