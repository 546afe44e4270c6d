package clients_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/netpoll/netpolltest"
	"github.com/roostpush/roost/netpoll/netpolltest/clients"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) // importing gnet starts two goroutines
}

func serve(t *testing.T, h netpoll.Handler) (url string) {
	t.Helper()
	r, err := netpoll.New(netpolltest.Config(2<<20), h, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve() }()
	t.Cleanup(func() {
		r.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return "ws://" + r.Addr().String() + "/ws"
}

func TestNodeEcho(t *testing.T) {
	c := clients.NodeWS(t, clients.Echo, serve(t, netpoll.Echo{}), clients.Options{})
	want := []string{"text", "binary", "burst", "closed", "ping", "fragmented", "codes", "end"}
	if got := c.End(); !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

func TestBrowserEcho(t *testing.T) {
	c := clients.Browser(t, clients.Echo, serve(t, netpoll.Echo{}), clients.Options{})
	t.Log(c.Want("page").Detail)
	if got, want := c.End(), []string{"page", "text", "binary", "burst", "closed", "end"}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

// streamer plays the server's side of event streams: each has one message, and the first
// one ends behind it.
type streamer struct {
	netpoll.Echo
	resumed chan string
}

func (streamer) Get(*netpoll.Request) netpoll.Answer { return netpoll.Answer{Events: true} }

func (h streamer) Upgrade(_ *netpoll.Conn, r *netpoll.Request) netpoll.Verdict {
	h.resumed <- string(r.LastEventID)
	return netpoll.Verdict{Header: "Access-Control-Allow-Origin: " + string(r.Origin) + "\r\n"}
}

func (h streamer) Open(c *netpoll.Conn) {
	c.Reply(netpoll.OpEvent, netpoll.AppendEvent(nil, "hello", nil, []byte("{}")))
	id := fmt.Sprint("m", len(h.resumed))
	c.Reply(netpoll.OpEvent, netpoll.AppendEvent(nil, "", []byte(id), []byte("{\"n\":\r\n7,\"é\":\"\\n\"\n}")))
	if len(h.resumed) == 1 {
		c.Close(4003, `{"reconnect_ms":1}`)
	}
}

// TestBrowserEvents: an EventSource takes what we send, comes back when it is told to, and
// says what it had.
func TestBrowserEvents(t *testing.T) {
	h := streamer{resumed: make(chan string, 10)}
	url := "http" + strings.TrimPrefix(serve(t, h), "ws")
	c := clients.Browser(t, clients.Events, url, clients.Options{Count: 2})
	for _, want := range []clients.Event{
		{Event: "message", Frame: []byte(`{"n":7,"é":"\n"}`), Detail: "m1"},
		{Event: "close", Frame: []byte(`{"code":4003,"reason":"{\"reconnect_ms\":1}"}`), Detail: "m1"},
		{Event: "message", Frame: []byte(`{"n":7,"é":"\n"}`), Detail: "m2"},
	} {
		if got := c.Want(want.Event); string(got.Frame) != string(want.Frame) || got.Detail != want.Detail {
			t.Errorf("%s with %s, last id %q; want %s, %q", got.Event, got.Frame, got.Detail, want.Frame, want.Detail)
		}
	}
	if got, want := c.End(), []string{"page", "hello", "message", "close", "hello", "message", "end"}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	if first, second := <-h.resumed, <-h.resumed; first != "" || second != "m1" {
		t.Errorf("resumed from %q and %q", first, second)
	}
}

// device plays the server's side of one push, to test the Push scenario itself.
type device struct {
	netpoll.Echo
	acks chan []byte
}

func (device) Upgrade(_ *netpoll.Conn, r *netpoll.Request) netpoll.Verdict {
	if !bytes.Contains(r.Protocols, []byte("roost.v1")) || !bytes.Contains(r.Protocols, []byte("roost.token.a.b.c")) {
		return netpoll.Verdict{Refuse: &netpoll.Answer{Status: 400, Body: "offers " + string(r.Protocols) + "\n"}}
	}
	return netpoll.Verdict{Protocol: "roost.v1"}
}

func (device) Open(c *netpoll.Conn) {
	c.Reply(netpoll.OpText, []byte(`{"type":"hello","session":"s1"}`))
	c.Reply(netpoll.OpText, []byte(`{"type":"message","id":"m1","payload":{"n":1},"ack":true}`))
	c.Reply(netpoll.OpText, []byte(`{"type":"message","id":"m2","payload":2}`))
}

func (d device) Message(_ *netpoll.Conn, _ netpoll.Op, p []byte) { d.acks <- bytes.Clone(p) }

func TestPush(t *testing.T) {
	for name, run := range map[string]func(testing.TB, clients.Scenario, string, clients.Options) *clients.Client{
		"node": clients.NodeWS, "browser": clients.Browser,
	} {
		t.Run(name, func(t *testing.T) {
			h := device{acks: make(chan []byte, 10)}
			c := run(t, clients.Push, serve(t, h), clients.Options{Count: 2, Token: "a.b.c"})
			var hello struct{ Session string }
			if err := json.Unmarshal(c.Want("hello").Frame, &hello); err != nil || hello.Session != "s1" {
				t.Errorf("hello: session %q, %v", hello.Session, err)
			}
			c.Want("acked")
			c.Want("message")
			c.End()
			if ack := string(<-h.acks); ack != `{"type":"ack","ids":["m1"]}` {
				t.Errorf("ack frame %s", ack)
			}
			if len(h.acks) > 0 {
				t.Errorf("another frame: %s", <-h.acks)
			}
		})
	}
}
