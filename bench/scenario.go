package bench

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/target"
)

// Scenario is a run as a user describes it: whom it goes to, what is done, and what
// must hold. Its phases are carried out one after the other by all loops together.
type Scenario struct {
	Name       string
	Target     target.Spec
	API        generator.API // for pushes; addresses may be names
	Phases     []generator.Phase
	Ramp       *Ramp         // nil: none of the phases is one
	Processes  int           // generator processes; 1: this one
	Loops      int           // event loops in each of them
	ServerPIDs []int         // the servers' processes, whose CPU and memory are added up; empty: do not look at /proc
	Thresholds []string      // see report.ParseThreshold
	Saturation Saturation    // when the generator calls itself the bottleneck
	ProbeWait  time.Duration // how long the target may take to answer the first look
	Config     generator.Config
}

// Saturation bounds how badly the generator itself may fare before the run is called
// invalid.
type Saturation struct {
	LateShare   float64 // paced starts later than Config.LateBound; a percentile above this share would show our own delay
	BeatShare   float64 // heartbeats later than that: the loop did not get the CPU
	BusiestLoop float64 // CPU of the busiest loop in a measured phase; 1 is a whole core, 0 turns the check off
}

// DefaultScenario returns everything that does not depend on what is done.
func DefaultScenario(name string, to target.Spec) Scenario {
	return Scenario{
		Name: name, Target: to, Processes: 1, Loops: 1, ProbeWait: 5 * time.Second, Config: generator.Default(),
		Saturation: Saturation{LateShare: 0.01, BeatShare: 0.05, BusiestLoop: 0.95},
	}
}

// ConnectPhases measures upgrades: connections are begun at perSecond for duration,
// whatever becomes of the ones before, and each is reset hold after its upgrade.
func ConnectPhases(perSecond float64, duration, hold time.Duration) []generator.Phase {
	return []generator.Phase{{
		Kind: generator.Churn, Measured: true, PerSecond: perSecond, Duration: duration, Hold: hold,
		Connections: int64(perSecond * duration.Seconds()),
	}}
}

// IdlePhases opens connections at perSecond (0: as fast as they complete), keeps them
// for hold, and proves at the end that each is alive.
func IdlePhases(connections int64, perSecond float64, hold, proofTimeout time.Duration) []generator.Phase {
	return []generator.Phase{
		{Kind: generator.Open, Measured: perSecond > 0, Connections: connections, PerSecond: perSecond},
		{Kind: generator.Wait, Duration: hold},
		{Kind: generator.Prove, Timeout: proofTimeout},
		{Kind: generator.Close},
	}
}

// EchoLoad says how echoes are sent.
type EchoLoad struct {
	PerSecond    float64       // over all connections; 0: closed loop
	Inflight     int           // closed loop: messages under way on each connection
	PayloadBytes int           // at least generator.EchoBytesMin
	Duration     time.Duration // of sending
	Timeout      time.Duration // wait for the last answers; who is later is lost
}

// EchoPhases opens connections as fast as they complete and sends numbered messages.
func EchoPhases(connections int64, load EchoLoad) []generator.Phase {
	return []generator.Phase{
		{Kind: generator.Open, Connections: connections},
		{
			Kind: generator.Echo, Measured: true, PerSecond: load.PerSecond, Inflight: load.Inflight,
			PayloadBytes: load.PayloadBytes, Duration: load.Duration, Timeout: load.Timeout,
		},
		{Kind: generator.Close},
	}
}

// Validate reports the first thing in the scenario that makes no sense.
func (s Scenario) Validate() error {
	switch {
	case s.Processes < 1 || s.Loops < 1:
		return errors.New("at least one process and one loop are needed")
	case slices.ContainsFunc(s.ServerPIDs, func(pid int) bool { return pid <= 0 }):
		return errors.New("--server-pid is no process")
	}
	for _, p := range s.Phases {
		if p.PerSecond < 0 || p.Duration < 0 || p.Hold < 0 || p.Timeout < 0 {
			return fmt.Errorf("phase %s: rates and times cannot be negative", p.Kind)
		}
		if (p.Kind == generator.Open || p.Kind == generator.Churn) && p.Connections < 1 {
			return fmt.Errorf("phase %s opens no connection: raise --connections, --rate or --duration", p.Kind)
		}
	}
	if s.Ramp != nil {
		if err := s.Ramp.validate(s); err != nil {
			return err
		}
	}
	return s.plan(0).Validate()
}

// plan returns what one worker has to know.
func (s Scenario) plan(worker int) generator.Plan {
	return generator.Plan{
		Target: s.Target, API: s.API, Config: s.Config, Phases: s.Phases,
		Loops: s.Loops, Worker: worker, Workers: s.Processes,
	}
}

// connectionsMax estimates the most connections that are open at once.
func (s Scenario) connectionsMax() int64 {
	var kept, most int64
	for _, p := range s.Phases {
		switch p.Kind {
		case generator.Open:
			kept += p.Connections
			most = max(most, kept)
		case generator.Churn:
			// Those being held and those on their way at a server that takes a second.
			atOnce := int64(p.PerSecond * (p.Hold + time.Second).Seconds())
			most = max(most, kept+min(p.Connections, atOnce))
		case generator.Close:
			kept = 0
		}
	}
	return most
}
