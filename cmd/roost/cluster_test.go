package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/session/deliver"
)

const testHashKey = "000102030405060708090a0b0c0d0e0f"

// startCluster runs nodes n1 to n<count> that know each other.
func startCluster(t *testing.T, count int) []*testNode { return startClusterWith(t, count, nil) }

// startClusterWith runs them with changed settings.
func startClusterWith(t *testing.T, count int, change func(c *config.Config)) []*testNode {
	t.Helper()
	var nodes []*testNode
	var join []string
	for i := range count {
		n := startClusterNode(t, fmt.Sprint("n", i+1), join, change)
		join = append(join, n.node.cluster.GossipAddr())
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		n.eventually("all nodes are linked", func() bool { return n.linked() == count-1 })
	}
	return nodes
}

// startClusterNode runs one that looks for others at the gossip addresses of join.
func startClusterNode(t *testing.T, name string, join []string, change func(*config.Config)) *testNode {
	t.Helper()
	return startClusterNodeAt(t, time.Now, name, join, change)
}

func startClusterNodeAt(t *testing.T, now func() time.Time, name string, join []string, change func(*config.Config)) *testNode {
	t.Helper()
	return startNodeAt(t, now, func(c *config.Config) {
		c.Node = name
		c.Cluster.Enabled, c.Cluster.HashKey = true, testHashKey
		c.Gossip.Listen, c.Gossip.Join = "127.0.0.1:0", join
		c.Gossip.RejoinMin = 50 * time.Millisecond
		c.Peer.Listen = "127.0.0.1:0"
		if change != nil {
			change(c)
		}
	})
}

// A node that has just joined does not know yet where devices are. It must not be ready
// before it does, nor say meanwhile that somebody is offline.
func TestANewNodeDoesNotSayOffline(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, 2)
	phone := nodes[1].connect("alice", "phone")
	nodes[0].knows("alice", "phone", "n2")
	n := startClusterNode(t, "n3", []string{nodes[0].node.cluster.GossipAddr()}, nil)
	said := map[string]int{}
	n.eventually("the push is written", func() bool {
		ready, _ := n.node.cluster.Ready()
		where := n.node.cluster.Locate("alice", "phone")
		if ready && where.State != deliver.There {
			t.Errorf("it is ready, and has the device as %d", where.State)
		}
		status, text := n.call("POST", "/v1/messages", `{"to":{"account":"alice","device":"phone"},"payload":1}`)
		switch {
		case status == 200 && strings.Contains(text, `"outcome":"written"`):
			said["written"]++
			return true
		case status == 200 && strings.Contains(text, `"outcome":"unreachable"`):
			said["unreachable"]++
			return false
		}
		t.Errorf("%d %s", status, text)
		return true
	})
	t.Log(said)
	phone.line()
	n.eventually("it is ready", func() bool { ok, _ := n.node.cluster.Ready(); return ok })
	// With the table whole, nobody is nobody.
	if status, text := n.call("POST", "/v1/messages", `{"to":{"account":"alice","device":"watch"},"payload":1}`); status != 404 {
		t.Errorf("%d %s", status, text)
	}
}

func (n *testNode) linked() (linked int) {
	for _, m := range n.node.cluster.Members() {
		if m.Linked {
			linked++
		}
	}
	return linked
}

// knows waits until the node's table has a device on another node.
func (n *testNode) knows(account, device, on string) {
	n.t.Helper()
	n.eventually(fmt.Sprintf("%s knows %s/%s on %s", n.node.origin.Node, account, device, on), func() bool {
		p := n.node.cluster.Locate(account, device)
		return p.Node == on
	})
}

// line reads one frame as text.
func (d *testDevice) line() string {
	d.t.Helper()
	text, _, err := d.frame()
	if err != nil {
		d.t.Fatalf("read: %v", err)
	}
	return string(text)
}

// metric returns the value of a metric without labels.
func (n *testNode) metric(name string) float64 {
	n.t.Helper()
	_, text := n.call("GET", "/metrics", "")
	return metricIn(n.t, text, name)
}

// metricIn finds it, with its labels, in the text of /metrics.
func metricIn(t testing.TB, text, name string) float64 {
	t.Helper()
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// call calls the node's API and returns the status and the answer.
func (n *testNode) call(method, path, body string) (int, string) {
	n.t.Helper()
	req, err := http.NewRequest(method, "http://"+n.internal+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestPushFromAnyNode(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, 3)
	phone := nodes[0].connect("alice", "phone")
	for _, n := range nodes[1:] {
		n.knows("alice", "phone", "n1")
	}
	push := func(n *testNode, body string) string {
		t.Helper()
		status, text := n.call("POST", "/v1/messages", body)
		if status != 200 {
			t.Fatalf("%s: %d %s", n.node.origin.Node, status, text)
		}
		return text
	}
	// To a device, from each node: the outcome names the node that holds it.
	for i, n := range nodes {
		text := push(n, fmt.Sprintf(`{"to":{"account":"alice","device":"phone"},"payload":{"n":%d}}`, i))
		if !strings.Contains(text, `{"device":"phone","outcome":"written","node":"n1"}`) {
			t.Errorf("from %s: %s", n.node.origin.Node, text)
		}
		if m := phone.line(); !strings.Contains(m, fmt.Sprintf(`"payload":{"n":%d}`, i)) || !strings.Contains(m, `"id":"`+n.node.origin.Node+".") {
			t.Errorf("from %s: %s", n.node.origin.Node, m)
		}
	}
	// Acked across a link.
	done := make(chan string, 1)
	go func() {
		done <- push(nodes[2], `{"to":{"account":"alice","device":"phone"},"payload":1,"wait":"acked","timeout_ms":20000}`)
	}()
	m := phone.expect(map[string]any{"type": "message", "ack": true})
	time.Sleep(1500 * time.Millisecond) // longer than the verbs' ticks: nobody may have given up
	phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))
	if text := <-done; !strings.Contains(text, `"outcome":"acked","node":"n1"`) {
		t.Error(text)
	}
	// To an account whose devices are on two nodes, and to all.
	tv := nodes[1].connect("alice", "tv")
	nodes[2].knows("alice", "tv", "n2")
	nodes[0].knows("alice", "tv", "n2")
	text := push(nodes[2], `{"to":{"account":"alice"},"payload":2}`)
	for _, want := range []string{`{"device":"phone","outcome":"written","node":"n1"}`, `{"device":"tv","outcome":"written","node":"n2"}`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s lacks %s", text, want)
		}
	}
	phone.line()
	tv.line()
	if text := push(nodes[2], `{"to":{"all":true},"payload":3}`); !strings.Contains(text, `"total":2,"counts":{"written":2}`) {
		t.Error(text)
	}
	phone.line()
	tv.line()
	// From device to device, across nodes.
	phone.say(`{"type":"send","id":"s1","to":{"device":"tv"},"payload":"hi"}`)
	if m := tv.line(); !strings.Contains(m, `"payload":"hi"`) || !strings.Contains(m, `"from":{"device":"phone"}`) {
		t.Error(m)
	}
	if m := phone.line(); !strings.Contains(m, `"ref":"s1","status":"written"`) {
		t.Error(m)
	}
	// A device asks for its account's devices, and gets those of the other node too.
	phone.say(`{"type":"devices","id":"d1"}`)
	if m := phone.line(); !strings.Contains(m, `"phone"`) || !strings.Contains(m, `"tv"`) {
		t.Error(m)
	}
	// Nobody anywhere.
	if status, text := nodes[2].call("POST", "/v1/messages", `{"to":{"account":"bob","device":"x"},"payload":1}`); status != 404 {
		t.Errorf("%d %s", status, text)
	}
	// Lists, routes, connections and disconnecting, from a node that holds nothing.
	status, text := nodes[2].call("GET", "/v1/accounts/alice/devices", "")
	if status != 200 || strings.Count(text, `"online":true`) != 2 || !strings.Contains(text, `"node":"n2"`) {
		t.Errorf("%d %s", status, text)
	}
	if _, text = nodes[2].call("GET", "/v1/accounts/alice/devices/phone/route", ""); !strings.Contains(text, `"state":"there","node":"n1"`) {
		t.Error(text)
	}
	id := nodes[0].node.origin.Text(nodes[0].node.sessions.Lookup("alice", "phone").Number)
	if status, text = nodes[2].call("GET", "/@connections/"+id, ""); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	if status, text = nodes[1].call("POST", "/@connections/"+id, `"posted"`); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	if m := phone.line(); !strings.Contains(m, `"payload":"posted"`) {
		t.Error(m)
	}
	if status, text = nodes[2].call("DELETE", "/v1/accounts/alice/devices/phone/session", ""); status != 204 {
		t.Errorf("%d %s", status, text)
	}
	if code, _ := phone.closed(); code != 4007 {
		t.Errorf("closed with %d", code)
	}
	nodes[2].eventually("the connection is gone", func() bool {
		status, _ := nodes[2].call("DELETE", "/@connections/"+id, "")
		return status == 410
	})
}

// A device that reconnects to another node leaves the first one with 4001, and pushes
// find it wherever they enter.
func TestDeviceMovesBetweenNodes(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, 3)
	for i := range 6 {
		from, to := nodes[i%3], nodes[(i+1)%3]
		older := from.connect("bob", "laptop")
		for _, n := range nodes {
			if n != from {
				n.knows("bob", "laptop", from.node.origin.Node)
			}
		}
		newer := to.connect("bob", "laptop")
		if code, _ := older.closed(); code != 4001 {
			t.Errorf("the older connection ended with %d", code)
		}
		for _, n := range nodes {
			if n != to { // on a busy machine the news may take longer than a push waits for it
				n.knows("bob", "laptop", to.node.origin.Node)
			}
			status, text := n.call("POST", "/v1/messages", `{"to":{"account":"bob","device":"laptop"},"payload":1}`)
			if status != 200 || !strings.Contains(text, `"outcome":"written","node":"`+to.node.origin.Node+`"`) {
				t.Errorf("from %s: %d %s", n.node.origin.Node, status, text)
			}
			newer.line()
		}
		newer.conn.Close()
		for _, n := range nodes {
			n.eventually("it has left", func() bool {
				p := n.node.cluster.Locate("bob", "laptop")
				return p.State == deliver.Closed || p.State == deliver.Nowhere
			})
		}
	}
}

// A node that is gone takes its devices with it, and only those.
func TestNodeLoss(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, 3)
	nodes[0].connect("carol", "a")
	b := nodes[1].connect("carol", "b")
	nodes[2].knows("carol", "a", "n1")
	nodes[2].knows("carol", "b", "n2")
	if err := nodes[0].stop(); err != nil {
		t.Fatal(err)
	}
	nodes[2].eventually("n1 is gone from the table", func() bool { return nodes[2].node.cluster.Locate("carol", "a").Node != "n1" })
	status, text := nodes[2].call("POST", "/v1/messages", `{"to":{"account":"carol"},"payload":1}`)
	if status != 200 || strings.Contains(text, `"n1"`) || !strings.Contains(text, `{"device":"b","outcome":"written","node":"n2"}`) {
		t.Errorf("%d %s", status, text)
	}
	b.line()
}
