package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/hostinfo"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
)

// headStart is the time between the order to begin a phase and its time 0, so that
// every process has read the order by then.
const headStart = 20 * time.Millisecond

// progressInterval is the time between two rows of the result's course over time.
const progressInterval = time.Second

// conductor leads the workers through the phases and collects what they say. It
// belongs to the goroutine of Run.
type conductor struct {
	scenario Scenario
	options  Options
	clock    generator.Clock
	fleet    *fleet
	result   report.Result

	phase   *report.Phase   // the one under way
	ended   int             // loops that have ended it
	early   map[string]int  // reasons of those that ended it early
	allGone bool            // it ended because the server had ended every connection
	lasts   []int64         // of a fan-out: for each message the latency of its last device so far
	open    map[int64]int64 // connections by loop
	second  tally.Tally     // counted since the last progress line
	startNS int64           // time 0 of the run
	lastCPU time.Duration   // of the server, at the last progress line
}

// conduct carries out the phases. A phase that ends early ends the run.
func (c *conductor) conduct(ctx context.Context, thresholds []report.Threshold) *report.Result {
	begun := time.Now()
	c.startNS = c.clock.Now()
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	for i, phase := range c.scenario.Phases {
		if r := c.scenario.Ramp; r != nil && r.Phase == i {
			c.climb(ctx, *r, phase, thresholds, ticker.C)
		} else {
			c.carryOut(ctx, phase, ticker.C)
		}
		if ctx.Err() != nil && c.result.Early == "" && i+1 < len(c.scenario.Phases) {
			c.result.Early = "stopped"
		}
		if c.result.Early != "" {
			break
		}
	}
	return c.finish(thresholds, begun)
}

// carryOut runs one phase to its end, on all loops.
func (c *conductor) carryOut(ctx context.Context, phase generator.Phase, ticks <-chan time.Time) {
	c.result.Phases = append(c.result.Phases, report.Phase{Phase: phase, Tally: &tally.Tally{}})
	c.phase = &c.result.Phases[len(c.result.Phases)-1]
	c.ended, c.early, c.lasts, c.allGone = 0, map[string]int{}, nil, false
	c.phase.ServerBefore = c.readServer()
	c.fleet.order(generator.Order{Begin: &phase, AtNS: c.clock.Now() + int64(headStart)})
	cancelled := ctx.Done()
	for c.ended < c.fleet.present()*c.scenario.Loops {
		select {
		case t := <-c.fleet.news:
			c.hear(t)
		case <-ticks:
			c.showSecond()
		case <-cancelled:
			cancelled = nil
			c.fleet.order(generator.Order{Stop: true})
		}
	}
	c.phase.ServerAfter = c.readServer()
	if phase.Kind == generator.Fanout { // whoever misses a message counts it; here it is known that a result said so
		lost := c.phase.Tally.Get(tally.Lost)
		c.phase.Tally.Add(tally.Lost, -min(lost, c.phase.Tally.Get(tally.Undelivered)))
	}
	for _, ns := range c.lasts {
		if ns >= 0 {
			c.phase.Tally.Record(tally.FanoutLast, ns)
		}
	}
	for why, loops := range c.early {
		if (loops >= c.ended || why != generator.WhyAllEnded) && c.result.Early == "" {
			c.result.Early = fmt.Sprintf("%s (phase %s)", why, c.phase.Kind)
			c.allGone = why == generator.WhyAllEnded
		}
	}
	if c.options.OnPhaseEnd != nil {
		c.options.OnPhaseEnd(c.phase)
	}
}

// hear takes one piece of news.
func (c *conductor) hear(t told) {
	switch {
	case t.err != nil:
		c.lost(t)
	case t.news.Tick != nil:
		c.open[t.news.Tick.Loop] = t.news.Tick.Open
		if err := errors.Join(c.phase.Tally.MergeDelta(t.news.Tick.Since), c.second.MergeDelta(t.news.Tick.Since)); err != nil {
			c.result.Early = fmt.Sprintf("generator process %d: %v", t.from.number, err)
		}
	case t.news.PhaseEnd != nil:
		c.loopEnded(t.news.PhaseEnd)
	case t.news.Result != nil:
		c.result.Generator.RSSBytes += t.news.Result.RSSBytes
		t.from.reported = true
	case t.news.Fatal != "":
		c.result.Early = fmt.Sprintf("generator process %d failed: %s", t.from.number, t.news.Fatal)
	}
}

// lost notes that a worker has ended, which is fine after its result only.
func (c *conductor) lost(t told) {
	t.from.gone = true
	if t.from.reported || c.result.Early != "" {
		return
	}
	c.result.Early = fmt.Sprintf("generator process %d died: %v", t.from.number, t.err)
	c.fleet.order(generator.Order{Stop: true})
}

func (c *conductor) loopEnded(e *generator.PhaseEnd) {
	c.ended++
	c.phase.Open += e.Open
	c.phase.Wall = max(c.phase.Wall, e.Wall)
	if e.Wall > 0 {
		c.phase.BusiestLoop = max(c.phase.BusiestLoop, e.CPU.Seconds()/e.Wall.Seconds())
	}
	if e.Early != "" {
		c.early[e.Early]++
	}
	c.phase.Back = max(c.phase.Back, e.Back)
	if c.lasts == nil {
		c.lasts = e.Lasts
	}
	for i := range min(len(c.lasts), len(e.Lasts)) {
		if c.lasts[i] >= 0 { // -1: somebody did not get it
			c.lasts[i] = max(c.lasts[i], e.Lasts[i])
		}
		if e.Lasts[i] < 0 {
			c.lasts[i] = -1
		}
	}
}

// showSecond cuts what was counted since the last time into one row.
func (c *conductor) showSecond() {
	row := report.Second{
		At: time.Duration(c.clock.Now() - c.startNS), Phase: string(c.phase.Kind),
		Opened: c.second.Get(tally.Opened), Received: c.second.Get(tally.Received), Proved: c.second.Get(tally.Proved),
		Errors: c.second.ErrorCount(), Ended: c.second.Get(tally.Ended),
	}
	for _, n := range c.open {
		row.Open += n
	}
	if h := c.second.Timings[headline(c.phase.Phase)]; h != nil {
		row.P50, row.P90, row.P99, row.P999, row.Max = h.Quantile(50), h.Quantile(90), h.Quantile(99), h.Quantile(99.9), h.Max()
	}
	if p := c.readServer(); p != nil {
		row.ServerRSS = p.RSSBytes
		if c.lastCPU > 0 {
			row.ServerCPU = p.CPU - c.lastCPU
		}
		c.lastCPU = p.CPU
	}
	c.second = tally.Tally{}
	c.result.Seconds = append(c.result.Seconds, row)
	if c.options.Progress != nil {
		c.options.Progress(row)
	}
}

// headline is the latency that a phase is about.
func headline(p generator.Phase) tally.Timer {
	paced := p.PerSecond > 0
	switch {
	case p.Kind == generator.Echo && paced:
		return tally.Echo
	case p.Kind == generator.Echo:
		return tally.EchoClosed
	case p.Kind == generator.Push && paced:
		return tally.Push
	case p.Kind == generator.Push:
		return tally.PushClosed
	case p.Kind == generator.Fanout:
		return tally.Fanout
	case p.Kind == generator.Relay:
		return tally.Relay
	case p.Kind == generator.Move:
		return tally.Displace
	case p.Kind == generator.Prove:
		return tally.Proof
	case p.Kind == generator.Mix:
		for _, part := range p.Parts {
			if t := headline(part); t != tally.Connect {
				return t
			}
		}
	}
	return tally.Connect
}

// readServer adds up the servers' figures, nil when they are not ours to look at, or one
// of them is gone.
func (c *conductor) readServer() *hostinfo.Process {
	if len(c.scenario.ServerPIDs) == 0 {
		return nil
	}
	var all hostinfo.Process
	for _, pid := range c.scenario.ServerPIDs {
		p, err := hostinfo.ReadProcess(pid)
		if err != nil {
			return nil
		}
		all.Add(p)
	}
	return &all
}
