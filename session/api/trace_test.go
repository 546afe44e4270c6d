package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/trace"
)

// remembered here and elsewhere.
type memories struct {
	here  map[session.ID][]trace.Event
	there []NodeTrace
}

func (m *memories) Events(id session.ID) []trace.Event { return m.here[id] }
func (m *memories) Traces(session.ID) []NodeTrace      { return m.there }

func step(atUS int64, s session.Step, device string) trace.Event {
	return trace.Event{AtUS: atUS, Event: session.Event{Step: s, Device: device}}
}

func TestTrace(t *testing.T) {
	n := newTestNode(t, nil)
	id, _ := session.ParseMessageID("n1.7.5")
	m := &memories{here: map[session.ID][]trace.Event{id: {
		step(1000, session.StepAccepted, "tv"), step(1100, session.StepForwarded, "tv"), step(1900, session.StepBecame, "tv"),
	}}}
	m.here[id][2].Outcome, m.here[id][1].Peer = session.Written, "n2"
	n.node.Tracer, n.node.Traces = m, m
	// A clock that is ahead, one of which nobody can say, and a node that says nothing.
	m.there = []NodeTrace{
		{Node: "n2", SkewUS: 5000, SkewErrorUS: 100, Events: []trace.Event{step(6200, session.StepTaken, "tv"), step(6150, session.StepSent, "tv")}},
		{Node: "n3", SkewUS: 90, SkewErrorUS: 100, Events: []trace.Event{step(1500, session.StepAccepted, "")}},
		{Node: "n4", Error: "no link"},
	}
	w := n.call("GET", "/v1/trace/n1.7.5", "")
	var got struct {
		ID     string
		Nodes  []NodeTrace
		Events []traceEvent
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got.ID != "n1.7.5" || len(got.Nodes) != 4 || got.Nodes[1].SkewUS != 5000 || got.Nodes[3].Error != "no link" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	text := ""
	for _, e := range got.Events {
		text += fmt.Sprintf("%d %s %s%s%s, ", e.AtUS, e.Node, e.Step, e.Outcome, e.Peer)
	}
	// The clock of n2 was set back between its two: their order stays.
	if want := "1000 n1 accepted, 1100 n1 forwardedn2, 1200 n2 taken, 1200 n2 sent, 1500 n3 accepted, 1900 n1 becamewritten, "; text != want {
		t.Errorf("%s, want %s", text, want)
	}
}

func TestTraceUnknown(t *testing.T) {
	n := newTestNode(t, nil)
	for path, want := range map[string]string{
		"/v1/trace/n1.7.5": "trace.mode", "/v1/trace/nonsense": "NODE.EPOCH.NUMBER",
	} {
		if w := n.call("GET", path, ""); w.Code != 404 || !strings.Contains(w.Body.String(), codeTraceUnknown) || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	n.node.Traces = &memories{there: []NodeTrace{{Node: "n2", Error: "no link"}}}
	if w := n.call("GET", "/v1/trace/n1.7.5", ""); w.Code != 503 || !strings.Contains(w.Body.String(), "n2 did not say: no link") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A traceparent goes on to the device, from the header or, in its place, from a line's own
// member; one that is not well-formed is ignored.
func TestTraceparentIsCarried(t *testing.T) {
	const header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	const own = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	n := newTestNode(t, nil)
	var got []string
	n.router.AttachTracer(noting(func(e session.Event) {
		if e.Step == session.StepAccepted {
			got = append(got, fmt.Sprint(e.Traced))
		}
	}))
	push := `{"to":{"account":"bob","device":"tv"},"payload":1%s}`
	n.call("POST", "/v1/messages", fmt.Sprintf(push, ""), "Traceparent", header)
	n.call("POST", "/v1/messages", fmt.Sprintf(push, ""), "Traceparent", "00-")
	n.call("POST", "/v1/messages", fmt.Sprintf(push, `,"traceparent":"`+own+`"`))
	n.call("PUT", "/v1/accounts/bob/devices/tv/messages", "1", "TTL", "0", "Traceparent", header)
	n.call("POST", "/v1/messages", fmt.Sprintf(push, "")+"\n", "Content-Type", "application/x-ndjson", "Traceparent", header)
	if text := strings.Join(got, " "); text != "true false true true true" {
		t.Error(text)
	}
	ttl := `,"ttl_ms":60000,"wait":"none"`
	n.call("POST", "/v1/messages", fmt.Sprintf(push, ttl), "Traceparent", header)
	n.call("POST", "/v1/messages", fmt.Sprintf(push, ttl+`,"traceparent":"`+own+`"`), "Traceparent", header)
	n.call("POST", "/v1/messages", fmt.Sprintf(push, ttl))
	if text := strings.Join(n.mailbox.traces, " "); text != header+" "+own+" " {
		t.Errorf("kept with %q", text)
	}
}

// noting is a tracer.
type noting func(session.Event)

func (f noting) Note(e session.Event) { f(e) }
