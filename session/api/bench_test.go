package api

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/wire"
)

// instant are sockets that take everything at once: what remains is the API's, the
// router's and the registry's work.
type instant struct{ *devices }

func (instant) Send(_ netpoll.ConnID, _ netpoll.Op, _ []byte, rcpt netpoll.Receipt, tag uint64) {
	if rcpt != nil {
		rcpt.Sent(tag, netpoll.ResultWritten)
	}
}

// queued are sockets with a loop: receipts come from one goroutine, in batches.
type queued struct {
	*devices
	sends chan queuedSend
}

type queuedSend struct {
	rcpt netpoll.Receipt
	tag  uint64
}

func (q queued) Send(_ netpoll.ConnID, _ netpoll.Op, _ []byte, rcpt netpoll.Receipt, tag uint64) {
	q.sends <- queuedSend{rcpt, tag}
}

// endless gives the same lines again and again, n of them.
type endless struct {
	block, rest []byte
	left        int // lines
	perBlock    int
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		if e.left <= 0 {
			return 0, io.EOF
		}
		lines := min(e.left, e.perBlock)
		e.left -= lines
		e.rest = e.block[:lines*(len(e.block)/e.perBlock)]
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// nowhere takes an answer and counts it.
type nowhere struct {
	header http.Header
	bytes  int
}

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) WriteHeader(int)             {}
func (w *nowhere) Write(b []byte) (int, error) { w.bytes += len(b); return len(b), nil }
func (w *nowhere) FlushError() error           { return nil }

// BenchmarkStream is the cost of one push in a stream, without the two sockets: ns/op
// is time of one push, B/op and allocs/op are all goroutines'.
func BenchmarkStream(b *testing.B) {
	for name, line := range map[string]string{
		"small":       `{"to":{"account":"account-1234","device":"device-12"},"payload":{"n":12345678}}` + "\n",
		"1KB":         `{"to":{"account":"account-1234","device":"device-12"},"payload":"` + strings.Repeat("x", 1024) + `"}` + "\n",
		"unparseable": `{"to":` + "\n",
	} {
		for _, sockets := range []string{"instant", "loop"} {
			b.Run(name+"/"+sockets, func(b *testing.B) {
				n := newTestNode(b, nil)
				n.connect("account-1234", "device-12", takes)
				if sockets == "instant" {
					n.Server.node.Pusher = deliver.NewRouter(deliver.Default(), testOrigin, n.reg, instant{n.devices}, nil)
				} else {
					q := queued{n.devices, make(chan queuedSend, 4096)}
					n.Server.node.Pusher = deliver.NewRouter(deliver.Default(), testOrigin, n.reg, q, nil)
					done := make(chan struct{})
					go func() {
						defer close(done)
						for s := range q.sends {
							s.rcpt.Sent(s.tag, netpoll.ResultWritten)
						}
					}()
					defer func() { close(q.sends); <-done }()
				}
				in := &endless{block: []byte(strings.Repeat(line, 500)), perBlock: 500, left: b.N}
				r := httptest.NewRequest("POST", "/v1/messages", in)
				r.Host = "localhost"
				r.Header.Set("Content-Type", "application/x-ndjson")
				w := &nowhere{header: http.Header{}}
				b.ReportAllocs()
				b.ResetTimer()
				n.ServeHTTP(w, r)
				b.StopTimer()
				if got := n.metrics.lines.Get(); got != uint64(b.N) || w.bytes < 50*b.N {
					b.Fatalf("%d lines, %d bytes of results for %d pushes", got, w.bytes, b.N)
				}
			})
		}
	}
}

// TestPushAllocations holds the way of one push of a stream, from the line to the
// result, to no allocation.
func TestPushAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	n := newTestNode(t, nil)
	n.connect("a", "d", takes)
	n.Server.node.Pusher = deliver.NewRouter(deliver.Default(), testOrigin, n.reg, instant{n.devices}, nil)
	sl, done := n.newSlot()
	line := []byte(strings.TrimSpace(pushLine))
	var f wire.PushFrame
	var out []byte
	now := n.now()
	got := testing.AllocsPerRun(1000, func() {
		n.begin(sl, &f, done, line, "", "", false, now)
		<-done
		a := n.finish(sl, false)
		if a.status != 200 {
			t.Fatal(a)
		}
		out = a.appendLine(out[:0], 1)
	})
	if got != 0 {
		t.Errorf("%v allocations a push", got)
	}
}

// FuzzPushBody: whatever the body, the answer is one JSON object with the status's
// members, a refused push reaches nobody, and a stream says the same as a single push.
func FuzzPushBody(f *testing.F) {
	n := newTestNode(f, func(c *Config) { c.Push.TimeoutMax, c.Push.Timeout = 50e6, 50e6 })
	n.devices.keep = false
	n.connect("a", "d", takes)
	f.Add([]byte(strings.TrimSpace(pushLine)))
	f.Add([]byte(`{"to":{"account":"a"},"text":"\u0000"}`))
	f.Add([]byte(`{"to":{"all":true},"base64":"AA==","wait":"none"}`))
	f.Add([]byte(`{"to":{"account":"a","device":"x"},"payload":1,"id":"k"}`))
	f.Add([]byte(`{"to":{"account":"a","device":"d"},"payload":1,"wait":"acked","timeout_ms":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		w := n.call("POST", "/v1/messages", string(body))
		a := decode[pushAnswer](t, w.Body.Bytes())
		switch w.Code {
		case 200, 202, 404, 410:
			if a.ID == "" && a.Code == codeDeviceUnknown {
				break // it was to be kept, and for nobody
			}
			if o, _, ok := session.ParseID(a.ID); !ok || o != testOrigin {
				t.Fatalf("id %q", a.ID)
			}
		case 400, 409, 413, 422:
			if a.Code == "" || a.Detail == "" || a.ID != "" {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		default:
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if strings.ContainsAny(string(body), "\n") || len(strings.TrimSpace(string(body))) == 0 {
			return
		}
		if got := streamOnce(t, n, strings.NewReader(string(body))); !strings.HasPrefix(got, fmt.Sprintf("1:%d", w.Code)) {
			t.Fatalf("a stream says %s, a single push %d", got, w.Code)
		}
	})
}
