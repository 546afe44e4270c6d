package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/roostpush/roost/cmd/roost/internal/config"
)

func TestPushReachesADevice(t *testing.T) {
	t.Parallel()
	n := startNode(t, nil)
	d := n.connect("alice", "phone")
	payload := `{"b":1,  "a":[1,2,{"x":"\u00e9"}]}`
	status, body := n.push(`{"to":{"account":"alice","device":"phone"},"payload":` + payload + `}`)
	if status != 200 || !strings.Contains(body, `"outcome":"written"`) || !strings.Contains(body, `"node":"n1"`) {
		t.Fatalf("%d %s", status, body)
	}
	text, _, err := d.frame()
	if err != nil || !bytes.Contains(text, []byte(`"payload":`+payload)) {
		t.Fatalf("the payload did not come byte for byte: %s %v", text, err)
	}
	acked := make(chan string, 1)
	go func() {
		_, body := n.push(`{"to":{"account":"alice","device":"phone"},"payload":1,"wait":"acked"}`)
		acked <- body
	}()
	m := d.expect(map[string]any{"type": "message", "ack": true})
	d.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))
	if body := <-acked; !strings.Contains(body, `"outcome":"acked"`) {
		t.Fatal(body)
	}
	if status, body := n.push(`{"to":{"account":"bob","device":"none"},"payload":1}`); status != 404 {
		t.Fatalf("an unknown device: %d %s", status, body)
	}
	d.conn.Close()
	eventually(t, "the session to go", func() bool { return n.node.sessions.Len() == 0 })
	n.flush() // records are written behind
	if status, body := n.push(`{"to":{"account":"alice","device":"phone"},"payload":1}`); status != 410 {
		t.Fatalf("a device that is away: %d %s", status, body)
	}
}

func TestDisplacement(t *testing.T) {
	t.Parallel()
	n := startNode(t, nil)
	old := n.connect("alice", "phone")
	fresh := n.connect("alice", "phone")
	if code, _ := old.closed(); code != 4001 {
		t.Fatalf("the older connection was closed with %d", code)
	}
	old.conn.Close()
	status, body := n.push(`{"to":{"account":"alice"},"payload":1}`)
	if status != 200 || strings.Count(body, `"outcome"`) != 1 {
		t.Fatalf("%d %s", status, body)
	}
	fresh.expect(map[string]any{"type": "message"})
	if n.node.sessions.Len() != 1 {
		t.Fatalf("%d sessions", n.node.sessions.Len())
	}
}

func TestDeviceFrames(t *testing.T) {
	t.Parallel()
	n := startNode(t, nil)
	phone, tablet, other := n.connect("alice", "phone"), n.connect("alice", "tablet"), n.connect("bob", "phone")
	for _, tc := range []struct {
		name, say string
		want      map[string]any
	}{
		{"ping", `{"type":"ping","id":"p1"}`, map[string]any{"type": "pong", "ref": "p1"}},
		{"unknown type", `{"type":"dance","id":3}`, map[string]any{"type": "error", "ref": 3, "code": "unknown_type"}},
		{"no JSON", `hello`, map[string]any{"type": "error", "code": "bad_json"}},
		{"array", `[1]`, map[string]any{"type": "error"}},
		{"send without to", `{"type":"send","id":1,"payload":1}`, map[string]any{"type": "error", "ref": 1, "code": "missing"}},
		{"another account", `{"type":"send","id":2,"to":{"account":"bob","device":"phone"},"payload":1}`, map[string]any{"type": "error", "ref": 2, "code": "forbidden"}},
		{"ttl", `{"type":"send","id":2,"to":{"device":"tablet"},"payload":1,"ttl_ms":9999999999999}`, map[string]any{"type": "error", "code": "bad_value"}},
		{"long ttl", `{"type":"send","id":2,"to":{"device":"tablet"},"payload":1,"ttl_ms":2000000000000}`, map[string]any{"type": "error", "code": "ttl_out_of_range"}},
		{"nobody there", `{"type":"send","id":4,"to":{"device":"watch"},"payload":1}`, map[string]any{"type": "result", "ref": 4, "status": "offline"}},
		{"foreign ack", `{"type":"ack","ids":["n1.1.zz"]}`, map[string]any{"type": "error", "code": "unknown_message"}},
		{"ack of nothing", `{"type":"ack","ids":[]}`, map[string]any{"type": "error", "code": "bad_value"}},
		{"subscribe", `{"type":"subscribe","id":5,"topics":["a.b"]}`, map[string]any{"type": "result", "ref": 5, "status": "ok"}},
		{"token in mode none", `{"type":"token","id":6,"token":"x"}`, map[string]any{"type": "result", "ref": 6, "status": "ok"}},
		{"presence", `{"type":"subscribe","id":5,"presence":true}`, map[string]any{"type": "result", "ref": 5, "status": "ok"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			phone.say(tc.say)
			phone.expect(tc.want)
		})
	}
	phone.hears("tablet online") // it has subscribed: this comes with the next tick
	phone.say(`{"type":"send","id":"s1","to":{"device":"tablet"},"payload":{"from":"me?"}}`)
	m := tablet.expect(map[string]any{"type": "message"})
	if fmt.Sprint(m["from"]) != "map[device:phone]" {
		t.Fatalf("sender %v", m["from"])
	}
	phone.expect(map[string]any{"type": "result", "ref": "s1", "status": "written"})
	phone.say(`{"type":"send","id":"s2","to":{"devices":"others"},"text":"hi","wait":"acked"}`)
	m = tablet.expect(map[string]any{"type": "message", "text": "hi", "ack": true})
	other.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))
	other.expect(map[string]any{"type": "error", "code": "unknown_message"})
	tablet.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))
	phone.expect(map[string]any{"type": "result", "ref": "s2"})
	phone.say(`{"type":"devices","id":"d"}`)
	list := phone.expect(map[string]any{"type": "result", "ref": "d", "status": "ok"})
	if devices, _ := list["devices"].([]any); len(devices) != 2 {
		t.Fatalf("devices: %v", list)
	}
	if err := wsutil.WriteClientBinary(phone.conn, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if code, _ := phone.closed(); code != 1003 {
		t.Fatalf("a binary frame: closed with %d", code)
	}
}

func TestRawDevice(t *testing.T) {
	t.Parallel()
	n := startNode(t, nil)
	raw := n.dial(ws.Dialer{Protocols: []string{"roost.raw"}}, n.url("alice", "raw"))
	json := n.connect("alice", "json")
	eventually(t, "both", func() bool { return n.node.sessions.Len() == 2 })
	for _, tc := range []struct {
		member, want string
		op           ws.OpCode
	}{{`"payload":{"a":1}`, `{"a":1}`, ws.OpText}, {`"text":"plain"`, "plain", ws.OpText}, {`"base64":"AAEC"`, "\x00\x01\x02", ws.OpBinary}} {
		if status, body := n.push(`{"to":{"account":"alice","device":"raw"},` + tc.member + `}`); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		got, op, err := raw.frame()
		if err != nil || string(got) != tc.want || op != tc.op {
			t.Fatalf("%q %v %v, want %q", got, op, err, tc.want)
		}
	}
	raw.say("from raw")
	json.expect(map[string]any{"type": "message", "text": "from raw"})
	// Its pong acknowledges: the client library answers pings by itself.
	acked := make(chan string, 1)
	go func() {
		_, body := n.push(`{"to":{"account":"alice","device":"raw"},"payload":7,"wait":"acked"}`)
		acked <- body
		n.push(`{"to":{"account":"alice","device":"raw"},"payload":8}`)
		close(acked)
	}()
	if got, _, err := raw.frame(); err != nil || string(got) != "7" {
		t.Fatalf("%q %v", got, err)
	}
	if got, _, err := raw.frame(); err != nil || string(got) != "8" { // answers the ping on its way
		t.Fatalf("%q %v", got, err)
	}
	if body := <-acked; !strings.Contains(body, `"outcome":"acked"`) {
		t.Fatal(body)
	}
	<-acked // the last push has its answer, before the node is stopped
}

func TestRefusedUpgrades(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *config.Config) {
		c.Protocol.Origins = []string{"https://app.example.com", "https://*.example.org"}
	})
	for _, tc := range []struct {
		name   string
		path   string
		header http.Header
		status int
	}{
		{"wrong path", "/wss?account=a&device=b", nil, 404},
		{"no account", "/ws?device=b", nil, 400},
		{"no device", "/ws?account=a", nil, 400},
		{"slash in a name", "/ws?account=a%2Fb&device=b", nil, 400},
		{"bad escape", "/ws?account=a%2&device=b", nil, 400},
		{"name too long", "/ws?device=b&account=" + strings.Repeat("a", 129), nil, 400},
		{"foreign origin", "/ws?account=a&device=b", http.Header{"Origin": {"https://evil.example"}}, 403},
		{"lookalike origin", "/ws?account=a&device=b", http.Header{"Origin": {"https://evil.com/.example.org"}}, 403},
		{"unknown subprotocol", "/ws?account=a&device=b", http.Header{"Sec-Websocket-Protocol": {"mqtt"}}, 400},
		{"token alone", "/ws?account=a&device=b", http.Header{"Sec-Websocket-Protocol": {"roost.token.abc"}}, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, _, err := ws.Dialer{Header: ws.HandshakeHeaderHTTP(tc.header)}.Dial(context.Background(), "ws://"+n.public+tc.path)
			var status ws.StatusError
			if !errors.As(err, &status) || int(status) != tc.status {
				t.Fatalf("%v, want %d", err, tc.status)
			}
		})
	}
	for _, origin := range []string{"https://app.example.com", "https://a.example.org"} {
		conn, _, _, err := ws.Dialer{Header: ws.HandshakeHeaderHTTP{"Origin": {origin}}}.Dial(context.Background(), n.url("a", "b"))
		if err != nil {
			t.Fatalf("%s: %v", origin, err)
		}
		conn.Close()
	}
	if status, _ := n.get("http://" + n.public + "/ws"); status != 426 {
		t.Fatalf("a plain GET of /ws: %d", status)
	}
	if status, _ := n.get("http://" + n.public + "/readyz"); status != 200 {
		t.Fatalf("/readyz: %d", status)
	}
}

func TestRateLimitRefusesThenCloses(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *config.Config) {
		c.Protocol.MessageRate, c.Protocol.MessageBurst, c.Protocol.StrikesMax = 1, 3, 4
	})
	d := n.connect("alice", "phone")
	// All in one write: a machine that is slow between two frames earns the device another.
	var pings bytes.Buffer
	for range 7 {
		if err := wsutil.WriteClientText(&pings, []byte(`{"type":"ping"}`)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.conn.Write(pings.Bytes()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		d.expect(map[string]any{"type": "pong"})
	}
	for range 3 {
		d.expect(map[string]any{"type": "error", "code": "rate"})
	}
	if code, reason := d.closed(); code != 4006 || !strings.Contains(reason, "reconnect_ms") {
		t.Fatalf("closed with %d %q", code, reason)
	}
}

func TestLifetimeEndsWithGoaway(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *config.Config) {
		c.Protocol.LifetimeMin, c.Protocol.LifetimeMax, c.Protocol.LifetimeGrace = time.Second, time.Second, time.Second
	})
	d := n.connect("alice", "phone")
	d.expect(map[string]any{"type": "goaway", "reason": "lifetime"})
	if code, reason := d.closed(); code != 4003 || !strings.Contains(reason, "reconnect_ms") {
		t.Fatalf("closed with %d %q", code, reason)
	}
}

func TestLeavingTellsEveryDevice(t *testing.T) {
	t.Parallel()
	// The grace is the time in which the questions below must be asked and answered.
	n := startNode(t, func(c *config.Config) { c.Drain.Over, c.Drain.Grace = 0, 10*time.Second })
	d := n.connect("alice", "phone")
	left := make(chan error, 1)
	go func() { left <- n.stop() }()
	goaway := d.expect(map[string]any{"type": "goaway", "reason": "drain"})
	if ms, _ := goaway["reconnect_ms"].(float64); ms < 500 || ms > 15000 {
		t.Fatalf("reconnect_ms %v", goaway)
	}
	if status, body := n.get("http://" + n.public + "/readyz"); status != 503 || !strings.Contains(body, "draining") {
		t.Fatalf("/readyz while leaving: %d %s", status, body)
	}
	_, _, _, err := ws.Dial(context.Background(), n.url("bob", "phone"))
	var status ws.StatusError
	if !errors.As(err, &status) || int(status) != 503 {
		t.Fatalf("an upgrade while leaving: %v", err)
	}
	if code, reason := d.closed(); code != 1001 || !strings.Contains(reason, "reconnect_ms") {
		t.Fatalf("closed with %d %q", code, reason)
	}
	d.conn.Close()
	if err := <-left; err != nil {
		t.Fatal(err)
	}
}
