package main

import (
	"fmt"
	"testing"

	"github.com/roostpush/roost/session/processor/jetstream/jetstreamtest"
)

// TestJetStreamToDevice: a message of a stream for a device that is off, which comes, takes it
// and acks it, and whose stream has nothing left to do.
func TestJetStreamToDevice(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("real brokers, browsers and processes; make test runs it")
	}
	s := jetstreamtest.Start(t, "PUSH", "push.>")
	p := startProcess(t, 1024, "--set", "jetstream.enabled=true", "--set", "jetstream.connection.servers="+s.URL, "--set", "jetstream.stream=PUSH",
		"--set", "jetstream.normal_subjects=push.normal", "--set", "jetstream.high_subjects=push.high", "--set", "jetstream.fetch_wait=100ms",
		"--set", "drain.ready_delay=0s", "--set", "drain.over=100ms")
	p.sees(`roost_source_up{source="jetstream"} 1`)
	n := &testNode{t: t, public: p.public, internal: p.internal}
	s.Publish("push.normal", `{"dinner":"ready"}`, "roost-account", "alice", "roost-device", "phone", "roost-ttl-ms", "3600000", "content-type", "application/json")
	p.sees(`roost_jetstream_final_total 1`)
	phone := n.connect("alice", "phone")
	m := phone.expect(map[string]any{"type": "message", "payload": map[string]any{"dinner": "ready"}, "ack": true})
	phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))
	eventually(t, "acked by its id", func() bool { return n.fate(fmt.Sprint(m["id"])) == "acked" })
	s.Publish("push.high", `"now"`, "roost-account", "alice", "content-type", "application/json")
	phone.expect(map[string]any{"type": "message", "payload": "now"})
	p.terminates()
	for _, consumer := range []string{"roost-normal", "roost-high"} {
		eventually(t, consumer+" has nothing to settle after the node has left", func() bool { return s.Unsettled(consumer) == 0 })
	}
}
