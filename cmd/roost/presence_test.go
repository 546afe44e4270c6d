package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/cmd/roost/internal/cluster"
	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/session/peer"
)

// graceful makes a device that leaves offline for others after a moment, which is longer
// than a busy machine needs to tell all nodes of a move.
func graceful(c *config.Config) { c.Presence.Grace = 4 * time.Second }

// hears reads presence events until it has those, each device's state once, in any order.
func (d *testDevice) hears(want ...string) {
	d.t.Helper()
	missing := map[string]bool{}
	for _, w := range want {
		missing[w] = true
	}
	for len(missing) > 0 {
		m := d.read()
		got := fmt.Sprint(m["device"], " ", m["state"])
		if at, ok := m["at_ms"].(float64); m["type"] != "presence" || !missing[got] || !ok || time.Since(time.UnixMilli(int64(at))).Abs() > time.Hour {
			d.t.Fatalf("got %v, want %v", m, want)
		}
		delete(missing, got)
	}
}

// TestPresenceAcrossNodes: a phone on one node hears of devices on others.
func TestPresenceAcrossNodes(t *testing.T) {
	t.Parallel()
	nodes := startClusterWith(t, 3, graceful)
	nodes[1].connect("alice", "tv")
	nodes[1].connect("bob", "tv")
	nodes[0].knows("alice", "tv", "n2")
	phone := nodes[0].connect("alice", "phone")
	phone.say(`{"type":"subscribe","id":1,"presence":true}`)
	phone.expect(map[string]any{"type": "result", "ref": 1.0, "status": "ok"})
	phone.hears("tv online")
	tablet := nodes[2].connect("alice", "tablet")
	phone.hears("tablet online")
	tablet.say(`{"type":"subscribe","id":9,"presence":true}`)
	tablet.expect(map[string]any{"type": "result"})
	tablet.hears("tv online", "phone online")
	// A move is no event: what comes later, after the same grace, comes next.
	nodes[2].connect("alice", "tv")
	nodes[0].knows("alice", "tv", "n3")
	radio := nodes[1].connect("alice", "radio")
	phone.hears("radio online")
	tablet.hears("radio online")
	radio.conn.Close()
	phone.hears("radio offline")
	tablet.hears("radio offline")
	// A node is lost with all that it holds.
	if err := nodes[2].stop(); err != nil {
		t.Fatal(err)
	}
	phone.hears("tablet offline", "tv offline")
	phone.say(`{"type":"unsubscribe","id":2,"presence":true}`)
	phone.expect(map[string]any{"type": "result", "ref": 2.0})
	nodes[1].connect("alice", "radio")
	nodes[0].knows("alice", "radio", "n2")
	phone.say(`{"type":"ping","id":3}`)
	phone.expect(map[string]any{"type": "pong", "ref": 3.0})
	if n := nodes[0].metric("roost_presence_watchers"); n != 0 {
		t.Errorf("%v watchers", n)
	}
}

// TestPresenceAfterAHeal: two clusters become one. Nobody in the first has heard of the
// second's devices before, which come with a snapshot.
func TestPresenceAfterAHeal(t *testing.T) {
	t.Parallel()
	n1 := startClusterNode(t, "n1", nil, graceful)
	phone := n1.connect("alice", "phone")
	phone.say(`{"type":"subscribe","id":9,"presence":true}`)
	phone.expect(map[string]any{"type": "result"})
	n2 := startClusterNode(t, "n2", nil, graceful)
	tv := n2.connect("alice", "tv")
	tv.say(`{"type":"subscribe","id":9,"presence":true}`)
	tv.expect(map[string]any{"type": "result"})
	startClusterNode(t, "n3", []string{n1.node.cluster.GossipAddr(), n2.node.cluster.GossipAddr()}, graceful)
	phone.hears("tv online")
	tv.hears("phone online")
}

func TestPresenceOnOneNode(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *config.Config) { graceful(c); c.Presence.WatchersMax = 1 })
	tv := n.connect("alice", "tv")
	phone := n.connect("alice", "phone")
	phone.say(`{"type":"subscribe","id":"s","presence":true}`)
	phone.expect(map[string]any{"type": "result", "ref": "s"})
	phone.hears("tv online")
	newer := n.connect("alice", "tv") // no event
	if code, _ := tv.closed(); code != 4001 {
		t.Errorf("the older connection ended with %d", code)
	}
	newer.say(`{"type":"subscribe","id":2,"presence":true}`)
	newer.expect(map[string]any{"type": "error", "ref": 2.0, "code": "overloaded"})
	newer.conn.Close()
	phone.hears("tv offline")
	phone.conn.Close()
	n.eventually("there is no watcher", func() bool { return n.metric("roost_presence_watchers") == 0 })
	last := n.connect("alice", "last")
	last.say(`{"type":"subscribe","id":9,"presence":true}`)
	last.expect(map[string]any{"type": "result"})
}

// questions is how many questions a node asks others while f runs.
func (n *testNode) questions(f func()) uint64 {
	before := stats[peer.Stats](n).Questions
	f()
	return stats[peer.Stats](n).Questions - before
}

// TestDeviceListsAreRemembered: a list that is asked for again leaves no node, and is right
// again once something has changed on another one.
func TestDeviceListsAreRemembered(t *testing.T) {
	t.Parallel()
	nodes := startClusterWith(t, 3, func(c *config.Config) {
		quickly(c)
		c.Cluster.Lists.AgeMin, c.Cluster.Lists.AgeMax = time.Hour, time.Hour // what is heard of must do
	})
	settled(nodes...)
	account := nodes[0].accountAt("n3", 0)
	tv := nodes[1].connect(account, "tv")
	nodes[0].knows(account, "tv", "n2")
	// Nobody hears when a record has reached the home. That is what ages are for, which this
	// test has not.
	nodes[2].eventually("the home has the opening", func() bool { _, ok := nodes[2].record(account, "tv"); return ok })
	phone := nodes[0].connect(account, "phone")
	online := func() (devices string) {
		var answer struct {
			Devices []struct {
				Device string
				Online bool
			}
		}
		_, text := nodes[0].call("GET", "/v1/accounts/"+account+"/devices", "")
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Fatal(err)
		}
		for _, d := range answer.Devices {
			devices += fmt.Sprint(d.Device, ":", d.Online, " ")
		}
		return devices
	}
	remembered := func(want string) {
		t.Helper()
		last := ""
		nodes[0].eventually("the list is "+want, func() bool {
			if now := online(); now != last {
				t.Log(now)
				last = now
			}
			return last == want
		})
		nodes[0].asks(0, account)
		hits := stats[cluster.ListStats](nodes[0]).Hits
		if asked := nodes[0].questions(func() {
			for range 10 {
				if got := online(); got != want {
					t.Errorf("it is remembered as %s, want %s", got, want)
				}
			}
			// One device's own answer comes from the same list, and so does a device's.
			if status, text := nodes[0].call("GET", "/v1/accounts/"+account+"/devices/tv", ""); status != 200 || !strings.Contains(text, `"device":"tv"`) {
				t.Errorf("%d %s", status, text)
			}
			phone.say(`{"type":"devices","id":"d"}`)
			if m := phone.line(); strings.Count(m, `"device"`) != strings.Count(want, ":") {
				t.Errorf("%s, want %s", m, want)
			}
		}); asked != 0 {
			t.Errorf("%d questions for lists that are known", asked)
		}
		if n := stats[cluster.ListStats](nodes[0]).Hits - hits; n != 12 {
			t.Errorf("%d hits of 12", n)
		}
	}
	remembered("phone:true tv:true ")
	nodes[2].connect(account, "watch")
	remembered("phone:true tv:true watch:true ")
	tv.conn.Close()
	remembered("phone:true watch:true tv:false ")
	nodes[0].connect(account, "radio")
	remembered("phone:true radio:true watch:true tv:false ")
	if err := nodes[2].stop(); err != nil {
		t.Fatal(err)
	}
	nodes[0].eventually("the watch is not online any more", func() bool {
		return strings.HasPrefix(online(), "phone:true radio:true ") && !strings.Contains(online(), "watch:true")
	})
}
