package api

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/trace"
)

// Tracer remembers where messages were on this node; trace.Ring is one. Any goroutine may
// call it; it does not block.
type Tracer interface {
	Events(id session.ID) []trace.Event
}

// Traces asks all other nodes what they remember, at the same time, and waits for their
// answers, a few seconds at most.
type Traces interface {
	Traces(id session.ID) []NodeTrace
}

// NodeTrace is what another node remembers of a message.
type NodeTrace struct {
	Node string `json:"node"`
	// SkewUS is by how many microseconds its clock is ahead of that of the node which asked,
	// as far as one question tells: give or take SkewErrorUS, half of the round trip.
	SkewUS      int64  `json:"skew_us"`
	SkewErrorUS int64  `json:"skew_error_us"`
	Error       string `json:"error,omitempty"` // why it said nothing

	Events []trace.Event `json:"-"`
}

// skew is what to take off the times of its events. What may be an error of the measurement
// is none.
func (t *NodeTrace) skew() int64 {
	if max(t.SkewUS, -t.SkewUS) <= t.SkewErrorUS {
		return 0
	}
	return t.SkewUS
}

// traceEvent is one event of the answer.
type traceEvent struct {
	AtUS    int64  `json:"at_us"` // Unix microseconds by the clock of the node that was asked
	Node    string `json:"node"`
	Step    string `json:"step"`
	Outcome string `json:"outcome,omitempty"`
	Device  string `json:"device,omitempty"`
	Devices uint32 `json:"devices,omitempty"`
	Peer    string `json:"peer,omitempty"`
}

// getTrace answers GET /v1/trace/{id}: where a message was and when, as far as this node
// and the others remember it. Times are as this node's clock would have them, by the skew
// of each node's; the order within a node is that in which things happened.
func (s *Server) getTrace(w http.ResponseWriter, r *http.Request) *Problem {
	text := r.PathValue("id")
	id, ok := session.ParseMessageID(text)
	if !ok {
		return problem(http.StatusNotFound, codeTraceUnknown, fmt.Sprintf("%.60q is no message's id: a push is answered with it, NODE.EPOCH.NUMBER", text))
	}
	nodes := []NodeTrace{{Node: s.node.Origin.Node}}
	if s.node.Tracer != nil {
		nodes[0].Events = s.node.Tracer.Events(id)
	}
	if s.node.Traces != nil {
		nodes = append(nodes, s.node.Traces.Traces(id)...)
	}
	events := mergeTraces(nodes)
	if len(events) == 0 {
		for _, n := range nodes {
			if n.Error != "" {
				return busy(codeNodeUnreachable, fmt.Sprintf("nothing is remembered of message %s, but %s did not say: %s", text, n.Node, n.Error))
			}
		}
		return problem(http.StatusNotFound, codeTraceUnknown, fmt.Sprintf("no node remembers anything of message %s: it is too long ago for the last trace.events, or trace.mode leaves it out", text))
	}
	return writeJSON(w, struct {
		ID     string       `json:"id"`
		Nodes  []NodeTrace  `json:"nodes"`
		Events []traceEvent `json:"events"`
	}{text, nodes, events})
}

// mergeTraces puts the events of all nodes into one order, by time. Those of a node stay in
// theirs, also where its clock was set back.
func mergeTraces(nodes []NodeTrace) []traceEvent {
	var all []traceEvent
	for i := range nodes {
		n := &nodes[i]
		last := int64(0)
		for _, e := range n.Events {
			x := traceEvent{
				AtUS: max(last, e.AtUS-n.skew()), Node: n.Node, Step: e.Step.String(), Device: e.Device, Devices: e.Devices, Peer: e.Peer,
			}
			if last = x.AtUS; e.Outcome != session.Pending {
				x.Outcome = e.Outcome.String()
			}
			all = append(all, x)
		}
	}
	slices.SortStableFunc(all, func(a, b traceEvent) int { return cmp.Compare(a.AtUS, b.AtUS) })
	return all
}
