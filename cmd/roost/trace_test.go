package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/roostpush/roost/cmd/roost/internal/client"
	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/session/trace"
)

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// tracedPush pushes with a traceparent and returns the answer.
func (n *testNode) tracedPush(body string) string {
	n.t.Helper()
	req, err := http.NewRequest("POST", "http://"+n.internal+"/v1/messages", strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	req.Header.Set("Traceparent", traceparent)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 || resp.Header.Get("Traceparent") != traceparent {
		n.t.Fatalf("%s, traceparent %q", resp.Status, resp.Header.Get("Traceparent"))
	}
	return resp.Header.Get("Location")
}

// way is what a node says of a message's way, a line for each event.
func (n *testNode) way(id string) (string, client.Trace) {
	n.t.Helper()
	c, err := client.New("http://"+n.internal, "")
	if err != nil {
		n.t.Fatal(err)
	}
	defer c.Close()
	found, err := c.Trace(n.t.Context(), id)
	if err != nil {
		return err.Error(), found
	}
	text := ""
	for _, e := range found.Events {
		text += strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.Node, e.Step, e.Outcome, e.Peer)) + "\n"
	}
	return text, found
}

// TestTraceAcrossNodes: a push comes in at n1, is kept at its home n3 and goes to a device at n2; each
// node knows its part, and any node tells the whole. The traceparent reaches the device.
func TestTraceAcrossNodes(t *testing.T) {
	t.Parallel()
	nodes := startClusterWith(t, 3, func(c *config.Config) {
		patient(c)
		c.Trace.Mode = trace.ModeTraced
	})
	n1, n2, n3 := nodes[0], nodes[1], nodes[2]
	account := n1.accountAt("n3", 0)
	phone := n2.connect(account, "phone")
	n1.knows(account, "phone", "n2")
	n3.knows(account, "phone", "n2")

	push := fmt.Sprintf(`{"to":{"account":%q,"device":"phone"},"payload":1,"timeout_ms":20000`, account)
	n1.tracedPush(push + `}`)
	m := phone.expect(map[string]any{"type": "message", "traceparent": traceparent})
	want := []string{
		"n1 accepted", "n1 forwarded  n2", "n2 taken  n1", "n2 sent", "n2 became written", "n1 became written n2",
	}
	n1.eventually("all is noted", func() bool { return holdsAll(n1, m["id"].(string), want) })
	text, found := n3.way(m["id"].(string))
	if len(found.Nodes) != 3 || found.Nodes[0].Node != "n3" || !holdsAll(n3, m["id"].(string), want) {
		t.Errorf("%s%+v", text, found.Nodes)
	}

	location := n1.tracedPush(push + `,"ttl_ms":60000}`)
	m = phone.expect(map[string]any{"type": "message", "traceparent": traceparent, "ack": true})
	id := m["id"].(string)
	if location != "" && location != "/v1/messages/"+id {
		t.Errorf("%s is %s", id, location)
	}
	phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, id))
	want = []string{
		"n3 accepted", "n3 stored", "n3 taken  n1", "n1 kept  n3", "n3 attempted", "n3 forwarded  n2",
		"n2 taken  n3", "n2 sent", "n2 became written", "n3 became written n2", "n3 became acked",
	}
	n2.eventually("all is noted", func() bool { return holdsAll(n2, id, want) })

	if text, _ := n2.way("n1.1.99999"); !strings.Contains(text, "trace_unknown") {
		t.Error(text)
	}
}

// holdsAll reports whether the way of a message has all those events.
func holdsAll(n *testNode, id string, want []string) bool {
	text, _ := n.way(id)
	for _, line := range want {
		if !strings.Contains(text, line+"\n") {
			return false
		}
	}
	return true
}

func TestPrintTrace(t *testing.T) {
	var b strings.Builder
	err := printTrace(&b, client.Trace{
		Nodes: []client.TraceNode{{Node: "n1"}, {Node: "n2", SkewUS: -2500, SkewErrorUS: 100}, {Node: "n3", SkewUS: 90, SkewErrorUS: 100}, {Node: "n4", Error: "no link"}},
		Events: []client.TraceEvent{
			{AtUS: 1_000_000, Node: "n1", Step: "accepted"},
			{AtUS: 1_001_500, Node: "n1", Step: "became", Outcome: "written", Devices: 17, Peer: "n2"},
		},
	})
	text := b.String()
	for _, want := range []string{"TIME", "+0s", "+1.5ms", "became written", "17 devices", "n2 is 2.5ms behind, give or take 100µs", "n4 did not say what it remembers: no link"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if err != nil || strings.Contains(text, "clock of n3") {
		t.Errorf("%v\n%s", err, text)
	}
}
