package topics

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// town is some nodes that hand their windows over. Frames wait until the test says what becomes
// of them.
type town struct {
	nodes  map[string]*node
	homes  map[string]string // by topic; "*": of all others
	frames []townFrame
	full   bool // links take nothing
	nowMS  int64
}

type townFrame struct {
	from, to string
	typ      wire.LinkType
	body     []byte
}

// townNode is the town as one node sees it.
type townNode struct {
	*town
	self string
}

func (t townNode) home(topic string) string {
	if node, ok := t.homes[topic]; ok {
		return node
	}
	return t.homes["*"]
}

func (t townNode) Home(topic string) (string, bool)                   { return t.home(topic), t.home(topic) == t.self }
func (townNode) Told(f func(bool))                                    { f(true) }
func (townNode) Ask(_ []string, _ session.ID, f func([]Replay, bool)) { f(nil, false) }

func (t townNode) Heir(topic string) string {
	if node := t.home(topic); node != t.self {
		return node
	}
	return ""
}

func (t townNode) Send(to string, typ wire.LinkType, body []byte) bool {
	if t.full {
		return false
	}
	t.frames = append(t.frames, townFrame{t.self, to, typ, slices.Clone(body)})
	return true
}

func newTown(change func(*Config), names ...string) *town {
	w := &town{nodes: map[string]*node{}, homes: map[string]string{"*": names[0]}, nowMS: 1000}
	for _, name := range names {
		w.join(change, name)
	}
	return w
}

// join starts a node, or another process of one.
func (w *town) join(change func(*Config), name string) {
	n := newNode(true, townNode{w, name}, change)
	n.AttachHeirs(session.Origin{Node: name, Epoch: 1}, townNode{w, name})
	w.nodes[name] = n
	n.Tick(w.nowMS)
}

// deliver takes the frame that has waited longest to its node.
func (w *town) deliver(t interface{ Fatal(...any) }) {
	f := w.frames[0]
	w.frames = w.frames[1:]
	n := w.nodes[f.to]
	var err error
	switch f.typ {
	case wire.LinkTypeTopicMove:
		var m wire.TopicMove
		if err = wire.ParseTopicMove(f.body, &m); err == nil {
			n.TakeMove(f.from, &m)
		}
	case wire.LinkTypeTopicMoved:
		var m wire.TopicMoved
		if err = wire.ParseTopicMoved(f.body, &m); err == nil {
			n.Moved(&m)
		}
	}
	for i := range f.body {
		f.body[i] = 0xcc // it was borrowed
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (w *town) work(t interface{ Fatal(...any) }) {
	for len(w.frames) > 0 {
		w.deliver(t)
	}
}

// tick lets time pass at all nodes.
func (w *town) tick(ms int64) {
	w.nowMS += ms
	for _, n := range w.nodes {
		n.Tick(w.nowMS)
	}
}

// left is what a node that leaves has still to hand over, and what stays.
func (n *node) left() string {
	messages, stay, _ := n.Left()
	return fmt.Sprint(messages, " ", stay)
}

// says is what a node keeps since a message.
func (n *node) says(t testing.TB, since string, patterns ...string) string {
	t.Helper()
	id, ok := session.ParseMessageID(since)
	if !ok {
		t.Fatal(since)
	}
	return saying(n.Since(patterns, id))
}

func saying(p Replay) string {
	var list []string
	for _, m := range p.Messages {
		list = append(list, string(m.Payload))
	}
	return fmt.Sprint(list, " found ", p.Found, " complete ", p.Complete)
}

// TestWindowIsHandedOver: what a node kept of topics is at their homes of now, with its ids, in its
// order and as old as it was.
func TestWindowIsHandedOver(t *testing.T) {
	w := newTown(func(c *Config) { c.Window.Messages = 600; c.Window.Age = 10 * time.Second }, "a", "b", "c")
	a, b, c := w.nodes["a"], w.nodes["b"], w.nodes["c"]
	first, _ := a.publish("news.eu", "0")
	for i := range 599 {
		a.publish("news.eu", fmt.Sprint(i+1))
	}
	other, _ := a.publish("weather", "sun")
	a.publish("weather", "rain")
	w.homes = map[string]string{"news.eu": "b", "weather": "c"}
	w.tick(4000)
	a.Leave()
	if got := a.left(); got != "602 0" {
		t.Errorf("left: %s", got)
	}
	w.work(t)
	late, _ := a.publish("weather", "of one who has not heard")
	if got := a.left(); got != "0 0" {
		t.Errorf("left: %s; who is no home keeps nothing", got)
	}
	if got := c.says(t, other, "weather"); got != "[rain] found true complete true" {
		t.Errorf("c: %s", got)
	}
	if got := c.says(t, late, "weather"); got != "[sun rain] found false complete false" {
		t.Errorf("c, of a message that is nowhere: %s", got)
	}
	p := b.Since([]string{"news.*"}, mustID(t, first))
	if len(p.Messages) != 500 || string(p.Messages[0].Payload) != "100" || string(p.Messages[499].Payload) != "599" || p.Complete {
		t.Errorf("b has %d messages, complete: %v", len(p.Messages), p.Complete)
	}
	if s := b.Stats(); s.MovesReceived != 4 || s.Inherited != 600 || s.HeldMessages != 600 || s.HeldTopics != 1 || s.HeldBytes < 600*retainedBytes {
		t.Errorf("b: %+v", s)
	}
	if s := a.Stats(); s.Moved != 602 || s.MovesSent != 5 || s.MovesRefused+s.MovesUnsure != 0 {
		t.Errorf("a: %+v", s)
	}
	w.tick(5999)
	if got := c.says(t, other, "weather"); got != "[rain] found true complete true" {
		t.Errorf("a second before it is too old: %s", got)
	}
	w.tick(2)
	if got := c.says(t, other, "weather"); got != "[] found false complete false" {
		t.Errorf("what is too old is sent: %s", got)
	}
	if s := c.Stats(); s.HeldTopics+s.HeldMessages+s.HeldBytes != 0 {
		t.Errorf("c keeps of what is too old: %+v", s)
	}
}

func mustID(t testing.TB, text string) session.ID {
	id, ok := session.ParseMessageID(text)
	if !ok {
		t.Fatal(text)
	}
	return id
}

// TestHandOverMeetsWhatIsNew: a home has messages of its own by then, some of them the same.
func TestHandOverMeetsWhatIsNew(t *testing.T) {
	w := newTown(nil, "a", "b")
	a, b := w.nodes["a"], w.nodes["b"]
	first, _ := a.publish("x", "1")
	a.publish("x", "2")
	both := session.Message{ID: 77, Kind: session.Text, Payload: []byte("both"), Topic: "x", SentMS: 3}
	a.Publish(nil, origin, &both)
	w.homes["*"] = "b"
	b.Publish(nil, origin, &both)
	b.newest = 100
	b.publish("x", "new") // sent at 101
	a.Leave()
	w.work(t)
	if got := b.says(t, first, "x"); got != "[2 both new] found true complete true" {
		t.Errorf("since the first: %s", got)
	}
	if got := b.says(t, origin.Text(77), "x"); got != "[new] found true complete true" {
		t.Errorf("since what both had: %s", got)
	}
	// It leaves as well: what it was handed goes on.
	w.join(nil, "c")
	w.homes["*"] = "c"
	b.Leave()
	w.work(t)
	if got := w.nodes["c"].says(t, first, "x"); got != "[2 both new] found true complete true" || b.left() != "0 0" {
		t.Errorf("at the heir's heir: %s; left: %s", got, b.left())
	}
}

// TestHandOverThatFails: whatever becomes of a frame, its messages stay with who leaves, which counts
// them, and are sent again.
func TestHandOverThatFails(t *testing.T) {
	small := func(c *Config) { c.Window.Bytes, c.Window.TopicBytes, c.Window.Topics = 4096, 4096, 2 }
	for name, tc := range map[string]struct {
		fails  func(w *town, a *node)
		right  func(w *town, a *node)
		counts func(s, heir Stats) bool
		why    string
	}{
		"the link is full": {
			func(w *town, a *node) { w.full = true; a.Leave() },
			func(w *town, _ *node) { w.full = false; w.tick(1000) },
			func(s, _ Stats) bool { return s.MovesSent == 1 }, "",
		},
		"the frame is lost": {
			func(w *town, a *node) { a.Leave(); w.frames = nil; w.tick(1999) },
			func(w *town, _ *node) { w.tick(1) },
			func(s, _ Stats) bool { return s.MovesSent == 2 && s.MovesUnsure == 1 }, "",
		},
		"the answer is lost": {
			func(w *town, a *node) { a.Leave(); w.deliver(t); w.frames = nil },
			func(w *town, _ *node) { w.tick(2000) },
			func(s, heir Stats) bool { return s.MovesUnsure == 1 && heir.Inherited == 2 && heir.MovesReceived == 2 }, "",
		},
		"the heir is another process": {
			func(w *town, a *node) { a.Leave(); w.work(t); w.join(small, "b"); a.Unlinked("b") },
			func(w *town, _ *node) { w.tick(1000) },
			func(s, heir Stats) bool { return s.Moved == 4 && heir.Inherited == 2 }, "",
		},
		"the heir goes before it has answered": {
			func(w *town, a *node) { a.Leave(); w.deliver(t); w.join(small, "b"); a.Unlinked("b") },
			func(w *town, _ *node) { w.work(t); w.tick(1000) },
			func(s, heir Stats) bool {
				return s.MovesLate == 1 && s.MovesUnsure == 1 && s.Moved == 2 && heir.Inherited == 2
			}, "",
		},
		"the heir has no room": {
			func(w *town, a *node) { other(w, "z", 3, 1000); a.Leave(); w.work(t) },
			func(w *town, _ *node) { w.join(small, "b"); w.tick(1000) },
			func(s, _ Stats) bool { return s.MovesRefused == 1 && s.Moved == 2 },
			"b: topics.window.bytes: nodes that left have handed over as much as that (4096) already",
		},
		"the heir has no room for a topic": {
			func(w *town, a *node) { other(w, "y", 1, 1); other(w, "z", 1, 1); a.Leave(); w.work(t) },
			func(w *town, _ *node) { w.join(small, "b"); w.tick(1000) },
			func(s, _ Stats) bool { return s.MovesRefused == 1 },
			"b: topics.window.topics: nodes that left have handed over as many as that (2) already",
		},
		"there is another home": {
			func(w *town, a *node) {
				a.Leave()
				w.work(t)
				w.join(small, "c")
				w.homes["*"], w.nodes["b"] = "c", w.nodes["c"]
			},
			func(w *town, _ *node) { w.tick(1000) },
			func(s, heir Stats) bool { return s.Moved == 4 && heir.Inherited == 2 }, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(small, "a", "b")
			a := w.nodes["a"]
			first, _ := a.publish("x", "1")
			a.publish("x", strings.Repeat("2", 2000))
			w.homes["*"] = "b"
			tc.fails(w, a)
			if _, _, why := a.Left(); a.left() != "2 0" || why != tc.why {
				t.Errorf("left: %s; %q", a.left(), why)
			}
			if got := a.says(t, first, "x"); !strings.HasSuffix(got, "found true complete true") {
				t.Errorf("meanwhile it says %.20s", got)
			}
			tc.right(w, a)
			w.work(t)
			if a.left() != "0 0" || !tc.counts(a.Stats(), w.nodes["b"].Stats()) {
				t.Errorf("then left: %s; %+v\nheir: %+v", a.left(), a.Stats(), w.nodes["b"].Stats())
			}
			if got := w.nodes["b"].says(t, first, "x"); !strings.HasSuffix(got, "found true complete true") {
				t.Errorf("the heir says %.20s", got)
			}
		})
	}
}

// other has b take a topic of a node that has left before.
func other(w *town, topic string, messages, bytes int) {
	m := wire.TopicMove{Keeper: session.Origin{Node: "gone", Epoch: 1}, Topic: topic}
	for i := range messages {
		m.Messages = append(m.Messages, wire.TopicKept{ID: session.ID{Origin: origin, Number: session.MessageID(1000 + i)}, Position: uint64(i + 1), Payload: make([]byte, bytes)})
	}
	w.nodes["b"].TakeMove("gone", &m)
	w.frames = nil
}

// TestNobodyTakesOver: where there is no other node, or only older ones, everything stays and is
// not waited for.
func TestNobodyTakesOver(t *testing.T) {
	w := newTown(nil, "a")
	a := w.nodes["a"]
	a.publish("x", "1")
	a.Leave()
	w.tick(1000)
	if got := a.left(); got != "0 1" || len(w.frames) != 0 {
		t.Errorf("left: %s, %d frames", got, len(w.frames))
	}
	alone := newNode(true, nil, nil)
	alone.publish("x", "1")
	alone.Leave()
	alone.Tick(1000)
	if got := alone.left(); got != "0 1" {
		t.Errorf("left without a cluster: %s", got)
	}
}

// TestTooManyKeepers: the windows that are kept of others are limited in number, too.
func TestTooManyKeepers(t *testing.T) {
	w := newTown(nil, "a", "b")
	b := w.nodes["b"]
	for i := range keepersMax + 1 {
		b.TakeMove("a", &wire.TopicMove{Keeper: session.Origin{Node: "a", Epoch: uint64(i)}, Topic: "x", Messages: []wire.TopicKept{{ID: session.ID{Origin: origin, Number: 1}, Position: 1}}})
	}
	if s := b.Stats(); s.Inherited != keepersMax || s.MovesUntaken != 1 {
		t.Errorf("%d taken, %d not", s.Inherited, s.MovesUntaken)
	}
	w.frames, w.full = nil, true
	b.TakeMove("a", &wire.TopicMove{Keeper: session.Origin{Node: "a"}, Topic: "x", Messages: []wire.TopicKept{{ID: session.ID{Origin: origin, Number: 1}, Position: 1}}})
	if s := b.Stats(); s.Inherited != keepersMax || s.MovesUnsaid != 1 {
		t.Errorf("%d taken, %d answers without room", s.Inherited, s.MovesUnsaid)
	}
}

// TestHandOverIsBounded: no more is on its way than Window.MoveBytes and one frame.
func TestHandOverIsBounded(t *testing.T) {
	w := newTown(func(c *Config) { c.Window.MoveBytes = 64 << 10 }, "a", "b")
	a := w.nodes["a"]
	for i := range 1000 {
		a.publish(fmt.Sprint("x.t", i%50), strings.Repeat("x", 1000))
	}
	w.homes["*"] = "b"
	a.Leave()
	most := 0
	for len(w.frames) > 0 {
		bytes := 0
		for _, f := range w.frames {
			if f.typ == wire.LinkTypeTopicMove {
				bytes += len(f.body)
			}
		}
		most = max(most, bytes)
		w.deliver(t)
	}
	if most > 64<<10+moveBytes || most < 32<<10 || a.left() != "0 0" {
		t.Errorf("%d bytes were on their way; left: %s", most, a.left())
	}
}

// TestHandOverModel loses frames and answers, fills links, moves homes, has heirs start again and
// messages come late. When nothing is left, whoever asks all heirs is told all that the node which
// left would have said, in its order, and complete only if that is so.
func TestHandOverModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := func(c *Config) { c.Window.Messages, c.Window.MoveBytes, c.Window.Age = 8, 64<<10, time.Hour }
		w := newTown(limits, "a", "b", "c")
		a := w.nodes["a"]
		topics := rapid.SampledFrom([]string{"a", "a.b", "a.c", "b.b"})
		number := 0
		var ever []*Retained
		publish := func(t *rapid.T) {
			number++
			size := rapid.SampledFrom([]int{1, 10_000, 40_000}).Draw(t, "size")
			m := session.Message{ID: session.MessageID(number), Kind: session.Text, Payload: make([]byte, size), Topic: topics.Draw(t, "topic"), SentMS: int64(number) * 10_000}
			r := newRetained(origin, &m)
			ever = append(ever, r)
			a.window.add(r) // as who has not heard that it leaves gets it kept
		}
		for range rapid.IntRange(0, 30).Draw(t, "before") {
			publish(t)
		}
		w.homes["*"] = "b"
		a.Leave()
		heirs := rapid.SampledFrom([]string{"b", "c"})
		t.Repeat(map[string]func(*rapid.T){
			"publish": publish,
			"deliver": func(t *rapid.T) {
				if len(w.frames) > 0 {
					w.deliver(t)
				}
			},
			"lose": func(t *rapid.T) {
				if len(w.frames) > 0 {
					w.frames = w.frames[1:]
				}
			},
			"swap": func(t *rapid.T) {
				if n := len(w.frames); n > 1 {
					w.frames[0], w.frames[n-1] = w.frames[n-1], w.frames[0]
				}
			},
			"full":  func(*rapid.T) { w.full = !w.full },
			"tick":  func(t *rapid.T) { w.tick(rapid.Int64Range(1, 2500).Draw(t, "ms")) },
			"again": func(*rapid.T) { a.Leave() },
			"home":  func(t *rapid.T) { w.homes[topics.Draw(t, "topic")] = heirs.Draw(t, "home") },
			"restart": func(t *rapid.T) {
				name := heirs.Draw(t, "heir")
				w.join(limits, name)
				a.Unlinked(name)
				w.frames = slices.DeleteFunc(w.frames, func(f townFrame) bool { return f.from == name || f.to == name })
			},
		})
		w.full = false
		for range 10 {
			w.work(t)
			w.tick(2000)
		}
		if a.left() != "0 0" {
			t.Fatalf("left: %s", a.left())
		}
		for since := range number + 1 {
			id := session.ID{Origin: origin, Number: session.MessageID(since)}
			for _, pattern := range []string{"a", "a.b", "a.*", "b.*"} {
				patterns := []string{pattern}
				want := a.Since(patterns, id)
				got := merge([]Replay{w.nodes["b"].Since(patterns, id), w.nodes["c"].Since(patterns, id)})
				var after []string // all that ever came after it
				for _, m := range ever[min(since, number):] {
					if Covers(pattern, m.Topic) {
						after = append(after, numbered(m))
					}
				}
				has := numbers(got)
				if got.Found && !want.Found { // an heir still has what the node dropped later, and where to begin
					want.Messages = slices.DeleteFunc(want.Messages, func(m *Retained) bool { return slices.Index(ever, m) < since })
				}
				if left := numbers(want); !isWithin(left, has) || want.Found && !got.Found || want.Complete && !got.Complete || got.Complete && !slices.Equal(has, after) {
					t.Fatalf("%s since %d: %v found %v complete %v\nwant %v found %v complete %v", pattern, since, has, got.Found, got.Complete, left, want.Found, want.Complete)
				}
			}
		}
	})
}

func numbered(m *Retained) string { return fmt.Sprint(m.Topic, " ", m.ID, " of ", len(m.Payload)) }

func numbers(p Replay) (list []string) {
	for _, m := range p.Messages {
		list = append(list, numbered(m))
	}
	return list
}

// isWithin reports whether a list has all of another one, in its order.
func isWithin(part, list []string) bool {
	for _, x := range list {
		if len(part) > 0 && part[0] == x {
			part = part[1:]
		}
	}
	return len(part) == 0
}
