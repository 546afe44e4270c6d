package compare

import (
	"errors"
	"fmt"
	"time"

	"github.com/roostpush/roost/bench"
	"github.com/roostpush/roost/bench/generator"
	"github.com/roostpush/roost/bench/hostinfo"
	"github.com/roostpush/roost/bench/target"
)

// Kind is what the servers are loaded with.
type Kind string

// The kinds of load.
const (
	Echo    Kind = "echo"    // messages over connections that stay
	Connect Kind = "connect" // upgrades
)

// Load is what each server gets in each round.
type Load struct {
	Kind         Kind          `json:"kind"`
	Connections  int64         `json:"connections,omitempty"` // echo
	PerSecond    float64       `json:"per_second,omitempty"`  // echo: 0 is the closed loop; connect: upgrades begun a second
	Inflight     int           `json:"inflight,omitempty"`    // echo, closed loop: messages under way on each connection
	PayloadBytes int           `json:"payload_bytes,omitempty"`
	Duration     time.Duration `json:"duration_ns"`
	Hold         time.Duration `json:"hold_ns,omitempty"` // connect: how long each connection is kept
	Timeout      time.Duration `json:"timeout_ns,omitempty"`
}

// Unpinned is the number of no core: the scheduler chooses.
const Unpinned = hostinfo.Unpinned

// Plan is a comparison as a user describes it.
type Plan struct {
	Targets      []Target
	Load         Load
	Rounds       int         // each loads every target once; many short ones are worth more than few long ones
	Path         string      // of servers that are started here
	As           target.Spec // identity, headers and sources; its URL is not used
	ServerCPU    int         // core of the servers that are started here; Unpinned: none
	GeneratorCPU int         // core of this process
	Thresholds   []string    // see parseThreshold
	SettleMax    time.Duration
}

// Default returns a plan without targets: its rounds are as few as give a median
// that one bad round cannot move.
func Default(load Load) Plan {
	return Plan{
		Load: load, Rounds: 3, Path: "/", As: target.Default(), ServerCPU: Unpinned, GeneratorCPU: Unpinned,
		SettleMax: 10 * time.Second,
	}
}

// DefaultEcho is a closed loop of small messages over few connections.
func DefaultEcho() Load {
	return Load{Kind: Echo, Connections: 200, Inflight: 1, PayloadBytes: 20, Duration: 2 * time.Second, Timeout: 2 * time.Second}
}

// DefaultConnect is a rate that any server here keeps up with.
func DefaultConnect() Load {
	return Load{Kind: Connect, PerSecond: 1_000, Duration: 3 * time.Second, Hold: 500 * time.Millisecond}
}

// validate reports the first thing that makes no sense.
func (p Plan) validate() error {
	if len(p.Targets) < 2 {
		return errors.New("a comparison has two targets or more; add --target")
	}
	seen := map[string]bool{}
	for _, t := range p.Targets {
		if seen[t.Name] {
			return fmt.Errorf("two targets are called %s", t.Name)
		}
		seen[t.Name] = true
	}
	switch {
	case p.Rounds < 1:
		return errors.New("at least one round is needed")
	case p.Load.Duration <= 0:
		return errors.New("--duration must be positive")
	case p.Load.Kind == Echo && p.Load.Timeout <= 0:
		return errors.New("--timeout must be positive")
	case p.Load.Kind == Echo && p.Load.PerSecond == 0 && p.Load.Inflight < 1:
		return errors.New("--inflight must be at least 1")
	case p.Load.Kind == Connect && p.Load.PerSecond <= 0:
		return errors.New("--rate must be positive")
	}
	return p.scenario("ws://127.0.0.1/", 0).Validate()
}

// scenario is one round for one target.
func (p Plan) scenario(url string, pid int) bench.Scenario {
	as := p.As
	as.URL = url
	s := bench.DefaultScenario(string(p.Load.Kind), as)
	if pid > 0 {
		s.ServerPIDs = []int{pid}
	}
	s.Phases = p.phases()
	return s
}

func (p Plan) phases() []generator.Phase {
	l := p.Load
	if l.Kind == Connect {
		return bench.ConnectPhases(l.PerSecond, l.Duration, l.Hold)
	}
	return bench.EchoPhases(l.Connections, bench.EchoLoad{
		PerSecond: l.PerSecond, Inflight: l.Inflight, PayloadBytes: l.PayloadBytes, Duration: l.Duration, Timeout: l.Timeout,
	})
}

// closedLoop says that the load is as fast as answers come, so that either side may
// be the one that limits it.
func (l Load) closedLoop() bool { return l.Kind == Echo && l.PerSecond == 0 }

// measured is the phase that the figures are of.
func (l Load) measured() generator.Kind {
	if l.Kind == Connect {
		return generator.Churn
	}
	return generator.Echo
}
