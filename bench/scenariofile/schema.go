package scenariofile

import (
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/roostpush/roost/bench/generator"
)

// file is a whole scenario file.
type file struct {
	Name       string         `yaml:"name" doc:"shown in reports"`
	Target     fileTarget     `yaml:"target" doc:"whom the load goes to"`
	API        fileAPI        `yaml:"api" doc:"where pushes are given to the server (Roost)"`
	Processes  int            `yaml:"procs" doc:"generator processes"`
	Loops      int            `yaml:"loops" doc:"event loops in each process"`
	ServerPIDs oneOrMore[int] `yaml:"server_pid" doc:"process of a local server, or a list of them, whose CPU and memory are reported"`
	Thresholds []string       `yaml:"fail" doc:"conditions that must hold, like push.p99<5ms"`
	Phases     []filePhase    `yaml:"phases" doc:"carried out one after the other"`
}

type fileTarget struct {
	URLs        oneOrMore[string] `yaml:"url" doc:"ws://host:port/path; {i} is the connection's number. A list: the nodes of a cluster, to which connections go in turn"`
	Account     *string           `yaml:"account" doc:"account of each connection; empty: none"`
	Device      *string           `yaml:"device" doc:"device of each connection; empty: none"`
	TokenSecret string            `yaml:"token_secret" doc:"mint an HS256 token with it"`
	Headers     []string          `yaml:"headers" doc:"'Name: value' of the handshake"`
	Subprotocol []string          `yaml:"subprotocol" doc:"offered, in this order"`
	Source      string            `yaml:"source" doc:"source addresses, like 127.0.1.1-127.0.1.250"`
	CA          string            `yaml:"ca" doc:"PEM file of authorities for wss://; empty: the system's"`
	Insecure    bool              `yaml:"insecure" doc:"wss://: take any certificate"`
}

type fileAPI struct {
	URLs    oneOrMore[string] `yaml:"url" doc:"internal listener, like http://127.0.0.1:8081. A list: those of several nodes; device i is pushed to through number i modulo their count"`
	Token   string            `yaml:"token" doc:"service token"`
	Streams int               `yaml:"streams" doc:"streams of pushes in each loop"`
}

// filePhase is one phase. Its keys are those of all kinds; keys says which kind has which.
type filePhase struct {
	Kind        string        `yaml:"phase" doc:"what is done"`
	Connections int64         `yaml:"connections" doc:"connections to open"`
	First       int64         `yaml:"first" doc:"number of the first one, when others are open already"`
	Group       int64         `yaml:"group" doc:"devices of one account; relay sends from each to the next"`
	Rate        float64       `yaml:"rate" doc:"starts a second over all; 0: closed loop"`
	For         time.Duration `yaml:"for" doc:"how long"`
	Hold        time.Duration `yaml:"hold" doc:"churn: how long each connection is kept; cycle: wait before a failed attempt is made again"`
	Timeout     time.Duration `yaml:"timeout" doc:"wait for the last answers"`
	Size        int           `yaml:"size" doc:"payload in bytes"`
	Inflight    int           `yaml:"inflight" doc:"closed loop: messages under way on each connection"`
	Window      int           `yaml:"window" doc:"closed loop: pushes without a result"`
	Wait        string        `yaml:"wait" doc:"written, acked or none: what a result waits for"`
	To          string        `yaml:"to" doc:"fanout: all, or account (that of connection 0)"`
	TTL         time.Duration `yaml:"ttl" doc:"push: how long the server keeps each message, until its device has acknowledged it"`
	Low         int64         `yaml:"low" doc:"the phase has connections from this number"`
	High        int64         `yaml:"high" doc:"up to this one, which it has not; 0: no bound"`
	Revive      bool          `yaml:"revive" doc:"bring back what the server ends"`
	Returns     float64       `yaml:"returns" doc:"cycle: connections brought back a second; 0: as fast as they complete"`
	Ramp        bool          `yaml:"ramp" doc:"step the rate until a threshold breaks, then search"`
	Parts       []filePhase   `yaml:"parts" doc:"phases at the same time, each with connections of its own"`
}

// keys lists which keys each kind looks at, beside phase.
var keys = map[generator.Kind][]string{
	generator.Open:   {"connections", "first", "group", "rate"},
	generator.Churn:  {"rate", "for", "hold", "first", "ramp"},
	generator.Wait:   {"for"},
	generator.Prove:  {"timeout", "revive"},
	generator.Echo:   {"rate", "inflight", "size", "for", "timeout", "low", "high", "ramp"},
	generator.Push:   {"rate", "window", "size", "for", "timeout", "wait", "ttl", "low", "high", "ramp"},
	generator.Fanout: {"rate", "size", "for", "timeout", "wait", "to", "low", "high", "ramp"},
	generator.Relay:  {"rate", "group", "size", "for", "timeout", "low", "high", "ramp"},
	generator.Cycle:  {"rate", "returns", "for", "timeout", "hold", "low", "high"},
	generator.Move:   {"rate", "for", "timeout", "low", "high"},
	generator.Mix:    {"parts", "for", "revive"},
	generator.Close:  {},
}

// oneOrMore is one value, or a list of them.
type oneOrMore[T any] []T

// UnmarshalYAML takes both.
func (o *oneOrMore[T]) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		return n.Decode((*[]T)(o))
	}
	var one T
	err := n.Decode(&one)
	*o = oneOrMore[T]{one}
	return err
}

// What a phase has when the file does not say.
const (
	defaultTimeout  = 5 * time.Second
	defaultSize     = 128
	defaultInflight = 1
)

// phase turns one entry into what the generator does. The kind is known already.
func (p filePhase) phase() generator.Phase {
	kind := generator.Kind(p.Kind)
	g := generator.Phase{
		Kind: kind, Connections: p.Connections, FirstIndex: p.First, Group: p.Group, PerSecond: p.Rate, Duration: p.For, Hold: p.Hold,
		Timeout: p.Timeout, PayloadBytes: p.Size, Inflight: p.Inflight, Window: p.Window, Waits: p.Wait, TTL: p.TTL, Account: p.To == "account",
		Low: p.Low, High: p.High, Revive: p.Revive, Returns: p.Returns,
	}
	switch kind {
	case generator.Open:
		g.Measured = p.Rate > 0
	case generator.Churn:
		g.Measured, g.Connections = true, int64(p.Rate*p.For.Seconds())
	case generator.Echo, generator.Push, generator.Fanout, generator.Relay, generator.Cycle, generator.Move, generator.Mix:
		g.Measured = true
		if g.PayloadBytes == 0 {
			g.PayloadBytes = defaultSize
		}
		if kind == generator.Echo && g.PerSecond == 0 && g.Inflight == 0 {
			g.Inflight = defaultInflight
		}
	}
	if g.Timeout == 0 {
		g.Timeout = defaultTimeout
	}
	for _, part := range p.Parts {
		if part.For == 0 {
			part.For = p.For // a part lasts as long as its mix
		}
		g.Parts = append(g.Parts, part.phase())
	}
	return g
}
