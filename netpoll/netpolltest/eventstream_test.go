package netpolltest

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/netpoll"
)

// streamer is a server of event streams at /sse: it greets, and does at its alarm what
// the test says.
type streamer struct {
	netpoll.Echo
	alarm  time.Duration
	closed []uint16
	lastID string
}

func (h *streamer) Get(r *netpoll.Request) netpoll.Answer {
	return netpoll.Answer{Events: string(r.Path) == "/sse", Status: 404}
}

func (h *streamer) Upgrade(_ *netpoll.Conn, r *netpoll.Request) netpoll.Verdict {
	if !r.Events {
		return netpoll.Verdict{Refuse: &netpoll.Answer{Status: 404}}
	}
	h.lastID = string(r.LastEventID)
	return netpoll.Verdict{Header: "Vary: Origin\r\n"}
}

func (h *streamer) Open(c *netpoll.Conn) {
	c.Reply(netpoll.OpEvent, netpoll.AppendEvent(nil, "hello", []byte("i.1.1"), []byte("you\nthere")))
	c.Reply(netpoll.OpText, []byte("plain"))
	c.Reply(netpoll.OpPing, nil)
	if h.alarm > 0 {
		c.SetAlarm(h.alarm)
	}
}

func (h *streamer) Alarm(c *netpoll.Conn) { c.Close(4003, `{"reconnect_ms":1234}`) }

func (h *streamer) Closed(_ *netpoll.Conn, code uint16) { h.closed = append(h.closed, code) }

// greeted are the events of a stream's beginning.
var greeted = []Event{{"hello", "you\nthere", "i.1.1"}, {"message", "plain", "i.1.1"}}

const streamRequest = "GET /sse?x=1 HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nLast-Event-ID: i.1.0\r\n\r\n"

func streamMemory(t testing.TB, cfg netpoll.Config, h netpoll.Handler) *Memory {
	t.Helper()
	cfg.ReadBufferBytes = exhaustiveBytes
	m, err := NewMemory(cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// listen reads what a stream has sent so far.
func listen(t testing.TB, m *Memory) (header string, s *EventSource) {
	t.Helper()
	out, _ := m.Await(0)
	head, body := CutAnswer(out)
	s = new(EventSource)
	s.Feed(body)
	return string(head), s
}

// TestEventStreamAtEverySplit delivers the request, and bytes behind it, cut in two at
// every place and byte by byte, with and without a PROXY header.
func TestEventStreamAtEverySplit(t *testing.T) {
	proxy := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\x0a\x00\x00\x01\x30\x39\x1f\x90"
	for _, tc := range []struct {
		name, in string
		trusted  []string
	}{
		{"alone", streamRequest, nil},
		{"bytes behind it", streamRequest + "\r\n\r\nGET / HTTP/1.1\r\n\r\n", nil},
		{"behind a proxy", proxy + streamRequest, []string{"127.0.0.1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, pieces := range append(everyCut([]byte(tc.in)), Chop([]byte(tc.in), 1)) {
				cfg, h := netpoll.Default(), &streamer{}
				cfg.ProxyTrusted = tc.trusted
				m := streamMemory(t, cfg, h)
				for _, p := range pieces {
					m.Feed(p)
				}
				header, s := listen(t, m)
				answer, err := http.ReadResponse(bufio.NewReader(strings.NewReader(header)), nil)
				if err != nil || answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "text/event-stream" || answer.ContentLength != -1 || answer.Header.Get("Vary") != "Origin" {
					t.Fatalf("%d pieces: %q, %v", len(pieces), header, err)
				}
				if _, ended := m.Await(0); ended || !slices.Equal(s.Events, greeted) || s.Comments != 1 || s.Unfinished() || h.lastID != "i.1.0" {
					t.Fatalf("%d pieces: ended %v, %+v, resumed from %q", len(pieces), ended, s, h.lastID)
				}
			}
		})
	}
}

func everyCut(in []byte) (all [][][]byte) {
	all = append(all, [][]byte{in})
	for cut := 1; cut < len(in); cut++ {
		all = append(all, Pieces(in, cut))
	}
	return all
}

func TestEventStreamRequests(t *testing.T) {
	request := func(line string, headers ...string) string {
		return line + "\r\nHost: localhost\r\n" + strings.Join(append(headers, "", ""), "\r\n")
	}
	get := "GET /sse HTTP/1.1"
	for _, tc := range []struct {
		name, in string
		status   int
	}{
		{"no Accept", request(get), 200},
		{"anything", request(get, "Accept: */*"), 200},
		{"any text", request(get, "Accept: text/*;q=0.5"), 200},
		{"in a list", request(get, "Accept: application/json, text/event-stream;q=0.1"), 200},
		{"in a second line", request(get, "Accept: text/html", "ACCEPT: Text/Event-Stream"), 200},
		{"absolute form", request("GET http://localhost/sse HTTP/1.1"), 200},
		{"absolute form with a port", request("GET http://local-host_1.a:80/sse HTTP/1.1"), 200},
		{"absolute form with an address of IPv6", request("GET http://[::1]:80/sse HTTP/1.1"), 200},
		{"absolute form without a host", request("GET http:///sse HTTP/1.1"), 400},
		{"absolute form with a host that is none", request("GET http://^/sse HTTP/1.1"), 400},
		{"absolute form with a port that is none", request("GET http://a:b/sse HTTP/1.1"), 400},
		{"absolute form with an address that is none", request("GET http://[::1/sse HTTP/1.1"), 400},
		{"absolute form with user information", request("GET http://me@a/sse HTTP/1.1"), 400},
		{"JSON wanted", request(get, "Accept: application/json"), 406},
		{"an Accept without anything", request(get, "Accept:"), 200},
		{"events refused", request(get, "Accept: text/html, text/event-stream;q=0.0"), 406},
		{"HEAD", request("HEAD /sse HTTP/1.1"), 405},
		{"POST", request("POST /sse HTTP/1.1"), 405},
		{"OPTIONS", request("OPTIONS /sse HTTP/1.1"), 405},
		{"HTTP/1.0", request("GET /sse HTTP/1.0"), 505},
		{"a body", request(get, "Content-Length: 1"), 400},
		{"two last ids", request(get, "Last-Event-ID: a", "Last-Event-ID: b"), 400},
		{"control character in the id", request(get, "Last-Event-ID: a\x01"), 400},
		{"elsewhere", request("GET /sse/ HTTP/1.1"), 404},
		{"a WebSocket", request(get, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 404},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := &streamer{}
			m := streamMemory(t, netpoll.Default(), h)
			m.Feed([]byte(tc.in))
			out, ended := m.Await(0)
			if want := fmt.Sprintf("HTTP/1.1 %d ", tc.status); !strings.HasPrefix(string(out), want) || ended == (tc.status < 300) {
				t.Fatalf("%.200q, ended %v, want %s", out, ended, want)
			}
			if opened := tc.status == 200; !opened && len(h.closed) > 0 {
				t.Fatal("the handler heard the end of a stream that never began")
			}
		})
	}
}

// TestEventStreamIsKeptAlive: a stream has a comment where a WebSocket has a ping, and
// nobody has to answer.
func TestEventStreamIsKeptAlive(t *testing.T) {
	cfg := netpoll.Default()
	m := streamMemory(t, cfg, &streamer{})
	m.Feed([]byte(streamRequest))
	m.Advance(100 * cfg.PingInterval)
	_, s := listen(t, m)
	if _, ended := m.Await(0); ended || s.Comments < 100 || s.Comments > 102 || len(s.Events) != len(greeted) || s.Unfinished() {
		t.Fatalf("ended %v, %d comments after 100 intervals, %d events", ended, s.Comments, len(s.Events))
	}
}

func TestEventStreamIgnoresInputUpToALimit(t *testing.T) {
	cfg, h := netpoll.Default(), &streamer{}
	m := streamMemory(t, cfg, h)
	m.Feed([]byte(streamRequest))
	m.Feed(bytes.Repeat([]byte{'\n'}, cfg.StreamInputBytesMax))
	if _, ended := m.Await(0); ended {
		t.Fatal("closed within the limit")
	}
	m.Feed([]byte("x"))
	_, s := listen(t, m)
	end := s.Events[len(s.Events)-1]
	if _, ended := m.Await(0); !ended || end.Type != "close" || !strings.Contains(end.Data, `"code":1008`) || !slices.Equal(h.closed, []uint16{1008}) {
		t.Fatalf("ended %v, last event %+v, handler heard %v", ended, end, h.closed)
	}
}

func TestEventStreamEnds(t *testing.T) {
	t.Run("the client's end", func(t *testing.T) {
		h := &streamer{}
		m := streamMemory(t, netpoll.Default(), h)
		m.Feed([]byte(streamRequest))
		before, _ := m.Await(0)
		before = bytes.Clone(before)
		m.EOF()
		if out, ended := m.Await(0); !ended || !bytes.Equal(out, before) || !slices.Equal(h.closed, []uint16{1006}) {
			t.Fatalf("ended %v, handler heard %v, sent at the end: %q", ended, h.closed, out[len(before):])
		}
	})
	t.Run("the server's end", func(t *testing.T) {
		h := &streamer{alarm: time.Second}
		m := streamMemory(t, netpoll.Default(), h)
		m.Feed([]byte(streamRequest))
		m.Advance(2 * time.Second)
		_, s := listen(t, m)
		want := append(slices.Clone(greeted), Event{"close", `{"code":4003,"reason":"{\"reconnect_ms\":1234}"}`, "i.1.1"})
		if _, ended := m.Await(0); !ended || !slices.Equal(s.Events, want) || s.RetryMS != 1234 || !slices.Equal(h.closed, []uint16{4003}) {
			t.Fatalf("ended %v, %+v, handler heard %v", ended, s, h.closed)
		}
	})
}

// FuzzEventStream sends arbitrary request bytes to a server of event streams. It must not
// panic, must answer the same however they are cut, in well-formed HTTP, must not begin
// a stream for what net/http refuses, and what it streams must be the events and nothing
// else.
func FuzzEventStream(f *testing.F) {
	for _, seed := range []string{streamRequest, streamRequest + "more", "GET /sse HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n", "HEAD /sse HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a/sse?token=x HTTP/1.1\r\nHost: a\r\nOrigin: null\r\nAccept: */*;q=0, text/*\r\n\r\n" + strings.Repeat("\n", 2000)} {
		f.Add([]byte(seed), uint64(len(seed)))
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		feed := func(pieces ...[]byte) ([]byte, bool) {
			m := streamMemory(t, netpoll.Default(), &streamer{})
			for _, p := range pieces {
				m.Feed(p)
			}
			return m.Await(0)
		}
		whole, wholeEnded := feed(in)
		cut, cutEnded := feed(randomPieces(in, seed)...)
		if !sameAnswer(whole, cut) || wholeEnded != cutEnded {
			t.Fatalf("%q\nwhole:     %q, ended %v\nin pieces: %q, ended %v", in, whole, wholeEnded, cut, cutEnded)
		}
		if !bytes.HasPrefix(whole, []byte("HTTP/1.1 200 ")) {
			return // FuzzUpgrade judges those
		}
		request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
		if err != nil || request.Method != http.MethodGet || request.URL.Path != "/sse" {
			t.Fatalf("%q begins a stream: %v", in, err)
		}
		_, body := CutAnswer(whole)
		var s EventSource
		s.Feed(body)
		if n := len(greeted); len(s.Events) < n || !slices.Equal(s.Events[:n], greeted) || len(s.Events) > n+1 || wholeEnded != (len(s.Events) == n+1) || s.Unfinished() {
			t.Fatalf("%q: %+v, ended %v", in, s, wholeEnded)
		}
	})
}
