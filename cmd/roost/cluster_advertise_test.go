package main

import (
	"encoding/json"
	"net"
	"testing"

	"github.com/roostpush/roost/cmd/roost/internal/config"
)

// A node whose listeners are on wildcards tells the others what they can dial, and each
// node shows it.
func TestWildcardsAreAdvertised(t *testing.T) {
	t.Parallel()
	first := startClusterNode(t, "n1", nil, func(c *config.Config) {
		c.Listen, c.Auth.ForceNone = ":0", true
		c.Peer.Listen = ":0"
	})
	second := startClusterNode(t, "n2", []string{first.node.cluster.GossipAddr()}, func(c *config.Config) {
		c.Advertise.Public = "push.example:443"
	})
	second.eventually("the nodes are linked", func() bool { return first.linked() == 1 && second.linked() == 1 })
	type entry struct{ Node, Public, Internal, Links string }
	var answer struct{ Nodes []entry }
	for _, n := range []*testNode{first, second} {
		_, text := n.call("GET", "/v1/nodes", "")
		if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Nodes) != 2 {
			t.Fatalf("%v: %s", err, text)
		}
		for _, e := range answer.Nodes {
			if e.Node == "n2" {
				if e.Public != "push.example:443" {
					t.Errorf("%s shows n2 at %s", n.node.origin.Node, e.Public)
				}
				continue
			}
			for what, addr := range map[string]string{"public": e.Public, "internal": e.Internal, "links": e.Links} {
				host, _, _ := net.SplitHostPort(addr)
				c, err := net.Dial("tcp", addr)
				if host != "127.0.0.1" || err != nil {
					t.Errorf("%s shows n1's %s address as %q: %v", n.node.origin.Node, what, addr, err)
					continue
				}
				c.Close()
			}
		}
	}
}

// A node that others could not link to does not start, and says what would help.
func TestUnreachableLinks(t *testing.T) {
	t.Parallel()
	p := runProcess(t, 1024, clusterArgs("n1", "--set", "gossip.listen=0.0.0.0:0", "--set", "peer.listen=127.0.0.1:0")...)
	p.fails(exitUsage, "peer.listen", "advertise.links")
}
