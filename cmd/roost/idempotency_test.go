package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/processor"
)

// pushedWithKey pushes a message that is to be kept, and returns its id.
func (n *testNode) pushedWithKey(account, key, payload string) (status int, id string) {
	n.t.Helper()
	status, body := n.push(fmt.Sprintf(`{"to":{"account":%q,"device":"phone"},"id":%q,"payload":%s,"ttl_ms":3600000,"wait":"none","timeout_ms":20000}`, account, key, payload))
	var answer struct{ ID string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		n.t.Fatalf("%d %s", status, body)
	}
	return status, answer.ID
}

// TestKeysOutliveTheProcess: a push that comes again after a restart, over HTTP or from a
// queue, is the first one, and what was acked does not come again.
func TestKeysOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	at := func(c *config.Config) { c.Data, c.Store.Directory = dir, dir }
	n := startNode(t, at)
	status, id := n.pushedWithKey("alice", "order-7", `"hello"`)
	if status != 202 || id == "" {
		t.Fatal(status, id)
	}
	phone := n.connect("alice", "phone")
	phone.expect(map[string]any{"type": "message", "payload": "hello", "id": id})
	phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, id))
	eventually(t, "it is acked", func() bool { return n.fate(id) == "acked" })
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}

	n = startNode(t, at)
	if status, again := n.pushedWithKey("alice", "order-7", `"hello"`); status != 202 || again != id {
		t.Errorf("%d %s, want 202 %s", status, again, id)
	}
	if status, _ := n.pushedWithKey("bob", "order-8", `"hello"`); status != 202 {
		t.Errorf("another one: %d", status)
	}
	r := n.take(&processor.Record{Account: "alice", Device: "phone", ID: "order-7", Kind: session.JSON, Payload: []byte(`"hello"`), TTLMS: 3_600_000})
	if r.Reject != nil || r.Counts[session.Queued] != 1 || r.ID.Text() != id {
		t.Errorf("from a queue: %+v", r)
	}
	r = n.take(&processor.Record{Account: "alice", Device: "phone", ID: "order-8", Kind: session.JSON, Payload: []byte(`"first of alice"`), TTLMS: 3_600_000})
	if r.Reject != nil || r.ID == (session.ID{}) {
		t.Errorf("a key is of one account: %+v", r)
	}
	phone = n.connect("alice", "phone")
	phone.expect(map[string]any{"type": "message", "payload": "first of alice"}) // and nothing before it
}

// TestKeysOfAnotherMessage: a key that names another message after a restart is a conflict.
func TestKeysOfAnotherMessage(t *testing.T) {
	dir := t.TempDir()
	at := func(c *config.Config) { c.Data, c.Store.Directory = dir, dir }
	n := startNode(t, at)
	n.pushedWithKey("alice", "order-7", "1")
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	n = startNode(t, at)
	status, body := n.push(`{"to":{"account":"alice","device":"phone"},"id":"order-7","payload":2,"ttl_ms":3600000,"wait":"none"}`)
	var problem struct{ Code string }
	if err := json.Unmarshal([]byte(body), &problem); status != 409 || err != nil || problem.Code != "idempotency_key_reused" {
		t.Errorf("%d %s", status, body)
	}
	r := n.take(&processor.Record{Account: "alice", Device: "phone", ID: "order-7", Kind: session.JSON, Payload: []byte("3"), TTLMS: 3_600_000})
	if r.Reject == nil || r.Reject.Code != processor.CodeIDReused {
		t.Errorf("from a queue: %+v", r)
	}
}

// TestKeysThroughAnyNode: a push that comes again through another node is the first one,
// whichever of them is the account's home, and who waits hears what has become of it.
func TestKeysThroughAnyNode(t *testing.T) {
	nodes := startClusterWith(t, 3, patient)
	for _, home := range []string{"n1", "n2", "n3"} {
		account := nodes[0].accountAt(home, 0)
		_, id := nodes[0].pushedWithKey(account, "k "+home, "1")
		if status, again := nodes[1].pushedWithKey(account, "k "+home, "1"); status != 202 || again != id || id == "" {
			t.Errorf("home %s: %d %s, want 202 %s", home, status, again, id)
		}
		phone := nodes[1].connect(account, "phone")
		phone.expect(map[string]any{"type": "message", "payload": 1, "id": id})
		phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, id))
		eventually(t, "it is acked", func() bool { return nodes[0].fate(id) == "acked" })
		status, body := nodes[2].push(fmt.Sprintf(`{"to":{"account":%q,"device":"phone"},"payload":1,"id":%q,"ttl_ms":3600000,"wait":"acked","timeout_ms":20000}`, account, "k "+home))
		if status != 200 || !strings.Contains(body, fmt.Sprintf(`"id":%q`, id)) || !strings.Contains(body, `"outcome":"acked"`) {
			t.Errorf("home %s: %d %s, want 200, %s and acked", home, status, body, id)
		}
	}
}

// TestKeysFollowTheHome: a push that comes again after the home of its account has left for good
// is the first one, through whatever node, also if that was acked before.
func TestKeysFollowTheHome(t *testing.T) {
	nodes := startClusterWith(t, 3, patient)
	n1, n2, n3 := nodes[0], nodes[1], nodes[2]
	account := n1.accountAt("n3", 0)
	_, id := n1.pushedWithKey(account, "k", "1")
	phone := n2.connect(account, "phone")
	phone.expect(map[string]any{"type": "message", "payload": 1, "id": id})
	phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, id))
	eventually(t, "it is acked", func() bool { return n1.fate(id) == "acked" })
	if err := n3.stop(); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes[:2] {
		n.eventually("the home is another", func() bool { return n.home(account) != "n3" })
	}
	for _, n := range nodes[:2] {
		if status, again := n.pushedWithKey(account, "k", "1"); status != 202 || again != id || id == "" {
			t.Errorf("after the home has left: %d %s, want 202 %s", status, again, id)
		}
	}
}

// TestKeysAreAskedForUntilAllAreFiled: once all nodes have given away the keys that belong elsewhere a push
// with a new key costs no question, at whatever node it enters, and so after a node has left.
func TestKeysAreAskedForUntilAllAreFiled(t *testing.T) {
	nodes := startClusterWith(t, 3, patient)
	pushed := 0
	quiet := func(when string, nodes []*testNode) {
		t.Helper()
		eventually(t, "nobody is asked "+when, func() bool {
			var before, after float64
			for _, n := range nodes {
				before += n.metric("roost_mail_keys_asked_total")
			}
			for _, n := range nodes {
				for i := range nodes {
					pushed++
					if status, _ := n.pushedWithKey(n.accountAt(fmt.Sprint("n", i+1), 0), fmt.Sprint("k", pushed), "1"); status != 202 {
						t.Fatalf("a push is answered %d", status)
					}
				}
			}
			for _, n := range nodes {
				after += n.metric("roost_mail_keys_asked_total")
			}
			return after == before
		})
	}
	quiet("in a cluster at rest", nodes)
	if err := nodes[2].stop(); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes[:2] {
		n.eventually("the node is gone", func() bool { return n.linked() == 1 })
	}
	quiet("once a node has left", nodes[:2])
}
