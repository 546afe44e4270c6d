package api

import (
	"strings"
	"testing"

	"github.com/roostpush/roost/session"
)

// rest is other nodes that know one device, and count how often they are asked.
type rest struct {
	known []Known
	asked int
}

func (r *rest) Members() []Member                                   { return []Member{{Node: "n2", Linked: true, State: "active"}} }
func (r *rest) Self() (Member, bool)                                { return Member{Public: "192.0.2.1:8080"}, true }
func (r *rest) Where(session.Address) Where                         { return Where{State: "there", Node: "n2"} }
func (r *rest) Session(session.Origin, uint64) (Known, bool, error) { return Known{}, false, nil }

func (r *rest) Known(session.Address) ([]Known, bool) {
	r.asked++
	return r.known, true
}

func (r *rest) Disconnect(session.Address, session.Origin, uint64, uint16, string) (bool, error) {
	return false, nil
}

// What another node remembers makes a push to a device that is away 410 and not 404. The
// lines of a stream do not wait for other nodes.
func TestKnownElsewhere(t *testing.T) {
	n := newTestNode(t, nil)
	others := &rest{known: []Known{{Account: "bob", Device: "old", Node: "n2", Record: session.Record{
		Address: session.Address{Account: "bob", Device: "old"}, Node: "n2", ClosedMS: 5, SeenMS: 5,
	}}}}
	n.node.Cluster = others
	for _, body := range []string{`{"to":{"account":"bob","device":"old"},"payload":1}`, `{"to":{"account":"bob"},"payload":1}`} {
		w := n.call("POST", "/v1/messages", body)
		if w.Code != 410 || !strings.Contains(w.Body.String(), `"device":"old","outcome":"offline"`) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	if w := n.call("GET", "/v1/accounts/bob/devices", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"node":"n2"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := n.call("GET", "/v1/nodes", ""); !strings.Contains(w.Body.String(), `"node":"n2"`) || !strings.Contains(w.Body.String(), `"public":"192.0.2.1:8080"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	before := others.asked
	lines := `{"to":{"account":"bob","device":"old"},"payload":1}` + "\n" + `{"to":{"account":"bob"},"payload":1}` + "\n"
	w := n.call("POST", "/v1/messages", lines, "Content-Type", "application/x-ndjson")
	if strings.Count(w.Body.String(), `"status":404`) != 2 || others.asked != before {
		t.Errorf("asked %d times for %s", others.asked-before, w.Body)
	}
}
