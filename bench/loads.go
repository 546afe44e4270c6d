package bench

import (
	"time"

	"github.com/roostpush/roost/bench/generator"
)

// MessageLoad says how messages are sent, whoever sends them.
type MessageLoad struct {
	PerSecond    float64       // over all; 0: closed loop (push only)
	Window       int           // closed loop: pushes without a result
	PayloadBytes int           // of JSON, quotes included
	Duration     time.Duration // of sending
	Timeout      time.Duration // wait for the last ones; what is later is lost
	TTL          time.Duration // push: how long the server keeps each, until its device acknowledges it; 0: not
	Waits        string        // outcome that a result waits for; empty: written
	Group        int64         // relay: devices of one account
	Account      bool          // fan-out: to one account, which all devices have, not to all
}

func (m MessageLoad) phase(kind generator.Kind) generator.Phase {
	return generator.Phase{
		Kind: kind, Measured: true, PerSecond: m.PerSecond, Window: m.Window, PayloadBytes: m.PayloadBytes,
		Duration: m.Duration, Timeout: m.Timeout, TTL: m.TTL, Waits: m.Waits, Group: m.Group, Account: m.Account,
	}
}

// MessagePhases opens connections as fast as they complete and sends by kind: Push,
// Fanout or Relay.
func MessagePhases(kind generator.Kind, connections int64, load MessageLoad) []generator.Phase {
	return []generator.Phase{
		{Kind: generator.Open, Connections: connections, Group: load.Group},
		load.phase(kind),
		{Kind: generator.Close},
	}
}

// StormLoad says who is dropped and what the others get meanwhile.
type StormLoad struct {
	Dropped int64         // connections that are reset at once
	Others  int64         // connections that stay; with an API they get the trickle
	Trickle MessageLoad   // PerSecond 0: none
	Timeout time.Duration // until which all must be back
	Retry   time.Duration // before an attempt that failed is made again
	Returns float64       // connections that come back a second; 0: as fast as they complete
}

// StormPhases opens everybody, drops a part at once, and measures until all are back.
func StormPhases(s StormLoad) []generator.Phase {
	storm := generator.Phase{Kind: generator.Cycle, High: s.Dropped, Timeout: s.Timeout, Hold: s.Retry, Returns: s.Returns}
	parts := []generator.Phase{storm}
	if s.Trickle.PerSecond > 0 && s.Others > 0 {
		trickle := s.Trickle
		trickle.Duration = s.Timeout // it ends with the storm
		push := trickle.phase(generator.Push)
		push.Low = s.Dropped
		parts = append(parts, push)
	}
	return []generator.Phase{
		{Kind: generator.Open, Connections: s.Dropped + s.Others},
		{Kind: generator.Wait, Duration: time.Second}, // what the opening left to do is not the storm's
		{Kind: generator.Mix, Measured: true, Duration: s.Timeout, Parts: parts},
		{Kind: generator.Prove, Timeout: 10 * time.Second},
		{Kind: generator.Close},
	}
}

// SoakLoad is a mixture for hours. Each kind of load has a part of the connections of
// its own; those with a rate of 0 are left out.
type SoakLoad struct {
	Connections int64
	Duration    time.Duration
	Churn       float64 // connections reset and replaced a second
	Echo        float64 // echoes a second, for servers that echo
	Push        float64 // pushes a second (Roost)
	Relay       float64 // messages between devices a second (Roost)
	Payload     int
	Timeout     time.Duration
}

// SoakPhases opens everybody, mixes the loads, and proves at the end that each
// connection is alive. What the server ends comes back.
func SoakPhases(s SoakLoad) []generator.Phase {
	const group = 2
	var parts []generator.Phase
	for _, p := range []generator.Phase{
		{Kind: generator.Push, PerSecond: s.Push}, {Kind: generator.Relay, PerSecond: s.Relay, Group: group},
		{Kind: generator.Echo, PerSecond: s.Echo}, {Kind: generator.Cycle, PerSecond: s.Churn},
	} {
		if p.PerSecond > 0 {
			p.PayloadBytes, p.Duration, p.Timeout = s.Payload, s.Duration, s.Timeout
			parts = append(parts, p)
		}
	}
	share := s.Connections / int64(max(len(parts), 1)) / group * group
	for i := range parts {
		parts[i].Low = int64(i) * share
		if parts[i].High = parts[i].Low + share; i == len(parts)-1 {
			parts[i].High = s.Connections
		}
	}
	if len(parts) == 0 {
		parts = []generator.Phase{{Kind: generator.Wait, Duration: s.Duration}}
	}
	return []generator.Phase{
		{Kind: generator.Open, Connections: s.Connections, Group: group},
		{Kind: generator.Mix, Measured: true, Duration: s.Duration, Parts: parts, Revive: true},
		{Kind: generator.Prove, Timeout: 10 * time.Second, Revive: true},
		{Kind: generator.Close},
	}
}
