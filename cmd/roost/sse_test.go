package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/netpoll/netpolltest"
)

// testListener is a plain client of Server-Sent Events.
type testListener struct {
	t      testing.TB
	body   io.ReadCloser
	stream netpolltest.EventSource
	seen   int
}

func (n *testNode) events(account, device string) string {
	return fmt.Sprintf("http://%s/sse?account=%s&device=%s", n.public, url.QueryEscape(account), url.QueryEscape(device))
}

// listen begins a stream.
func (n *testNode) listen(target string, header http.Header) *testListener {
	n.t.Helper()
	req, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	req.Header = header
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialPatiently}}
	resp, err := client.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		text, _ := io.ReadAll(resp.Body)
		n.t.Fatalf("%s %v %s", resp.Status, resp.Header, text)
	}
	return &testListener{t: n.t, body: resp.Body}
}

// next returns the next event; its data must be what the members want.
func (l *testListener) next(kind string, want map[string]any) netpolltest.Event {
	l.t.Helper()
	var room [512]byte
	for len(l.stream.Events) == l.seen {
		n, err := l.body.Read(room[:])
		l.stream.Feed(room[:n])
		if err != nil && len(l.stream.Events) == l.seen {
			l.t.Fatalf("%v instead of %s", err, kind)
		}
	}
	e := l.stream.Events[l.seen]
	l.seen++
	var got map[string]any
	if err := json.Unmarshal([]byte(e.Data), &got); err != nil || e.Type != kind {
		l.t.Fatalf("%s %q (%v) instead of %s", e.Type, e.Data, err, kind)
	}
	for k, v := range want {
		if fmt.Sprint(got[k]) != fmt.Sprint(v) {
			l.t.Fatalf("%s, want %s = %v", e.Data, k, v)
		}
	}
	return e
}

// end reads up to the close, which has that code, and the end behind it.
func (l *testListener) end(code int) {
	l.t.Helper()
	l.next("close", map[string]any{"code": code})
	if n, err := l.body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		l.t.Fatalf("%d bytes and %v behind the close", n, err)
	}
}

// TestEventStreamIsADevice pushes to a device that listens: alone, with another one on a
// WebSocket, in every kind of payload, until it is replaced.
func TestEventStreamIsADevice(t *testing.T) {
	t.Parallel()
	n := startNode(t, nil)
	tv := n.listen(n.events("alice", "tv"), nil)
	tv.next("hello", map[string]any{"type": "hello", "account": "alice", "device": "tv", "missed": 0})
	phone := n.connect("alice", "phone")
	for _, tc := range []struct{ member, name, want string }{
		{`"payload":{"a":1}`, "payload", "map[a:1]"},
		{"\"payload\":{\"a\":\n\r\n[1,\n2]}", "payload", "map[a:[1 2]]"},
		{`"text":"two\nlines"`, "text", "two\nlines"},
		{`"base64":"AAEC"`, "base64", "AAEC"},
	} {
		status, body := n.push(`{"to":{"account":"alice"},` + tc.member + `}`)
		if status != 200 || strings.Count(body, `"outcome":"written"`) != 2 {
			t.Fatalf("%d %s", status, body)
		}
		want := map[string]any{"type": "message", tc.name: tc.want}
		e := tv.next("message", want)
		phone.expect(want)
		if !strings.Contains(body, `"id":"`+e.LastID+`"`) {
			t.Fatalf("the event's id is %q, pushed as %s", e.LastID, body)
		}
	}
	phone.say(`{"type":"send","id":1,"to":{"device":"tv"},"payload":"from phone"}`)
	tv.next("message", map[string]any{"payload": "from phone", "from": "map[device:phone]"})
	phone.expect(map[string]any{"type": "result", "status": "written"})

	newer := n.connect("alice", "tv") // on a WebSocket by now
	tv.end(4001)
	if tv.stream.RetryMS < 10_000 {
		t.Fatalf("a replaced EventSource comes back after %d ms", tv.stream.RetryMS)
	}
	if status, body := n.push(`{"to":{"account":"alice","device":"tv"},"payload":9}`); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	newer.expect(map[string]any{"type": "message", "payload": 9})
	again := n.listen(n.events("alice", "tv"), http.Header{"Last-Event-Id": {tv.stream.LastID}})
	again.next("hello", nil)
	if code, _ := newer.closed(); code != 4001 {
		t.Fatalf("the WebSocket was closed with %d", code)
	}
}

func TestEventStreamWithToken(t *testing.T) {
	t.Parallel()
	n, _, ed := tokenNode(t)
	token := mint(t, ed, "tv", time.Hour)
	for name, l := range map[string]func() *testListener{
		"query": func() *testListener { return n.listen("http://"+n.public+"/sse?token="+token, nil) },
		"header": func() *testListener {
			return n.listen("http://"+n.public+"/sse", http.Header{"Authorization": {"Bearer " + token}})
		},
	} {
		t.Run(name, func(t *testing.T) { l().next("hello", map[string]any{"account": "alice", "device": "tv"}) })
	}
	l := n.listen("http://"+n.public+"/sse?token="+mint(t, ed, "doomed", 6*time.Second), nil)
	l.next("hello", nil)
	l.next("goaway", map[string]any{"reason": "expired"})
	l.end(4002)
	for _, target := range []string{"/sse", "/sse?token=a.b.c", "/sse?account=alice&device=tv"} {
		if status, body := n.get("http://" + n.public + target); status != 401 || !strings.Contains(body, `"code":`) {
			t.Fatalf("%s: %d %s", target, status, body)
		}
	}
}

func TestEventStreamLeavesAtADrain(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *config.Config) { c.Drain.Over = time.Second })
	l := n.listen(n.events("alice", "tv"), nil)
	l.next("hello", nil)
	left := make(chan error, 1)
	go func() { left <- n.stop() }()
	l.next("goaway", map[string]any{"type": "goaway", "reason": "drain"})
	l.end(1001)
	if ms := l.stream.RetryMS; ms < 500 || ms > 15000 {
		t.Fatalf("retry %d", ms)
	}
	if err := <-left; err != nil {
		t.Fatal(err)
	}
}
