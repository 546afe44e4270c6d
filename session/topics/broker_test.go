package topics

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

func TestCovers(t *testing.T) {
	for _, tc := range []struct {
		pattern, other string
		want           bool
	}{
		{"news", "news", true},
		{"news", "news.eu", false},
		{"news.*", "news", false}, // topics below it, not itself
		{"news.*", "news.eu", true},
		{"news.*", "news.eu.sport", true},
		{"news.*", "newspaper", false},
		{"news.*", "newspaper.eu", false},
		{"news.*", "news.*", true},
		{"news.*", "news.eu.*", true},
		{"news.eu.*", "news.*", false},
		{"news.eu", "news.*", false},
	} {
		if got := Covers(tc.pattern, tc.other); got != tc.want {
			t.Errorf("Covers(%s, %s) is %v", tc.pattern, tc.other, got)
		}
	}
}

func TestSubscribePublishUnsubscribe(t *testing.T) {
	n := newNode(true, nil, nil)
	eu, all, both := n.open("eu"), n.open("all"), n.open("both")
	n.subscribe(t, eu, "news.eu")
	n.subscribe(t, all, "news.*")
	n.subscribe(t, both, "news.eu", "news.*", "news.eu.*", "news.eu") // twice is once
	for topic, want := range map[string]string{"news.eu": "all both eu", "news.us": "all both", "news.eu.x": "all both", "news": "", "x": ""} {
		if _, got := n.publish(topic, "x"); got != want {
			t.Errorf("%s goes to %q, want %q", topic, got, want)
		}
	}
	if s := n.Stats(); s.Subscriptions != 5 || s.Topics != 3 {
		t.Errorf("%+v", s)
	}
	if a := n.say(t, both, `{"type":"unsubscribe","id":"u","topics":["news.*","never"]}`); a != `{"type":"result","ref":"u","status":"ok","topics":[{"topic":"news.*","status":"ok"},{"topic":"never","status":"ok"}]}` {
		t.Error(a)
	}
	if _, got := n.publish("news.us", "x"); got != "all" {
		t.Errorf("goes to %q", got)
	}
	n.Forget(all)
	n.Forget(both)
	n.Forget(both)
	if _, got := n.publish("news.eu", "x"); got != "eu" {
		t.Errorf("goes to %q", got)
	}
	n.say(t, eu, `{"type":"unsubscribe","topics":["news.eu"]}`)
	if len(n.subs.entries)+len(n.subs.holders)+n.subs.length != 0 {
		t.Errorf("something is left: %+v", n.Stats())
	}
}

func TestPermissions(t *testing.T) {
	n := newNode(false, nil, nil)
	none, some := n.open("none"), n.open("some")
	n.Permit(none, nil)
	n.Permit(some, []string{"news.*", "x"})
	if len(n.subs.holders) != 1 {
		t.Errorf("%d sessions cost something, one has topics", len(n.subs.holders))
	}
	for _, tc := range []struct {
		s          *session.Session
		text, want string
	}{
		{none, `{"type":"subscribe","id":1,"topics":["x"]}`, `{"type":"result","ref":1,"status":"forbidden","topics":[{"topic":"x","status":"forbidden"}]}`},
		{none, `{"type":"subscribe","topics":["x"]}`, `{"type":"error","code":"forbidden","detail":"the token does not permit topic x"}`},
		{some, `{"type":"subscribe","id":1,"topics":["x","news.*","news.eu.*","y","news","x.*"]}`, `{"type":"result","ref":1,"status":"ok","topics":[{"topic":"x","status":"ok"},{"topic":"news.*","status":"ok"},{"topic":"news.eu.*","status":"ok"},{"topic":"y","status":"forbidden"},{"topic":"news","status":"forbidden"},{"topic":"x.*","status":"forbidden"}]}`},
		{some, `{"type":"subscribe","topics":["x"]}`, ""}, // no id, no refusal, no answer
	} {
		if got := n.say(t, tc.s, tc.text); got != tc.want {
			t.Errorf("%s\n%s\nwant %s", tc.text, got, tc.want)
		}
	}
	if s := n.Stats(); s.Forbidden != 5 {
		t.Errorf("%d are counted as forbidden", s.Forbidden)
	}
	// A new token that permits less ends the rest.
	n.Permit(some, []string{"news.eu.*"})
	_, x := n.publish("x", "")
	_, eu := n.publish("news.eu.a", "")
	_, us := n.publish("news.us", "")
	if x != "" || eu != "some" || us != "" || n.Stats().Ended != 2 {
		t.Errorf("x to %q, eu to %q, us to %q, %d ended", x, eu, us, n.Stats().Ended)
	}
	n.Permit(some, nil)
	if len(n.subs.entries)+len(n.subs.holders)+n.subs.length != 0 {
		t.Errorf("something is left: %+v", n.Stats())
	}
}

func TestLimits(t *testing.T) {
	n := newNode(true, nil, func(c *Config) { c.SessionSubscriptionsMax, c.SubscriptionsMax, c.ReplaysMax = 2, 3, 1 })
	one, two, three := n.open("1"), n.open("2"), n.open("3")
	n.subscribe(t, one, "a", "b")
	if a := n.say(t, one, `{"type":"subscribe","id":1,"topics":["a","c"]}`); !strings.Contains(a, `{"topic":"a","status":"ok"},{"topic":"c","status":"overloaded"}`) {
		t.Error(a)
	}
	n.subscribe(t, two, "a")
	if a := n.say(t, two, `{"type":"subscribe","topics":["b"]}`); !strings.Contains(a, `"code":"overloaded"`) || !strings.Contains(a, "topics.subscriptions_max") {
		t.Error(a)
	}
	if a := n.say(t, three, `{"type":"subscribe","id":1,"topics":["a"]}`); !strings.Contains(a, `"status":"overloaded"`) || n.subs.holders[three] != nil {
		t.Error(a)
	}
	if s := n.Stats(); s.Overloaded != 3 || s.Subscriptions != 3 {
		t.Errorf("%+v", s)
	}
	// Frames with since, of which nobody answers the first one.
	n.say(t, two, `{"type":"unsubscribe","topics":["a"]}`)
	if a := n.say(t, two, `{"type":"subscribe","id":1,"topics":["a"],"since":"n.1.1"}`); a != "" {
		t.Error(a)
	}
	if a := n.say(t, one, `{"type":"subscribe","id":1,"topics":["a"],"since":"n.1.1"}`); !strings.Contains(a, `"overloaded"`) {
		t.Error(a)
	}
	if a := n.say(t, one, `{"type":"subscribe","id":1,"topics":["a"],"since":"yesterday"}`); !strings.Contains(a, `"ref":1,"code":"bad_value"`) || n.Stats().Malformed != 1 {
		t.Error(a)
	}
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"subscriptions_max":         func(c *Config) { c.SubscriptionsMax = 0 },
		"session_subscriptions_max": func(c *Config) { c.SessionSubscriptionsMax = -1 },
		"replays_max":               func(c *Config) { c.ReplaysMax = 0 },
		"replay_messages_max":       func(c *Config) { c.ReplayMessagesMax = 0 },
		"replay_bytes_max":          func(c *Config) { c.ReplayBytesMax = 5 },
		"interests_max":             func(c *Config) { c.InterestsMax = 0 },
		"window.topics":             func(c *Config) { c.Window.Topics = 0 },
		"window.messages":           func(c *Config) { c.Window.Messages = 0 },
		"window.topic_bytes":        func(c *Config) { c.Window.TopicBytes = 0 },
		"window.bytes":              func(c *Config) { c.Window.Bytes = c.Window.TopicBytes - 1 },
		"window.age":                func(c *Config) { c.Window.Age = 0 },
		"ask_timeout":               func(c *Config) { c.AskTimeout = 0 },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "topics: "+name+" is ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

// Changes that nobody takes are not collected for ever.
func TestTooManyChanges(t *testing.T) {
	n := newNode(true, elsewhere{}, nil)
	s := n.open("s")
	n.subscribe(t, s, "stays")
	for i := 0; i < changesMax; i += 2 {
		n.subscribe(t, s, "x")
		n.say(t, s, `{"type":"unsubscribe","topics":["x"]}`)
	}
	if list, whole := n.TakeChanges(nil); !whole || len(list) != 0 {
		t.Errorf("%d changes, whole %v", len(list), whole)
	}
	if list := n.AppendInterest(nil); len(list) != 1 || list[0].Pattern != "stays" {
		t.Errorf("%v", list)
	}
	n.subscribe(t, s, "y")
	<-n.Changed()
	if list, whole := n.TakeChanges(nil); whole || len(list) != 1 || list[0].Pattern != "y" {
		t.Errorf("%v, whole %v", list, whole)
	}
}

// elsewhere is a cluster in which this node keeps no window.
type elsewhere struct{}

func (elsewhere) Home(string) (string, bool)                           { return "home", false }
func (elsewhere) Told(f func(bool))                                    { f(true) }
func (elsewhere) Ask(_ []string, _ session.ID, f func([]Replay, bool)) { f(nil, false) }

// later is a cluster that takes its time to be told.
type later struct {
	elsewhere
	told *[]func(bool)
}

func (l later) Told(f func(bool)) { *l.told = append(*l.told, f) }

func TestResultWaitsUntilOthersKnow(t *testing.T) {
	var told []func(bool)
	n := newNode(true, later{told: &told}, func(c *Config) { c.ReplaysMax = 1 })
	one, two := n.open("1"), n.open("2")
	if a := n.say(t, one, `{"type":"subscribe","id":1,"topics":["a","b"]}`); a != "" || len(told) != 1 {
		t.Errorf("%s, %d wait", a, len(told))
	}
	if _, to := n.publish("a", "x"); to != "1" {
		t.Errorf("goes to %q meanwhile", to)
	}
	// Neither is known to the others when another device wants one of them; that is above
	// the limit, and answered at once.
	if a := n.say(t, two, `{"type":"subscribe","id":1,"topics":["a"]}`); !strings.Contains(a, `"status":"ok"`) {
		t.Error(a)
	}
	if got := n.sockets.take(one); len(got) != 0 || len(told) != 1 {
		t.Errorf("%q, %d wait", got, len(told))
	}
	told[0](true)
	if got := n.sockets.take(one); len(got) != 1 || got[0] != `{"type":"result","ref":1,"status":"ok","topics":[{"topic":"a","status":"ok"},{"topic":"b","status":"ok"}]}` || n.Stats().Replaying != 0 {
		t.Errorf("%q, %+v", got, n.Stats())
	}
	if a := n.say(t, two, `{"type":"subscribe","id":1,"topics":["b"]}`); !strings.Contains(a, `"status":"ok"`) || len(told) != 1 {
		t.Errorf("%s, although all know it", a)
	}
	// The first one of a topic did not ask for a result, the second does.
	n.say(t, one, `{"type":"subscribe","topics":["d"]}`)
	if a := n.say(t, two, `{"type":"subscribe","id":1,"topics":["d"]}`); a != "" || len(told) != 2 {
		t.Errorf("%s, %d wait", a, len(told))
	}
	told[1](true)
	if got := n.sockets.take(two); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestPublishAllocatesNothing(t *testing.T) {
	n := newNode(true, elsewhere{}, nil)
	for i := range 100 {
		s := n.open(fmt.Sprint(i))
		n.subscribe(t, s, "news.eu.sport")
		if i%2 == 0 {
			n.subscribe(t, s, "news.*")
		}
	}
	n.subscribe(t, n.open("wide"), "news.eu.*")
	room, nodes := make([]*session.Session, 0, 200), make([]string, 0, 4)
	m := session.Message{Topic: "news.eu.sport", Payload: []byte("x")}
	if got := testing.AllocsPerRun(100, func() {
		if len(n.Publish(room, origin, &m)) != 101 || len(n.AppendNodes(nodes, m.Topic)) != 1 {
			t.Fatal("wrong subscribers")
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// TestForgottenByAnotherLoop: a session that is displaced is forgotten by the loop of the newer one, while
// its own still takes frames from it. Whatever comes between, each member of a topic is known.
func TestForgottenByAnotherLoop(t *testing.T) {
	n := newNode(true, nil, nil)
	old, other := n.open("old"), n.open("other")
	topics := &wire.DeviceFrame{Topics: [][]byte{[]byte("news")}}
	n.Subscribe(nil, other, topics)
	var both sync.WaitGroup
	for range 2000 {
		n.Subscribe(nil, old, topics)
		both.Go(func() { n.Forget(old) })
		both.Go(func() {
			n.Unsubscribe(nil, old, topics)
			n.Subscribe(nil, old, topics)
		})
		both.Wait()
		n.subs.mu.Lock()
		for _, e := range n.subs.entries {
			for _, s := range e.members {
				if n.subs.holders[s] == nil {
					t.Fatalf("%s is a member of %s, and nobody knows", s.Device, e.pattern)
				}
			}
		}
		n.subs.mu.Unlock()
		n.Forget(old)
	}
}
