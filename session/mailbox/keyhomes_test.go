package mailbox

import (
	"fmt"
	"slices"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// pushKeyed pushes a message for the phone, with a key.
func (w *town) pushKeyed(node, key, payload string) *ear {
	p := Push{Device: "phone", Payload: []byte(payload), ExpiresMS: w.now + 60_000, SentMS: w.now}
	p.Key = session.NewKey("", key, &session.Kept{Address: phone, Payload: p.Payload, SentMS: p.SentMS, ExpiresMS: p.ExpiresMS})
	return w.push(node, p)
}

// TestNewHomeAsks: a push that comes again through a node that did not keep the first one,
// after the home has changed, is the first one; another content is refused; and what nobody knows is kept.
func TestNewHomeAsks(t *testing.T) {
	w := newTown(t, homesTest, "c", "b", "a") // a is the home
	w.link()
	w.settle()
	first := w.pushKeyed("a", "k", "x")
	w.home = "b"
	again := w.pushKeyed("c", "k", "x")
	w.work()
	again.want(t, "kept 1 pending ", "phone queued")
	if again.id != first.id || w.nodes["b"].store.count() != 0 {
		t.Errorf("the first is %s, the repeat %s", first.id.Text(), again.id.Text())
	}
	other := w.pushKeyed("c", "k", "y")
	w.work()
	w.down["a"] = true
	fresh := w.pushKeyed("c", "l", "y")
	w.work()
	if len(other.said) != 1 || fresh.id.Node != "b" {
		t.Errorf("%q, %v", other.said, fresh.id)
	}
	if s := w.nodes["b"].homes.Stats(); s.KeysAsked != 2 || s.KeysFound != 1 || s.KeysUnsure != 1 {
		t.Errorf("%+v", s)
	}
	// What it was told it knows by itself, also after a crash.
	w.asked = nil
	if k := w.nodes["b"].store.keys; len(k) != 2 || k[0].id != first.id {
		t.Errorf("on the disk of b: %+v", k)
	}
	if again = w.pushKeyed("b", "k", "x"); again.id != first.id || len(w.asked) != 0 {
		t.Errorf("the first is %s, the repeat %s; asked %v", first.id.Text(), again.id.Text(), w.asked)
	}
}

// TestSettledNodesAreNotAsked: a node that has filed its keys is asked for none, until the members are
// others for it or for the home, it keeps a push with a key in place of another node, or its link is a new one.
func TestSettledNodesAreNotAsked(t *testing.T) {
	w := newTown(t, homesTest, "c", "b", "a")
	asked := func(when string, want ...string) {
		t.Helper()
		slices.Sort(w.asked)
		if !slices.Equal(w.asked, want) {
			t.Errorf("%s: %v are asked, want %v", when, w.asked, want)
		}
		w.asked = nil
	}
	n := 0
	push := func(at string) *ear {
		n++
		e := w.pushKeyed(at, fmt.Sprint("k", n), "x")
		w.work()
		return e
	}
	push("b")
	asked("before anybody is linked")
	w.link()
	push("b")
	asked("before anybody has settled", "b", "c") // by a, which is the home
	w.settle()
	first := push("b")
	asked("when all have settled")
	w.home = "b"
	push("c")
	asked("while the others believe in other members", "a", "c")
	for _, n := range w.nodes {
		n.homes.HomesMoved()
	}
	push("c")
	asked("before keys are filed", "a", "c")
	w.settle()
	push("c")
	asked("when all have settled again")
	if again := w.pushKeyed("c", "k3", "x"); len(w.asked) > 0 {
		t.Errorf("%v are asked for a key that was filed", w.asked)
	} else if w.work(); again.id != first.id {
		t.Errorf("the first is %s, the repeat %s", first.id.Text(), again.id.Text())
	}
	w.full = true
	push("c") // which c keeps itself, and nobody hears that it is not settled any more
	w.full = false
	push("b")
	asked("while c cannot say so")
	w.now++
	w.nodes["c"].homes.settling.tick()
	w.work()
	push("b")
	asked("once it could", "c")
	w.settle()
	push("b")
	asked("when c has filed that")
	w.nodes["b"].homes.Unlinked("c")
	w.nodes["b"].homes.Linked("c")
	push("b")
	asked("over another link", "c")
	w.nodes["b"].homes.Unlinked("c")
	push("b")
	asked("without one")
	if s := w.nodes["b"].homes.Stats(); s.KeysUnsure != 1 || s.KeysAsked != 4 {
		t.Errorf("%+v", s)
	}
}

// TestFormerHomeOfAnotherContent: whoever pushes something else with a key that only a former home
// knows is refused, and who repeated that push meanwhile is answered.
func TestFormerHomeOfAnotherContent(t *testing.T) {
	w := newTown(t, homesTest, "b", "a")
	w.link()
	first := w.pushKeyed("a", "k", "x")
	w.work()
	w.home = "b"
	b := w.nodes["b"]
	other := w.pushKeyed("b", "k", "y") // it waits for the former home
	again := new(ear)
	w.work()
	if len(other.said) != 1 || other.said[0] != "kept 0 forbidden "+reusedKey {
		t.Errorf("%q", other.said)
	}
	again = w.pushKeyed("b", "k", "x")
	w.work()
	again.want(t, "kept 1 pending ", "phone queued")
	if again.id != first.id || b.box.KeyStats().Reused != 1 {
		t.Errorf("the first is %s, the repeat %s", first.id.Text(), again.id.Text())
	}
}

// TestFormerHomeIsStoring: while a former home stores a push nobody knows whether that will be kept, and
// its repeat is to come again.
func TestFormerHomeIsStoring(t *testing.T) {
	w := newTown(t, homesTest, "b", "a")
	w.link()
	w.settle()
	w.nodes["a"].store.immediate = false
	first := w.pushKeyed("a", "k", "x")
	w.home = "b"
	again := w.pushKeyed("b", "k", "x")
	w.work()
	if len(again.said) != 1 || again.said[0][:19] != "kept 0 overloaded a" {
		t.Errorf("%q", again.said)
	}
	w.nodes["a"].store.sync()
	again = w.pushKeyed("b", "k", "x")
	w.work()
	if again.id != first.id || w.nodes["b"].homes.Stats().KeysStoring != 1 {
		t.Errorf("the first is %s, the repeat %s", first.id.Text(), again.id.Text())
	}
}

// TestLaterPushWaitsForTheKey: what is pushed behind a push whose key is asked for stays behind it.
func TestLaterPushWaitsForTheKey(t *testing.T) {
	w := newTown(t, homesTest, "b", "a")
	w.home = "b"
	w.link()
	b := w.nodes["b"]
	b.here = true
	w.pushKeyed("b", "k", "1")
	w.push("b", Push{Device: "phone", Payload: []byte("2")})
	w.work()
	if len(b.got) != 2 || b.got[0][0] != '1' {
		t.Errorf("the phone got %q", b.got)
	}
}

// TestKeysAreHandedOver: a node that leaves hands over its keys, also of messages that are final, and the
// home syncs them before that node is said to be empty. More than a frame's are.
func TestKeysAreHandedOver(t *testing.T) {
	w := newTown(t, homesTest, "c", "b", "a")
	a, b := w.nodes["a"], w.nodes["b"]
	a.here = true
	ids := map[string]session.ID{}
	for i := range 300 {
		e := w.pushKeyed("a", fmt.Sprint("k", i), "x")
		ids[fmt.Sprint("k", i)] = e.id
		w.work()
		if !a.homes.Acked(phone, e.id) {
			t.Fatal("an ack is for nobody")
		}
	}
	w.home = "b"
	b.store.immediate = false
	if left := w.handOver(a, 2); left != 300 {
		t.Errorf("%d are left before b has synced", left)
	}
	b.store.sync()
	w.work()
	if _, _, keys := a.homes.Left(); keys != 0 {
		t.Errorf("%d keys are left: %+v", keys, a.homes.Stats())
	}
	delete(w.nodes, "a")
	for key, id := range ids {
		if again := w.pushKeyed("c", key, "x"); again.id != id {
			w.work()
			if again.id != id {
				t.Fatalf("%s is %s, the repeat %s", key, id.Text(), again.id.Text())
			}
		}
	}
	if n := len(b.store.keys); n != 300 {
		t.Errorf("%d keys on the disk of b", n)
	}
}

// TestKeyOfAStandIn gets to the home once that is there again.
func TestKeyOfAStandIn(t *testing.T) {
	w := newTown(t, homesTest, "c", "b", "a")
	w.down["a"] = true
	first := w.pushKeyed("b", "k", "x")
	w.now += 500
	w.nodes["b"].homes.Tick(w.now)
	w.work()
	w.down["a"] = false
	for range 3 {
		w.now += movePauseMax
		w.nodes["b"].homes.Tick(w.now)
		w.work()
	}
	again := w.pushKeyed("c", "k", "x")
	w.work()
	if first.id.Node != "b" || again.id != first.id {
		t.Errorf("the first is %s, the repeat %s; %+v", first.id.Text(), again.id.Text(), w.nodes["b"].homes.Stats())
	}
	if s := w.nodes["b"].homes.Stats(); s.KeysFiled != 1 || s.KeysUnfiled == 0 {
		t.Errorf("%+v", s)
	}
}

// TestKeyOfTwoMessages: a home that knows a key with another message goes on to answer with that.
func TestKeyOfTwoMessages(t *testing.T) {
	w := newTown(t, homesTest, "b", "a")
	w.down["a"] = true
	other := w.pushKeyed("b", "k", "x")
	w.down["a"] = false
	first := w.pushKeyed("a", "k", "x")
	w.now += 500
	w.nodes["b"].homes.Tick(w.now)
	w.work()
	if again := w.pushKeyed("a", "k", "x"); again.id != first.id || other.id.Node != "b" || w.nodes["a"].homes.Stats().KeysTwice != 1 {
		t.Errorf("the first is %s, the other %s, the repeat %s", first.id.Text(), other.id.Text(), again.id.Text())
	}
}

// TestFatesBehindALostAnswer: who says a push again and is not told that it is kept is told nothing of
// its devices either. To the node the news would be that of the first one, twice.
func TestFatesBehindALostAnswer(t *testing.T) {
	w := newTown(t, homesTest, "b", "a")
	keyed := func() *ear {
		p := Push{Payload: []byte("x"), SentMS: w.now, ExpiresMS: w.now + 60_000}
		p.Key = session.NewKey("", "k", &session.Kept{Address: session.Address{Account: "alice"}, Payload: p.Payload, SentMS: p.SentMS, ExpiresMS: w.now + 60_000})
		return w.push("b", p)
	}
	first := keyed()
	w.work()
	if !w.nodes["a"].homes.Acked(phone, first.id) {
		t.Fatal("an ack is for nobody")
	}
	w.work()
	heard := len(first.said)
	keyed()
	again := w.queue[0] // the mail, on its way to a
	w.queue, w.full = nil, true
	again()
	w.full = false
	w.work()
	if len(first.said) != heard {
		t.Errorf("the first is told %q", first.said)
	}
}

// TestFatesOfTwoWatches: of a push that came again while its first answer was given up its device's end is
// told by two watches of the home, and to whoever waits once.
func TestFatesOfTwoWatches(t *testing.T) {
	w := newTown(t, homesTest, "b", "a")
	first := w.push("b", Push{Payload: []byte("x")}) // for the phone and the tv
	w.work()
	b := w.nodes["b"].homes
	for range 2 {
		b.Fate(&wire.MailFate{ID: first.id, Device: "phone", Outcome: session.Acked})
	}
	b.Fate(&wire.MailFate{ID: first.id, Device: "tv", Outcome: session.Acked})
	first.want(t, "kept 2 pending ", "phone queued", "tv queued", "phone acked", "tv acked")
}
