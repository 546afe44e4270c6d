package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostpush/roost/session/processor/kafka/kafkatest"
)

// TestProcessorProcess runs roost processor beside a node: it pushes what the topic has, is
// nobody's home, takes no devices, and the node does not miss it when it has gone.
func TestProcessorProcess(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Start(t, 2, "push")
	node := startProcess(t, 1024, clusterArgs("n1")...)
	// It stands in for a home that is slow, which a busy machine makes of any.
	p := startProcessor(t, kafkaArgs(broker, "push", clusterArgs("p1", "--set", "gossip.join="+node.gossipAddr(),
		"--set", "cluster.mail.answer_timeout=20s", "--set", "api.push.timeout=30s")...)...)
	if p.public != "" {
		t.Errorf("a processor has a public listener: %s", p.public)
	}
	n := &testNode{t: t, public: node.public, internal: node.internal}
	eventually(t, "the node knows it as a processor", func() bool {
		return strings.Contains(roost(t, "", "nodes", "--api", "http://"+node.internal), "processor  up")
	})
	eventually(t, "it is ready", func() bool { code, _ := n.get("http://" + p.internal + "/readyz"); return code == 200 })
	p.sees(`roost_source_up{source="kafka"} 1`)

	phone := n.connect("alice", "phone")
	eventually(t, "it knows of the phone", func() bool {
		return strings.Contains(p.text("/v1/accounts/alice/devices/phone/route"), `"state":"there"`)
	})
	roost(t, "", "kafka-produce", "--brokers", broker, "--topic", "push", "--account", "alice", `"now"`)
	phone.expect(map[string]any{"type": "message", "payload": "now"})
	for i := range 20 {
		account := fmt.Sprint("a", i)
		roost(t, "", "kafka-produce", "--brokers", broker, "--topic", "push", "--account", account, "--device", "tv", "--ttl", "1h", `"later"`)
	}
	p.sees(`roost_kafka_final_total 21`)
	for i := range 20 {
		tv := n.connect(fmt.Sprint("a", i), "tv")
		m := tv.expect(map[string]any{"type": "message", "payload": "later", "ack": true})
		if id := fmt.Sprint(m["id"]); !strings.HasPrefix(id, "n1.") {
			t.Errorf("%s was kept by the processor, not by its home", id)
		}
	}
	p.terminates()
	eventually(t, "it has left", func() bool {
		return !strings.Contains(roost(t, "", "nodes", "--api", "http://"+node.internal), "p1")
	})
	n.queued("bob", "phone", "1")
	if text, err := os.ReadFile(filepath.Join(p.dir, "addresses.json")); err != nil || strings.Contains(string(text), "public") {
		t.Errorf("the addresses are %s, %v", text, err)
	}
}

// TestProcessorNeedsACluster: what cannot work is said before anything is opened.
func TestProcessorNeedsACluster(t *testing.T) {
	t.Parallel()
	p := runCommand(t, 1024, "processor")
	p.fails(exitUsage, "cluster.enabled: is false", "kafka.enabled: is false")
}
