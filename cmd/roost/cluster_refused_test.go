package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Two processes with one id: the second does not start, and says which one has it. Once
// that is killed, another takes its place at once, with the next epoch.
func TestOneID(t *testing.T) {
	t.Parallel()
	n1 := startProcess(t, 1024, clusterArgs("n1")...)
	join := "gossip.join=" + n1.gossipAddr()
	n2 := startProcess(t, 1024, clusterArgs("n2", "--set", join)...)
	n1.linksTo(1)
	twin := runProcess(t, 1024, clusterArgs("n2", "--set", join)...)
	twin.fails(exitFailed, `node id "n2" is taken`, "epoch 1 answers at "+n2.gossipAddr(), "give this one another id")

	n2.connect()
	eventually(t, "n1 reaches the device", func() bool { return strings.Contains(n1.push(), `"outcome":"written","node":"n2"`) })
	if err := n2.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-n2.ended
	next := startProcess(t, 1024, clusterArgs("n2", "--set", join)...) // its store is empty: n1 knows the epoch
	eventually(t, "n1 sees the next epoch", func() bool { return strings.Contains(n1.get("/v1/nodes"), `"node":"n2","epoch":2`) })
	n1.linksTo(1)
	next.connect()
	eventually(t, "n1 reaches the device again", func() bool { return strings.Contains(n1.push(), `"outcome":"written","node":"n2"`) })
}

// Nodes that do not belong to the cluster are refused, and both sides log the reason.
func TestStrangeNodes(t *testing.T) {
	t.Parallel()
	n1 := startProcess(t, 1024, clusterArgs("n1")...)
	join := "gossip.join=" + n1.gossipAddr()

	other := runProcess(t, 1024, clusterArgs("n2", "--set", join, "--set", "gossip.cluster=staging")...)
	other.fails(exitFailed, `cluster \"staging\" is not cluster \"roost\"`, "refused by n1")
	n1.says("another node is refused", `"why":"cluster"`, `cluster \"staging\" is not cluster \"roost\"`)

	// Gossip cannot know the key of the hashes; the links do.
	key := startProcess(t, 1024, clusterArgs("n3", "--set", join, "--set", "cluster.hash_key=ff"+testHashKey[2:])...)
	for name, log := range map[string]*testLog{"n1": &n1.log, "n3": &key.log} {
		eventually(t, "the reason in the log of "+name, func() bool { return log.has("hash_key", "has the fingerprint") })
	}
	if n := metricIn(t, n1.get("/metrics"), "roost_peer_links"); n != 0 {
		t.Errorf("n1 has %v links", n)
	}

	keyed := runProcess(t, 1024, clusterArgs("n4", "--set", join, "--set", "gossip.keys="+gossipKey(1))...)
	keyed.fails(exitFailed, "refused by n1", "no keys are configured here")
	n1.says("another node is refused", `"why":"keys"`)
}

func gossipKey(n byte) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune('a'+n)), 32)))
}

// The key ring of a running cluster is changed as its documentation says: the new key
// behind, then in front, then the old one out. Nobody is lost, whoever has the new key is
// welcome, and the old one opens nothing.
func TestGossipKeysRotate(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys")
	write := func(keys ...string) {
		t.Helper()
		part := file + ".part"
		if err := os.WriteFile(part, []byte(strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(part, file); err != nil {
			t.Fatal(err)
		}
	}
	older, newer := gossipKey(1), gossipKey(2)
	write(older)
	keyed := func(name string, more ...string) []string {
		return clusterArgs(name, append([]string{"--set", "gossip.keys_file=" + file, "--set", "gossip.keys_every=50ms"}, more...)...)
	}
	n1 := startProcess(t, 1024, keyed("n1")...)
	join := "gossip.join=" + n1.gossipAddr()
	nodes := []*process{n1, startProcess(t, 1024, keyed("n2", "--set", join)...)}
	for step, keys := range [][]string{{older, newer}, {newer, older}, {newer}} {
		write(keys...)
		for _, n := range nodes {
			eventually(t, "the keys are taken over", func() bool {
				return metricIn(t, n.get("/metrics"), "roost_gossip_keys_reloads_total") == float64(step+1)
			})
		}
	}
	nodes = append(nodes, startProcess(t, 1024, keyed("n3", "--set", join)...))
	for _, n := range nodes {
		n.linksTo(2)
		text := n.get("/metrics")
		if lost := metricIn(t, text, `roost_gossip_leaves_total{reason="dead"}`); lost != 0 {
			t.Errorf("%v members were lost", lost)
		}
		if n := metricIn(t, text, "roost_gossip_members"); n != 3 {
			t.Errorf("there are %v members", n)
		}
	}
	late := runProcess(t, 1024, clusterArgs("n4", "--set", join, "--set", "gossip.keys="+older)...)
	late.fails(exitFailed, "refused by n1", "no key opens it")
	n1.says("another node is refused", `"why":"keys"`)
}
