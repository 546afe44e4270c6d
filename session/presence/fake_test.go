package presence

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/route"
	"github.com/roostpush/roost/session/wire"
)

var testKey = route.Key{7}

// world is where devices are, whatever anybody was told (Devices).
type world struct {
	mu       sync.Mutex
	since    map[uint64]int64 // by address: when it connected
	accounts map[string]map[string]bool
	blind    bool // what is not connected may be anywhere
	deaf     bool // questions are not answered by all
	held     bool // questions wait for release
	waiting  []func()
	asked    int
}

func (w *world) State(address, _ uint64) (State, int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if since, ok := w.since[address]; ok {
		return Online, since
	}
	if w.blind {
		return Unknown, 0
	}
	return Offline, 0
}

func (w *world) Names(account string, named func([]string), done func(bool)) {
	w.mu.Lock()
	w.asked++
	var names []string
	for device := range w.accounts[account] {
		names = append(names, device)
	}
	complete := !w.deaf
	answer := func() { named(names); done(complete) }
	if w.held {
		w.waiting = append(w.waiting, answer)
		answer = func() {}
	}
	w.mu.Unlock()
	answer()
}

func (w *world) isOnline(account, device string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.accounts[account][device]
}

func (w *world) set(account, device string, online bool, atMS int64) {
	address, _ := testKey.Address(account, device)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.accounts[account] == nil {
		w.accounts[account] = map[string]bool{}
	}
	if online {
		w.since[address], w.accounts[account][device] = atMS, true
	} else {
		delete(w.since, address)
		delete(w.accounts[account], device)
	}
}

// screens are what watchers see (Sockets).
type screens struct {
	mu    sync.Mutex
	lines map[netpoll.ConnID][]string // "device state at"
	held  bool                        // nobody reads
	full  bool                        // the outbox is
	owed  []netpoll.Receipt
	sent  int
}

func (s *screens) Send(id netpoll.ConnID, _ netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64) {
	s.mu.Lock()
	if s.full {
		s.mu.Unlock()
		rcpt.Sent(tag, netpoll.ResultFull)
		return
	}
	var f wire.ServerFrame
	if err := wire.ParseServer(payload, &f); err != nil || f.Type != wire.ServerPresence {
		panic(fmt.Sprintf("%s: %v", payload, err))
	}
	s.sent++
	s.lines[id] = append(s.lines[id], fmt.Sprintf("%s %s %d", f.Device, f.State, f.AtMS))
	if s.held {
		s.owed = append(s.owed, rcpt)
		rcpt = nil
	}
	s.mu.Unlock()
	if rcpt != nil {
		rcpt.Sent(tag, netpoll.ResultWritten)
	}
}

// release lets watchers read what is on its way.
func (s *screens) release() {
	s.mu.Lock()
	owed := s.owed
	s.owed, s.held = nil, false
	s.mu.Unlock()
	for _, r := range owed {
		r.Sent(0, netpoll.ResultWritten)
	}
}

// releaseOne lets one event be read.
func (s *screens) releaseOne() {
	s.mu.Lock()
	r := s.owed[0]
	s.owed = s.owed[1:]
	s.mu.Unlock()
	r.Sent(0, netpoll.ResultWritten)
}

// take returns what a session has seen since it was asked last.
func (s *screens) take(of *session.Session) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := netpoll.ConnID(of.Conn)
	lines := strings.Join(s.lines[id], ", ")
	delete(s.lines, id)
	return lines
}

// scene is a Presence in a world, and the time.
type scene struct {
	*Presence
	*world
	*screens
	clock int64 // steady; the other is epochMS ahead of it
	conns uint64
}

const epochMS = 1_700_000_000_000

func newScene(change func(c *Config)) *scene {
	cfg := Default()
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	s := &scene{world: &world{since: map[uint64]int64{}, accounts: map[string]map[string]bool{}}, screens: &screens{lines: map[netpoll.ConnID][]string{}}, clock: 1}
	s.Presence = New(cfg, testKey.Address, s.world, s.screens)
	return s
}

// session returns one of this node, which nobody has been told of.
func (s *scene) session(account, device string) *session.Session {
	s.conns++
	made := session.New(account, device)
	made.Conn, made.Number = s.conns, s.conns
	return made
}

// open connects a device to another node, close takes it away.
func (s *scene) open(account, device string) {
	s.set(account, device, true, epochMS+s.clock)
	address, hash := testKey.Address(account, device)
	s.Changed(address, hash, true)
}

func (s *scene) close(account, device string) {
	s.set(account, device, false, 0)
	address, hash := testKey.Address(account, device)
	s.Changed(address, hash, false)
}

// pass lets time pass, tick by tick.
func (s *scene) pass(d time.Duration) {
	for end := s.clock + d.Milliseconds(); s.clock < end; {
		s.clock = min(s.clock+25, end)
		s.Tick(s.clock, epochMS+s.clock)
	}
}

// watch makes a device of this node watch, or fails.
func (s *scene) watch(t testing.TB, account, device string) *session.Session {
	t.Helper()
	made := s.session(account, device)
	s.set(account, device, true, epochMS+s.clock)
	s.Opened(made)
	if !s.Watch(made) {
		t.Fatalf("%s/%s may not watch", account, device)
	}
	return made
}

func (s *scene) expect(t testing.TB, of *session.Session, want string) {
	t.Helper()
	if got := s.take(of); got != want {
		t.Fatalf("%s has seen %q, want %q", of.Device, got, want)
	}
}
