package main

import (
	"strings"
	"testing"
	"time"
)

// Nodes whose clocks are hours apart: devices are displaced in the order in which they
// connect, pushes find them, and every node says once, and shows, that clocks differ.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	var nodes []*testNode
	var join []string
	for i, off := range []time.Duration{0, time.Hour, -time.Hour} {
		n := startClusterNodeAt(t, func() time.Time { return time.Now().Add(off) }, []string{"n1", "n2", "n3"}[i], join, nil)
		join = append(join, n.node.cluster.GossipAddr())
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		n.eventually("all nodes are linked", func() bool { return n.linked() == 2 })
	}
	// Ahead to behind is the hardest move: the newer connection has the older clock.
	from := nodes[0]
	older := from.connect("dora", "watch")
	for _, to := range []*testNode{nodes[1], nodes[2], nodes[0], nodes[2], nodes[1], nodes[0]} {
		for _, n := range nodes {
			if n != from {
				n.knows("dora", "watch", from.node.origin.Node)
			}
		}
		newer := to.connect("dora", "watch")
		if code, _ := older.closed(); code != 4001 {
			t.Errorf("%s to %s: the older connection ended with %d", from.node.origin.Node, to.node.origin.Node, code)
		}
		for _, n := range nodes {
			if n != to { // on a busy machine the news may take longer than a push waits for it
				n.knows("dora", "watch", to.node.origin.Node)
			}
			status, text := n.call("POST", "/v1/messages", `{"to":{"account":"dora","device":"watch"},"payload":1}`)
			if status != 200 || !strings.Contains(text, `"outcome":"written","node":"`+to.node.origin.Node+`"`) {
				t.Errorf("%s to %s, pushed from %s: %d %s", from.node.origin.Node, to.node.origin.Node, n.node.origin.Node, status, text)
			}
			newer.line()
		}
		from, older = to, newer
	}
	for _, want := range []struct {
		node        *testNode
		side, other string
	}{
		{nodes[0], "ahead of", "n2"}, {nodes[0], "behind", "n3"},
		{nodes[1], "behind", "n1"}, {nodes[1], "behind", "n3"},
		{nodes[2], "ahead of", "n1"}, {nodes[2], "ahead of", "n2"},
	} {
		said := func() int { return want.node.log.count("clock is "+want.side, "node="+want.other) }
		want.node.eventually("the skew is logged", func() bool { return said() > 0 })
		if said() != 1 {
			t.Errorf("%s says %d times that %s is %s it", want.node.node.origin.Node, said(), want.other, want.side)
		}
	}
	if ms := nodes[1].metric("roost_replica_clock_skew_ms"); ms < 2*3_600_000 || ms > 2*3_600_000+60_000 {
		t.Errorf("n2 shows a skew of %v ms", ms)
	}
	if ms := nodes[0].metric("roost_replica_skewed_total"); ms == 0 {
		t.Error("n1 counts no opening ahead of its clock")
	}
}
