package clients_test

import (
	"bytes"
	"encoding/json"
	"slices"
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
