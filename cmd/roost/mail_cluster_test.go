package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/roostpush/roost/cmd/roost/internal/config"
)

// queued pushes a message that is to be kept and returns its id.
func (n *testNode) queued(account, device, payload string) string {
	n.t.Helper()
	status, body := n.push(fmt.Sprintf(`{"to":{"account":%q,"device":%q},"payload":%s,"ttl_ms":3600000,"wait":"none","timeout_ms":20000}`, account, device, payload))
	var answer struct{ ID string }
	if err := json.Unmarshal([]byte(body), &answer); status != 202 || err != nil || answer.ID == "" {
		n.t.Fatalf("%d %s", status, body)
	}
	return answer.ID
}

// fate is what a node says of a message for one device.
func (n *testNode) fate(id string) string {
	n.t.Helper()
	status, body := n.get("http://" + n.internal + "/v1/messages/" + id)
	var answer struct{ Outcomes []struct{ Outcome string } }
	if err := json.Unmarshal([]byte(body), &answer); status != 200 || err != nil || len(answer.Outcomes) != 1 {
		return fmt.Sprintf("%d %s", status, body)
	}
	return answer.Outcomes[0].Outcome
}

// TestMailAcrossNodes: a push at one node is kept at the home, delivered to whatever node
// its device comes to, and every node knows what has become of it.
func TestMailAcrossNodes(t *testing.T) {
	t.Parallel()
	nodes := startClusterWith(t, 3, patient)
	n1, n2, n3 := nodes[0], nodes[1], nodes[2]
	for _, home := range []string{"n1", "n2", "n3"} {
		account := n1.accountAt(home, 0)
		id := n1.queued(account, "phone", `"kept"`)
		if node, _, _ := strings.Cut(id, "."); node != home {
			t.Errorf("%s keeps a message whose home is %s", node, home)
		}
		for _, n := range nodes {
			if got := n.fate(id); got != "queued" {
				t.Errorf("%s says %s of a message that %s keeps", n.node.origin.Node, got, home)
			}
		}
		phone := n2.connect(account, "phone")
		m := phone.expect(map[string]any{"type": "message", "payload": "kept", "id": id, "ack": true})
		phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))
		for _, n := range nodes {
			n.eventually("it is acked", func() bool { return n.fate(id) == "acked" })
		}
		// Now that the device is there the answer waits for its ack.
		answers := make(chan string, 1)
		go func() {
			_, body := n3.push(fmt.Sprintf(`{"to":{"account":%q,"device":"phone"},"payload":2,"ttl_ms":60000,"wait":"acked","timeout_ms":20000}`, account))
			answers <- body
		}()
		m = phone.expect(map[string]any{"type": "message", "payload": 2, "ack": true})
		phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))
		if body := <-answers; !strings.Contains(body, `"outcome":"acked"`) {
			t.Error(body)
		}
	}
	if got := n2.fate("n9.1.1"); !strings.HasPrefix(got, "404") {
		t.Errorf("of a node that nobody knows: %s", got)
	}
}

// TestMailIsCancelledElsewhere withdraws a message at a node that does not keep it.
func TestMailIsCancelledElsewhere(t *testing.T) {
	t.Parallel()
	nodes := startClusterWith(t, 2, patient)
	account := nodes[0].accountAt("n2", 0)
	id := nodes[0].queued(account, "phone", "1")
	if status, body := nodes[0].call("DELETE", "/v1/messages/"+id, ""); status != 200 || !strings.Contains(body, "cancelled") {
		t.Fatalf("%d %s", status, body)
	}
	phone := nodes[0].dial(ws.Dialer{}, nodes[0].url(account, "phone"))
	phone.expect(map[string]any{"type": "hello"})
	phone.say(`{"type":"ping","id":1}`)
	phone.expect(map[string]any{"type": "pong"}) // and no message
	if got := nodes[1].fate(id); got != "cancelled" {
		t.Error(got)
	}
}

// TestMailOfANodeThatLeaves hands over what it keeps: with the same id, to the home that the
// account has then, and nothing is left on its disk that would come again.
func TestMailOfANodeThatLeaves(t *testing.T) {
	nodes := startClusterWith(t, 3, patient)
	n1, n2, n3 := nodes[0], nodes[1], nodes[2]
	account := n1.accountAt("n3", 0)
	var ids []string
	for i := range 3 {
		ids = append(ids, n1.queued(account, "phone", fmt.Sprint(i)))
	}
	if err := n3.stop(); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes[:2] {
		for _, id := range ids {
			if got := n.fate(id); got != "queued" {
				t.Errorf("%s says %s of %s", n.node.origin.Node, got, id)
			}
		}
	}
	phone := n2.connect(account, "phone")
	for i, id := range ids {
		phone.expect(map[string]any{"type": "message", "payload": i, "id": id})
	}
	phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q,%q]}`, ids[0], ids[1]))
	n1.eventually("it is acked", func() bool { return n1.fate(ids[1]) == "acked" })
	again := startClusterNode(t, "n3", []string{n1.node.cluster.GossipAddr()}, func(c *config.Config) {
		patient(c)
		c.Data = n3.node.cfg.Data
		c.Store.Directory = c.Data
	})
	for _, n := range []*testNode{n1, n2, again} { // who let go of it knows no more than that
		n.eventually("it is acked", func() bool { return n.fate(ids[0]) == "acked" })
	}
	phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, ids[2]))
	again.eventually("it is acked", func() bool { return again.fate(ids[2]) == "acked" })
	if waiting := again.node.mailbox.Stats().Waiting; waiting != 0 {
		t.Errorf("%d messages wait at the node that has handed over all", waiting)
	}
}

// TestMailWithoutItsHome: while the home is away another node keeps what is pushed; the
// home, which could not hand over, has what it promised when it is back.
func TestMailWithoutItsHome(t *testing.T) {
	t.Parallel()
	nodes := startClusterWith(t, 3, stuck)
	n1, n2 := nodes[0], nodes[1]
	account := n1.accountAt("n3", 0)
	before := n1.queued(account, "phone", `"before"`)
	if err := nodes[2].node.store.Close(); err != nil { // it cannot read what it would hand over
		t.Fatal(err)
	}
	nodes[2].stop()
	for _, n := range nodes[:2] {
		n.eventually("the home is another", func() bool { return n.home(account) != "n3" })
	}
	meanwhile := n1.queued(account, "phone", `"meanwhile"`)
	if node, _, _ := strings.Cut(meanwhile, "."); node == "n3" {
		t.Error("a dead node keeps a message")
	}
	phone := n2.connect(account, "phone")
	m := phone.expect(map[string]any{"type": "message", "payload": "meanwhile", "id": meanwhile})
	phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))
	n1.eventually("it is acked", func() bool { return n1.fate(meanwhile) == "acked" })
	if got := n1.fate(before); !strings.HasPrefix(got, "503") {
		t.Errorf("of a message whose keeper is dead: %s", got)
	}
	startClusterNode(t, "n3", []string{n1.node.cluster.GossipAddr()}, func(c *config.Config) {
		patient(c)
		c.Data = nodes[2].node.cfg.Data
		c.Store.Directory = c.Data
	})
	m = phone.expect(map[string]any{"type": "message", "payload": "before", "id": before})
	phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))
	n1.eventually("it is acked", func() bool { return n1.fate(before) == "acked" })
}

// patient is for machines that are busy: no home is stood in for because it is slow, and who
// leaves has the time to hand over.
func patient(c *config.Config) {
	quickly(c)
	c.Cluster.Mail.AnswerTimeout = 20 * time.Second
	c.Cluster.Mail.LeaveTimeout = time.Minute
}

// stuck is for clusters of which a node cannot hand over, and is not waited for.
func stuck(c *config.Config) {
	patient(c)
	c.Cluster.Mail.LeaveTimeout = time.Second
}

// TestMailToAnAccountLeavesNobodyOut: while a node that may know devices of an account does
// not answer, nothing is kept for the others alone, and nobody is said to be unknown.
func TestMailToAnAccountLeavesNobodyOut(t *testing.T) {
	t.Parallel()
	nodes := startClusterWith(t, 3, stuck)
	n1, n3 := nodes[0], nodes[2]
	account := n1.accountAt("n1", 0)
	toAll := func(account string) (int, string) {
		return n1.push(fmt.Sprintf(`{"to":{"account":%q},"payload":1,"ttl_ms":60000,"wait":"none","timeout_ms":20000}`, account))
	}
	n1.connect(account, "tv")
	n3.connect(account, "phone")
	n1.eventually("it is kept for both", func() bool {
		_, body := toAll(account)
		return strings.Contains(body, `"queued":2`)
	})
	if err := n3.node.store.Close(); err != nil { // it cannot say what it knows
		t.Fatal(err)
	}
	n1.eventually("a node cannot answer", func() bool { // what n1 remembers of the list is soon too old
		status, body := toAll(account)
		return status == 503 && strings.Contains(body, `"not_kept"`)
	})
	n3.stop()
	stranger := n1.accountAt("n1", 1)
	n1.eventually("a node is missing", func() bool {
		status, body := toAll(stranger)
		return status == 503 && strings.Contains(body, `"not_kept"`)
	})
}
