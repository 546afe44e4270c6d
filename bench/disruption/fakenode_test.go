package disruption

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"
)

const fakeToken = "0123456789abcdef"

// fakePush is a push as a fake cluster treats it, for a lie to change.
type fakePush struct {
	number  int    // of the worker
	total   int    // pushes so far
	to      string // device
	other   string // some other device
	copies  int
	outcome string // empty: the connection is cut instead
}

// lie changes what happens to a push.
type lie func(*fakePush)

// fakeCluster is some nodes with one table that is always right.
type fakeCluster struct {
	lie lie

	mu      sync.Mutex
	devices map[string]*fakeDevice
	total   int
}

type fakeDevice struct {
	conn net.Conn
	node string
}

// startFakes runs the cluster until the test ends.
func startFakes(t *testing.T, count int, lie lie) (nodes []Node) {
	c := &fakeCluster{lie: lie, devices: map[string]*fakeDevice{}}
	for i := range count {
		name := fmt.Sprint("n", i+1)
		public := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.connect(name, w, r) }))
		internal := httptest.NewServer(http.HandlerFunc(c.serve))
		t.Cleanup(func() {
			public.Close()
			internal.CloseClientConnections()
			internal.Close()
		})
		nodes = append(nodes, Node{Name: name, Public: public.Listener.Addr().String(), Internal: internal.Listener.Addr().String()})
	}
	return nodes
}

func (c *fakeCluster) connect(node string, w http.ResponseWriter, r *http.Request) {
	conn, _, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		return
	}
	name := r.URL.Query().Get("device")
	c.mu.Lock()
	if old := c.devices[name]; old != nil {
		old.conn.Close()
	}
	c.devices[name] = &fakeDevice{conn, node}
	_ = ws.WriteFrame(conn, ws.NewTextFrame([]byte(fmt.Sprintf(`{"type":"hello","node":%q}`, node))))
	c.mu.Unlock()
}

func (c *fakeCluster) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/readyz" {
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+fakeToken {
		http.Error(w, `{"code":"unauthorized"}`, http.StatusUnauthorized)
		return
	}
	var body struct {
		To      struct{ Device string }
		Payload json.RawMessage
	}
	text, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(text, &body) != nil {
		http.Error(w, `{"code":"bad"}`, http.StatusBadRequest)
		return
	}
	var payload pushed
	_ = json.Unmarshal(body.Payload, &payload)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total++
	p := &fakePush{number: payload.Number, total: c.total, to: body.To.Device, copies: 1, outcome: "written"}
	for name := range c.devices {
		if name != p.to {
			p.other = name
		}
	}
	if c.lie != nil {
		c.lie(p)
	}
	frame := strings.Replace(`{"type":"message","payload":?}`, "?", string(body.Payload), 1)
	d := c.devices[p.to]
	for range p.copies {
		_ = ws.WriteFrame(d.conn, ws.NewTextFrame([]byte(frame)))
	}
	if p.outcome == "" {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, `{"id":"x","outcomes":[{"device":%q,"outcome":%q,"node":%q}]}`, p.to, p.outcome, d.node)
}
