package api

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
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
			"1:200 2:404/device_unknown 3:422/topic_unsupported 4:200"},
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
	n.router.Ack(slow, session.MessageID(number))
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

// rawStream opens a stream whose client reads nothing by itself; its window is as
// small as the kernel allows.
func rawStream(t *testing.T, url string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.(*net.TCPConn).SetReadBuffer(64 << 10)
	fmt.Fprintf(c, "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
	return c
}

// sendChunks sends lines in chunks, and the end.
func sendChunks(c net.Conn, line string, lines int) error {
	const perChunk = 1000
	chunk := fmt.Sprintf("%x\r\n%s\r\n", perChunk*len(line), strings.Repeat(line, perChunk))
	for range lines / perChunk {
		if _, err := io.WriteString(c, chunk); err != nil {
			return err
		}
	}
	_, err := io.WriteString(c, "0\r\n\r\n")
	return err
}

// TestStreamReadAtEnd: a client that reads nothing until it has sent everything gets
// every result, as long as they fit the buffer, and beyond it a clear last line.
func TestStreamReadAtEnd(t *testing.T) {
	// Malformed lines make the largest results for the least input.
	const line, lines = "x\n", 100_000
	for _, tc := range []struct {
		name   string
		buffer int
		whole  bool
	}{
		{"within the buffer", 64 << 20, true},
		{"beyond the buffer", 64 << 10, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newTestNode(t, func(c *Config) { c.Stream.ResultBufferBytes = tc.buffer })
			c := rawStream(t, n.listen())
			if err := sendChunks(c, line, lines); err != nil {
				t.Fatal(err)
			}
			// Everything is sent. The stream has looked at all of it, or given up, before
			// a byte is read.
			eventually(t, "the input is consumed", func() bool {
				return n.metrics.lines.Get() == lines || n.metrics.streamCut[codeResultBufferFull].Get() == 1
			})
			resp, err := http.ReadResponse(bufio.NewReaderSize(c, 1<<16), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Split(strings.TrimSpace(string(body)), "\n")
			last := decode[pushAnswer](t, []byte(all[len(all)-1]))
			if tc.whole {
				if len(all) != lines || last.Line != lines {
					t.Errorf("%d results, the last %+v", len(all), last)
				}
				return
			}
			if last.Error == nil || last.Error.Code != codeResultBufferFull || last.Error.Line != len(all)-1 || len(all) >= lines {
				t.Errorf("%d results, the last %s", len(all), all[len(all)-1])
			}
		})
	}
}

// TestStreamNeverRead: a client that never reads is cut, and nothing of it stays.
func TestStreamNeverRead(t *testing.T) {
	n := newTestNode(t, func(c *Config) {
		c.Stream.ResultBufferBytes = 64 << 10
		c.Stream.WriteTimeout = 50 * time.Millisecond
		c.Stream.DiscardTimeout = 50 * time.Millisecond
	})
	c := rawStream(t, n.listen())
	// It sends for as long as it can: the write fails once the node has cut it.
	sendChunks(c, "x\n", 5_000_000)
	eventually(t, "the stream is gone", func() bool { return n.streams.Load() == 0 })
	if got := n.metrics.streamCut[codeResultBufferFull].Get(); got != 1 {
		t.Errorf("%d streams were cut for their full buffer", got)
	}
}

// TestStreamDisconnect: the client hangs up in the middle of a line while pushes wait
// for acks. They are answered to memory, and nothing of the stream stays.
func TestStreamDisconnect(t *testing.T) {
	for proto := range transports {
		t.Run(proto, func(t *testing.T) {
			n := newTestNode(t, nil)
			dev := n.connect("a", "d", takes)
			url := n.listen()
			tr := transports[proto]()
			defer tr.CloseIdleConnections()
			ctx, hangUp := context.WithCancel(context.Background())
			in, out := io.Pipe()
			req, _ := http.NewRequestWithContext(ctx, "POST", url+"/v1/messages", in)
			req.Header.Set("Content-Type", "application/x-ndjson")
			resp, err := (&http.Client{Transport: tr}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			io.WriteString(out, `{"to":{"account":"a","device":"d"},"payload":1,"wait":"acked","id":"k","timeout_ms":100}`+"\n"+`{"to":`)
			eventually(t, "the push is on its way", func() bool { return n.devices.count(dev) == 1 })
			hangUp()
			out.Close()
			eventually(t, "the stream is gone", func() bool { return n.streams.Load() == 0 })
			w := n.call("POST", "/v1/messages", `{"to":{"account":"a","device":"d"},"payload":1,"wait":"acked","id":"k","timeout_ms":100}`)
			if a := decode[pushAnswer](t, w.Body.Bytes()); len(a.Outcomes) != 1 || a.Outcomes[0].Outcome != "timeout" || n.devices.count(dev) != 1 {
				t.Errorf("the repeated push got %s", w.Body)
			}
		})
	}
}

// TestStreamCut: a stream that the node must end has a last line that says why.
func TestStreamCut(t *testing.T) {
	for proto := range transports {
		t.Run("shutdown "+proto, func(t *testing.T) {
			n := newTestNode(t, nil)
			n.connect("a", "d", takes)
			in, results := openStream(t, n.listen(), proto)
			io.WriteString(in, pushLine)
			nextResult(t, results)
			down := make(chan error, 1)
			go func() { down <- n.Shutdown(context.Background()) }()
			if a := nextResult(t, results); a.Error == nil || a.Error.Code != codeDraining || a.Error.Line != 1 {
				t.Errorf("%+v", a)
			}
			in.Close()
			io.Copy(io.Discard, results)
			if err := <-down; err != nil {
				t.Error(err)
			}
		})
		t.Run("idle "+proto, func(t *testing.T) {
			n := newTestNode(t, func(c *Config) { c.Stream.IdleTimeout = 50 * time.Millisecond })
			_, results := openStream(t, n.listen(), proto)
			if a := nextResult(t, results); a.Error == nil || a.Error.Code != codeStreamIdle {
				t.Errorf("%+v", a)
			}
		})
	}
	t.Run("bad chunk", func(t *testing.T) {
		n := newTestNode(t, nil)
		n.connect("a", "d", takes)
		c := rawStream(t, n.listen())
		fmt.Fprintf(c, "%x\r\n%s\r\nnonsense\r\n", len(pushLine), pushLine)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		results := bufio.NewReader(resp.Body)
		nextResult(t, results)
		if a := nextResult(t, results); a.Error == nil || a.Error.Code != codeStreamCut {
			t.Errorf("%+v", a)
		}
	})
	t.Run("too many", func(t *testing.T) {
		n := newTestNode(t, func(c *Config) { c.Stream.StreamsMax = 1 })
		url := n.listen()
		openStream(t, url, "HTTP/1")
		w := n.call("POST", "/v1/messages", "", "Content-Type", "application/x-ndjson")
		if a := decode[pushAnswer](t, w.Body.Bytes()); w.Code != 503 || a.Code != codeBusy || w.Header().Get("Retry-After") != "1" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	t.Run("expect", func(t *testing.T) {
		n := newTestNode(t, nil)
		n.connect("a", "d", takes)
		c, err := net.Dial("tcp", strings.TrimPrefix(n.listen(), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n", len(pushLine))
		r := bufio.NewReader(c)
		if line, err := r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("%q %v", line, err)
		}
		io.WriteString(c, pushLine)
		r.ReadString('\n')
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a := nextResult(t, bufio.NewReader(resp.Body)); a.Status != 200 {
			t.Errorf("%+v", a)
		}
	})
}
