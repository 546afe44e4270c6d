package api

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
)

// TestUnknown: 404 and 405 are problems, and say what there is.
func TestUnknown(t *testing.T) {
	n := newTestNode(t, nil)
	n.connect("..", "a b"[:1], takes)
	for _, tc := range []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"GET", "/nope", 404, codeNotFound, ""},
		{"GET", "/v1/messages/", 404, codeNotFound, ""},
		{"GET", "//", 404, codeNotFound, ""},
		{"GET", "/v1/accounts/a/devices/d/", 404, codeNotFound, ""},
		{"GET", "/v1/messages", 405, codeMethodNotAllowed, "POST"},
		{"DELETE", "/v1/nodes", 405, codeMethodNotAllowed, "GET, HEAD"},
		{"PATCH", "/@connections/x", 405, codeMethodNotAllowed, "POST, GET, HEAD, DELETE"},
		{"POST", "/", 405, codeMethodNotAllowed, "GET, HEAD"},
		{"GET", "/v1/accounts/a%20b/devices", 400, codeNameInvalid, ""},
		{"GET", "/v1/accounts/a%2Fb/devices", 400, codeNameInvalid, ""},
		{"GET", "/v1/accounts/%ff/devices/d", 400, codeNameInvalid, ""},
		{"GET", "/v1/accounts//devices", 400, codeNameInvalid, ""},
		{"GET", "/v1/accounts/a/devices/" + strings.Repeat("x", 129), 400, codeNameInvalid, ""},
		{"DELETE", "/v1/accounts/a/devices/%0a/session", 400, codeNameInvalid, ""},
		{"GET", "/v1/slow?n=0", 400, codeQueryInvalid, ""},
		{"GET", "/v1/slow?n=x", 400, codeQueryInvalid, ""},
		{"GET", "/v1/accounts/a/devices?limit=1001", 400, codeQueryInvalid, ""},
		{"GET", "/v1/accounts/../devices/a", 200, "", ""},
		{"GET", "/v1/accounts/%2e%2E/devices/a", 200, "", ""},
	} {
		w := n.call(tc.method, tc.path, "")
		if w.Code != tc.status || w.Header().Get("Allow") != tc.allow {
			t.Errorf("%s %s: %d %v", tc.method, tc.path, w.Code, w.Header())
			continue
		}
		if tc.code != "" {
			if a := decode[pushAnswer](t, w.Body.Bytes()); a.Code != tc.code || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s: %s", tc.method, tc.path, w.Body)
			}
		}
	}
}

// TestAccess: what each kind of route asks for.
func TestAccess(t *testing.T) {
	const one, two = "0123456789abcdef", "fedcba9876543210"
	n := newTestNode(t, func(c *Config) { c.Tokens = []string{one, two} })
	for _, tc := range []struct {
		path, auth string
		status     int
	}{
		{"/healthz", "", 200}, {"/readyz", "", 200},
		{"/metrics", "", 401}, {"/debug/pprof/", "", 401}, {"/", "", 401}, {"/v1/nodes", "", 401},
		{"/v1/nodes", "Bearer " + one, 200}, {"/v1/nodes", "bearer  " + two, 200},
		{"/v1/nodes", "Bearer " + one[:15], 401}, {"/v1/nodes", "Bearer ", 401},
		{"/v1/nodes", "Basic " + one, 401}, {"/v1/nodes", one, 401},
	} {
		var header []string
		if tc.auth != "" {
			header = []string{"Authorization", tc.auth}
		}
		w := n.call("GET", tc.path, "", header...)
		if w.Code != tc.status || w.Code == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s with %q: %d %s", tc.path, tc.auth, w.Code, w.Body)
		}
	}
}

// TestWebPages: a page in a browser on this machine gets nowhere.
func TestWebPages(t *testing.T) {
	n := newTestNode(t, nil)
	n.connect("a", "d", takes)
	const body = `{"to":{"account":"a","device":"d"},"payload":1}`
	for _, tc := range []struct {
		name, method, host string
		header             []string
		status             int
	}{
		{"curl", "POST", "127.0.0.1:8081", nil, 200},
		{"by name", "POST", "localhost:8081", nil, 200},
		{"IPv6", "POST", "[::1]:8081", nil, 200},
		{"cross site", "POST", "localhost:8081", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"old browser", "POST", "localhost:8081", []string{"Origin", "https://evil.example"}, 403},
		{"same origin", "POST", "localhost:8081", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"rebound name", "POST", "evil.example:8081", nil, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, _ := http.NewRequest(tc.method, "http://"+tc.host+"/v1/messages", strings.NewReader(body))
			for i := 0; i < len(tc.header); i += 2 {
				r.Header.Set(tc.header[i], tc.header[i+1])
			}
			w := &recorder{header: http.Header{}}
			n.ServeHTTP(w, r)
			if w.status != tc.status {
				t.Errorf("%d %s", w.status, w.body.String())
			}
		})
	}
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(s int)   { r.status = s }
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = 200
	}
	return r.body.Write(b)
}

// TestLimits: requests and bodies have a limit for all of them together, and health
// is answered beyond it.
func TestLimits(t *testing.T) {
	n := newTestNode(t, func(c *Config) { c.HTTP.RequestsMax = 1; c.HTTP.BodiesBytesMax = c.HTTP.BodyBytesMax })
	dev := n.connect("a", "d", takes)
	waiting := make(chan int)
	go func() {
		waiting <- n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"d"},"payload":1,"wait":"acked","timeout_ms":60000}`).Code
	}()
	eventually(t, "the first request waits", func() bool { return n.devices.count(dev) == 1 })
	if w := n.call("GET", "/v1/nodes", ""); w.Code != 503 || w.Header().Get("Retry-After") != "1" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/cmdline"} {
		if w := n.call("GET", path, ""); w.Code != 200 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	_, frame := n.devices.last(dev)
	_, number, _ := session.ParseID(decode[pushAnswer](t, []byte(frame)).ID)
	n.router.Ack(dev, testOrigin, session.MessageID(number))
	if code := <-waiting; code != 200 {
		t.Error(code)
	}
	n.bodies.Add(int64(n.cfg.HTTP.BodiesBytesMax))
	w := n.call("POST", "/v1/messages", `{}`)
	if a := decode[pushAnswer](t, w.Body.Bytes()); w.Code != 503 || a.Code != codeBusy {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// failing panics instead of delivering.
type failing struct{}

func (failing) Deliver(*deliver.Push, *deliver.Delivery) session.MessageID { panic("a defect") }

func TestPanic(t *testing.T) {
	n := newTestNode(t, nil)
	var log bytes.Buffer
	n.log = slog.New(slog.NewTextHandler(&log, nil))
	n.node.Pusher = failing{}
	w := n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"d"},"payload":1}`)
	if a := decode[pushAnswer](t, w.Body.Bytes()); w.Code != 500 || a.Code != codeInternal {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got := strings.Count(log.String(), "a defect"); got != 1 || n.metrics.panics.Get() != 1 {
		t.Errorf("logged %d times, counted %d", got, n.metrics.panics.Get())
	}
	if n.bodies.Load() != 0 || n.requests.Load() != 0 {
		t.Error("the panicked request still holds its place")
	}
}

// TestStreamPanic: a defect while a stream runs cuts it, so that half of the results
// is not taken for all of them.
func TestStreamPanic(t *testing.T) {
	n := newTestNode(t, nil)
	n.node.Pusher = failing{}
	in, results := openStream(t, n.listen(), "HTTP/1")
	io.WriteString(in, pushLine)
	if rest, err := io.ReadAll(results); err == nil {
		t.Errorf("the stream ended as if it were whole: %q", rest)
	}
	eventually(t, "the stream is gone", func() bool { return n.streams.Load() == 0 })
}

// TestServe: a listener that others reach needs a token, Shutdown ends Serve.
func TestServe(t *testing.T) {
	n := newTestNode(t, nil)
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Serve(l); err == nil || !strings.Contains(err.Error(), "tokens") {
		t.Errorf("served %s without a token: %v", l.Addr(), err)
	}
	if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- n.Serve(l) }()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get("http://" + l.Addr().String() + "/healthz")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if err := n.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestMetrics: what main registers is in the answer, histograms have le buckets, and
// descriptors are not counted one by one.
func TestMetrics(t *testing.T) {
	n := newTestNode(t, nil)
	n.connect("a", "d", takes)
	n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"d"},"payload":1}`)
	n.call("GET", "/nope", "")
	n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"d"},"payload":1,"ttl_ms":-1}`)
	n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"d"},"payload":1,"priority":"urgent"}`)
	n.call("POST", "/v1/messages", `{"to":{"all":true},"payload":1,"ttl_ms":5}`+"\n"+`{"to":{"all":true},"payload":1,"ttl_ms":5}`, "Content-Type", "application/x-ndjson")
	n.Register(func(w io.Writer) { metrics.WriteGaugeUint64(w, "roost_test_gauge", 42) })
	text := n.call("GET", "/metrics", "").Body.String()
	for _, want := range []string{
		`roost_api_requests_total{route="push",class="2xx"} 1`,
		`roost_api_requests_total{route="none",class="4xx"} 1`,
		`roost_api_request_seconds_bucket{route="push",le="+Inf"} 3`,
		`roost_api_push_seconds_bucket{le="60"} 1`,
		`roost_api_problems_total{code="not_found"} 1`, `roost_api_problems_total{code="bad_value"} 2`, `roost_api_problems_total{code="ttl_to_all"} 2`,
		"roost_test_gauge 42", "go_goroutines ", "process_resident_memory_bytes ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, "process_open_fds") || strings.Contains(text, "vmrange") {
		t.Error("process_open_fds or vmrange is there")
	}
}

func TestTraceparent(t *testing.T) {
	for trace, want := range map[string]bool{
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":       true,
		"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later": true,
		"":    false,
		"00-": false,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x": false,
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":   false,
		"00-00000000000000000000000000000000-b7ad6b7169203331-01":   false,
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01":   false,
		"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":   false,
		"00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01":   false,
	} {
		r := httptest.NewRequest("POST", "/v1/messages", nil)
		r.Header.Set("Traceparent", trace)
		if got := traceOf(r); got != "" != want {
			t.Errorf("%q: %v", trace, got)
		}
	}
}
