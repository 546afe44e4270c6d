package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/auth"
	"github.com/roostpush/roost/session/home"
	"github.com/roostpush/roost/session/wire"
)

// publish pushes to a topic and returns the answer.
func (n *testNode) publish(topic, payload string) string {
	n.t.Helper()
	status, text := n.call("POST", "/v1/messages", fmt.Sprintf(`{"to":{"topic":%q},"payload":%s}`, topic, payload))
	if status != 200 {
		n.t.Fatalf("%s to %s: %d %s", payload, topic, status, text)
	}
	return text
}

// subscribes says a subscribe frame and takes its result; since may be empty.
func (d *testDevice) subscribes(since string, patterns ...string) (result string) {
	d.t.Helper()
	more := ""
	if since != "" {
		more = fmt.Sprintf(`,"since":%q`, since)
	}
	d.say(fmt.Sprintf(`{"type":"subscribe","id":1,"topics":["%s"]%s}`, strings.Join(patterns, `","`), more))
	if since != "" {
		return "" // the messages come first
	}
	return d.line()
}

// gets reads a message of a topic and returns its id.
func (d *testDevice) gets(topic, payload string) (id string) {
	d.t.Helper()
	m := d.expect(map[string]any{"type": "message", "topic": topic})
	if fmt.Sprint(m["payload"]) != payload {
		d.t.Fatalf("got %v, want %s of %s", m, payload, topic)
	}
	return m["id"].(string)
}

func TestTopics(t *testing.T) {
	t.Parallel()
	n := startNode(t, nil)
	phone, tv := n.connect("alice", "phone"), n.connect("bob", "tv")
	if r := phone.subscribes("", "news.*"); r != `{"type":"result","ref":1,"status":"ok","topics":[{"topic":"news.*","status":"ok"}]}` {
		t.Error(r)
	}
	tv.subscribes("", "news.eu", "weather")
	if a := n.publish("news.eu", "1"); !strings.Contains(a, `"total":2,"counts":{"written":2}`) {
		t.Error(a)
	}
	first := phone.gets("news.eu", "1")
	tv.gets("news.eu", "1")
	if a := n.publish("news.us", "2"); !strings.Contains(a, `"counts":{"written":1}`) {
		t.Error(a)
	}
	phone.gets("news.us", "2")
	if a := n.publish("sport", "0"); !strings.Contains(a, `"total":0,"counts":{}`) {
		t.Error(a)
	}
	// It goes away, misses two, and comes back.
	phone.conn.Close()
	n.eventually("the phone has left", func() bool { return n.metric("roost_topics_subscriptions") == 2 })
	n.publish("news.eu", "3")
	tv.gets("news.eu", "3")
	n.publish("news.us.east", "4")
	phone = n.connect("alice", "phone")
	phone.subscribes(first, "news.*")
	phone.gets("news.us", "2")
	phone.gets("news.eu", "3")
	phone.gets("news.us.east", "4")
	if r := phone.line(); r != `{"type":"result","ref":1,"status":"ok","topics":[{"topic":"news.*","status":"ok","complete":true}]}` {
		t.Error(r)
	}
	phone.say(`{"type":"unsubscribe","id":2,"topics":["news.*"]}`)
	phone.expect(map[string]any{"type": "result", "ref": 2.0, "status": "ok"})
	if a := n.publish("news.us", "5"); !strings.Contains(a, `"total":0`) {
		t.Error(a)
	}
	if got := n.metric("roost_topics_window_messages"); got != 6 {
		t.Errorf("the window has %v messages", got)
	}
	status, text := n.call("POST", "/v1/messages", `{"to":{"topic":"news.*"},"payload":1}`)
	if status != 422 || !strings.Contains(text, `"code":"bad_value"`) {
		t.Errorf("%d %s", status, text)
	}
}

func TestTopicsOfAToken(t *testing.T) {
	t.Parallel()
	n, _, signer := tokenNode(t)
	mint := func(topic string) string {
		t.Helper()
		token, err := signer.Mint(auth.Grant{Account: "alice", Device: "phone", Topics: []string{topic}, Expires: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	d := n.dial(bearer(mint("news.*")), "ws://"+n.public+"/ws")
	d.expect(map[string]any{"type": "hello"})
	if r := d.subscribes("", "news.eu", "weather"); !strings.Contains(r, `"status":"ok","topics":[{"topic":"news.eu","status":"ok"},{"topic":"weather","status":"forbidden"}]`) {
		t.Error(r)
	}
	n.publish("news.eu", "1")
	d.gets("news.eu", "1")
	if got := n.metric("roost_topics_forbidden_total"); got != 1 {
		t.Errorf("%v are counted", got)
	}
	// A new token permits other topics: what it does not permit ends.
	d.say(fmt.Sprintf(`{"type":"token","id":2,"token":%q}`, mint("weather")))
	d.expect(map[string]any{"type": "result", "ref": 2.0, "status": "ok"})
	d.subscribes("", "weather")
	if a := n.publish("news.eu", "2"); !strings.Contains(a, `"total":0`) {
		t.Error(a)
	}
	n.publish("weather", "3")
	d.gets("weather", "3")
}

// interested waits until a node knows that another one has subscribers.
func (n *testNode) interested(topic, node string) {
	n.t.Helper()
	n.eventually("it knows who has subscribed", func() bool {
		for _, other := range n.node.topics.AppendNodes(nil, topic) {
			if other == node {
				return true
			}
		}
		return false
	})
}

// movingTopic returns a topic whose home is n1, and n3 once there is a node of that name.
func movingTopic(t *testing.T) string {
	t.Helper()
	before, err := home.New([]string{"n1", "n2"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		if topic := topicAt(t, fmt.Sprint("moving", i), "n3"); before.Home(home.Hash(topic)) == "n1" {
			return topic
		}
	}
	t.Fatal("no topic moves from n1 to n3")
	return ""
}

// A topic's home moves to a node that joins. What the former one keeps is sent again all the
// same, wherever a device asks, and with what was published since; and so is what the new one kept,
// once it has left.
func TestTopicsHomeMoves(t *testing.T) {
	nodes := startClusterWith(t, 2, patient)
	topic := movingTopic(t)
	watcher := nodes[1].connect("w", "w")
	watcher.subscribes("", topic)
	nodes[1].publish(topic, "0")
	first := watcher.gets(topic, "0")
	nodes[1].publish(topic, "1")
	nodes[1].publish(topic, "2")
	missed := []string{"1", "2"}

	nodes = append(nodes, startClusterNode(t, "n3", []string{nodes[0].node.cluster.GossipAddr()}, patient))
	for _, n := range nodes {
		n.eventually("the home has moved", func() bool {
			to, _ := n.node.cluster.TopicHomes().Home(topic)
			return n.linked() == 2 && (to == "n3" || to == "" && n.node.origin.Node == "n3")
		})
	}
	asks := func() {
		t.Helper()
		for i, n := range nodes {
			d := n.connect("late", fmt.Sprint(i))
			d.subscribes(first, topic)
			var got []string
			m := d.read()
			for ; m["type"] == "message"; m = d.read() {
				got = append(got, fmt.Sprint(m["payload"]))
			}
			if !slices.Equal(got, missed) || !strings.Contains(fmt.Sprint(m), "complete:true") {
				t.Errorf("at %s: %q, %v", n.node.origin.Node, got, m)
			}
			d.conn.Close()
		}
	}
	asks()
	nodes[2].publish(topic, "3")
	missed = append(missed, "3")
	asks()

	// It goes, and leaves what it kept to n1.
	if err := nodes[2].stop(); err != nil {
		t.Fatal(err)
	}
	if kept := nodes[0].metric("roost_topics_inherited_messages"); kept != 1 {
		t.Errorf("n1 has been handed %v messages", kept)
	}
	nodes = nodes[:2]
	for _, n := range nodes {
		n.eventually("the home has moved back", func() bool {
			to, here := n.node.cluster.TopicHomes().Home(topic)
			return to == "n1" || to == "" && here && n.node.origin.Node == "n1"
		})
	}
	asks()
}

// A node leaves for which the homes of now have no room: it goes after its time limit, and what
// it kept is known to be lost.
func TestTopicsGoWithTheirHome(t *testing.T) {
	t.Parallel()
	topic := movingTopic(t)
	nodes := startClusterWith(t, 1, func(c *config.Config) { c.Topics.Window.TopicBytes, c.Topics.Window.Bytes = 1024, 1024 })
	join := []string{nodes[0].node.cluster.GossipAddr()}
	nodes = append(nodes, startClusterNode(t, "n2", join, nil))
	// Its limit is long enough for a busy machine to ask n1 within it.
	nodes = append(nodes, startClusterNode(t, "n3", join, func(c *config.Config) { c.Cluster.Mail.LeaveTimeout = 3 * time.Second }))
	for _, n := range nodes {
		n.eventually("n3 is the home", func() bool {
			to, here := n.node.cluster.TopicHomes().Home(topic)
			return n.linked() == 2 && (to == "n3" || here && n.node.origin.Node == "n3")
		})
	}
	watcher := nodes[1].connect("w", "w")
	watcher.subscribes("", topic)
	large := fmt.Sprintf("%q", strings.Repeat("x", 600))
	nodes[1].publish(topic, large)
	first := watcher.gets(topic, strings.Repeat("x", 600))
	nodes[1].publish(topic, large)
	if err := nodes[2].stop(); err != nil {
		t.Fatal(err)
	}
	if n := nodes[0].metric("roost_topics_moves_untaken_total"); n == 0 {
		t.Error("n1 had room")
	}
	nodes[1].eventually("the home has moved", func() bool {
		to, _ := nodes[1].node.cluster.TopicHomes().Home(topic)
		return to == "n1" && nodes[1].linked() == 1
	})
	late := nodes[1].connect("late", "late")
	late.subscribes(first, topic)
	m := late.read()
	for m["type"] == "message" {
		m = late.read()
	}
	if !strings.Contains(fmt.Sprint(m), "complete:false") {
		t.Error(m)
	}
}

// topicAt returns a topic below another one whose home is a node of the cluster n1 to n3.
func topicAt(t *testing.T, above, node string) string {
	t.Helper()
	members, err := home.New([]string{"n1", "n2", "n3"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		if topic := fmt.Sprint(above, ".t", i); members.Home(home.Hash(topic)) == node {
			return topic
		}
	}
	t.Fatal("no topic has its home there")
	return ""
}

func TestTopicsOfACluster(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, 3)
	for at := range nodes { // the topic's home: the node of both, the one of a subscriber, neither
		above := fmt.Sprint("news", at)
		topic := topicAt(t, above, nodes[at].node.origin.Node)
		t.Run(topic, func(t *testing.T) {
			here, there := nodes[0].connect("alice", "phone"), nodes[1].connect("bob", "tv")
			defer here.conn.Close()
			defer there.conn.Close()
			here.subscribes("", above+".*")
			there.subscribes("", topic)
			first := "" // the results say that all nodes know
			for i, n := range nodes {
				forwarded := n.metric("roost_deliver_forwarded_total")
				if a := n.publish(topic, fmt.Sprint(i)); !strings.Contains(a, `"total":2,"counts":{"written":2}`) {
					t.Errorf("from %s: %s", n.node.origin.Node, a)
				}
				// Each link is crossed once, and none that leads to no subscriber and not home.
				links := map[string]bool{"n1": true, "n2": true, nodes[at].node.origin.Node: true}
				delete(links, n.node.origin.Node)
				if got := n.metric("roost_deliver_forwarded_total") - forwarded; int(got) != len(links) {
					t.Errorf("from %s: %v forwarded, want %d", n.node.origin.Node, got, len(links))
				}
				there.gets(topic, fmt.Sprint(i))
				if id := here.gets(topic, fmt.Sprint(i)); i == 0 {
					first = id
				}
			}
			// A device on a third node asks what it missed, by the topic and by a pattern.
			missed := []string{"1", "2"}
			for i, pattern := range []string{topic, above + ".*"} {
				late := nodes[2].connect("carol", "late")
				late.subscribes(first, pattern)
				for _, payload := range missed {
					late.gets(topic, payload)
				}
				if r := late.line(); !strings.Contains(r, `"complete":true`) {
					t.Error(r)
				}
				// Who has the result is known to all nodes.
				next := fmt.Sprint(3 + i)
				if a := nodes[1].publish(topic, next); !strings.Contains(a, `"written":3`) {
					t.Error(a)
				}
				missed = append(missed, next)
				for _, d := range []*testDevice{late, here, there} {
					d.gets(topic, next)
				}
				late.conn.Close()
				nodes[2].eventually("it has left", func() bool { return nodes[2].metric("roost_topics_subscriptions") == 0 })
			}
		})
		for _, n := range nodes {
			n.eventually("nobody subscribes any more", func() bool {
				return n.metric("roost_topics_subscriptions") == 0 && n.metric("roost_topics_interests") == 0
			})
		}
	}
}

// A node that comes later is told what the others have subscribed to, and what is home
// there from then on is found there.
func TestTopicsOfANodeThatJoins(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, 2)
	phone := nodes[0].connect("alice", "phone")
	phone.subscribes("", "news.*")
	late := startClusterNode(t, "n3", []string{nodes[0].node.cluster.GossipAddr()}, nil)
	late.eventually("it is linked", func() bool { return late.linked() == 2 })
	late.interested("news.eu", "n1")
	if a := late.publish("news.eu", "1"); !strings.Contains(a, `"written":1`) {
		t.Error(a)
	}
	phone.gets("news.eu", "1")
	// It leaves, and nobody is sent anything for it.
	if err := late.stop(); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		n.eventually("it is gone", func() bool { return n.linked() == 1 })
	}
	nodes[1].eventually("its interest is forgotten", func() bool { return nodes[1].metric("roost_topics_interest_nodes") <= 1 })
	if a := nodes[1].publish("news.eu", "2"); !strings.Contains(a, `"written":1`) {
		t.Error(a)
	}
	phone.gets("news.eu", "2")
}

// Interest that takes many frames is told whole, and of a node that has more than is noted
// everything is of interest.
func TestMuchInterest(t *testing.T) {
	t.Parallel()
	const patterns = 3000 // of 35 bytes: some four frames
	nodes := startCluster(t, 1)
	for i := range patterns / 100 {
		f := wire.DeviceFrame{Type: wire.FrameSubscribe}
		for j := range 100 {
			f.Topics = append(f.Topics, fmt.Appendf(nil, "a-long-name-of-a-topic.number-%d.*", i*100+j))
		}
		nodes[0].node.topics.Subscribe(nil, session.New("a", fmt.Sprint(i)), &f)
	}
	join := []string{nodes[0].node.cluster.GossipAddr()}
	all := startClusterNode(t, "n2", join, nil)
	few := startClusterNode(t, "n3", join, func(c *config.Config) { c.Topics.InterestsMax = 100 })
	all.eventually("all is known", func() bool { return all.metric("roost_topics_interests") == patterns })
	few.eventually("everything is of interest", func() bool { return few.metric("roost_topics_interest_everything") == 1 })
	for _, n := range []*testNode{all, few} {
		n.eventually("whoever subscribed is found", func() bool {
			got := n.node.topics.AppendNodes(nil, "a-long-name-of-a-topic.number-2999.x")
			return slices.Contains(got, "n1")
		})
	}
}

// What is published while devices subscribe with since arrives, wherever it enters.
func TestTopicsReplayUnderWay(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, 3)
	topic := topicAt(t, "x", "n2")
	watcher := nodes[1].connect("w", "w")
	watcher.subscribes("", topic)
	nodes[0].publish(topic, "0")
	first := watcher.gets(topic, "0")
	const messages = 60
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 1; i < messages; i++ {
			nodes[0].publish(topic, fmt.Sprint(i))
			time.Sleep(time.Millisecond)
		}
	}()
	var devices []*testDevice
	for i := range 5 {
		d := nodes[2].connect("d", fmt.Sprint(i))
		d.subscribes(first, topic)
		devices = append(devices, d)
	}
	<-done
	for i, d := range devices {
		seen := map[string]bool{}
		for len(seen) < messages-1 {
			m := d.read()
			if m["type"] == "message" {
				seen[fmt.Sprint(m["payload"])] = true
			} else if text := fmt.Sprint(m); !strings.Contains(text, "complete:true") {
				t.Errorf("device %d: %s", i, text)
			}
		}
	}
}
