package main

import (
	"strings"
	"testing"

	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/netpoll/netpolltest/clients"
)

// TestThirdPartyClients lets Node's ws and a page in Chromium be devices of a whole node:
// they connect, receive a push and ack it; whoever pushed hears that.
func TestThirdPartyClients(t *testing.T) {
	// The page comes from a server of the driver's own, on another port.
	n := startNode(t, func(c *config.Config) { c.Protocol.Origins = []string{"*"} })
	for name, start := range map[string]func(testing.TB, clients.Scenario, string, clients.Options) *clients.Client{
		"node-ws": clients.NodeWS, "chromium": clients.Browser,
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, clients.Push, n.url("alice", name), clients.Options{})
			if hello := string(c.Want("hello").Frame); !strings.Contains(hello, `"account":"alice"`) {
				t.Fatalf("hello: %s", hello)
			}
			status, body := n.push(`{"to":{"account":"alice","device":"` + name + `"},"payload":{"n":1},"wait":"acked","timeout_ms":20000}`)
			if status != 200 || !strings.Contains(body, `"outcome":"acked"`) {
				t.Fatalf("%d %s", status, body)
			}
			if frame := string(c.Want("message").Frame); !strings.Contains(frame, `"n":1`) {
				t.Fatalf("message: %s", frame)
			}
			c.End()
		})
	}
}

// TestTwoPagesOfOneAccount are devices of one account on two nodes, each in a process of
// its own: each page sees the other come, has it in its list, sends it a message and gets
// its; the one that stays sees the other leave.
func TestTwoPagesOfOneAccount(t *testing.T) {
	if testing.Short() {
		t.Skip("real brokers, browsers and processes; make test runs it")
	}
	args := func(name string, more ...string) []string {
		return clusterArgs(name, append([]string{"--set", "presence.grace=200ms", "--set", "protocol.origins=*"}, more...)...)
	}
	a := startProcess(t, 1024, args("a")...)
	b := startProcess(t, 1024, args("b", "--set", "gossip.join="+a.gossipAddr())...)
	a.logged("link up", "node")
	b.logged("link up", "node")
	page := func(p *process, device string, o clients.Options) *clients.Client {
		return clients.Browser(t, clients.Account, "ws://"+p.public+"/ws?account=alice&device="+device, o)
	}
	laptop := page(a, "laptop", clients.Options{Peer: "phone", Stay: true})
	laptop.Want("subscribed")
	phone := page(b, "phone", clients.Options{Peer: "laptop"})
	for _, c := range []*clients.Client{phone, laptop} {
		if list := string(c.Want("listed").Frame); !strings.Contains(list, `"laptop"`) || !strings.Contains(list, `"phone"`) {
			t.Errorf("listed: %s", list)
		}
	}
	if m := string(phone.Want("message").Frame); !strings.Contains(m, `"from":{"device":"laptop"}`) || !strings.Contains(m, `"hello":"phone"`) {
		t.Errorf("the phone got %s", m)
	}
	phone.End()
	if m := string(laptop.Want("message").Frame); !strings.Contains(m, `"from":{"device":"phone"}`) {
		t.Errorf("the laptop got %s", m)
	}
	laptop.Want("offline")
	laptop.End()
}

// TestBrowserListens lets a page of another origin be a device by its EventSource.
func TestBrowserListens(t *testing.T) {
	n := startNode(t, func(c *config.Config) { c.Protocol.Origins = []string{"*"} })
	c := clients.Browser(t, clients.Events, n.events("alice", "page"), clients.Options{})
	if hello := string(c.Want("hello").Frame); !strings.Contains(hello, `"device":"page"`) {
		t.Fatalf("hello: %s", hello)
	}
	status, body := n.push(`{"to":{"account":"alice","device":"page"},"payload":{"n":1}}`)
	if status != 200 || !strings.Contains(body, `"outcome":"written"`) {
		t.Fatalf("%d %s", status, body)
	}
	m := c.Want("message")
	if !strings.Contains(string(m.Frame), `"n":1`) || !strings.Contains(body, `"id":"`+m.Detail+`"`) {
		t.Fatalf("message %s with id %q, pushed as %s", m.Frame, m.Detail, body)
	}
	c.End()
}
