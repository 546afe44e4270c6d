package mailbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/roostpush/roost/session"
)

// order returns the numbers of the messages that were put on their way to the device, and
// lets them arrive and be acknowledged, until there are no more.
func (w *world) order(device string) (numbers []session.MessageID) {
	for again := true; again; {
		again = w.work()
		for len(w.flying) > 0 {
			f := w.flying[0]
			if f.message.Device == device {
				numbers = append(numbers, f.message.Number)
			}
			w.arrive(f)
			w.hear(f)
			again = true
		}
		for len(w.got) > 0 {
			w.ack(w.got[0])
			again = true
		}
	}
	w.store.sync()
	return numbers
}

func (w *world) check(t *testing.T) {
	t.Helper()
	if len(w.wrong) > 0 {
		t.Fatal(strings.Join(w.wrong, "\n"))
	}
}

func (w *world) postAll(list ...Push) {
	for _, p := range list {
		w.post(p)
	}
	w.store.sync()
}

func (w *world) open(device string) {
	w.mailbox.Opened(address(device), w.connect(device))
}

func TestOrder(t *testing.T) {
	high, low := session.PriorityHigh, session.PriorityLow
	mixed := []Push{{Priority: low}, {}, {Priority: high}, {}, {Priority: high}, {Priority: low}}
	for i := range mixed {
		mixed[i].Device = "d"
	}
	want := []session.MessageID{4, 6, 3, 5, 2, 7} // number 1 marks the beginning of the run
	for _, tt := range []struct {
		name    string
		restart bool
		window  int
	}{
		{"in one run", false, 128},
		{"in one run, small window", false, 2},
		{"after a restart", true, 128},
		{"after a restart, small window", true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := testConfig()
			cfg.WindowMessages = tt.window
			w := newWorld(cfg)
			w.work()
			w.postAll(mixed...)
			if tt.restart {
				w.crash()
			}
			w.open("d")
			if got := w.order("d"); !slices.Equal(got, want) {
				t.Errorf("sent %v, want %v", got, want)
			}
			if w.store.count() != 0 {
				t.Errorf("%d messages are left", w.store.count())
			}
			w.check(t)
		})
	}
}

// TestBacklogFirst wants what waited to come before what is new.
func TestBacklogFirst(t *testing.T) {
	w := newWorld(testConfig())
	w.work()
	w.postAll(Push{Device: "d"}, Push{Device: "d"})
	w.connect("d") // and the mailbox is not told yet
	w.postAll(Push{Device: "d"})
	if got, want := w.order("d"), []session.MessageID{2, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
	w.check(t)
}

func TestDirectReadsNothing(t *testing.T) {
	w := newWorld(testConfig())
	w.work()
	w.open("d")
	w.postAll(Push{Device: "d"}, Push{Device: "d"}, Push{Device: "d"})
	if got, want := w.order("d"), []session.MessageID{2, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
	if w.store.reads != 0 {
		t.Errorf("the store was read %d times", w.store.reads)
	}
	if s := w.mailbox.Stats(); s.Direct != 3 || s.Outcomes[session.Acked] != 3 || s.Waiting != 0 || s.Devices != 0 {
		t.Errorf("stats: %+v", s)
	}
	w.check(t)
}

func TestWindow(t *testing.T) {
	cfg := testConfig()
	cfg.WindowMessages, cfg.WindowBytes = 4, 100
	w := newWorld(cfg)
	w.work()
	for range 10 {
		w.post(Push{Device: "d", Payload: make([]byte, 10)})
	}
	w.post(Push{Device: "d", Payload: make([]byte, 200)}) // larger than the window
	w.post(Push{Device: "d", Payload: make([]byte, 60)})
	w.post(Push{Device: "d", Payload: make([]byte, 60)})
	w.store.sync()
	w.open("d")
	most, mostBytes := 0, 0
	for w.store.count() > 0 {
		for w.work() {
		}
		if len(w.flying) == 0 {
			t.Fatalf("nothing is sent although %d messages wait", w.store.count())
		}
		bytes := 0
		for _, f := range w.flying {
			bytes += len(f.message.Payload)
		}
		if len(w.flying) > 1 {
			most, mostBytes = max(most, len(w.flying)), max(mostBytes, bytes)
		}
		f := w.flying[0]
		w.arrive(f)
		w.hear(f)
		w.ack(w.got[0])
		w.store.sync()
	}
	if most != 4 || mostBytes > 100 {
		t.Errorf("up to %d messages of %d bytes were on their way at once, 4 and 100 are allowed", most, mostBytes)
	}
	w.check(t)
}

func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		posts  []Push
		want   string
	}{
		{"messages of a device", func(c *Config) { c.DeviceMessagesMax = 2 }, []Push{{Device: "d"}, {Device: "e"}, {Device: "d"}, {Device: "d"}}, "overloaded: mailbox.device_messages_max: 2 "},
		{"bytes of a device", func(c *Config) { c.DeviceBytesMax = 9 }, []Push{{Device: "d"}, {Device: "e"}, {Device: "d"}}, "overloaded: mailbox.device_bytes_max: "},
		{"messages of the node", func(c *Config) { c.MessagesMax, c.DeviceMessagesMax = 2, 2 }, []Push{{Device: "d"}, {Device: "e"}, {Device: "f"}}, "overloaded: mailbox.messages_max: 2 "},
		{"bytes of the node", func(c *Config) { c.BytesMax, c.DeviceBytesMax = 12, 10 }, []Push{{Device: "d"}, {Device: "e"}, {Device: "f"}}, "overloaded: mailbox.bytes_max: "},
		{"pushes being stored", func(c *Config) { c.PendingMax = 2 }, []Push{{Device: "d"}, {Device: "e"}, {Device: "f"}}, "overloaded: mailbox.pending_max: 2 "},
		{"bytes being stored", func(c *Config) { c.DeviceBytesMax, c.PendingBytesMax = 9, 9 }, []Push{{Device: "d"}, {Device: "e"}}, "overloaded: mailbox.pending_bytes_max: "},
		{"a payload larger than a mailbox", func(c *Config) { c.DeviceBytesMax = 4 }, []Push{{Device: "d"}}, "too_large: mailbox.device_bytes_max: "},
		{"too late", nil, []Push{{Device: "d", ExpiresMS: 5}}, "expired: "},
		{"devices of an account", func(c *Config) { c.AccountDevicesMax = 2 }, []Push{{}}, "overloaded: mailbox.account_devices_max: "},
		{"an account without other devices", nil, []Push{{Except: "d"}}, "offline: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := testConfig()
			if tt.change != nil {
				tt.change(&cfg)
			}
			w := newWorld(cfg)
			w.work()
			w.devices = []string{"d", "e", "f"}
			if strings.HasPrefix(tt.want, "offline") {
				w.devices = []string{"d"}
			}
			for _, p := range tt.posts {
				w.post(p)
			}
			w.settle()
			if len(w.refused) != 1 || !strings.HasPrefix(w.refused[0], tt.want) {
				t.Fatalf("refused: %q, want one that begins with %q", w.refused, tt.want)
			}
			if n := w.store.count(); n != len(tt.posts)-1 {
				t.Errorf("%d messages were stored, want %d", n, len(tt.posts)-1)
			}
			if s := w.mailbox.Stats(); s.Refused != 1 || s.Pending != 0 || s.Waiting != uint64(len(tt.posts)-1) {
				t.Errorf("stats: %+v", s)
			}
			w.check(t)
		})
	}
}

func TestStoreRefuses(t *testing.T) {
	w := newWorld(testConfig())
	w.work()
	w.store.refuse = errors.New("store: full")
	w.post(Push{Device: "d"})
	if want := "overloaded: it could not be stored: store: full"; len(w.refused) != 1 || w.refused[0] != want {
		t.Errorf("refused: %q, want %q", w.refused, want)
	}
	if s := w.mailbox.Stats(); s.Unstored != 1 || s.Waiting != 0 || s.WaitingBytes != 0 || s.Devices != 0 || s.Pending != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestExpiry(t *testing.T) {
	w := newWorld(testConfig())
	w.work()
	w.postAll(Push{Device: "d", ExpiresMS: w.nowMS + 500}, Push{Device: "d", ExpiresMS: w.nowMS + 7200_000}, Push{Device: "d", ExpiresMS: w.nowMS + 700})
	if n := w.mailbox.Missed(address("d")); n != 3 {
		t.Errorf("missed %d, want 3", n)
	}
	w.pass(500) // and no tick yet
	if n := w.mailbox.Missed(address("d")); n != 2 {
		t.Errorf("missed %d when one is over, want 2", n)
	}
	w.tick(500)
	w.store.sync()
	if n := w.mailbox.Missed(address("d")); n != 1 || w.store.count() != 1 {
		t.Errorf("missed %d, stored %d when two are over, want 1", n, w.store.count())
	}
	for range 3 {
		w.tick(3600_000)
	}
	w.store.sync()
	if s := w.mailbox.Stats(); w.store.count() != 0 || s.Outcomes[session.Expired] != 3 || s.Waiting != 0 || s.Devices != 0 {
		t.Errorf("stats: %+v", s)
	}
	if got := fmt.Sprint(w.became["d n1.1.3"]); got != "[queued expired]" {
		t.Errorf("the watcher heard %s", got)
	}
	w.check(t)
}

// TestDueIsNotSent lets a message become due between the tick and the connection.
func TestDueIsNotSent(t *testing.T) {
	w := newWorld(testConfig())
	w.work()
	w.postAll(Push{Device: "d", ExpiresMS: w.nowMS + 500}, Push{Device: "d", ExpiresMS: w.nowMS + 5000})
	w.pass(500)
	w.open("d")
	if got, want := w.order("d"), []session.MessageID{3}; !slices.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
	w.check(t)
}

func TestAcks(t *testing.T) {
	w := newWorld(testConfig())
	w.work()
	w.open("d")
	w.postAll(Push{Device: "d"}, Push{Device: "e"})
	id := func(n session.MessageID) session.ID {
		return session.ID{Origin: session.Origin{Node: "n1", Epoch: 1}, Number: n}
	}
	for _, tt := range []struct {
		name   string
		device string
		id     session.ID
		want   bool
	}{
		{"another device's", "d", id(3), false},
		{"by a device without a mailbox", "f", id(2), false},
		{"nobody's", "d", id(99), false},
		{"another node's", "d", session.ID{Origin: session.Origin{Node: "n2", Epoch: 1}, Number: 2}, false},
		{"its own, before the mailbox has heard that it was written", "d", id(2), true},
		{"again", "d", id(2), false},
	} {
		if got := w.mailbox.Acked(address(tt.device), tt.id); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	f := w.flying[0]
	w.arrive(f)
	w.hear(f)
	if s := w.mailbox.Stats(); s.AcksUnknown != 5 || s.Outcomes[session.Acked] != 1 || s.Waiting != 1 || s.Late != 1 {
		t.Errorf("stats: %+v", s)
	}
	w.check(t)
}

func TestTooLargeIsFinal(t *testing.T) {
	w := newWorld(testConfig())
	w.work()
	w.open("d")
	w.postAll(Push{Device: "d"})
	f := w.flying[0]
	f.arrived, f.outcome = true, session.TooLarge
	w.hear(f)
	w.settle()
	if got := fmt.Sprint(w.became["d n1.1.2"]); got != "[too_large]" || w.store.count() != 0 {
		t.Errorf("the watcher heard %s, %d are left", got, w.store.count())
	}
	w.check(t)
}

// TestUnreachable has a device that is said to be online and cannot be reached.
func TestUnreachable(t *testing.T) {
	w := newWorld(testConfig())
	w.work()
	w.open("d")
	w.busy = 3
	w.postAll(Push{Device: "d"}, Push{Device: "d"})
	w.settle()
	if w.store.count() != 0 {
		t.Errorf("%d messages are left", w.store.count())
	}
	if s := w.mailbox.Stats(); s.Attempts != 5 || s.Pauses < 2 || s.Outcomes[session.Acked] != 2 {
		t.Errorf("stats: %+v", s)
	}
	w.check(t)
}

func TestReadsFail(t *testing.T) {
	w := newWorld(testConfig())
	w.store.unread = errors.New("stalled")
	w.settleFor(3)
	if w.mailbox.Stats().Indexed != 0 {
		t.Error("the pass is said to be through although the store cannot be read")
	}
	w.postAll(Push{Device: "d"})
	w.open("d")
	w.settleFor(3)
	if len(w.delivered) != 0 {
		t.Errorf("delivered %v although it is not known what else waits", w.delivered)
	}
	w.store.unread = nil
	w.settle()
	if s := w.mailbox.Stats(); w.store.count() != 0 || s.Indexed != 1 || s.Unread == 0 {
		t.Errorf("%d messages are left; stats: %+v", w.store.count(), s)
	}
	w.check(t)
}

// settleFor is settle for a mailbox that cannot come to an end.
func (w *world) settleFor(ticks int) {
	for range ticks {
		for w.work() {
		}
		w.tick(60_000)
	}
}

// TestEndedSession: the version of a session that has ended is no session.
func TestEndedSession(t *testing.T) {
	w := newWorld(Default())
	w.connect("d")
	w.ended = true
	w.postAll(Push{Device: "d"}, Push{Device: "d"})
	w.mailbox.LookAgain()
	for range 10 {
		for w.work() {
		}
		w.tick(60_000)
	}
	if n := w.mailbox.Stats().Attempts; n != 0 {
		t.Errorf("%d attempts to reach a device that is not there", n)
	}
	w.ended = false
	w.open("d")
	if got := w.order("d"); len(got) != 2 {
		t.Errorf("%v came", got)
	}
	w.check(t)
}

// TestOlderSession: a session may end unheard, and the device have one with a lower version
// then, of a node whose clock is behind. What it never acknowledged goes to that one.
func TestOlderSession(t *testing.T) {
	for _, hears := range []func(w *world){
		func(w *world) { w.mailbox.Opened(address("d"), 5) },
		func(w *world) { w.mailbox.LookAgain() },
		func(w *world) { w.mailbox.Closed(address("d")) },
		func(w *world) { w.post(Push{Device: "d"}); w.store.sync() },
	} {
		w := newWorld(Default())
		w.newest = 9
		w.open("d")
		w.postAll(Push{Device: "d"})
		for w.work() {
		}
		f := w.flying[0]
		w.arrive(f)
		w.hear(f) // written, and never acknowledged
		w.got = nil
		w.online[address("d")] = 5
		hears(w)
		if got := w.order("d"); !slices.Contains(got, f.message.Number) {
			t.Errorf("%v came", got)
		}
		w.mailbox.Opened(address("d"), 4) // news from before
		w.check(t)
	}
}
