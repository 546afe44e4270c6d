package presence

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
)

func at(device, state string, ms int64) string {
	return fmt.Sprintf("%s %s %d", device, state, epochMS+ms)
}

// TestWatcherIsTold of those that are online, then of whatever changes, and never of
// itself.
func TestWatcherIsTold(t *testing.T) {
	s := newScene(nil)
	s.open("alice", "tv")
	s.open("bob", "tv")
	s.pass(time.Second)
	phone := s.watch(t, "alice", "phone")
	s.pass(50 * time.Millisecond) // one tick asks for names, the next tells
	s.expect(t, phone, at("tv", "online", 1))
	s.pass(time.Second)
	s.open("alice", "watch")
	s.close("bob", "tv")
	s.pass(100 * time.Millisecond)
	s.expect(t, phone, at("watch", "online", 2051))
	s.close("alice", "tv") // at 2151, found by the tick at 2176
	s.pass(3 * time.Second)
	s.expect(t, phone, "")
	s.pass(25 * time.Millisecond)
	s.expect(t, phone, at("tv", "offline", 2176))
	s.open("alice", "tv")
	s.pass(25 * time.Millisecond)
	s.expect(t, phone, at("tv", "online", 5176))
	// A second watcher is told what is, and the first is told of it.
	tablet := s.watch(t, "alice", "tablet")
	s.pass(25 * time.Millisecond)
	s.expect(t, phone, at("tablet", "online", 5201))
	seen := s.take(tablet)
	for _, device := range []string{"phone", "tv", "watch"} {
		if strings.Count(seen, device+" online") != 1 {
			t.Fatalf("tablet has seen %q", seen)
		}
	}
	// Who does not watch any more hears nothing; the other does.
	s.Unwatch(phone)
	s.close("alice", "watch")
	s.pass(4 * time.Second)
	s.expect(t, phone, "")
	s.expect(t, tablet, at("watch", "offline", 5251))
	s.Unwatch(tablet)
	s.pass(time.Second)
	if got := s.Presence.Stats(); got.Watchers != 0 || got.Devices != 0 {
		t.Fatalf("something is left: %+v", got)
	}
	for i := range s.shards {
		if len(s.shards[i].accounts) != 0 || s.shards[i].length.Load() != 0 {
			t.Fatal("an account nobody watches is left")
		}
	}
}

// TestNoEvent lists what is none.
func TestNoEvent(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(s *scene)
	}{
		{"a quick reconnect", func(s *scene) {
			s.close("alice", "tv")
			s.pass(2900 * time.Millisecond)
			s.open("alice", "tv")
		}},
		{"many of them", func(s *scene) {
			for range 10 {
				s.close("alice", "tv")
				s.pass(time.Second)
				s.open("alice", "tv")
				s.pass(time.Second)
			}
		}},
		{"a move: here first", func(s *scene) { s.open("alice", "tv") }},
		{"a move: gone first", func(s *scene) { s.close("alice", "tv"); s.open("alice", "tv") }},
		{"news that comes late", func(s *scene) {
			address, hash := testKey.Address("alice", "tv")
			s.Changed(address, hash, false)
		}},
		{"a swap", func(s *scene) { s.Sweep(true) }},
		{"its node is not known for a while", func(s *scene) {
			s.blind = true
			s.set("alice", "tv", false, 0)
			s.Sweep(false)
			s.pass(time.Minute)
			s.set("alice", "tv", true, 1)
			s.blind = false
			s.Sweep(true)
		}},
		{"to a session that was opened before", func(s *scene) {
			tv := s.session("alice", "tv")
			s.Opened(tv)
			s.Closed(tv) // of a session that was displaced meanwhile
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScene(nil)
			s.open("alice", "tv")
			phone := s.watch(t, "alice", "phone")
			s.pass(time.Second)
			s.expect(t, phone, at("tv", "online", 1))
			tc.do(s)
			s.pass(10 * time.Second)
			s.expect(t, phone, "")
		})
	}
}

// TestSweep: nobody said which devices came and which went.
func TestSweep(t *testing.T) {
	s := newScene(nil)
	s.open("alice", "tv")
	phone := s.watch(t, "alice", "phone")
	s.pass(time.Second)
	s.take(phone)
	asked := s.asked
	s.set("alice", "tv", false, 0)
	s.set("alice", "radio", true, epochMS)
	s.Sweep(false)
	s.pass(4 * time.Second)
	s.expect(t, phone, at("tv", "offline", 1026))
	if s.asked != asked {
		t.Fatal("names are asked for though none can be new")
	}
	s.Sweep(true)
	s.pass(time.Second)
	s.expect(t, phone, at("radio", "online", 0))
}

// TestOfflineIsSaidOnceItIsKnown: a device was gone while the table could not say so.
func TestOfflineIsSaidOnceItIsKnown(t *testing.T) {
	s := newScene(nil)
	s.open("alice", "tv")
	phone := s.watch(t, "alice", "phone")
	s.pass(time.Second)
	s.take(phone)
	s.blind = true
	s.close("alice", "tv")
	s.pass(time.Minute)
	s.expect(t, phone, "")
	s.blind = false // a full table has room again: nobody says so
	s.pass(5 * time.Second)
	if got := s.take(phone); !strings.HasPrefix(got, "tv offline") {
		t.Fatalf("phone has seen %q", got)
	}
}

func TestGraceMayBeNone(t *testing.T) {
	s := newScene(func(c *Config) { c.Grace = 0 })
	s.open("alice", "tv")
	phone := s.watch(t, "alice", "phone")
	s.pass(50 * time.Millisecond)
	s.take(phone)
	s.close("alice", "tv")
	s.pass(25 * time.Millisecond)
	s.expect(t, phone, at("tv", "offline", 76))
}

// TestEventsAreNotOfTheFuture, whatever the clock of the device's node says.
func TestEventsAreNotOfTheFuture(t *testing.T) {
	s := newScene(nil)
	s.set("alice", "tv", true, epochMS+3_600_000)
	phone := s.watch(t, "alice", "phone")
	s.pass(50 * time.Millisecond)
	s.expect(t, phone, at("tv", "online", 51))
}

// TestWatchAgain is to be told all again, and no second watcher.
func TestWatchAgain(t *testing.T) {
	s := newScene(nil)
	s.open("alice", "tv")
	phone := s.watch(t, "alice", "phone")
	s.pass(time.Second)
	s.take(phone)
	if !s.Watch(phone) {
		t.Fatal("refused")
	}
	s.pass(25 * time.Millisecond)
	s.expect(t, phone, at("tv", "online", 1))
	if n := s.Presence.Stats().Watchers; n != 1 {
		t.Fatalf("%d watchers", n)
	}
}

// TestNames: a device that is known by its hash only is asked for; questions that fail are
// repeated ever more rarely, and there are not more at a time than allowed.
func TestNames(t *testing.T) {
	s := newScene(nil)
	s.deaf = true
	phone := s.watch(t, "alice", "phone")
	s.pass(20 * time.Second)
	if s.asked < 5 || s.asked > 7 { // after 0, 0.5, 1.5, 3.5, 7.5, 15.5 s
		t.Fatalf("asked %d times in 20 s of no answers", s.asked)
	}
	s.deaf = false
	s.pass(20 * time.Second)
	asked := s.asked
	s.open("alice", "tv")
	s.pass(50 * time.Millisecond)
	s.expect(t, phone, at("tv", "online", 40001))
	s.close("alice", "tv")
	s.pass(10 * time.Second)
	s.open("alice", "tv") // its name is known
	s.pass(10 * time.Second)
	if s.asked != asked+1 {
		t.Fatalf("asked %d times for one new device", s.asked-asked)
	}
	// What was connected here is known without a question.
	radio := s.session("alice", "radio")
	s.set("alice", "radio", true, 5)
	s.Opened(radio)
	s.take(phone)
	s.pass(25 * time.Millisecond)
	s.expect(t, phone, "radio online 5")
	if s.asked != asked+1 {
		t.Fatal("asked for a device of this node")
	}
	// Strangers all the time are asked for ten times a second, at most.
	asked = s.asked
	for i := range 400 {
		s.open("alice", fmt.Sprint("strange", i))
		s.pass(5 * time.Millisecond)
	}
	s.pass(time.Second)
	if n := s.asked - asked; n > 30 {
		t.Fatalf("asked %d times in 3 s", n)
	}
	if n := strings.Count(s.take(phone), "strange"); n != 400 {
		t.Fatalf("told of %d of 400", n)
	}
}

func TestQuestionsMax(t *testing.T) {
	s := newScene(func(c *Config) { c.QuestionsMax = 3 })
	s.world.held = true
	for i := range 10 {
		s.watch(t, fmt.Sprint("account", i), "phone")
	}
	for asked := 3; asked < 12; asked += 3 {
		s.pass(time.Second)
		if want := min(asked, 10); s.asked != want {
			t.Fatalf("%d questions, want %d", s.asked, want)
		}
		waiting := s.waiting
		s.waiting = nil
		for _, answer := range waiting {
			answer()
		}
	}
	s.pass(time.Second)
	if s.asked != 10 {
		t.Fatalf("%d questions for 10 accounts", s.asked)
	}
	// An answer that comes when nobody watches any more changes nothing.
	gone := s.session("account0", "x")
	s.Watch(gone)
	for i := range s.shards {
		for _, a := range s.shards[i].accounts {
			for len(a.watchers) > 0 {
				s.Unwatch(&session.Session{Address: session.Address{Account: a.name}, Number: a.watchers[0].number})
			}
		}
	}
	for _, answer := range s.waiting {
		answer()
	}
	if got := s.Presence.Stats(); got.Devices != 0 || got.Watchers != 0 || s.asking.Load() != 0 {
		t.Fatalf("%+v, %d asking", got, s.asking.Load())
	}
}
