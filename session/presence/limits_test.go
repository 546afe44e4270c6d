package presence

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
)

func TestConfig(t *testing.T) {
	for _, tc := range []struct {
		change func(c *Config)
		fault  string
	}{
		{func(c *Config) {}, ""},
		{func(c *Config) { c.Grace = -1 }, "grace is -1ns: it must be 0s to 1h"},
		{func(c *Config) { c.WatchersMax = 0 }, "watchers_max is 0: it must be 1 to"},
		{func(c *Config) { c.DevicesMax = 10_001 }, "devices_max is 10001: it must be 1 to 10000"},
		{func(c *Config) { c.EntriesMax = 10 }, "devices_max is 1000: it must be at most entries_max, which is 10"},
	} {
		c := Default()
		tc.change(&c)
		err := c.Validate()
		if (err == nil) != (tc.fault == "") || err != nil && !strings.Contains(err.Error(), tc.fault) {
			t.Errorf("%v, want %q", err, tc.fault)
		}
	}
}

// Nobody ticks while nobody watches, so that the first watcher must be told of each time,
// and only that one.
func TestFirst(t *testing.T) {
	s := newScene(func(c *Config) { c.WatchersMax = 2 })
	told := func() bool {
		select {
		case <-s.First():
			return true
		default:
			return false
		}
	}
	if s.Watched() || told() {
		t.Fatal("somebody watches at the start")
	}
	for round := range 3 {
		a, b := s.session("alice", "a"), s.session("bob", "b")
		if !s.Watch(a) || !s.Watched() || !told() {
			t.Fatalf("round %d: the first watcher was not told of", round)
		}
		if !s.Watch(b) || s.Watch(s.session("carol", "c")) || told() {
			t.Fatalf("round %d: a second watcher was told of, or a third let in", round)
		}
		s.Unwatch(a)
		if !s.Watched() {
			t.Fatalf("round %d: nobody watches, though one does", round)
		}
		s.Unwatch(b)
		if s.Watched() {
			t.Fatalf("round %d: somebody watches, though nobody does", round)
		}
	}
	// What was not taken is one value, not two.
	for range 2 {
		a := s.session("alice", "a")
		s.Watch(a)
		s.Unwatch(a)
	}
	if !told() || told() {
		t.Fatal("untaken: not exactly one value")
	}
}

func TestWatchersMax(t *testing.T) {
	s := newScene(func(c *Config) { c.WatchersMax, c.AccountWatchersMax = 5, 2 })
	s.watch(t, "alice", "a")
	b := s.watch(t, "alice", "b")
	if s.Watch(s.session("alice", "c")) {
		t.Fatal("a third session of one account may watch")
	}
	for i := range 3 {
		s.watch(t, fmt.Sprint("account", i), "a")
	}
	if s.Watch(s.session("bob", "a")) {
		t.Fatal("a sixth session may watch")
	}
	s.Unwatch(s.session("bob", "a")) // it does not
	s.Unwatch(b)
	s.Unwatch(b)
	s.watch(t, "bob", "b")
	if got := s.Presence.Stats(); got.Refused != 2 || got.Watchers != 5 {
		t.Fatalf("%+v", got)
	}
}

// TestDevicesMax: what there is no room for is counted, and takes the place of what is
// offline.
func TestDevicesMax(t *testing.T) {
	s := newScene(func(c *Config) { c.DevicesMax, c.EntriesMax = 3, 4 })
	phone := s.watch(t, "alice", "phone") // one entry
	for i := range 3 {
		s.open("alice", fmt.Sprint("d", i))
		s.pass(200 * time.Millisecond)
	}
	if got := s.take(phone); !strings.Contains(got, "d0 online") || !strings.Contains(got, "d1 online") || strings.Contains(got, "d2") {
		t.Fatalf("phone has seen %q", got)
	}
	if got := s.Presence.Stats(); got.Devices != 3 || got.Dropped == 0 {
		t.Fatalf("%+v", got)
	}
	s.close("alice", "d0")
	s.pass(4 * time.Second)
	s.open("alice", "d3")
	s.close("alice", "d2")
	s.pass(time.Second)
	if got := s.take(phone); !strings.Contains(got, "d0 offline") || !strings.Contains(got, "d3 online") {
		t.Fatalf("phone has seen %q", got)
	}
	// Another account has the room that is left of entries_max, and no more.
	s.watch(t, "bob", "phone")
	s.open("bob", "tv")
	s.pass(time.Second)
	if got := s.Presence.Stats(); got.Devices != 4 {
		t.Fatalf("%+v", got)
	}
}

// TestEventsMax: one that does not read is told how things are when it reads again, not
// all that happened.
func TestEventsMax(t *testing.T) {
	s := newScene(func(c *Config) { c.EventsMax, c.Grace = 4, 0 })
	phone, tablet := s.watch(t, "alice", "phone"), s.watch(t, "bob", "tablet")
	for i := range 3 {
		s.open("alice", fmt.Sprint("d", i))
	}
	s.pass(time.Second)
	s.take(phone)
	s.screens.held = true
	for range 50 {
		s.close("alice", "d0")
		s.pass(25 * time.Millisecond)
		s.open("alice", "d0")
		s.pass(25 * time.Millisecond)
	}
	s.close("alice", "d1")
	s.open("bob", "tv")
	s.pass(time.Second)
	if seen := strings.Count(s.take(phone), "d"); seen != 4 {
		t.Fatalf("%d events are on their way to one that does not read", seen)
	}
	if got := s.take(tablet); !strings.HasPrefix(got, "tv online") {
		t.Fatalf("the other has seen %q", got)
	}
	// It is not told bit by bit while it reads: that would be all over again each time.
	s.screens.releaseOne()
	s.pass(time.Second)
	s.expect(t, phone, "")
	s.screens.release()
	s.pass(time.Second)
	got := s.take(phone)
	for _, want := range []string{"d0 online", "d1 offline", "d2 online"} {
		if strings.Count(got, want) != 1 {
			t.Fatalf("it has seen %q", got)
		}
	}
	if strings.Count(got, "d0") != 1 || s.Presence.Stats().Deferred == 0 {
		t.Fatalf("it has seen %q; %+v", got, s.Presence.Stats())
	}
	s.close("alice", "d2")
	s.pass(time.Second)
	if got := s.take(phone); strings.Count(got, "d") != 1 {
		t.Fatalf("afterwards it has seen %q", got)
	}
}

// TestOwedDevicesKeepTheirPlace: a watcher that is behind may believe one online that is
// not, and has yet to be told.
func TestOwedDevicesKeepTheirPlace(t *testing.T) {
	s := newScene(func(c *Config) { c.DevicesMax, c.EventsMax, c.Grace = 3, 2, 0 })
	phone := s.watch(t, "alice", "phone")
	s.open("alice", "d0")
	s.open("alice", "d1")
	s.pass(time.Second)
	s.take(phone)
	s.screens.held = true
	for range 2 {
		s.close("alice", "d1")
		s.pass(25 * time.Millisecond)
		s.open("alice", "d1")
		s.pass(25 * time.Millisecond)
	}
	s.close("alice", "d0")
	s.pass(time.Second)
	s.open("alice", "d2") // there is no room, and the place of d0 is not to be had yet
	s.pass(time.Second)
	s.take(phone)
	s.screens.release()
	s.pass(time.Second)
	if got := s.take(phone); !strings.Contains(got, "d0 offline") {
		t.Fatalf("it has seen %q", got)
	}
	s.Sweep(true)
	s.pass(time.Second)
	if got := s.take(phone); !strings.HasPrefix(got, "d2 online") {
		t.Fatalf("then it has seen %q", got)
	}
}

// TestOutboxFull: an event that got lost there is made up for, though nothing else happens.
func TestOutboxFull(t *testing.T) {
	s := newScene(nil)
	phone := s.watch(t, "alice", "phone")
	s.pass(time.Second)
	s.screens.full = true
	s.open("alice", "tv")
	s.pass(10 * time.Second)
	s.expect(t, phone, "")
	s.screens.full = false
	s.pass(2 * time.Second)
	if got := s.take(phone); !strings.HasPrefix(got, "tv online") {
		t.Fatalf("it has seen %q", got)
	}
	if s.Presence.Stats().Lost == 0 {
		t.Fatal("nothing is counted as lost")
	}
}

// TestManyDevicesToANewWatcher: more than may be on their way at one time.
func TestManyDevicesToANewWatcher(t *testing.T) {
	s := newScene(func(c *Config) { c.EventsMax, c.EventsPerTick = 8, 5 })
	for i := range 100 {
		s.open("alice", fmt.Sprint("d", i))
	}
	phone, tablet := s.watch(t, "alice", "phone"), s.watch(t, "alice", "tablet")
	s.pass(5 * time.Second)
	s.take(phone)
	late := s.watch(t, "alice", "late")
	s.pass(5 * time.Second)
	if n := strings.Count(s.take(late), "online"); n != 102 {
		t.Fatalf("told of %d of 102 devices", n)
	}
	if n := strings.Count(s.take(tablet), "online"); n != 102 {
		t.Fatalf("told of %d of 102 devices", n)
	}
	s.expect(t, phone, fmt.Sprintf("late online %d", epochMS+5001))
}

// TestLossOfANodeIsPaced: thousands of devices are gone at one moment, and thousands of
// watchers are told, so many in a tick and each once.
func TestLossOfANodeIsPaced(t *testing.T) {
	const accounts, perTick = 2000, 50
	s := newScene(func(c *Config) { c.EventsPerTick, c.AccountsPerTick = perTick, 300 })
	var phones []*session.Session
	for i := range accounts {
		account := fmt.Sprint("account", i)
		s.open(account, "tv")
		phones = append(phones, s.watch(t, account, "phone"))
	}
	s.pass(3 * time.Second)
	for _, phone := range phones {
		if got := s.take(phone); strings.Count(got, "tv online") != 1 {
			t.Fatalf("%q", got)
		}
	}
	for i := range accounts {
		s.set(fmt.Sprint("account", i), "tv", false, 0)
	}
	s.Sweep(false)
	before := s.Presence.Stats()
	for range 30 * 40 {
		sent := s.sent
		s.pass(25 * time.Millisecond)
		if n := s.sent - sent; n > perTick {
			t.Fatalf("%d events in one tick", n)
		}
	}
	for _, phone := range phones {
		if got := s.take(phone); strings.Count(got, "tv") != 1 || !strings.HasPrefix(got, "tv offline") {
			t.Fatalf("%q", got)
		}
	}
	after := s.Presence.Stats()
	if after.Paced == before.Paced || after.Events-before.Events != accounts {
		t.Fatalf("%+v", after)
	}
}

// TestHintsCostNothing where nobody watches, and little where others do.
func TestHintsCostNothing(t *testing.T) {
	s := newScene(nil)
	tv := s.session("bob", "tv")
	address, hash := testKey.Address("bob", "tv")
	for _, watched := range []bool{false, true} {
		if watched {
			for i := range 200 {
				s.watch(t, fmt.Sprint("account", i), "phone")
			}
		}
		if n := testing.AllocsPerRun(100, func() {
			s.Opened(tv)
			s.Changed(address, hash, true)
			s.Closed(tv)
			s.Unwatch(tv)
		}); n != 0 {
			t.Errorf("watched %v: %v allocations", watched, n)
		}
	}
}
