package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/cmd/roost/internal/cluster"
	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/peer"
)

// quickly makes a test's hand-overs follow changes without a wait for those who start
// again.
func quickly(c *config.Config) {
	c.Cluster.Keep.SettleAfter = 50 * time.Millisecond
	c.Cluster.Keep.AckTimeout = 20 * time.Second // a busy machine is slow
}

func stats[T any](n *testNode) (found T) {
	for _, s := range n.node.cluster.Stats() {
		if of, ok := s.(T); ok {
			return of
		}
	}
	n.t.Fatalf("no %T among the statistics", found)
	return found
}

// home returns the node that keeps an account, as n sees it.
func (n *testNode) home(account string) string {
	return n.node.cluster.Where(session.Address{Account: account, Device: "d"}).Home
}

// accountAt returns an account whose home is a node, another for each number.
func (n *testNode) accountAt(home string, number int) string {
	for i := 0; ; i++ {
		account := fmt.Sprintf("acc%d", i)
		if n.home(account) != home {
			continue
		}
		if number--; number < 0 {
			return account
		}
	}
}

// record is what a node's own disk has of a device.
func (n *testNode) record(account, device string) (rec session.Record, ok bool) {
	n.t.Helper()
	n.flush()
	rec, ok, err := n.node.store.Device(session.Address{Account: account, Device: device})
	if err != nil {
		n.t.Fatal(err)
	}
	return rec, ok
}

// settled waits until nobody has anything to hand over and everybody knows.
func settled(nodes ...*testNode) {
	for _, n := range nodes {
		n.eventually("all is where it belongs", func() bool {
			s := stats[cluster.KeepStats](n)
			return s.Pending == 0 && s.Queued == 0
		})
	}
}

// asks waits until a node asks so many others for an account's devices, and returns the
// list. Before that it asks all, as long as somebody may have something to hand over.
func (n *testNode) asks(others uint64, account string) (list string) {
	n.t.Helper()
	n.eventually(fmt.Sprintf("%s asks %d nodes", n.node.origin.Node, others), func() bool {
		before := stats[peer.Stats](n).Questions
		_, list = n.call("GET", "/v1/accounts/"+account+"/devices", "")
		return stats[peer.Stats](n).Questions-before == others
	})
	return list
}

// visit connects a device and takes it away again, which all nodes then know.
func (n *testNode) visit(account, device string, nodes ...*testNode) {
	n.t.Helper()
	d := n.connect(account, device)
	d.conn.Close()
	n.eventually("it has left", func() bool { return n.node.sessions.Lookup(account, device) == nil })
	for _, other := range nodes {
		other.eventually("its going is known", func() bool { return other.node.cluster.Locate(account, device).Node == "" })
	}
}

// expectKnown says what every node must answer about a device that is known and away,
// and about one that never was.
func expectKnown(t *testing.T, account, device string, nodes ...*testNode) {
	t.Helper()
	for _, n := range nodes {
		name := n.node.origin.Node
		push := func(device string) int {
			status, _ := n.call("POST", "/v1/messages", fmt.Sprintf(`{"to":{"account":%q,"device":%q},"payload":1}`, account, device))
			return status
		}
		if status := push(device); status != 410 {
			t.Errorf("a push at %s to %s/%s, which is away: %d", name, account, device, status)
		}
		if status := push("never-was"); status != 404 {
			t.Errorf("a push at %s to a device that never was: %d", name, status)
		}
		if status, text := n.call("GET", "/v1/accounts/"+account+"/devices", ""); status != 200 || !strings.Contains(text, `"device":"`+device+`"`) {
			t.Errorf("the list of %s: %d %s", name, status, text)
		}
		if status, text := n.call("GET", "/v1/accounts/"+account+"/devices/"+device, ""); status != 200 || !strings.Contains(text, `"online":false`) {
			t.Errorf("the device at %s: %d %s", name, status, text)
		}
	}
}

// TestRecordsLiveAtTheHome: whatever node a device was connected to.
func TestRecordsLiveAtTheHome(t *testing.T) {
	t.Parallel()
	nodes := startClusterWith(t, 3, func(c *config.Config) {
		quickly(c)
		c.API.HTTP.DevicesMax = 2
	})
	settled(nodes...)
	account := nodes[0].accountAt("n3", 0)
	phone := nodes[0].connect(account, "phone")
	for _, n := range nodes[1:] {
		n.knows(account, "phone", "n1")
	}
	nodes[2].eventually("the home has the opening", func() bool {
		rec, ok := nodes[2].record(account, "phone")
		return ok && rec.Online() && rec.Node == "n1" && rec.Session == nodes[0].node.origin.Text(nodes[0].node.sessions.Lookup(account, "phone").Number)
	})
	// While it is connected every node says so, with what only the home keeps.
	for _, n := range nodes {
		for _, path := range []string{"", "/phone"} {
			_, text := n.call("GET", "/v1/accounts/"+account+"/devices"+path, "")
			if !strings.Contains(text, `"online":true,"node":"n1"`) || !strings.Contains(text, `"remote":"127.0.0.1:`) {
				t.Errorf("%s%s: %s", n.node.origin.Node, path, text)
			}
		}
	}
	id := nodes[0].node.origin.Text(nodes[0].node.sessions.Lookup(account, "phone").Number)
	for _, n := range nodes {
		if _, text := n.call("GET", "/@connections/"+id, ""); !strings.Contains(text, `"sourceIp":"127.0.0.1"`) {
			t.Errorf("%s: %s", n.node.origin.Node, text)
		}
	}
	phone.conn.Close()
	nodes[2].eventually("the home has the end", func() bool {
		rec, _ := nodes[2].record(account, "phone")
		return !rec.Online() && rec.CloseCode == 1006 && rec.Remote != ""
	})
	for _, n := range nodes {
		n.eventually("its going is known", func() bool { return n.node.cluster.Locate(account, "phone").Node == "" })
	}
	for _, n := range nodes[:2] {
		if rec, ok := n.record(account, "phone"); ok {
			t.Errorf("%s has a record too: %+v", n.node.origin.Node, rec)
		}
	}
	expectKnown(t, account, "phone", nodes...)
	// Nobody asks more nodes than the home; the home asks nobody.
	for i, others := range []uint64{1, 1, 0} {
		if list := nodes[i].asks(others, account); !strings.Contains(list, `"phone"`) {
			t.Errorf("%s: %s", nodes[i].node.origin.Node, list)
		}
	}
	// A list that is cut says so, also where another node has cut it.
	nodes[0].visit(account, "tv", nodes...)
	nodes[1].visit(account, "watch", nodes...)
	for _, n := range nodes {
		n.eventually("the list is cut", func() bool {
			_, text := n.call("GET", "/v1/accounts/"+account+"/devices", "")
			return strings.Count(text, `"device":`) == 2 && strings.Contains(text, `"truncated":true`)
		})
	}
}

// TestHomeIsStoodInFor: it leaves and comes back, with its disk.
func TestHomeIsStoodInFor(t *testing.T) {
	t.Parallel()
	data := t.TempDir() + "/n3"
	join := ""
	third := func(c *config.Config) {
		quickly(c)
		c.Node, c.Data, c.Store.Directory = "n3", data, data
		c.Cluster.Enabled, c.Cluster.HashKey = true, testHashKey
		c.Gossip.Listen, c.Gossip.RejoinMin, c.Peer.Listen = "127.0.0.1:0", 50*time.Millisecond, "127.0.0.1:0"
		c.Gossip.Join = []string{join}
	}
	nodes := startClusterWith(t, 2, quickly)
	join = nodes[0].node.cluster.GossipAddr()
	n3 := startNode(t, third)
	all := append(nodes, n3)
	for _, n := range all {
		n.eventually("all are linked", func() bool { return n.linked() == 2 })
	}
	settled(all...)
	account := nodes[0].accountAt("n3", 0)
	nodes[0].visit(account, "early", all...)
	n3.eventually("the home has it", func() bool { rec, ok := n3.record(account, "early"); return ok && !rec.Online() })
	if err := n3.stop(); err != nil {
		t.Fatal(err)
	}
	nodes[0].eventually("the home is gone", func() bool { return nodes[0].home(account) != "n3" && nodes[1].home(account) != "n3" })
	nodes[0].visit(account, "late", nodes...)
	settled(nodes...)
	expectKnown(t, account, "late", nodes...)
	if _, text := nodes[1].call("GET", "/v1/accounts/"+account+"/devices", ""); !strings.Contains(text, `"incomplete"`) {
		t.Errorf("nobody says that n3 may know more: %s", text)
	}
	// It is back: it gets what it missed, and nobody else has it any more.
	n3 = startNode(t, third)
	all = append(nodes[:2:2], n3)
	for _, n := range all {
		n.eventually("all are linked", func() bool { return n.linked() == 2 })
	}
	for _, device := range []string{"early", "late"} {
		n3.eventually("the home has "+device, func() bool { _, ok := n3.record(account, device); return ok })
	}
	settled(all...)
	for _, n := range nodes {
		if rec, ok := n.record(account, "late"); ok {
			t.Errorf("%s still has %+v", n.node.origin.Node, rec)
		}
	}
	expectKnown(t, account, "early", all...)
	expectKnown(t, account, "late", all...)
	for i, others := range []uint64{1, 1, 0} {
		if list := all[i].asks(others, account); !strings.Contains(list, `"early"`) || !strings.Contains(list, `"late"`) || strings.Contains(list, `"incomplete"`) {
			t.Errorf("%s: %s", all[i].node.origin.Node, list)
		}
	}
}

// TestRecordsMoveToANewMember, and back when it leaves in peace.
func TestRecordsMoveToANewMember(t *testing.T) {
	t.Parallel()
	nodes := startClusterWith(t, 2, quickly)
	settled(nodes...)
	const accounts = 60
	for i := range accounts {
		nodes[i%2].visit(fmt.Sprintf("acc%d", i), "phone")
	}
	settled(nodes...)
	n3 := startNode(t, func(c *config.Config) {
		quickly(c)
		c.Node, c.Cluster.Enabled, c.Cluster.HashKey = "n3", true, testHashKey
		c.Gossip.Listen, c.Gossip.Join, c.Peer.Listen = "127.0.0.1:0", []string{nodes[0].node.cluster.GossipAddr()}, "127.0.0.1:0"
		c.Drain.Over = 20 * time.Second // it has a device that stays, see below
		c.Drain.Grace = 10 * time.Second
	})
	all := append(nodes, n3)
	byName := map[string]*testNode{}
	for i, n := range all {
		byName[fmt.Sprint("n", i+1)] = n
		n.eventually("all are linked", func() bool { return n.linked() == 2 })
	}
	isHome := func(n *testNode, node string) bool {
		for i := range accounts {
			if n.home(fmt.Sprintf("acc%d", i)) == node {
				return true
			}
		}
		return false
	}
	check := func(among ...*testNode) (atN3 int) {
		t.Helper()
		for i := range accounts {
			account := fmt.Sprintf("acc%d", i)
			home := among[0].home(account)
			byName[home].eventually(account+" is at "+home, func() bool { _, ok := byName[home].record(account, "phone"); return ok })
			for _, n := range among {
				if n != byName[home] {
					n.eventually(account+" is at its home only", func() bool { _, ok := n.record(account, "phone"); return !ok })
				}
			}
			if home == "n3" {
				atN3++
			}
		}
		return atN3
	}
	for _, n := range all {
		n.eventually("n3 is a home", func() bool { return isHome(n, "n3") })
	}
	moved := check(all...)
	n3.eventually("what it received is counted", func() bool { return stats[cluster.KeepStats](n3).Received >= uint64(moved) })
	// It drains, and has time: what it keeps goes back before it does.
	n3.node.cluster.Drain()
	for _, n := range nodes {
		// A node that has not heard of it yet takes what is still at n3 for where it belongs.
		n.eventually("n3 is nobody's home", func() bool { return !isHome(n, "n3") })
	}
	if left := check(nodes...); left != 0 {
		t.Errorf("%d accounts have n3 as their home, which leaves", left)
	}
	settled(n3)
	n3.eventually("what it handed over is counted", func() bool { return stats[cluster.KeepStats](n3).HandedOver >= uint64(moved) })
}

// TestHoldersAreAsked: n1 does not hand over what belongs to n3 since it joined. n2, whose
// part is done, asks it beside the home, because it has said that it holds something.
func TestHoldersAreAsked(t *testing.T) {
	t.Parallel()
	slow := func(c *config.Config) {
		quickly(c)
		if c.Node == "n1" {
			c.Cluster.Keep.SettleAfter = time.Hour
		}
	}
	nodes := startClusterWith(t, 2, slow)
	for i := range 20 {
		nodes[i%2].visit(fmt.Sprintf("acc%d", i), "phone", nodes...)
	}
	n3 := startNode(t, func(c *config.Config) {
		quickly(c)
		c.Node, c.Cluster.Enabled, c.Cluster.HashKey = "n3", true, testHashKey
		c.Gossip.Listen, c.Gossip.Join, c.Peer.Listen = "127.0.0.1:0", []string{nodes[0].node.cluster.GossipAddr()}, "127.0.0.1:0"
	})
	for _, n := range []*testNode{nodes[0], nodes[1], n3} {
		n.eventually("all are linked", func() bool { return n.linked() == 2 })
	}
	settled(nodes[1], n3)
	for i := range 20 {
		account := fmt.Sprintf("acc%d", i)
		if _, held := nodes[0].record(account, "phone"); !held || nodes[1].home(account) != "n3" {
			continue
		}
		if list := nodes[1].asks(2, account); !strings.Contains(list, `"phone"`) {
			t.Errorf("n2 does not find %s: %s", account, list)
		}
		return
	}
	t.Fatal("n1 holds nothing that belongs to n3")
}
