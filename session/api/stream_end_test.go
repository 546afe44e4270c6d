package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

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

// TestRefusedStreamHearsAtOnce: a client that goes on sending must not wait for the
// refusal until it has sent a quarter of a megabyte.
func TestRefusedStreamHearsAtOnce(t *testing.T) {
	n := newTestNode(t, func(c *Config) { c.Tokens = []string{"0123456789abcdef"} })
	c := rawStream(t, n.listen())
	fmt.Fprintf(c, "%x\r\n%s\r\n", len(pushLine), pushLine) // and more would follow
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Fatalf("%v %v", resp, err)
	}
	if text, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(text), codeUnauthorized) {
		t.Fatalf("%s %v", text, err)
	}
}
