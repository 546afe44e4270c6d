package generator

import (
	"fmt"
	"time"

	"github.com/roostpush/roost/bench/tally"
	"github.com/roostpush/roost/bench/target"
)

// Kind is what a phase does.
type Kind string

// The kinds of phase.
const (
	Open  Kind = "open"  // open Connections and keep them
	Churn Kind = "churn" // open Connections at PerSecond, hold each for Hold, reset it
	Wait  Kind = "hold"  // keep what is open for Duration
	Prove Kind = "prove" // one ping to each open connection; who does not answer is dead
	Echo  Kind = "echo"  // numbered messages that the server sends back
	Close Kind = "close" // reset everything
)

// Phase is one step of a run. All loops are in the same phase; the parent starts the
// next one when every loop has ended it.
type Phase struct {
	Kind         Kind          `json:"kind"`
	Measured     bool          `json:"measured"`              // its figures are a result: the generator's own lateness counts
	Connections  int64         `json:"connections,omitempty"` // over all loops
	FirstIndex   int64         `json:"first_index,omitempty"` // number of the first connection it opens
	PerSecond    float64       `json:"per_second,omitempty"`  // starts a second over all loops; 0: closed loop, as fast as answers come
	Duration     time.Duration `json:"duration,omitempty"`
	Hold         time.Duration `json:"hold,omitempty"`
	Timeout      time.Duration `json:"timeout,omitempty"` // wait for answers after the last one was asked for
	PayloadBytes int           `json:"payload_bytes,omitempty"`
	Inflight     int           `json:"inflight,omitempty"` // closed loop: messages under way on each connection
}

// Plan is all that a worker has to know.
type Plan struct {
	Target  target.Spec `json:"target"`
	Config  Config      `json:"config"`
	Phases  []Phase     `json:"phases"`
	Loops   int         `json:"loops"`   // in each worker
	Worker  int         `json:"worker"`  // this one, from 0
	Workers int         `json:"workers"` // processes of the run
}

// Validate reports what would make a worker fail later.
func (p Plan) Validate() error {
	if p.Loops < 1 || p.Workers < 1 || p.Worker < 0 || p.Worker >= p.Workers {
		return fmt.Errorf("generator: worker %d of %d with %d loops makes no sense", p.Worker, p.Workers, p.Loops)
	}
	for i, phase := range p.Phases {
		if phase.Kind == Echo && phase.PayloadBytes < EchoBytesMin {
			return fmt.Errorf("generator: phase %d: a payload of %d bytes has no room for its number and times; %d is the least", i, phase.PayloadBytes, EchoBytesMin)
		}
		switch phase.Kind {
		case Open, Churn, Wait, Prove, Echo, Close:
		default:
			return fmt.Errorf("generator: phase %d: %q is no kind of phase", i, phase.Kind)
		}
	}
	return p.Config.Validate()
}

// Order is what the parent tells a worker, one JSON value after the other.
type Order struct {
	Begin  *int  `json:"begin,omitempty"`  // begin the phase of this number
	AtNS   int64 `json:"at_ns,omitempty"`  // its time 0, by Clock
	Stop   bool  `json:"stop,omitempty"`   // end the phase now, with what there is
	Finish bool  `json:"finish,omitempty"` // reset what is open, report, exit
}

// News is what a worker tells the parent; one member is set.
type News struct {
	Ready    bool      `json:"ready,omitempty"`
	Tick     *Tick     `json:"tick,omitempty"`
	PhaseEnd *PhaseEnd `json:"phase_end,omitempty"`
	Result   *Result   `json:"result,omitempty"` // the last one
	Fatal    string    `json:"fatal,omitempty"`  // the last one
}

// Tick is what one loop counted since its last tick.
type Tick struct {
	Loop  int64        `json:"loop"` // number over all workers
	AtNS  int64        `json:"at_ns"`
	Open  int64        `json:"open"` // connections open now
	Since *tally.Tally `json:"since"`
}

// PhaseEnd says that one loop has ended a phase.
type PhaseEnd struct {
	Loop  int64         `json:"loop"`
	Phase int           `json:"phase"`
	Wall  time.Duration `json:"wall"`  // from begin to end
	CPU   time.Duration `json:"cpu"`   // of the loop's thread meanwhile
	Early string        `json:"early"` // why it ended before its time; empty: it did not
	Open  int64         `json:"open"`
	EndNS int64         `json:"end_ns"`
}

// Result is a worker's last word; what it counted is in its ticks.
type Result struct {
	RSSBytes int64 `json:"rss_bytes"` // most that the process ever had resident
}
