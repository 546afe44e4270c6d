package main

import (
	"strings"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/processor"
)

// take hands a record in and returns its result.
func (n *testNode) take(r *processor.Record) processor.Result {
	n.t.Helper()
	results := make(chan processor.Result, 1)
	if !n.node.processor.Take(r, func(r processor.Result) { results <- r }) {
		n.t.Fatal("the record was not taken")
	}
	return <-results
}

// TestRecordsOfAQueue takes records of each kind as a source would hand them in.
func TestRecordsOfAQueue(t *testing.T) {
	t.Parallel()
	n := startNode(t, nil)
	phone := n.connect("alice", "phone")
	record := func(device, payload string, ttlMS int64) *processor.Record {
		return &processor.Record{Account: "alice", Device: device, Payload: []byte(payload), TTLMS: ttlMS, Key: 1}
	}

	if r := n.take(record("phone", "1", 0)); r.Counts[session.Written] != 1 {
		t.Errorf("now, to a device that is there: %+v", r)
	}
	phone.expect(map[string]any{"type": "message", "payload": 1})
	if r := n.take(record("", "2", 0)); r.Counts[session.Written] != 1 {
		t.Errorf("now, to all devices of the account: %+v", r)
	}
	phone.expect(map[string]any{"type": "message", "payload": 2})
	if r := n.take(record("tv", "3", 0)); r.Counts[session.Offline] != 1 {
		t.Errorf("now, to a device that is away: %+v", r)
	}

	r := n.take(record("tv", "4", 60_000))
	if r.Counts[session.Queued] != 1 || r.ID == (session.ID{}) {
		t.Fatalf("kept, for a device that is away: %+v", r)
	}
	tv := n.connect("alice", "tv")
	tv.expect(map[string]any{"type": "message", "payload": 4, "ack": true, "id": r.ID.Text()})
	tv.say(`{"type":"ack","ids":["` + r.ID.Text() + `"]}`)
	eventually(t, "its ack is known by the id", func() bool {
		fates, found, err := n.node.mailbox.Fates(r.ID)
		return err == nil && found && len(fates) == 1 && fates[0].Outcome == session.Acked
	})

	tv.say(`{"type":"subscribe","id":1,"topics":["news"]}`)
	tv.expect(map[string]any{"type": "result", "ref": 1})
	if r := n.take(&processor.Record{Topic: "news", Payload: []byte("5")}); r.Reject != nil || r.Counts[session.Written] != 1 {
		t.Errorf("to a topic: %+v", r)
	}
	tv.expect(map[string]any{"type": "message", "payload": 5, "topic": "news"})
	if r := n.take(&processor.Record{Topic: "sport", Payload: []byte("6")}); r.Reject != nil || r.Counts != [session.OutcomeCount]int{} {
		t.Errorf("to a topic without subscribers: %+v", r)
	}
	if r := n.take(&processor.Record{Topic: "news", Payload: []byte("7"), TTLMS: 1000}); r.Reject == nil || r.Reject.Code != codeTopicTTL {
		t.Errorf("to a topic, kept: %+v", r)
	}
	_, metrics := n.get("http://" + n.internal + "/metrics")
	for _, line := range []string{
		`roost_processor_taken_total{lane="normal"} 7`,
		`roost_processor_outcomes_total{outcome="written"} 3`,
		`roost_processor_rejected_total 1`,
		`roost_processor_paused{reason="draining"} 0`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("the metrics do not say %s", line)
		}
	}
}

// TestDrainingNodeBeginsNothing: what is handed in while the node leaves is given up, and
// comes again from its source.
func TestDrainingNodeBeginsNothing(t *testing.T) {
	t.Parallel()
	n := startNode(t, nil)
	n.node.processor.Pause(processor.Draining)
	results := make(chan processor.Result, 1)
	if !n.node.processor.Take(&processor.Record{Account: "alice"}, func(r processor.Result) { results <- r }) {
		t.Fatal("the record was not taken")
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if r := <-results; !r.GivenUp {
		t.Errorf("the result is %+v", r)
	}
}
