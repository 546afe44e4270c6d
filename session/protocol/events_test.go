package protocol

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/netpoll/netpolltest"
	"github.com/roostpush/roost/session"
)

// desk is a gate that believes the query, and notes what it tells others.
type desk struct {
	*Gate
	now  time.Time
	said []string
}

func (d *desk) Opened(s *session.Session, _, remote string, _ []byte) {
	d.said = append(d.said, fmt.Sprintf("opened %s/%s from %s", s.Account, s.Device, remote))
}

func (d *desk) Closed(s *session.Session, _ int64, code uint16) {
	d.said = append(d.said, fmt.Sprintf("closed %s/%s with %d", s.Account, s.Device, code))
}

func (d *desk) From(s *session.Session, id session.ID) {
	d.said = append(d.said, fmt.Sprintf("%s/%s has %s, registered: %v", s.Account, s.Device, id.Text(), d.Registry.Lookup(s.Account, s.Device) == s))
}

func newDesk(t *testing.T, cfg Config) *desk {
	d := &desk{now: time.Unix(1e9, 0)}
	d.Gate = NewGate(cfg, Parts{
		Origin: session.Origin{Node: "n1", Epoch: 3}, Registry: session.NewRegistry(), AuthNone: true,
		Journal: d, Resume: d, Mail: &mail{}, Now: func() time.Time { return d.now }, PingMS: 30000, MaxPayload: 100,
		Refusals: func() []string { return nil },
	})
	d.Attach(noReactor{})
	t.Cleanup(d.Gate.Close)
	return d
}

// ask sends a request to the gate.
func (d *desk) ask(t *testing.T, target string, headers ...string) *netpoll.Detached {
	t.Helper()
	c, err := netpoll.NewDetached(netpoll.Default(), d.Gate)
	if err != nil {
		t.Fatal(err)
	}
	c.Feed([]byte("GET " + target + " HTTP/1.1\r\nHost: a.example\r\n" + strings.Join(append(headers, "", ""), "\r\n")))
	return c
}

func TestEventStreamFromGreetingToEnd(t *testing.T) {
	cfg := Default()
	cfg.LifetimeMin, cfg.LifetimeMax, cfg.LifetimeGrace = time.Minute, time.Minute, 10*time.Second
	d := newDesk(t, cfg)
	c := d.ask(t, "/sse?account=alice&device=tv")
	header, body := netpolltest.CutAnswer(c.Output())
	if !strings.HasPrefix(string(header), "HTTP/1.1 200 ") || strings.Contains(string(header), "Access-Control") {
		t.Fatalf("%q", header)
	}
	var stream netpolltest.EventSource
	stream.Feed(body)
	if stream.RetryMS < 1 || stream.RetryMS > int(cfg.ReconnectMax.Milliseconds()) {
		t.Fatalf("retry %d", stream.RetryMS)
	}
	s := d.Registry.Lookup("alice", "tv")
	if s == nil || s.Permissions&session.SSE == 0 {
		t.Fatalf("%+v", s)
	}
	for range 2 {
		d.now = d.now.Add(time.Minute + time.Second)
		c.Advance(time.Minute + time.Second)
	}
	stream.Feed(c.Output())
	var types []string
	for _, e := range stream.Events {
		types = append(types, e.Type)
		var frame struct {
			Type        string
			Session     string
			Reason      string
			Code        int
			ReconnectMS int `json:"reconnect_ms"`
		}
		if err := json.Unmarshal([]byte(e.Data), &frame); err != nil {
			t.Fatalf("%q: %v", e.Data, err)
		}
		switch e.Type {
		case "hello":
			if frame.Type != "hello" || frame.Session != d.Parts.Origin.Text(s.Number) {
				t.Errorf("%s", e.Data)
			}
		case "goaway":
			if frame.Reason != "lifetime" || frame.ReconnectMS < 1 {
				t.Errorf("%s", e.Data)
			}
		case "close":
			if frame.Code != CloseLifetime || frame.Reason != fmt.Sprintf(`{"reconnect_ms":%d}`, stream.RetryMS) {
				t.Errorf("%s, retry %d", e.Data, stream.RetryMS)
			}
		}
	}
	if want := []string{"hello", "goaway", "close"}; !slices.Equal(types, want) || !c.Closed() {
		t.Fatalf("events %v, want %v; closed %v", types, want, c.Closed())
	}
	if want := []string{"opened alice/tv from 127.0.0.1:1", "closed alice/tv with 4003"}; !slices.Equal(d.said, want) {
		t.Fatalf("%q", d.said)
	}
}

func TestLastEventID(t *testing.T) {
	older, newer := session.Origin{Node: "n2", Epoch: 1}.Text(70), session.Origin{Node: "n2", Epoch: 1}.Text(77)
	for _, tc := range []struct {
		name, query string
		headers     []string
		want        string // what Resume hears; empty: nothing
		status      string
	}{
		{"none", "", nil, "", "200"},
		{"in the header", "", []string{"Last-Event-ID: " + newer}, newer, "200"},
		{"in the query", "&last_event_id=" + url.QueryEscape(older), nil, older, "200"},
		{"the header is newer", "&last_event_id=" + older, []string{"Last-Event-ID: " + newer}, newer, "200"},
		{"empty", "&last_event_id=", []string{"Last-Event-ID:"}, "", "200"},
		{"no id of ours", "", []string{"Last-Event-ID: 12"}, "", "400"},
		{"no id of ours in the query", "&last_event_id=a.b", nil, "", "400"},
		{"too long", "", []string{"Last-Event-ID: n." + strings.Repeat("1", 60) + ".1"}, "", "400"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDesk(t, Default())
			c := d.ask(t, "/sse?account=a&device=b"+tc.query, tc.headers...)
			if out := string(c.Output()); !strings.HasPrefix(out, "HTTP/1.1 "+tc.status) || tc.status == "400" && !strings.Contains(out, `"code":"last_event_id"`) {
				t.Fatalf("%q", out)
			}
			want := []string{}
			if tc.want != "" {
				want = append(want, "a/b has "+tc.want+", registered: false")
			}
			if tc.status == "200" {
				want = append(want, "opened a/b from 127.0.0.1:1")
			}
			if !slices.Equal(d.said, want) {
				t.Fatalf("%q, want %q", d.said, want)
			}
		})
	}
	t.Run("nobody to tell", func(t *testing.T) {
		d := newDesk(t, Default())
		d.Parts.Resume = nil
		if out := string(d.ask(t, "/sse?account=a&device=b", "Last-Event-ID: "+newer).Output()); !strings.HasPrefix(out, "HTTP/1.1 200 ") {
			t.Fatalf("%q", out)
		}
	})
	t.Run("of a WebSocket", func(t *testing.T) {
		d := newDesk(t, Default())
		c := d.ask(t, "/ws?account=a&device=b&last_event_id="+newer, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
		if out := string(c.Output()); !strings.HasPrefix(out, "HTTP/1.1 101 ") || len(d.said) != 1 {
			t.Fatalf("%q, %q", out, d.said)
		}
	})
}

func TestEventStreamRefusals(t *testing.T) {
	cfg := Default()
	cfg.Origins = []string{"https://app.example"}
	for _, tc := range []struct {
		name, target string
		headers      []string
		status, code string
		cors         bool
	}{
		{name: "welcome", target: "/sse?account=a&device=b", status: "200"},
		{name: "welcome from elsewhere", target: "/sse?account=a&device=b", headers: []string{"Origin: https://app.example"}, status: "200", cors: true},
		{name: "foreign page", target: "/sse?account=a&device=b", headers: []string{"Origin: https://evil.example"}, status: "403", code: "origin"},
		{name: "nobody", target: "/sse", status: "400", code: "identity"},
		{name: "nobody, and a page may read that", target: "/sse", headers: []string{"Origin: https://app.example"}, status: "400", code: "identity", cors: true},
		{name: "two tokens' place", target: "/sse?account=a&device=b", headers: []string{"Authorization: Basic eDp5"}, status: "400", code: "token"},
		{name: "another type", target: "/sse?account=a&device=b", headers: []string{"Accept: text/html"}, status: "406"},
		{name: "a WebSocket there", target: "/sse?account=a&device=b", headers: []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, status: "404", code: "not_found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDesk(t, cfg)
			out := string(d.ask(t, tc.target, tc.headers...).Output())
			if !strings.HasPrefix(out, "HTTP/1.1 "+tc.status) || tc.code != "" && !strings.Contains(out, `"code":"`+tc.code+`"`) {
				t.Fatalf("%q", out)
			}
			allowed := strings.Contains(out, "\r\nAccess-Control-Allow-Origin: https://app.example\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n")
			if allowed != tc.cors || !allowed && strings.Contains(out, "Access-Control") {
				t.Fatalf("%q: may be read %v", out, allowed)
			}
			if n := d.Registry.Len(); (n == 1) != (tc.status == "200") {
				t.Fatalf("%d sessions", n)
			}
		})
	}
	t.Run("draining", func(t *testing.T) {
		d := newDesk(t, cfg)
		d.Drain()
		if out := string(d.ask(t, "/sse?account=a&device=b").Output()); !strings.HasPrefix(out, "HTTP/1.1 503 ") || !strings.Contains(out, "\r\nRetry-After: 1\r\n") {
			t.Fatalf("%q", out)
		}
	})
	t.Run("anybody", func(t *testing.T) {
		cfg := cfg
		cfg.Origins = []string{"*"}
		out := string(newDesk(t, cfg).ask(t, "/sse?account=a&device=b", "Origin: https://x.example").Output())
		if !strings.Contains(out, "\r\nAccess-Control-Allow-Origin: *\r\n") || strings.Contains(out, "Credentials") {
			t.Fatalf("%q", out)
		}
	})
}
