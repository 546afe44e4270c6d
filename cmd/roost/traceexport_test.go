package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/cmd/roost/internal/config"
)

// exported is the part of a span that the test looks at.
type exported struct {
	node, trace, parent, steps string
}

// collector takes spans of OTLP/JSON.
func collector(t *testing.T) (url string, spans <-chan exported) {
	got := make(chan exported, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			ResourceSpans []struct {
				Resource struct {
					Attributes []struct {
						Key   string
						Value struct{ StringValue string }
					}
				}
				ScopeSpans []struct {
					Spans []struct {
						TraceID, ParentSpanID string
						Events                []struct{ Name string }
					}
				}
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
		}
		for _, of := range body.ResourceSpans {
			node := ""
			for _, a := range of.Resource.Attributes {
				if a.Key == "service.instance.id" {
					node = a.Value.StringValue
				}
			}
			for _, s := range of.ScopeSpans[0].Spans {
				var steps []string
				for _, e := range s.Events {
					steps = append(steps, e.Name)
				}
				got <- exported{node, s.TraceID, s.ParentSpanID, strings.Join(steps, " ")}
			}
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/v1/traces", got
}

// TestTraceExport: each node that a traced message has been on exports its part, below the
// caller's span, and a message without a traceparent is nobody's.
func TestTraceExport(t *testing.T) {
	url, spans := collector(t)
	nodes := startClusterWith(t, 2, func(c *config.Config) {
		patient(c)
		c.Trace.OTLP.URL, c.Trace.OTLP.Interval, c.Trace.OTLP.Linger = url, 10*time.Millisecond, 100*time.Millisecond
	})
	account := nodes[0].accountAt("n1", 0)
	phone := nodes[1].connect(account, "phone")
	nodes[0].knows(account, "phone", "n2")
	push := fmt.Sprintf(`{"to":{"account":%q,"device":"phone"},"payload":1}`, account)
	if status, body := nodes[0].push(push); status != 200 {
		t.Fatal(status, body)
	}
	nodes[0].tracedPush(push)
	phone.expect(map[string]any{"type": "message", "payload": 1})
	phone.expect(map[string]any{"type": "message", "payload": 1, "traceparent": traceparent})
	// A node that is slow between two events tells them in two spans.
	missing := map[string][]string{"n1": {"accepted", "forwarded"}, "n2": {"taken", "sent"}}
	for len(missing["n1"])+len(missing["n2"]) > 0 {
		var s exported
		select {
		case s = <-spans:
		case <-time.After(patience):
			t.Fatalf("no span has %v", missing)
		}
		if s.trace != traceparent[3:35] || s.parent != traceparent[36:52] {
			t.Errorf("a span of %+v", s)
		}
		missing[s.node] = slices.DeleteFunc(missing[s.node], func(step string) bool { return slices.Contains(strings.Fields(s.steps), step) })
	}
	for _, n := range nodes {
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		if s := n.node.exporter.Stats(); s.Spans == 0 || s.SpansDropped != 0 || s.EventsDropped != 0 {
			t.Errorf("%+v", s)
		}
	}
}
