package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/session/mailbox"
)

// after is a request with the id of the event received last.
func after(id string) http.Header { return http.Header{"Last-Event-Id": {id}} }

// TestEventStreamAcknowledges: what a stream has got is acknowledged when its client comes
// back, in the order of the stream and not of ids; what it has not got comes again.
func TestEventStreamAcknowledges(t *testing.T) {
	t.Parallel()
	n := startNode(t, nil)
	var ids []string
	for _, priority := range []string{"low", "normal", "high"} {
		status, body := n.push(fmt.Sprintf(`{"to":{"account":"alice","device":"tv"},"payload":%q,"priority":%q,"ttl_ms":3600000,"wait":"none"}`, priority, priority))
		if status != 202 {
			t.Fatalf("%d %s", status, body)
		}
		ids = append(ids, strings.Split(strings.SplitN(body, `"id":"`, 2)[1], `"`)[0])
	}
	tv := n.listen(n.events("alice", "tv"), nil)
	tv.next("hello", map[string]any{"missed": 3})
	tv.next("message", map[string]any{"payload": "high"})
	middle := tv.next("message", map[string]any{"payload": "normal"})
	tv.next("message", map[string]any{"payload": "low"}) // which its client has not seen, it will say
	for _, id := range ids {
		n.eventually("all are written", func() bool { return n.fate(id) == "written" })
	}
	again := n.listen(n.events("alice", "tv"), after(middle.LastID))
	again.next("hello", map[string]any{"missed": 1})
	again.next("message", map[string]any{"payload": "low"})
	for i, want := range []string{"written", "acked", "acked"} {
		n.eventually(want, func() bool { return n.fate(ids[i]) == want })
	}
	// A message that is not kept says as much of those before it: of those whose write had been
	// noted when it got its number. The client may have one earlier, which comes once more then.
	n.eventually("every write is noted", func() bool { return n.metric("roost_mailbox_written_total") == 4 })
	if status, body := n.push(`{"to":{"account":"alice","device":"tv"},"payload":"plain"}`); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	plain := again.next("message", map[string]any{"payload": "plain"})
	n.listen(n.events("alice", "tv"), after(plain.LastID)).next("hello", map[string]any{"missed": 0})
	n.eventually("all are acked", func() bool { return n.fate(ids[0]) == "acked" })
}

// TestEventStreamNeverAcknowledges: a stream that is listened to for long gets all the same
// more than the window holds.
func TestEventStreamNeverAcknowledges(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *config.Config) { c.Mailbox.WindowMessages, c.Mailbox.WindowPatienceMS = 4, 50 })
	n.queue("alice", "tv", 30)
	tv := n.listen(n.events("alice", "tv"), nil)
	tv.next("hello", map[string]any{"missed": 30})
	for i := range 30 {
		tv.next("message", map[string]any{"payload": i})
	}
}

// TestEventStreamSubscribes: the query names topics, and Last-Event-ID what was got of them.
func TestEventStreamSubscribes(t *testing.T) {
	t.Parallel()
	n := startNode(t, nil)
	publish := func(topic string, payload int) {
		t.Helper()
		if status, body := n.push(fmt.Sprintf(`{"to":{"topic":%q},"payload":%d}`, topic, payload)); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
	}
	target := n.events("alice", "tv") + "&topics=" + url.QueryEscape("a,b.*")
	tv := n.listen(target, nil)
	tv.next("hello", nil)
	publish("a", 1)
	publish("c", 2)
	publish("b.x", 3)
	first := tv.next("message", map[string]any{"payload": 1, "topic": "a"})
	tv.next("message", map[string]any{"payload": 3, "topic": "b.x"})
	tv.body.Close()
	publish("a", 4)
	tv = n.listen(target, after(first.LastID))
	tv.next("hello", nil)
	tv.next("message", map[string]any{"payload": 3, "topic": "b.x"})
	tv.next("message", map[string]any{"payload": 4, "topic": "a"})
	n.eventually("it is subscribed", func() bool { return n.node.topics.Stats().Replaying == 0 })
	publish("b.y", 5)
	tv.next("message", map[string]any{"payload": 5, "topic": "b.y"})
	for _, bad := range []string{"a..b", ",", "*", strings.Repeat("a", 300)} {
		status, body := n.get(n.events("alice", "radio") + "&topics=" + url.QueryEscape(bad))
		if status != 400 || !strings.Contains(body, `"code":"topics"`) {
			t.Errorf("topics=%.20s: %d %.200s", bad, status, body)
		}
	}
}

// TestHelloMissedAcrossNodes: the greeting of any node says what the home keeps, and a stream
// on one node acknowledges at another.
func TestHelloMissedAcrossNodes(t *testing.T) {
	t.Parallel()
	nodes := startClusterWith(t, 2, func(c *config.Config) {
		patient(c)
		c.Cluster.Mail.MissedTimeout = c.Cluster.Mail.AnswerTimeout // nobody is late on a busy machine
	})
	n1, n2 := nodes[0], nodes[1]
	account := n1.accountAt("n2", 0)
	ids := []string{n1.queued(account, "tv", "1"), n1.queued(account, "tv", "2")}
	tv := n1.listen(n1.events(account, "tv"), nil)
	tv.next("hello", map[string]any{"missed": 2})
	tv.next("message", map[string]any{"payload": 1})
	last := tv.next("message", map[string]any{"payload": 2})
	for _, id := range ids {
		n2.eventually("the home knows", func() bool { return n2.fate(id) == "written" })
	}
	again := n1.listen(n1.events(account, "tv"), after(last.LastID))
	again.next("hello", nil)
	for _, id := range ids {
		n1.eventually("acked", func() bool { return n1.fate(id) == "acked" })
	}
	phone := n1.dial(ws.Dialer{}, n1.url(account, "phone"))
	phone.expect(map[string]any{"type": "hello", "missed": 0})
	for _, stats := range n1.node.cluster.Stats() {
		if s, ok := stats.(mailbox.HomesStats); ok && (s.MissedAsked < 3 || s.MissedUnknown+s.MissedUnasked != 0) {
			t.Errorf("%+v", s)
		}
	}
}
