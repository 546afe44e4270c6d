package api

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/roostpush/roost/session"
)

const pushLine = `{"to":{"account":"a","device":"d"},"payload":1}` + "\n"

// transports are both ways into a stream.
var transports = map[string]func() *http.Transport{
	"HTTP/1": func() *http.Transport { return &http.Transport{} },
	"HTTP/2": func() *http.Transport {
		t := &http.Transport{Protocols: new(http.Protocols)}
		t.Protocols.SetUnencryptedHTTP2(true)
		return t
	},
}

// openStream begins a stream over a real connection; what is written to the pipe is
// its input.
func openStream(t *testing.T, url, proto string) (*io.PipeWriter, *bufio.Reader) {
	t.Helper()
	tr := transports[proto]()
	in, out := io.Pipe()
	req, err := http.NewRequest("POST", url+"/v1/messages", in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close(); resp.Body.Close(); tr.CloseIdleConnections() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	return out, bufio.NewReaderSize(resp.Body, 1<<16)
}

func nextResult(t *testing.T, r *bufio.Reader) pushAnswer {
	t.Helper()
	line, err := r.ReadBytes('\n')
	if err != nil {
		t.Fatalf("%v after %q", err, line)
	}
	return decode[pushAnswer](t, line)
}

// TestStreamFullDuplex: each result comes before the next push is sent.
func TestStreamFullDuplex(t *testing.T) {
	for proto := range transports {
		t.Run(proto, func(t *testing.T) {
			n := newTestNode(t, nil)
			n.connect("a", "d", takes)
			in, results := openStream(t, n.listen(), proto)
			for i := 1; i <= 100; i++ {
				io.WriteString(in, pushLine)
				if a := nextResult(t, results); a.Line != i || a.Status != 200 || len(a.Outcomes) != 1 || a.Outcomes[0].Outcome != "written" {
					t.Fatalf("line %d: %+v", i, a)
				}
			}
			in.Close()
			if rest, err := io.ReadAll(results); len(rest) != 0 || err != nil {
				t.Errorf("after the end: %q %v", rest, err)
			}
		})
	}
}

// TestStreamLarge sends 50 MB and reads the results meanwhile.
func TestStreamLarge(t *testing.T) {
	for proto := range transports {
		t.Run(proto, func(t *testing.T) {
			n := newTestNode(t, nil)
			n.devices.keep = false
			n.connect("a", "d", takes)
			in, results := openStream(t, n.listen(), proto)
			line := []byte(`{"to":{"account":"a","device":"d"},"payload":"` + strings.Repeat("x", 976) + `"}` + "\n")
			lines := 50 << 20 / len(line)
			wrote := make(chan error, 1)
			go func() {
				w := bufio.NewWriterSize(in, 1<<16)
				for range lines {
					w.Write(line)
				}
				err := w.Flush()
				in.Close()
				wrote <- err
			}()
			for i := 1; i <= lines; i++ {
				if a := nextResult(t, results); a.Line != i || a.Status != 200 {
					t.Fatalf("line %d: %+v", i, a)
				}
			}
			if err := <-wrote; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStreamLines is the table of what lines may be, each at every split point.
func TestStreamLines(t *testing.T) {
	n := newTestNode(t, func(c *Config) {
		c.Stream.LineBytesMax, c.Stream.ReadBytes = 256, 512
		c.Stream.GatherTime = 0
	})
	n.connect("a", "d", takes)
	long := `{"to":{"account":"a","device":"d"},"payload":"` + strings.Repeat("x", 300) + `"}`
	for _, tc := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"blank lines count", "\n \r\n" + pushLine, "3:200"},
		{"no line end", strings.TrimSpace(pushLine), "1:200"},
		{"CRLF", strings.TrimSpace(pushLine) + "\r\n" + pushLine, "1:200 2:200"},
		{"malformed, and on", "{\n" + pushLine, "1:400/bad_json 2:200"},
		{"all kinds", pushLine + `{"to":{"account":"a","device":"x"},"payload":1}` + "\n" + `{"to":{"topic":"t"},"payload":1}` + "\n" + pushLine,
			"1:200 2:404/device_unknown 3:200 4:200"},
		{"too long", pushLine + long + "\n" + pushLine, "1:200 2:413/line_too_long 3:200"},
		{"too long at the end", long, "1:413/line_too_long"},
		{"longest that is allowed", `{"to":{"account":"a","device":"d"},"payload":"` + strings.Repeat("x", 208) + `"}`, "1:200"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for split := 0; split <= len(tc.in); split++ {
				body := io.MultiReader(strings.NewReader(tc.in[:split]), strings.NewReader(tc.in[split:]))
				if got := streamOnce(t, n, body); got != tc.want {
					t.Fatalf("split at %d: %s, want %s", split, got, tc.want)
				}
			}
			if got := streamOnce(t, n, iotest.OneByteReader(strings.NewReader(tc.in))); got != tc.want {
				t.Fatalf("byte by byte: %s, want %s", got, tc.want)
			}
		})
	}
}

// streamOnce runs one stream without a network and returns line:status/code of each
// result.
func streamOnce(t *testing.T, n *testNode, body io.Reader) string {
	t.Helper()
	r := httptest.NewRequest("POST", "/v1/messages", body)
	r.Host = "localhost"
	r.Header.Set("Content-Type", "application/x-ndjson")
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	var got []string
	for line := range bytes.SplitSeq(w.Body.Bytes(), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		a := decode[pushAnswer](t, line)
		s := fmt.Sprintf("%d:%d", a.Line, a.Status)
		if a.Error != nil {
			s += "/" + a.Error.Code
		}
		got = append(got, s)
	}
	return strings.Join(got, " ")
}

// TestStreamOrder: results come in the order of the pushes whatever settles first,
// and a full window holds the input back.
func TestStreamOrder(t *testing.T) {
	n := newTestNode(t, func(c *Config) { c.Stream.Window = 8 })
	n.connect("a", "d", takes)
	slow := n.connect("a", "slow", takes)
	in, results := openStream(t, n.listen(), "HTTP/1")
	io.WriteString(in, `{"to":{"account":"a","device":"slow"},"payload":1,"wait":"acked","timeout_ms":60000}`+"\n"+strings.Repeat(pushLine, 20))
	eventually(t, "the window is full", func() bool { return n.router.Stats().Messages >= 8 })
	if got := n.router.Stats().Messages; got != 8 {
		t.Errorf("%d pushes were begun with a window of 8", got)
	}
	eventually(t, "the slow device has its message", func() bool { return n.devices.count(slow) == 1 })
	_, frame := n.devices.last(slow)
	_, number, _ := session.ParseID(decode[pushAnswer](t, []byte(frame)).ID)
	n.router.Ack(slow, testOrigin, session.MessageID(number))
	for i := 1; i <= 21; i++ {
		want := "written"
		if i == 1 {
			want = "acked"
		}
		if a := nextResult(t, results); a.Line != i || a.Outcomes[0].Outcome != want {
			t.Fatalf("line %d: %+v", i, a)
		}
	}
	// A push whose time is over settles by itself, and does not hold up for ever.
	io.WriteString(in, `{"to":{"account":"a","device":"slow"},"payload":1,"wait":"acked","timeout_ms":10}`+"\n"+pushLine)
	if a := nextResult(t, results); a.Outcomes[0].Outcome != "timeout" {
		t.Errorf("%+v", a)
	}
	if a := nextResult(t, results); a.Outcomes[0].Outcome != "written" {
		t.Errorf("%+v", a)
	}
}

// TestFullWindowWaits: a reader whose window is full waits for a push to settle, instead of
// waking itself until one has, which took a core.
func TestFullWindowWaits(t *testing.T) {
	n := newTestNode(t, func(c *Config) { c.Stream.Window = 8 })
	slow := n.connect("a", "slow", takes)
	in, results := openStream(t, n.listen(), "HTTP/1")
	const line = `{"to":{"account":"a","device":"slow"},"payload":1,"wait":"acked","timeout_ms":60000}` + "\n"
	io.WriteString(in, strings.Repeat(line, 9))
	eventually(t, "the window is full", func() bool { return n.devices.count(slow) == 8 })
	eventually(t, "the reader waits", func() bool { return n.metrics.waits.Get() > 0 })
	before := n.metrics.waits.Get()
	time.Sleep(50 * time.Millisecond)
	// What is still told of the last writes may wake it.
	if got := n.metrics.waits.Get() - before; got > 10 {
		t.Errorf("the reader waited %d times while nothing settled", got)
	}
	_, frame := n.devices.last(slow)
	_, last, _ := session.ParseID(decode[pushAnswer](t, []byte(frame)).ID)
	for i := last - 7; i <= last+1; i++ {
		if i > last {
			eventually(t, "the ninth push", func() bool { return n.devices.count(slow) == 9 })
		}
		n.router.Ack(slow, testOrigin, session.MessageID(i))
		if a := nextResult(t, results); a.Outcomes[0].Outcome != "acked" {
			t.Errorf("%+v", a)
		}
	}
}

// TestStreamIdempotency: keys work in a stream, within one and against another call.
func TestStreamIdempotency(t *testing.T) {
	n := newTestNode(t, nil)
	dev := n.connect("a", "d", takes)
	line := `{"to":{"account":"a","device":"d"},"payload":1,"id":"k"}`
	other := `{"to":{"account":"a","device":"d"},"payload":2,"id":"k"}`
	n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"d"},"payload":1,"id":"before"}`)
	in := strings.Join([]string{line, line, other, `{"to":{"account":"a","device":"d"},"payload":1,"id":"before"}`, ""}, "\n")
	if got := streamOnce(t, n, strings.NewReader(in)); got != "1:200 2:200 3:409/idempotency_key_reused 4:200" {
		t.Error(got)
	}
	if n.devices.count(dev) != 2 {
		t.Errorf("%d deliveries, want 2", n.devices.count(dev))
	}
}
