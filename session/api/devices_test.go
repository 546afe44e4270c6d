package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

// TestDevices: the registry says who is online, the store what is remembered.
func TestDevices(t *testing.T) {
	n := newTestNode(t, nil)
	phone := n.connect("a", "phone", takes)
	n.connect("a", "fresh", takes) // its record is not written yet
	n.records.add(session.Record{
		Address: phone.Address, Node: "n1", Session: testOrigin.Text(phone.Number), OpenedMS: phone.OpenedMS,
		SeenMS: phone.OpenedMS + 9000, Remote: "192.0.2.1:1", UserAgent: "ws/8", Attrs: []byte(`{"os":"<x>"}`),
	})
	// Its record says open, in this epoch; its session has just ended.
	n.records.add(session.Record{Address: session.Address{Account: "a", Device: "ended"}, Node: "n1", Session: "n1.7.zz", OpenedMS: 5, SeenMS: 6})
	n.records.add(session.Record{Address: session.Address{Account: "a", Device: "old"}, Node: "n1", Session: "n1.3.a", OpenedMS: 1, SeenMS: 2, ClosedMS: 2, CloseCode: 1006})
	w := n.call("GET", "/v1/accounts/a/devices", "")
	list := decode[struct {
		Account   string
		Truncated bool
		Devices   []device
	}](t, w.Body.Bytes())
	var got []string
	for _, d := range list.Devices {
		got = append(got, fmt.Sprintf("%s:%v:%d:%d", d.Device, d.Online, d.LastSeenMS, d.CloseCode))
	}
	if want := "fresh:true:1700000000000:0 phone:true:1700000009000:0 ended:false:6:0 old:false:2:1006"; strings.Join(got, " ") != want || list.Truncated || list.Account != "a" {
		t.Errorf("%v in %s", got, w.Body)
	}
	if !strings.Contains(w.Body.String(), `"attrs":{"os":"<x>"}`) {
		t.Errorf("attributes changed: %s", w.Body)
	}
	if cut := n.call("GET", "/v1/accounts/a/devices?limit=2", ""); !strings.Contains(cut.Body.String(), `"truncated":true`) {
		t.Errorf("%s", cut.Body)
	}
	if none := n.call("GET", "/v1/accounts/nobody/devices", ""); none.Code != 200 || !strings.Contains(none.Body.String(), `"devices":[]`) {
		t.Errorf("%d %s", none.Code, none.Body)
	}
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"phone": {200, `"online":true`}, "fresh": {200, `"online":true`}, "ended": {200, `"online":false`},
		"old": {200, `"close_code":1006`}, "nobody": {404, codeDeviceUnknown},
	} {
		if w := n.call("GET", "/v1/accounts/a/devices/"+path, ""); w.Code != want.status || !strings.Contains(w.Body.String(), want.text) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	n.records.err = fmt.Errorf("disk on fire")
	for _, path := range []string{"/v1/accounts/a/devices", "/v1/accounts/a/devices/phone"} {
		if w := n.call("GET", path, ""); w.Code != 503 || !strings.Contains(w.Body.String(), codeStoreFailed) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestDisconnect(t *testing.T) {
	n := newTestNode(t, nil)
	live := n.connect("ä", "d", takes)
	n.records.add(session.Record{Address: session.Address{Account: "ä", Device: "away"}})
	for device, status := range map[string]int{"d": 204, "away": 410, "nobody": 404} {
		if w := n.call("DELETE", "/v1/accounts/%C3%A4/devices/"+device+"/session", ""); w.Code != status {
			t.Errorf("%s: %d %s", device, w.Code, w.Body)
		}
	}
	if closed := n.devices.conns[live.Conn].closed; closed != 4007 {
		t.Errorf("closed with %d", closed)
	}
}

// TestPut is the table of RFC 8030-style pushes.
func TestPut(t *testing.T) {
	n := newTestNode(t, func(c *Config) { c.Push.PayloadBytesMax = 100; c.Push.Timeout = c.Push.TimeoutMax / 100 })
	dev := n.connect("a", "d", takes)
	raw := n.connect("a", "r", takes)
	raw.Permissions |= session.Raw
	n.records.add(session.Record{Address: session.Address{Account: "a", Device: "away"}})
	for _, tc := range []struct {
		name, device, body string
		header             []string
		status             int
		want               string // in the answer
		frame              string // in the device's frame
	}{
		{"binary", "d", "\x00\xff", nil, 200, `"outcome":"written"`, `"base64":"AP8="`},
		{"text", "d", "hi", []string{"Content-Type", "text/plain; charset=utf-8"}, 200, `"written"`, `"text":"hi"`},
		{"json", "d", `{"a": 1}`, []string{"Content-Type", "application/json"}, 200, `"written"`, `"payload":{"a": 1}`},
		{"encrypted", "d", "\x01", []string{"Content-Encoding", "aes128gcm"}, 200, `"written"`, `"base64":"AQ=="`},
		{"options", "d", "x", []string{"Urgency", "very-low", "Topic", "new_mail-1"}, 200, `"written"`, `"base64":"eA=="`},
		{"ttl", "d", "y", []string{"TTL", "86400"}, 200, `"written"`, `"base64":"eQ=="`},
		{"async", "d", "z", []string{"Prefer", "wait=5, Respond-Async"}, 202, `"id":`, ""},
		{"key", "d", "k", []string{"Idempotency-Key", "k"}, 200, `"ref":"k"`, `"base64":"aw=="`},
		{"key, other type", "d", "k", []string{"Idempotency-Key", "k", "Content-Type", "text/plain"}, 409, codeKeyReused, ""},
		{"key, other device", "r", "k", []string{"Idempotency-Key", "k"}, 409, codeKeyReused, ""},
		{"away", "away", "x", nil, 410, codeDeviceOffline, ""},
		{"unknown", "nobody", "x", nil, 404, codeDeviceUnknown, ""},
		{"no ttl", "d", "x", []string{"TTL", ""}, 400, codeTTLMissing, ""},
		{"negative ttl", "d", "x", []string{"TTL", "-1"}, 400, codeHeaderInvalid, ""},
		{"huge ttl", "d", "x", []string{"TTL", "2147483648"}, 400, codeHeaderInvalid, ""},
		{"bad urgency", "d", "x", []string{"Urgency", "soon"}, 400, codeHeaderInvalid, ""},
		{"long topic", "d", "x", []string{"Topic", strings.Repeat("t", 33)}, 400, codeHeaderInvalid, ""},
		{"bad topic", "d", "x", []string{"Topic", "a.b"}, 400, codeHeaderInvalid, ""},
		{"not json", "d", "{", []string{"Content-Type", "application/json"}, 400, codePayloadInvalid, ""},
		{"not utf-8 json", "d", "\"\xff\"", []string{"Content-Type", "application/json"}, 400, codePayloadInvalid, ""},
		{"not utf-8", "d", "\xff", []string{"Content-Type", "text/plain"}, 400, codePayloadInvalid, ""},
		{"bad type", "d", "x", []string{"Content-Type", ";"}, 415, codeContentType, ""},
		{"too large", "d", strings.Repeat("x", 101), nil, 413, codePayloadTooLarge, ""},
		{"bad name", "d%20", "x", nil, 400, codeNameInvalid, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := n.devices.count(dev)
			w := n.call("PUT", "/v1/accounts/a/devices/"+tc.device+"/messages", tc.body, append([]string{"TTL", "0"}, tc.header...)...)
			if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.want) {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			want := "0"
			if tc.name == "ttl" {
				want = "86400"
			}
			if w.Code < 300 && w.Header().Get("TTL") != want {
				t.Errorf("TTL %q", w.Header().Get("TTL"))
			}
			if _, frame := n.devices.last(dev); tc.frame != "" && !strings.Contains(frame, tc.frame) {
				t.Errorf("frame %s", frame)
			}
			if w.Code >= 300 && n.devices.count(dev) != before {
				t.Error("a refused push was delivered")
			}
		})
	}
	n.call("PUT", "/v1/accounts/a/devices/r/messages", "\x00\xff", "TTL", "0")
	if op, frame := n.devices.last(raw); op != netpoll.OpBinary || frame != "\x00\xff" {
		t.Errorf("raw: %d %q", op, frame)
	}
}

func TestOperate(t *testing.T) {
	n := newTestNode(t, nil)
	a, b := n.connect("a", "slow", takes), n.connect("a", "slower", takes)
	n.devices.conns[a.Conn].queued, n.devices.conns[b.Conn].queued = 10, 20
	n.devices.conns[999] = &conn{queued: 5} // it is not a session any more
	w := n.call("GET", "/v1/slow", "")
	slow := decode[struct{ Slow []slowConnection }](t, w.Body.Bytes()).Slow
	named := map[string]int{}
	for _, s := range slow {
		named[s.Device] = s.QueuedBytes
	}
	if len(slow) != 3 || named["slow"] != 10 || named["slower"] != 20 || named[""] != 5 {
		t.Errorf("%s", w.Body)
	}
	if w := n.call("GET", "/v1/slow?n=1", ""); len(decode[struct{ Slow []slowConnection }](t, w.Body.Bytes()).Slow) != 1 {
		t.Errorf("%s", w.Body)
	}
	if w := n.call("GET", "/readyz", ""); w.Code != 200 {
		t.Errorf("%d", w.Code)
	}
	n.reasons = []Reason{{"draining", "since now"}, {"store", "disk full"}}
	ready := n.call("GET", "/readyz", "")
	r := decode[struct {
		Code    string
		Ready   bool
		Reasons []Reason
	}](t, ready.Body.Bytes())
	if ready.Code != http.StatusServiceUnavailable || r.Code != codeNotReady || r.Ready || len(r.Reasons) != 2 || r.Reasons[1].Detail != "disk full" {
		t.Errorf("%d %s", ready.Code, ready.Body)
	}
	nodes := n.call("GET", "/v1/nodes", "")
	list := decode[struct{ Nodes []nodeEntry }](t, nodes.Body.Bytes()).Nodes
	if len(list) != 1 || list[0].Node != "n1" || list[0].Epoch != 7 || !list[0].Self || list[0].Ready || list[0].Sessions != 2 || list[0].Version != "test" {
		t.Errorf("%s", nodes.Body)
	}
	for path, want := range map[string]string{"/": `<a href="/metrics">`, "/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "goroutine profile", "/healthz": "ok"} {
		if w := n.call("GET", path, ""); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %.200s", path, w.Code, w.Body)
		}
	}
	if w := n.call("GET", "/debug/pprof", ""); w.Code != 301 || w.Header().Get("Location") != "/debug/pprof/" {
		t.Errorf("/debug/pprof: %d %v", w.Code, w.Header())
	}
}
