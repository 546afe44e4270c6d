package topics

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// texts are the payloads of message frames, and the results as they are.
func texts(t testing.TB, frames []string) (list []string) {
	t.Helper()
	for _, text := range frames {
		var f wire.ServerFrame
		if err := wire.ParseServer([]byte(text), &f); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if f.Type == wire.ServerMessage {
			list = append(list, string(f.Payload))
		} else {
			list = append(list, text)
		}
	}
	return list
}

func since(id string, patterns ...string) string {
	return fmt.Sprintf(`{"type":"subscribe","id":7,"topics":["%s"],"since":%q}`, strings.Join(patterns, `","`), id)
}

func TestReplayComesBeforeWhatIsNew(t *testing.T) {
	n := newNode(true, nil, nil)
	s, other := n.open("s"), n.open("other")
	n.publish("news.eu", "1")
	id, _ := n.publish("news.eu", "2")
	n.publish("news.us", "3")
	n.publish("weather", "4")
	n.publish("news", "5")
	n.subscribe(t, other, "news.*")
	if a := n.say(t, s, since(id, "news.*")); a != "" {
		t.Fatal(a)
	}
	// While it is looked up, what is published is held back: nobody but the other has it yet.
	if _, to := n.publish("news.eu", "6"); to != "other" {
		t.Errorf("goes to %q", to)
	}
	n.work(<-n.asked)
	_, to := n.publish("news.eu", "7")
	want := `[3 6 {"type":"result","ref":7,"status":"ok","topics":[{"topic":"news.*","status":"ok","complete":true}]}]`
	if got := fmt.Sprint(texts(t, n.sockets.take(s))); got != want || to != "other s" {
		t.Errorf("%s, then to %q\nwant %s", got, to, want)
	}
	// An id that is not there: all there is, and that it may be too little.
	n.say(t, s, since("n.1.77", "weather", "nothing"))
	n.work(<-n.asked)
	want = `[4 {"type":"result","ref":7,"status":"ok","topics":[{"topic":"weather","status":"ok","complete":false},{"topic":"nothing","status":"ok","complete":false}]}]`
	if got := fmt.Sprint(texts(t, n.sockets.take(s))); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if c := n.Stats(); c.Replays != 2 || c.Replayed != 3 || c.Incomplete != 1 || c.Replaying != 0 || c.Subscriptions != 4 {
		t.Errorf("%+v", c)
	}
}

func TestReplayOfWhatIsOver(t *testing.T) {
	for name, tc := range map[string]struct {
		during func(n *node, s *session.Session)
		to     string
	}{
		"nothing happens":    {func(*node, *session.Session) {}, "s"},
		"it has left":        {func(n *node, s *session.Session) { n.Forget(s) }, ""},
		"it thinks again":    {func(n *node, s *session.Session) { n.say(t, s, `{"type":"unsubscribe","topics":["x"]}`) }, ""},
		"it has a new token": {func(n *node, s *session.Session) { n.Permit(s, []string{"y"}) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(false, nil, nil)
			s := n.open("s")
			n.Permit(s, []string{"x"})
			n.say(t, s, since("n.1.1", "x"))
			tc.during(n, s)
			n.work(<-n.asked)
			if _, to := n.publish("x", "1"); to != tc.to {
				t.Errorf("goes to %q", to)
			}
			n.Forget(s)
			if len(n.subs.entries)+len(n.subs.holders)+n.subs.length != 0 || n.Stats().Replaying != 0 {
				t.Errorf("something is left: %+v", n.Stats())
			}
		})
	}
}

func TestTooMuchIsHeldBack(t *testing.T) {
	n := newNode(true, nil, func(c *Config) { c.ReplayMessagesMax = 2; c.Window.Messages = 1 })
	s := n.open("s")
	id, _ := n.publish("x", "1")
	n.say(t, s, since(id, "x"))
	for i := range 4 {
		n.publish("x", fmt.Sprint(i+2))
	}
	n.work(<-n.asked)
	got := texts(t, n.sockets.take(s))
	if len(got) != 3 || got[0] != "5" || got[1] != "4" && got[1] != "5" || !strings.Contains(got[2], `"complete":false`) {
		t.Errorf("%q", got)
	}
	if c := n.Stats(); c.HeldDropped != 2 || c.Incomplete != 1 {
		t.Errorf("%+v", c)
	}
	n.sockets.result = netpoll.ResultFull
	n.say(t, s, since(id, "x"))
	n.work(<-n.asked)
	if c := n.Stats(); c.ReplayLost != 2 {
		t.Errorf("%d messages and results did not get there", c.ReplayLost)
	}
}

// asks is a cluster whose answer the test gives.
type asks struct {
	elsewhere
	answer chan func([]Replay, bool)
}

func (a asks) Ask(_ []string, _ session.ID, f func([]Replay, bool)) { a.answer <- f }

func TestReplayFromElsewhere(t *testing.T) {
	others := asks{answer: make(chan func([]Replay, bool), 1)}
	n := newNode(true, others, nil)
	s := n.open("s")
	n.say(t, s, since("m.1.5", "x"))
	n.work(<-n.asked)
	answer := <-others.answer
	n.publish("x", "new")
	answer([]Replay{{Found: true, Complete: true, Messages: []*Retained{{Origin: session.Origin{Node: "m", Epoch: 1}, Message: session.Message{ID: 6, Topic: "x", Kind: session.Text, Payload: []byte("old")}}}}}, false)
	if got := n.sockets.take(s); len(got) != 0 {
		t.Errorf("who answers, a link's reader, was kept for %q", got)
	}
	n.work(<-n.asked)
	if got := texts(t, n.sockets.take(s)); len(got) != 3 || got[0] != "old" || got[1] != "new" || !strings.Contains(got[2], `"complete":true`) {
		t.Errorf("%q", got)
	}
	n.say(t, s, since("m.1.5", "y"))
	n.work(<-n.asked)
	(<-others.answer)(nil, true)
	n.work(<-n.asked)
	if got := texts(t, n.sockets.take(s)); len(got) != 1 || !strings.Contains(got[0], `"complete":false`) {
		t.Errorf("%q", got)
	}
}

// TestTokenNarrowsUnderWay: what a new token does not permit is not sent any more, nor called
// subscribed to, although the frame came before it.
func TestTokenNarrowsUnderWay(t *testing.T) {
	n := newNode(false, nil, nil)
	s := n.open("s")
	n.Permit(s, []string{"x", "y"})
	first, _ := n.publish("x", "0")
	n.publish("x", "of x")
	n.publish("y", "of y")
	n.say(t, s, since(first, "x", "y"))
	n.publish("x", "of x, held back")
	n.Permit(s, []string{"y"})
	n.publish("x", "of x, later")
	n.work(<-n.asked)
	if got := texts(t, n.sockets.take(s)); len(got) != 2 || got[0] != "of y" ||
		!strings.Contains(got[1], `"topics":[{"topic":"x","status":"forbidden"},{"topic":"y","status":"ok"`) {
		t.Errorf("%q", got)
	}
	if _, to := n.publish("x", "none"); to != "" || n.Stats().Ended != 1 {
		t.Errorf("it still goes to %q; %d have ended", to, n.Stats().Ended)
	}
	if _, to := n.publish("y", "all"); to != "s" {
		t.Errorf("goes to %q", to)
	}
}

// moving is a cluster in which this node stops being the home.
type moving struct {
	elsewhere
	here bool
}

func (m *moving) Home(string) (string, bool) { return "home", m.here }

// TestFormerHomeStillSays: what a node kept while it was the home is sent again from there,
// although another one keeps what comes now.
func TestFormerHomeStillSays(t *testing.T) {
	m := &moving{here: true}
	n := newNode(true, m, nil)
	first, _ := n.publish("x", "1")
	n.publish("x", "2")
	m.here = false
	n.publish("x", "is the new home's")
	s := n.open("s")
	n.say(t, s, since(first, "x"))
	n.work(<-n.asked)
	n.work(<-n.asked)
	if got := texts(t, n.sockets.take(s)); len(got) != 2 || got[0] != "2" || !strings.Contains(got[1], `"complete":true`) {
		t.Errorf("%q", got)
	}
}

// between is a cluster of one home that does something while a message is published to it.
type between struct {
	elsewhere
	during func()
}

func (o *between) Home(string) (string, bool) {
	if f := o.during; f != nil {
		o.during = nil
		f()
	}
	return "", true
}

// TestReplayMeetsAPublish subscribes with since while a message is on its way into the
// window: the device has it all the same.
func TestReplayMeetsAPublish(t *testing.T) {
	o := &between{}
	n := newNode(true, o, nil)
	s := n.open("s")
	id, _ := n.publish("x", "1")
	o.during = func() {
		n.say(t, s, since(id, "x"))
		n.work(<-n.asked)
		n.work(<-n.asked) // answered by the others
	}
	_, to := n.publish("x", "2")
	if got := texts(t, n.sockets.take(s)); to != "s" && (len(got) == 0 || got[0] != "2") {
		t.Errorf("it has %q, and the message goes to %q", got, to)
	}
}

// TestReplayRace publishes while devices come and ask what they missed. Each must have
// every message after the one it named, the first copies in order, and the result must not
// come before what was there when it asked.
func TestReplayRace(t *testing.T) {
	const messages, devices = 400, 40
	n := newNode(true, nil, func(c *Config) { c.Window.Messages = messages; c.ReplayMessagesMax = messages })
	n.run(t)
	first, _ := n.publish("x.y", "0")
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range messages - 1 {
			m := session.Message{ID: session.MessageID(i + 2), Kind: session.Text, Payload: fmt.Append(nil, i+1), Topic: "x.y"}
			for _, s := range n.Publish(nil, origin, &m) {
				n.sockets.Send(netpoll.ConnID(s.Conn), netpoll.OpText, wire.AppendMessage(nil, origin, &m), n.Broker, 0)
			}
		}
	})
	sessions := make([]*session.Session, devices)
	for i := range sessions {
		sessions[i] = n.open(fmt.Sprint(i))
	}
	for i := range 4 {
		wg.Go(func() {
			for at := i; at < devices; at += 4 {
				n.say(t, sessions[at], since(first, "x.*"))
			}
		})
	}
	wg.Wait()
	for n.Stats().Replaying > 0 { // Run is at it
	}
	held := 0
	for _, s := range sessions {
		next, results := 1, 0
		for _, text := range texts(t, n.sockets.take(s)) {
			var number int
			if strings.Contains(text, `"result"`) {
				if results++; !strings.Contains(text, `"complete":true`) {
					t.Errorf("%s: %s", s.Device, text)
				}
				held += next
				continue
			}
			if _, err := fmt.Sscan(text, &number); err != nil {
				t.Fatal(err)
			}
			if number > next {
				t.Fatalf("%s: %d comes before %d", s.Device, number, next)
			}
			if number == next {
				next++
			}
		}
		if next != messages || results != 1 {
			t.Errorf("%s has all up to %d, and %d results", s.Device, next-1, results)
		}
	}
	t.Logf("on average the result came at message %d", held/devices)
}
