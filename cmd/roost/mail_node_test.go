package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/roostpush/roost/session"
)

// queue pushes that many messages to a device that is off.
func (n *testNode) queue(account, device string, messages int) {
	n.t.Helper()
	var lines strings.Builder
	for i := range messages {
		fmt.Fprintf(&lines, `{"to":{"account":%q,"device":%q},"payload":%d,"ttl_ms":3600000,"wait":"none"}`+"\n", account, device, i)
	}
	resp, err := http.Post("http://"+n.internal+"/v1/messages", "application/x-ndjson", strings.NewReader(lines.String()))
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	results, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	if got := strings.Count(string(results), `"status":202`); got != messages {
		n.t.Fatalf("%d of %d were accepted: %.300s", got, messages, results)
	}
}

func (n *testNode) missed(account, device string) int {
	return n.node.mailbox.Missed(session.Address{Account: account, Device: device})
}

// TestWholeMailbox: a device takes all that one may have waiting, in order, and acks each
// message by itself as fast as it can.
func TestWholeMailbox(t *testing.T) {
	t.Parallel()
	n := startNode(t, nil)
	messages := n.node.cfg.Mailbox.DeviceMessagesMax
	n.queue("alice", "phone", messages)
	d := n.dial(ws.Dialer{}, n.url("alice", "phone"))
	d.expect(map[string]any{"type": "hello", "missed": messages})
	for i := range messages {
		m := d.expect(map[string]any{"type": "message", "payload": i, "ack": true})
		d.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))
	}
	eventually(t, "nothing waits any more", func() bool { return n.missed("alice", "phone") == 0 })
	// The connection is still there, and nothing of that comes again.
	d.say(`{"type":"ping","id":1}`)
	d.expect(map[string]any{"type": "pong", "ref": 1})
	again := n.connect("alice", "phone")
	again.say(`{"type":"ping","id":2}`)
	again.expect(map[string]any{"type": "pong", "ref": 2})
}

// TestAckOfAnother: an ack of somebody else's message is refused, and changes nothing.
func TestAckOfAnother(t *testing.T) {
	t.Parallel()
	n := startNode(t, nil)
	n.queue("alice", "phone", 1)
	phone, other := n.connect("alice", "phone"), n.connect("bob", "phone")
	m := phone.expect(map[string]any{"type": "message", "ack": true})
	other.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))
	other.expect(map[string]any{"type": "error", "code": "unknown_message"})
	if n.missed("alice", "phone") != 1 {
		t.Error("bob has acked alice's message")
	}
	phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))
	eventually(t, "alice's own ack counts", func() bool { return n.missed("alice", "phone") == 0 })
	phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))
	phone.expect(map[string]any{"type": "error", "code": "unknown_message"})
}

// TestDeviceSendsToOneThatIsOff: the sender hears queued, and the message comes with its
// name when the other one does.
func TestDeviceSendsToOneThatIsOff(t *testing.T) {
	t.Parallel()
	n := startNode(t, nil)
	phone := n.connect("alice", "phone")
	phone.say(`{"type":"send","id":1,"to":{"device":"tv"},"text":"later","ttl_ms":60000,"wait":"acked"}`)
	phone.expect(map[string]any{"type": "result", "ref": 1, "status": "queued"})
	tv := n.dial(ws.Dialer{}, n.url("alice", "tv"))
	tv.expect(map[string]any{"type": "hello", "missed": 1})
	m := tv.expect(map[string]any{"type": "message", "text": "later", "from": map[string]any{"device": "phone"}, "ack": true})
	tv.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))

	phone.say(`{"type":"send","id":2,"to":{"devices":"others"},"text":"now","ttl_ms":60000,"wait":"acked"}`)
	m = tv.expect(map[string]any{"type": "message", "text": "now"})
	tv.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))
	got := phone.expect(map[string]any{"type": "result", "ref": 2, "status": "acked"})
	if fmt.Sprint(got["devices"]) != "[map[device:tv outcome:acked]]" {
		t.Errorf("devices are %v", got["devices"])
	}
}

// TestFirstAckOfAnAccount takes a kept message from the account's other devices, those that
// have it already and those that are off.
func TestFirstAckOfAnAccount(t *testing.T) {
	t.Parallel()
	n := startNode(t, nil)
	phone, tv := n.connect("alice", "phone"), n.connect("alice", "tv")
	n.connect("alice", "watch").conn.Close()
	eventually(t, "the watch is off", func() bool { return n.node.sessions.Len() == 2 })
	n.flush()
	answers := make(chan string, 1)
	go func() {
		_, body := n.push(`{"to":{"account":"alice"},"payload":1,"ttl_ms":60000,"wait":"acked","acks":"first","timeout_ms":20000}`)
		answers <- body
	}()
	m := phone.expect(map[string]any{"type": "message", "ack": true})
	tv.expect(map[string]any{"type": "message", "id": m["id"]})
	phone.say(fmt.Sprintf(`{"type":"ack","ids":[%q]}`, m["id"]))
	tv.expect(map[string]any{"type": "cancel", "ids": []any{m["id"]}})
	body := <-answers
	for _, want := range []string{`"phone","outcome":"acked"`, `"tv","outcome":"cancelled"`, `"watch","outcome":"cancelled"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s lacks %s", body, want)
		}
	}
	if n.missed("alice", "watch") != 0 {
		t.Error("the watch would still get it")
	}
}
