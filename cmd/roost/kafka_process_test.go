package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/roostpush/roost/session/processor/kafka/kafkatest"
)

// kafkaArgs make a node consume a topic.
func kafkaArgs(broker, topic string, more ...string) []string {
	return append([]string{
		"--set", "kafka.enabled=true", "--set", "kafka.connection.brokers=" + broker, "--set", "kafka.normal_topics=" + topic,
		"--set", "kafka.fetch_wait=50ms", "--set", "drain.ready_delay=0s", "--set", "drain.over=100ms",
	}, more...)
}

// roost runs a command within the test's process, and returns what it printed.
func roost(t *testing.T, in string, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	world := terminal{ctx: context.Background(), in: strings.NewReader(in), out: &out, err: &errs}
	if code := run(args, world); code != exitOK {
		t.Fatalf("roost %s: exit code %d: %s", strings.Join(args, " "), code, &errs)
	}
	return out.String()
}

// terminates has the process drain and end, and expects it to end well.
func (p *process) terminates() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.wait(); err != nil {
		p.t.Fatalf("%v\n%s", err, p.log.String())
	}
}

// sees waits until the metrics of the process have a line.
func (p *process) sees(line string) {
	p.t.Helper()
	eventually(p.t, line, func() bool { return strings.Contains(p.text("/metrics"), line+"\n") })
}

// TestKafkaToDevice is the README's walk: a record for a device that is off, which comes,
// takes the message and acks it.
func TestKafkaToDevice(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("real brokers, browsers and processes; make test runs it")
	}
	broker := kafkatest.Start(t, 1, "push", "results", "dead")
	p := startProcess(t, 1024, kafkaArgs(broker, "push", "--set", "kafka.results_topic=results", "--set", "kafka.dead_letter_topic=dead")...)
	n := &testNode{t: t, public: p.public, internal: p.internal}

	roost(t, "", "kafka-produce", "--brokers", broker, "--topic", "push", "--account", "alice", "--device", "phone", "--ttl", "1h", "--id", "order-7", `{"dinner":"ready"}`)
	result := kafkatest.Read(t, broker, "results", 1)[0]
	if result.Key != "order-7" || !strings.Contains(result.Value, `"queued":1`) {
		t.Fatalf("the results topic has %+v", result)
	}
	phone := n.connect("alice", "phone")
	m := phone.expect(map[string]any{"type": "message", "payload": map[string]any{"dinner": "ready"}, "ack": true})
	id := fmt.Sprint(m["id"])
	if !strings.Contains(result.Value, id) {
		t.Errorf("the result %s does not have the message's id %s", result.Value, id)
	}
	if got := roost(t, "", "message", id, "--api", "http://"+p.internal); !strings.Contains(got, "written") {
		t.Errorf("before the ack: %s", got)
	}
	phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, id))
	eventually(t, "acked by its id", func() bool {
		return strings.Contains(roost(t, "", "message", id, "--api", "http://"+p.internal), "acked")
	})

	roost(t, "", "kafka-produce", "--brokers", broker, "--topic", "push", "--account", "alice", "--device", "phone", `not JSON`)
	if dead := kafkatest.Read(t, broker, "dead", 1)[0]; dead.Headers["roost-error-code"] != "payload_invalid" || dead.Value != "not JSON" {
		t.Errorf("the dead letter is %+v", dead)
	}
	roost(t, "", "kafka-produce", "--brokers", broker, "--topic", "push", "--account", "alice", `"now"`)
	phone.expect(map[string]any{"type": "message", "payload": "now"})
	p.sees(`roost_source_up{source="kafka"} 1`)
	p.sees(`roost_kafka_dead_letters_total 1`)
	p.terminates()
}

// TestDrainLosesNoRecord stops a node among the records of a topic, which another process
// goes on with. Each device gets all of its own, in their order. There is room for half of
// them while the devices are off, so that some are always left.
func TestDrainLosesNoRecord(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("real brokers, browsers and processes; make test runs it")
	}
	const accounts, each = 8, 100
	broker := kafkatest.Start(t, 3, "push")
	for i := range accounts {
		var lines strings.Builder
		for j := range each {
			fmt.Fprintln(&lines, j)
		}
		roost(t, lines.String(), "kafka-produce", "--brokers", broker, "--topic", "push", "--account", fmt.Sprint("a", i), "--device", "phone", "--ttl", "1h", "--id", fmt.Sprint("a", i))
	}
	args := kafkaArgs(broker, "push", "--data", t.TempDir(), "--set", "kafka.window_max=20", "--set", "processor.normal.concurrency=1",
		"--set", fmt.Sprint("mailbox.device_messages_max=", each/2), "--set", "processor.retry_min=100ms", "--set", "processor.retry_max=100ms")
	p := startProcess(t, 1024, args...)
	eventually(t, "records are taken", func() bool {
		return !strings.Contains(p.text("/metrics"), `roost_kafka_taken_total{priority="normal"} 0`+"\n")
	})
	p.terminates()

	p = startProcess(t, 1024, args...)
	n := &testNode{t: t, public: p.public, internal: p.internal}
	again := 0
	for i := range accounts {
		phone := n.connect(fmt.Sprint("a", i), "phone")
		for next := 0; next < each; {
			m := phone.expect(map[string]any{"type": "message", "ack": true})
			phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))
			switch payload := int(m["payload"].(float64)); {
			case payload < next:
				again++
			case payload > next:
				t.Fatalf("a%d got %d before %d", i, payload, next)
			default:
				next++
			}
		}
	}
	t.Logf("%d records, %d came again", accounts*each, again)
	p.terminates()
}

// TestBrokerAway: a node without its broker serves devices, says so in its metrics, and stops
// at once.
func TestBrokerAway(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("real brokers, browsers and processes; make test runs it")
	}
	p := startProcess(t, 1024, kafkaArgs("127.0.0.1:1", "push", "--set", "kafka.start_timeout=200ms")...)
	p.sees(`roost_source_up{source="kafka"} 0`)
	eventually(t, "the complaint", func() bool { return p.log.has("a source cannot run") })
	n := &testNode{t: t, public: p.public, internal: p.internal}
	phone := n.connect("alice", "phone")
	roost(t, "", "push", "alice/phone", "1", "--api", "http://"+p.internal)
	phone.expect(map[string]any{"type": "message", "payload": 1})
	if code, body := n.get("http://" + p.public + "/readyz"); code != 200 {
		t.Errorf("/readyz: %d %s", code, body)
	}
	p.terminates()
}
