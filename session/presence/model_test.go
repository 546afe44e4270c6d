package presence

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
)

// view is what a watcher believes, from its events alone.
type view struct {
	watcher *session.Session
	online  map[string]bool
}

// read takes a watcher's events into its view and judges each: nobody is called offline
// who is connected, or was within the grace.
func (v *view) read(t *rapid.T, s *scene, closedMS map[string]int64, strict bool) {
	seen := s.take(v.watcher)
	if seen == "" {
		return
	}
	for _, line := range strings.Split(seen, ", ") {
		word := strings.Fields(line)
		device, online := word[0], word[1] == "online"
		if device == v.watcher.Device {
			t.Fatalf("%s is told of itself", device)
		}
		if !online && strict && v.online[device] {
			if s.isOnline("alice", device) {
				t.Fatalf("%s is called offline and is connected", device)
			}
			if s.clock-closedMS[device] < s.graceMS {
				t.Fatalf("%s is called offline %d ms after it left", device, s.clock-closedMS[device])
			}
		}
		if online && strict && v.online[device] {
			t.Fatalf("%s is called online twice", device)
		}
		v.online[device] = online
	}
}

// TestModel opens, closes and moves devices, here and elsewhere, with watchers that come,
// go and do not read, and swaps. Whatever was said in between, in the end every watcher
// believes what is so.
func TestModel(t *testing.T) {
	devices := []string{"a", "b", "c", "d", "e"}
	rapid.Check(t, func(t *rapid.T) {
		// Strict: every change is seen before the next, so each event can be judged by itself.
		strict := rapid.Bool().Draw(t, "strict")
		s := newScene(func(c *Config) {
			c.Grace = time.Second
			if !strict {
				c.EventsMax = rapid.IntRange(1, 3).Draw(t, "events")
				c.EventsPerTick = rapid.IntRange(1, 3).Draw(t, "per tick")
				c.AccountsPerTick = rapid.IntRange(1, 3).Draw(t, "accounts")
			}
		})
		closedMS := map[string]int64{}
		views := map[string]*view{}
		device := func() string { return rapid.SampledFrom(devices).Draw(t, "device") }
		read := func() {
			for _, v := range views {
				v.read(t, s, closedMS, strict)
			}
		}
		step := func() {
			if strict {
				s.pass(25 * time.Millisecond)
				read()
			}
		}
		away := func(d string) {
			if s.isOnline("alice", d) {
				closedMS[d] = s.clock
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"open": func(*rapid.T) { s.open("alice", device()); step() },
			"close": func(*rapid.T) {
				d := device()
				away(d)
				s.close("alice", d)
				step()
			},
			"open here": func(*rapid.T) {
				d := device()
				s.set("alice", d, true, epochMS+s.clock)
				s.Opened(s.session("alice", d))
				step()
			},
			"close here": func(*rapid.T) {
				d := device()
				away(d)
				s.set("alice", d, false, 0)
				s.Closed(s.session("alice", d))
				step()
			},
			"move": func(*rapid.T) {
				d := device()
				if !s.isOnline("alice", d) {
					return
				}
				address, hash := testKey.Address("alice", d)
				closing := rapid.SliceOfN(rapid.Bool(), 1, 4).Draw(t, "order")
				for _, c := range closing {
					s.Changed(address, hash, !c)
				}
				step()
			},
			"watch": func(*rapid.T) {
				d := device()
				if old := views[d]; old != nil {
					s.Unwatch(old.watcher)
				}
				s.set("alice", d, true, epochMS+s.clock)
				v := &view{s.session("alice", d), map[string]bool{}}
				s.Opened(v.watcher)
				if !s.Watch(v.watcher) {
					t.Fatal("refused")
				}
				views[d] = v
				step()
			},
			"unwatch": func(*rapid.T) {
				d := device()
				if v := views[d]; v != nil {
					s.Unwatch(v.watcher)
					delete(views, d)
				}
			},
			"swap": func(*rapid.T) { s.Sweep(rapid.Bool().Draw(t, "unnamed")); step() },
			"stop reading": func(*rapid.T) {
				if !strict {
					s.screens.held = true
				}
			},
			"outbox": func(*rapid.T) {
				if !strict {
					s.screens.full = rapid.Bool().Draw(t, "full")
				}
			},
			"read": func(*rapid.T) { s.screens.release(); read() },
			"wait": func(*rapid.T) {
				for range rapid.IntRange(1, 60).Draw(t, "ticks") {
					s.pass(25 * time.Millisecond)
					if strict {
						read()
					}
				}
			},
			"": func(t *rapid.T) {},
		})
		s.screens.full = false
		for range 20 {
			s.screens.release()
			s.pass(time.Second)
			read()
		}
		for _, v := range views {
			for _, d := range devices {
				if d != v.watcher.Device && v.online[d] != s.isOnline("alice", d) {
					t.Fatalf("%s believes of %s: online %v", v.watcher.Device, d, v.online[d])
				}
			}
		}
	})
}

// TestRace does everything from several goroutines, as loops, links and ticks do, and looks
// whether the last watchers believe what is so.
func TestRace(t *testing.T) {
	s := newScene(func(c *Config) { c.Grace = 50 * time.Millisecond })
	const accounts, workers, rounds = 8, 4, 400
	var conns sync.Mutex
	fresh := func(account, device string) *session.Session {
		conns.Lock()
		defer conns.Unlock()
		return s.session(account, device)
	}
	stop := make(chan struct{})
	var ticking, working sync.WaitGroup
	ticking.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				s.pass(25 * time.Millisecond)
			}
		}
	})
	for w := range workers {
		working.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			device := fmt.Sprint("d", w) // each changes devices of its own
			for range rounds {
				account := fmt.Sprint("account", random.IntN(accounts))
				address, hash := testKey.Address(account, device)
				switch random.IntN(6) {
				case 0:
					s.set(account, device, true, epochMS)
					s.Changed(address, hash, true)
				case 1:
					s.set(account, device, false, 0)
					s.Changed(address, hash, false)
				case 2:
					watcher := fresh(account, fmt.Sprint("watcher", w))
					if !s.Watch(watcher) {
						t.Error("refused")
					}
					s.Unwatch(watcher)
				case 3:
					s.set(account, device, true, epochMS)
					s.Opened(fresh(account, device))
				case 4:
					s.set(account, device, false, 0)
					s.Closed(fresh(account, device))
				case 5:
					s.Sweep(random.IntN(2) == 0)
				}
			}
		})
	}
	working.Wait()
	close(stop)
	ticking.Wait()
	for i := range accounts {
		account := fmt.Sprint("account", i)
		v := view{fresh(account, "last"), map[string]bool{}}
		s.Watch(v.watcher)
		s.pass(time.Second)
		seen := s.take(v.watcher)
		for w := range workers {
			device := fmt.Sprint("d", w)
			if got := strings.Contains(seen, device+" online"); got != s.isOnline(account, device) {
				t.Errorf("%s: %s is told online: %v", account, device, got)
			}
		}
		s.Unwatch(v.watcher)
	}
	if got := s.Presence.Stats(); got.Watchers != 0 || got.Devices != 0 {
		t.Errorf("%+v", got)
	}
}
