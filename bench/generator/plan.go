package generator

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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

	Push   Kind = "push"   // numbered messages through the server's API, each to one device in turn
	Fanout Kind = "fanout" // messages through the API to all devices at once
	Relay  Kind = "relay"  // numbered messages from each device to the next one of its account
	Cycle  Kind = "cycle"  // reset connections, all at once or at PerSecond, and bring each back
	Move   Kind = "move"   // connect devices a second time, to the next node, and wait until the first connection is closed for it
	Mix    Kind = "mix"    // Parts at the same time, each with connections of its own
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

	Group   int64         `json:"group,omitempty"`   // open, relay: connections of one account, which stay in one loop; relay sends from each to the next
	Window  int           `json:"window,omitempty"`  // push, closed loop: messages without a result, over all loops
	TTL     time.Duration `json:"ttl,omitempty"`     // push: how long the server keeps a message, which the devices then acknowledge; 0: not at all
	Waits   string        `json:"waits,omitempty"`   // push, fanout: the outcome that a result waits for; empty: written
	Account bool          `json:"account,omitempty"` // fanout: to the account of connection 0, not to all
	Low     int64         `json:"low,omitempty"`     // the phase has connections of number Low up to
	High    int64         `json:"high,omitempty"`    // and without High; 0: no bound
	Revive  bool          `json:"revive,omitempty"`  // mix: a connection that the server ends comes back; prove: one that it ends with a goodbye is not dead
	Returns float64       `json:"returns,omitempty"` // cycle: connections brought back a second, over all loops; 0: as fast as they complete
	Parts   []Phase       `json:"parts,omitempty"`   // mix: when the first has ended, the others end too
}

// has says whether the phase may use connection index.
func (p Phase) has(index int64) bool { return index >= p.Low && (p.High == 0 || index < p.High) }

// Kinds lists all kinds of phase.
func Kinds() []Kind {
	return []Kind{Open, Churn, Wait, Prove, Echo, Push, Fanout, Relay, Cycle, Move, Mix, Close}
}

// NeedsAPI says whether a phase gives messages to the server's API.
func (p Phase) NeedsAPI() bool {
	return p.Kind == Push || p.Kind == Fanout || slices.ContainsFunc(p.Parts, Phase.NeedsAPI)
}

// stamps says whether a phase asks the kernel when its messages arrived.
func (p Phase) stamps() bool {
	return p.Kind == Relay || p.Kind == Push && p.PerSecond > 0 || slices.ContainsFunc(p.Parts, Phase.stamps)
}

// API is where pushes are given to the server: Roost's internal listener, of one node or
// of several. The pushes of device i go to node i modulo their number.
type API struct {
	Nodes   []APINode `json:"nodes"`   // empty: there is none
	Token   string    `json:"token"`   // bearer token; empty: none
	Streams int       `json:"streams"` // of each loop to each node; a device's pushes always take the same one
}

// APINode is one node's internal listener.
type APINode struct {
	Addr string `json:"addr"` // host:port, resolved by the parent
	Host string `json:"host"` // of the Host header
}

// Text returns the addresses as a report shows them.
func (a API) Text() string {
	var addrs []string
	for _, n := range a.Nodes {
		addrs = append(addrs, n.Addr)
	}
	return strings.Join(addrs, ", ")
}

// Plan is all that a worker has to know.
type Plan struct {
	Target  target.Spec `json:"target"`
	API     API         `json:"api"` // for pushes; empty: there are none
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
		if err := p.check(phase); err != nil {
			return fmt.Errorf("generator: phase %d: %w", i, err)
		}
	}
	return p.Config.Validate()
}

// check reports what is wrong with one phase.
func (p Plan) check(phase Phase) error {
	least := map[Kind]int{Echo: EchoBytesMin, Push: stampBytesMin, Fanout: stampBytesMin, Relay: stampBytesMin}[phase.Kind]
	switch {
	case !slices.Contains(Kinds(), phase.Kind):
		return fmt.Errorf("%q is no kind of phase", phase.Kind)
	case phase.PayloadBytes < least:
		return fmt.Errorf("a payload of %d bytes has no room for its number and times; %d is the least", phase.PayloadBytes, least)
	case (phase.Kind == Fanout || phase.Kind == Relay) && phase.PerSecond <= 0:
		return fmt.Errorf("%s needs a rate", phase.Kind)
	case phase.Kind == Push && phase.PerSecond <= 0 && phase.Window < 1:
		return errors.New("push needs a rate, or a window for the closed loop")
	case phase.TTL < 0 || phase.TTL%time.Millisecond != 0:
		return errors.New("a ttl is so many milliseconds, 0 or more")
	case phase.TTL > 0 && phase.Kind != Push:
		return fmt.Errorf("%s has no ttl: only push is kept by the server", phase.Kind)
	case phase.Kind == Move && phase.PerSecond <= 0:
		return errors.New("move needs a rate")
	case phase.Kind == Move && len(p.Target.Also) == 0:
		return errors.New("move needs a target of two nodes or more")
	case phase.Kind == Relay && phase.Group < 2:
		return errors.New("relay needs accounts of two devices or more")
	case phase.Group < 0 || phase.Low < 0 || phase.High < 0:
		return errors.New("groups and ranges of connections cannot be negative")
	case phase.NeedsAPI() && len(p.API.Nodes) == 0:
		return fmt.Errorf("%s needs the address of the server's API", phase.Kind)
	case phase.Kind == Mix && len(phase.Parts) == 0:
		return errors.New("mix has no parts")
	}
	for _, part := range phase.Parts {
		if part.Kind == Mix || part.Kind == Open || part.Kind == Close || part.Kind == Prove || part.Kind == Fanout || part.Kind == Churn || part.Kind == Move {
			return fmt.Errorf("%s cannot be part of a mix", part.Kind)
		}
		if err := p.check(part); err != nil {
			return err
		}
	}
	return nil
}

// Order is what the parent tells a worker, one JSON value after the other.
type Order struct {
	Begin  *Phase `json:"begin,omitempty"`  // begin this phase
	AtNS   int64  `json:"at_ns,omitempty"`  // its time 0, by Clock
	Stop   bool   `json:"stop,omitempty"`   // end the phase now, with what there is
	Finish bool   `json:"finish,omitempty"` // reset what is open, report, exit
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
	Loop  int64       `json:"loop"` // number over all workers
	AtNS  int64       `json:"at_ns"`
	Open  int64       `json:"open"` // connections open now
	Since tally.Delta `json:"since"`
}

// WhyAllEnded is the reason of a loop whose connections are all gone. Of one loop it is
// no news, because each has only its share; of all it is the end of the run.
const WhyAllEnded = "no connection is left"

// PhaseEnd says that one loop has ended a phase.
type PhaseEnd struct {
	Loop  int64         `json:"loop"`
	Wall  time.Duration `json:"wall"`  // from begin to end
	CPU   time.Duration `json:"cpu"`   // of the loop's thread meanwhile
	Early string        `json:"early"` // why it ended before its time; empty: it did not
	Open  int64         `json:"open"`
	EndNS int64         `json:"end_ns"`
	Lasts []int64       `json:"lasts,omitempty"` // fanout: for each message the latency of this loop's last device, ns; -1: some device did not get it
	Back  time.Duration `json:"back,omitempty"`  // cycle: from the phase's time 0 until the last connection was back
}

// Result is a worker's last word; what it counted is in its ticks.
type Result struct {
	RSSBytes int64 `json:"rss_bytes"` // most that the process ever had resident
}
