package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/report"
	"github.com/roostpush/roost/bench/tally"
)

// Ramp turns one phase of a scenario into many: its rate is raised until a threshold
// breaks, and the highest rate that holds is then looked for between the last that held
// and the first that did not, by halving. The scenario's thresholds are those of each
// step; the run's own is that some rate held.
type Ramp struct {
	Phase     int           // which of the scenario's phases; its PerSecond is where the ramp starts
	Factor    float64       // between two steps up
	Precision float64       // of the result: 0.05 is 5 %
	StepsMax  int           // steps in all
	Pause     time.Duration // between two steps, for the server to be done with the last one
	Again     int           // times that a step is repeated in which the generator was disturbed
}

// DefaultRamp returns a ramp of the given phase.
func DefaultRamp(phase int) Ramp {
	return Ramp{Phase: phase, Factor: 2, Precision: 0.05, StepsMax: 30, Pause: 500 * time.Millisecond, Again: 2}
}

// rampRateMax ends a ramp that nothing breaks: no server and no generator does this.
const rampRateMax = 1e8

func (r Ramp) validate(s Scenario) error {
	switch {
	case r.Phase < 0 || r.Phase >= len(s.Phases):
		return fmt.Errorf("the ramp is of phase %d and there are %d", r.Phase, len(s.Phases))
	case s.Phases[r.Phase].PerSecond <= 0 || s.Phases[r.Phase].Duration <= 0:
		return errors.New("a ramp needs a phase with a rate to start from and a duration of each step")
	case r.Factor <= 1 || r.Precision <= 0 || r.StepsMax < 2 || r.Pause < 0:
		return errors.New("a ramp's factor must be above 1, its precision positive, and two steps are the least")
	case len(s.Thresholds) == 0:
		return errors.New("a ramp needs thresholds: without --fail nothing would break")
	}
	return nil
}

// climb carries the ramp out.
func (c *conductor) climb(ctx context.Context, r Ramp, phase generator.Phase, thresholds []report.Threshold, ticks <-chan time.Time) {
	held, broke := 0.0, 0.0
	for rate := phase.PerSecond; len(c.result.Steps) < r.StepsMax && rate < rampRateMax; {
		step := c.tryRate(ctx, phase, rate, thresholds, ticks)
		for again := r.Again; again > 0 && len(step.Saturated) > 0 && c.result.Early == "" && ctx.Err() == nil; again-- {
			step = c.tryRate(ctx, phase, rate, thresholds, ticks)
		}
		if c.result.Early != "" || ctx.Err() != nil {
			return
		}
		c.result.Steps = append(c.result.Steps, step)
		if step.Ended > 0 && !c.reopen(ctx, r, rate, ticks) {
			return
		}
		if step.Held {
			held = rate
		} else {
			broke = rate
		}
		switch {
		case broke == 0:
			rate *= r.Factor
		case held == 0:
			if rate /= r.Factor; rate < 1 {
				return
			}
		case broke/held <= 1+r.Precision:
			return
		default:
			rate = (held + broke) / 2
		}
		if r.Pause > 0 {
			c.carryOut(ctx, generator.Phase{Kind: generator.Wait, Duration: r.Pause}, ticks)
		}
	}
}

// tryRate runs the phase once and judges it by itself.
func (c *conductor) tryRate(ctx context.Context, phase generator.Phase, rate float64, thresholds []report.Threshold, ticks <-chan time.Time) report.Step {
	phase.PerSecond = rate
	if phase.Kind == generator.Churn {
		phase.Connections = int64(rate * phase.Duration.Seconds())
	}
	c.carryOut(ctx, phase, ticks)
	one := report.Result{Phases: c.result.Phases[len(c.result.Phases)-1:], Total: c.phase.Tally}
	one.Fill()
	one.Judge(thresholds)
	step := report.Step{PerSecond: rate, Held: true, Ended: c.phase.Tally.Get(tally.Ended)}
	if c.allGone { // a rate at which the server sends everybody away is a finding, not the end of the run
		c.result.Early = ""
		step.Held, step.Broken = false, []string{fmt.Sprintf("the server ended all %d connections", step.Ended)}
	}
	for _, v := range one.Thresholds {
		if v.Held {
			continue
		}
		measured := "not measured"
		if v.Measured != nil {
			measured = v.Measured.Text()
		}
		step.Held = false
		step.Broken = append(step.Broken, fmt.Sprintf("%s (%s)", v.Text, measured))
	}
	if _, step.Saturated = c.scenario.judgeGenerator(report.Generator{}, one.Phases, one.Total); len(step.Saturated) > 0 {
		step.Held = false
	}
	return step
}

// reopen brings the connections back that the server ended in a step, so that the next
// one has as many. It returns false when that is not possible: then the run is over.
func (c *conductor) reopen(ctx context.Context, r Ramp, rate float64, ticks <-chan time.Time) bool {
	c.carryOut(ctx, generator.Phase{Kind: generator.Close}, ticks)
	for _, phase := range c.scenario.Phases[:r.Phase] {
		c.carryOut(ctx, phase, ticks)
		if c.result.Early == "" && phase.Kind == generator.Open && c.phase.Tally.Get(tally.Opened) == 0 {
			c.result.Early = fmt.Sprintf("the step at %.0f/s ended connections, and none could be opened again", rate)
		}
		if c.result.Early != "" || ctx.Err() != nil {
			return false
		}
	}
	return true
}

// judgeRamp says what the ramp found: the highest rate that held, and whether it was the
// server that broke.
func judgeRamp(r *report.Result) {
	best, limit := 0.0, (*report.Step)(nil)
	for i := range r.Steps {
		if s := &r.Steps[i]; s.Held {
			best = max(best, s.PerSecond)
		}
	}
	for i := range r.Steps {
		if s := &r.Steps[i]; !s.Held && s.PerSecond > best && (limit == nil || s.PerSecond < limit.PerSecond) {
			limit = s
		}
	}
	r.AddMetric("ramp.rate", best, report.PerSecond)
	if limit != nil && len(limit.Saturated) > 0 {
		r.Saturated = append(r.Saturated, fmt.Sprintf("the ramp ended at %.0f/s because of the generator, not the server: %s", limit.PerSecond, limit.Saturated[0]))
	}
	found, err := report.ParseThreshold("ramp.rate>0")
	if err != nil {
		panic(err)
	}
	r.Judge([]report.Threshold{found})
}
