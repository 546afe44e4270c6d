package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

// TestPushOutcomes pushes to devices of every behaviour, against the real registry
// and router.
func TestPushOutcomes(t *testing.T) {
	n := newTestNode(t, nil)
	for name, b := range map[string]behaviour{"ok": takes, "acker": acks, "stuck": stuck, "cut": breaks, "full": overfull, "gone": gone} {
		n.connect("a", name, b)
	}
	n.connect("b", "one", takes)
	n.connect("b", "two", acks)
	n.records.add(session.Record{Address: session.Address{Account: "a", Device: "away"}})
	n.records.add(session.Record{Address: session.Address{Account: "c", Device: "away"}})
	for _, tc := range []struct {
		name, body string
		status     int
		outcomes   string // device=outcome, sorted as answered
		code       string
	}{
		{"written", `{"to":{"account":"a","device":"ok"},"payload":{"x":1}}`, 200, "ok=written@n1", ""},
		{"acked", `{"to":{"account":"a","device":"acker"},"payload":1,"wait":"acked"}`, 200, "acker=acked@n1", ""},
		{"text", `{"to":{"account":"a","device":"ok"},"text":"hi"}`, 200, "ok=written@n1", ""},
		{"never acked", `{"to":{"account":"a","device":"ok"},"payload":1,"wait":"acked","timeout_ms":20}`, 200, "ok=timeout@n1", ""},
		{"never written", `{"to":{"account":"a","device":"stuck"},"payload":1,"timeout_ms":20}`, 200, "stuck=timeout@n1", ""},
		{"cut", `{"to":{"account":"a","device":"cut"},"payload":1}`, 200, "cut=lost@n1", ""},
		{"full", `{"to":{"account":"a","device":"full"},"payload":1}`, 200, "full=overloaded@n1", ""},
		{"none", `{"to":{"account":"a","device":"ok"},"payload":1,"wait":"none"}`, 202, "", ""},
		{"none to nobody", `{"to":{"account":"a","device":"nobody"},"payload":1,"wait":"none"}`, 404, "nobody=offline", "device_unknown"},
		{"connection gone, no record", `{"to":{"account":"a","device":"gone"},"payload":1}`, 404, "gone=offline", "device_unknown"},
		{"unknown", `{"to":{"account":"a","device":"nobody"},"payload":1}`, 404, "nobody=offline", "device_unknown"},
		{"known and away", `{"to":{"account":"a","device":"away"},"payload":1}`, 410, "away=offline", "device_offline"},
		{"unknown account", `{"to":{"account":"nope"},"payload":1}`, 404, "", "device_unknown"},
		{"account away", `{"to":{"account":"c"},"payload":1}`, 410, "away=offline", "device_offline"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := n.call("POST", "/v1/messages", tc.body, "Content-Type", "application/json")
			if w.Code != tc.status {
				t.Fatalf("status %d, want %d: %s", w.Code, tc.status, w.Body)
			}
			a := decode[pushAnswer](t, w.Body.Bytes())
			var got []string
			for _, o := range a.Outcomes {
				s := o.Device + "=" + o.Outcome
				if o.Node != "" {
					s += "@" + o.Node
				}
				got = append(got, s)
			}
			if strings.Join(got, " ") != tc.outcomes || a.Code != tc.code {
				t.Errorf("outcomes %v code %q, want %s %q", got, a.Code, tc.outcomes, tc.code)
			}
			if !strings.HasPrefix(a.ID, "n1.7.") {
				t.Errorf("id %q is not this node's", a.ID)
			}
		})
	}
	t.Run("account", func(t *testing.T) {
		a := decode[pushAnswer](t, n.call("POST", "/v1/messages", `{"to":{"account":"b"},"payload":1}`).Body.Bytes())
		if len(a.Outcomes) != 2 || a.Outcomes[0].Outcome != "written" || a.Outcomes[1].Outcome != "written" {
			t.Errorf("%+v", a)
		}
	})
	t.Run("all", func(t *testing.T) {
		a := decode[pushAnswer](t, n.call("POST", "/v1/messages", `{"to":{"all":true},"payload":1,"timeout_ms":1000}`).Body.Bytes())
		if a.Outcomes != nil || a.Total != 8 || a.Counts["written"] != 4 || a.Counts["timeout"] != 1 || a.Counts["lost"] != 1 || a.Counts["overloaded"] != 1 || a.Counts["offline"] != 1 {
			t.Errorf("%+v", a)
		}
	})
	t.Run("store failed", func(t *testing.T) {
		n.records.mu.Lock()
		n.records.err = fmt.Errorf("disk on fire")
		n.records.mu.Unlock()
		w := n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"away"},"payload":1}`)
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "disk on fire") {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
	})
}

// TestPushBytes: the payload arrives byte for byte, the caller's id comes back.
// TestPushesToNobodyNameTheirOwn has many pushes to absent devices at one time: each
// answer is about its own device. A problem is written when its push's slot may be
// another one's already.
func TestPushesToNobodyNameTheirOwn(t *testing.T) {
	n := newTestNode(t, nil)
	var all sync.WaitGroup
	for caller := range 16 {
		all.Go(func() {
			for i := range 300 {
				device := fmt.Sprintf("d-%d-%d", caller, i)
				w := n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"`+device+`"},"payload":1}`, "Content-Type", "application/json")
				want := `"outcomes":[{"device":"` + device + `","outcome":"offline"}]}`
				if body := strings.TrimSpace(w.Body.String()); w.Code != 404 || !strings.HasSuffix(body, want) {
					t.Errorf("%s: %d %s", device, w.Code, body)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestPushBytes(t *testing.T) {
	n := newTestNode(t, nil)
	v1 := n.connect("a", "d", takes)
	raw := n.connect("a", "r", takes)
	raw.Permissions |= session.Raw
	payload := `{ "b" : [1.0, 2e3,"\u00e9"],  "a":null }`
	trace := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	w := n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"d"},"payload":`+payload+`,"id":"mine \"1\""}`, "traceparent", trace)
	if a := decode[pushAnswer](t, w.Body.Bytes()); w.Code != 200 || a.Ref != `mine "1"` {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w.Header().Get("Traceparent") != trace {
		t.Errorf("traceparent came back as %q", w.Header().Get("Traceparent"))
	}
	if _, frame := n.devices.last(v1); !strings.Contains(frame, `"payload":`+payload) {
		t.Errorf("payload changed: %s", frame)
	}
	n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"r"},"base64":"AAEC/w=="}`)
	if op, frame := n.devices.last(raw); op != netpoll.OpBinary || frame != "\x00\x01\x02\xff" {
		t.Errorf("raw device got %d %q", op, frame)
	}
}

// TestPushRefused is the table of malformed pushes.
func TestPushRefused(t *testing.T) {
	n := newTestNode(t, func(c *Config) { c.Push.PayloadBytesMax = 100; c.HTTP.BodyBytesMax = 1024 })
	dev := n.connect("a", "d", takes)
	to := `"to":{"account":"a","device":"d"}`
	long := `"` + strings.Repeat("x", 120) + `"`
	for _, tc := range []struct {
		name, body string
		status     int
		code       string
		header     []string
	}{
		{"empty", ``, 400, "bad_json", nil},
		{"not JSON", `{"to":`, 400, "bad_json", nil},
		{"two values", `{` + to + `,"payload":1}{}`, 400, "bad_json", nil},
		{"not UTF-8", "{" + to + ",\"payload\":\"\xff\"}", 400, "bad_json", nil},
		{"an array", `[]`, 400, "bad_json", nil},
		{"too deep", `{` + to + `,"payload":` + strings.Repeat("[", 600)[:400] + `}`, 400, "bad_json", nil},
		{"no to", `{"payload":1}`, 422, "missing", nil},
		{"no payload", `{` + to + `}`, 422, "missing", nil},
		{"two addressees", `{"to":{"account":"a","all":true},"payload":1}`, 422, "bad_value", nil},
		{"bad name", `{"to":{"account":"a b"},"payload":1}`, 422, "bad_value", nil},
		{"bad wait", `{` + to + `,"payload":1,"wait":"forever"}`, 422, "bad_value", nil},
		{"bad priority", `{` + to + `,"payload":1,"priority":"urgent"}`, 422, "bad_value", nil},
		{"negative ttl", `{` + to + `,"payload":1,"ttl_ms":-1}`, 422, "bad_value", nil},
		{"bad base64", `{` + to + `,"base64":"%"}`, 422, "bad_value", nil},
		{"topic out of pattern", `{"to":{"topic":"news..eu"},"payload":1}`, 422, "bad_value", nil},
		{"topic pattern", `{"to":{"topic":"news.*"},"payload":1}`, 422, "bad_value", nil},
		{"ttl for a topic", `{"to":{"topic":"news"},"payload":1,"ttl_ms":1000}`, 422, "ttl_to_topic", nil},
		{"acks first of a topic", `{"to":{"topic":"news"},"payload":1,"acks":"first","wait":"acked"}`, 422, "acks_unsupported", nil},
		{"ttl too long", `{` + to + `,"payload":1,"ttl_ms":2419200001}`, 422, "ttl_out_of_range", nil},
		{"ttl beyond any", `{` + to + `,"payload":1,"ttl_ms":9999999999999}`, 422, "bad_value", nil},
		{"ttl for everybody", `{"to":{"all":true},"payload":1,"ttl_ms":1000}`, 422, "ttl_to_all", nil},
		{"bad collapse", `{` + to + `,"payload":1,"ttl_ms":1000,"collapse":"a b"}`, 422, "bad_value", nil},
		{"bad acks", `{` + to + `,"payload":1,"acks":"some"}`, 422, "bad_value", nil},
		{"acks first of everybody", `{"to":{"all":true},"payload":1,"acks":"first","wait":"acked"}`, 422, "acks_unsupported", nil},
		{"acks first without acks", `{` + to + `,"payload":1,"acks":"first"}`, 422, "acks_unused", nil},
		{"timeout", `{` + to + `,"payload":1,"timeout_ms":3600000}`, 422, "timeout_out_of_range", nil},
		{"payload too large", `{` + to + `,"payload":` + long + `}`, 413, "payload_too_large", nil},
		{"body too large", strings.Repeat(" ", 1025), 413, "body_too_large", nil},
		{"key differs", `{` + to + `,"payload":1,"id":"a"}`, 400, "idempotency_key_mismatch", []string{"Idempotency-Key", "b"}},
		{"key too long", `{` + to + `,"payload":1}`, 400, "idempotency_key_invalid", []string{"Idempotency-Key", strings.Repeat("k", 129)}},
		{"key empty", `{` + to + `,"payload":1}`, 400, "idempotency_key_invalid", []string{"Idempotency-Key", `""`}},
		{"form", `to=x`, 415, "content_type", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{"bad type", `{}`, 415, "content_type", []string{"Content-Type", "a/b/c;;"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := n.call("POST", "/v1/messages", tc.body, tc.header...)
			a := decode[pushAnswer](t, w.Body.Bytes())
			if w.Code != tc.status || a.Code != tc.code || a.Status != tc.status || a.Detail == "" {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, tc.status, tc.code)
			}
			if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
				t.Errorf("Content-Type %s", ct)
			}
		})
	}
	if got := n.devices.count(dev); got != 0 {
		t.Errorf("%d refused pushes reached the device", got)
	}
	if held := n.bodies.Load(); held != 0 {
		t.Errorf("%d bytes of bodies are still held", held)
	}
}

func TestIdempotency(t *testing.T) {
	n := newTestNode(t, func(c *Config) { c.Push.IdempotencyKeysMax = 4 })
	dev := n.connect("a", "d", takes)
	full := n.connect("a", "full", overfull)
	body := `{"to":{"account":"a","device":"d"},"payload":1,"id":"k1"}`
	first := n.call("POST", "/v1/messages", body)
	again := n.call("POST", "/v1/messages", body)
	if first.Code != 200 || again.Code != 200 || first.Body.String() != again.Body.String() {
		t.Errorf("first %s again %s", first.Body, again.Body)
	}
	if got := n.devices.count(dev); got != 1 {
		t.Errorf("the device got it %d times", got)
	}
	other := n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"d"},"payload":2,"id":"k1"}`)
	if a := decode[pushAnswer](t, other.Body.Bytes()); other.Code != 409 || a.Code != "idempotency_key_reused" {
		t.Errorf("another body: %d %s", other.Code, other.Body)
	}
	header := n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"d"},"payload":3}`, "Idempotency-Key", `"k2"`)
	if a := decode[pushAnswer](t, header.Body.Bytes()); a.Ref != "k2" {
		t.Errorf("the header's key came back as %q", a.Ref)
	}
	// 404 is an answer like any other, and repeated although the device came since.
	late := `{"to":{"account":"a","device":"late"},"payload":1,"id":"k3"}`
	n.call("POST", "/v1/messages", late)
	n.connect("a", "late", takes)
	if w := n.call("POST", "/v1/messages", late); w.Code != 404 {
		t.Errorf("repeated 404 is now %d", w.Code)
	}
	// The fifth key drops the oldest.
	n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"full"},"payload":1,"id":"k4"}`)
	n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"full"},"payload":1,"id":"k5"}`)
	n.call("POST", "/v1/messages", body)
	if got := n.devices.count(dev); got != 3 {
		t.Errorf("after eviction the device got %d messages, want 3", got)
	}
	_ = full
}

// TestIdempotencyInFlight: a repeated push waits for the first one's outcome.
func TestIdempotencyInFlight(t *testing.T) {
	n := newTestNode(t, nil)
	dev := n.connect("a", "d", takes)
	body := func(timeout int) string {
		return fmt.Sprintf(`{"to":{"account":"a","device":"d"},"payload":1,"id":"k","wait":"acked","timeout_ms":%d}`, timeout)
	}
	answers := make(chan string, 2)
	push := func() { answers <- n.call("POST", "/v1/messages", body(20_000)).Body.String() }
	go push()
	eventually(t, "the push is sent", func() bool { return n.devices.count(dev) == 1 })
	go push()
	// The second waits on the entry: its channel is made by who waits.
	eventually(t, "the second waits", func() bool {
		n.memory.mu.Lock()
		defer n.memory.mu.Unlock()
		return n.memory.keys["k"].done != nil
	})
	_, frame := n.devices.last(dev)
	id := decode[pushAnswer](t, []byte(frame)).ID
	_, number, _ := session.ParseID(id)
	n.router.Ack(dev, testOrigin, session.MessageID(number))
	a, b := <-answers, <-answers
	if a != b || !strings.Contains(a, `"acked"`) {
		t.Errorf("%s and %s", a, b)
	}
	if n.devices.count(dev) != 1 {
		t.Error("the repeated push was delivered as well")
	}
}

func TestIdempotencyInFlightTimeout(t *testing.T) {
	n := newTestNode(t, nil)
	now := n.Server.now()
	e, mine, _ := n.memory.claim("k", "", []byte(`{"to":{"account":"a","device":"d"},"payload":1,"id":"k","timeout_ms":10}`), now)
	if !mine {
		t.Fatal("a new key is not mine")
	}
	w := n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"d"},"payload":1,"id":"k","timeout_ms":10}`)
	if a := decode[pushAnswer](t, w.Body.Bytes()); w.Code != http.StatusConflict || a.Code != codeKeyInFlight {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	n.memory.settle(e, answer{status: 503})
	if n.memory.size() != 0 || len(n.memory.keys) != 0 {
		t.Error("an answer that asks to try again is remembered")
	}
	if _, _, same := n.memory.claim("old", "", nil, now); !same {
		t.Fatal("a new key is not the same as itself")
	}
	n.memory.claim("new", "", nil, now.Add(time.Hour))
	if _, kept := n.memory.keys["old"]; kept {
		t.Error("an answer outlived idempotency_age")
	}
}

// TestAnswersThatAreNotRepeatedLeaveTheMemory: they must not wait behind an older one until
// that is too old, since with a full disk every push has such an answer.
func TestAnswersThatAreNotRepeatedLeaveTheMemory(t *testing.T) {
	n := newTestNode(t, nil)
	now := n.Server.now()
	claim := func(key string) *remembered {
		e, mine, _ := n.memory.claim(key, "", nil, now)
		if !mine {
			t.Fatalf("%s is known", key)
		}
		return e
	}
	held := func() (keys []string) {
		for e := n.memory.first; e != nil; e = e.next {
			keys = append(keys, e.key)
		}
		return keys
	}
	claim("oldest")
	for i := range 100 {
		e := claim(fmt.Sprint("refused", i))
		claim(fmt.Sprint("stays", i%2))
		n.memory.settle(e, answer{status: 429})
		if i%2 == 1 {
			n.memory.settle(n.memory.keys["stays0"], answer{status: 503})
			n.memory.settle(n.memory.keys["stays1"], answer{status: 503})
		}
	}
	last := claim("last")
	if got := held(); !slices.Equal(got, []string{"oldest", "last"}) || n.memory.size() != 2*rememberedOverhead+len("oldest")+len("last") {
		t.Errorf("%d entries are held, %d bytes", len(got), n.memory.size())
	}
	n.memory.settle(last, answer{status: 503})
	claim("next")
	if got := held(); !slices.Equal(got, []string{"oldest", "next"}) {
		t.Errorf("held are %v", got)
	}
}

// TestPushManyDevices: one entry for each device up to deliver's limit, then counts.
func TestPushManyDevices(t *testing.T) {
	n := newTestNode(t, nil)
	n.devices.keep = false
	for i := range 1001 {
		if i == 1000 {
			a := decode[pushAnswer](t, n.call("POST", "/v1/messages", `{"to":{"account":"a"},"payload":1}`).Body.Bytes())
			if len(a.Outcomes) != 1000 || a.Counts != nil {
				t.Errorf("1000 devices: %d outcomes, counts %v", len(a.Outcomes), a.Counts)
			}
		}
		n.connect("a", fmt.Sprint(i), takes)
	}
	a := decode[pushAnswer](t, n.call("POST", "/v1/messages", `{"to":{"account":"a"},"payload":1}`).Body.Bytes())
	if a.Outcomes != nil || a.Total != 1001 || a.Counts["written"] != 1001 {
		t.Errorf("1001 devices: %d outcomes, %d %v", len(a.Outcomes), a.Total, a.Counts)
	}
}
