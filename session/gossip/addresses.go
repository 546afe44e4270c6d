package gossip

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/roostpush/roost/session"
)

// addresses is everywhere that members are or might be: the discovery addresses and
// that of every member ever seen. It decides which of them is due to be asked, and
// knows no network.
type addresses struct {
	cfg  Config
	self string
	max  int

	mu  sync.Mutex
	all map[string]*target
}

// target is one address.
type target struct {
	addr       string
	discovered bool           // a discovery address: always asked eagerly
	who        session.Origin // who answered or was a member there; zero: nobody yet
	since      time.Time      // not a live member's since then
	due        time.Time      // when to ask again
	pause      time.Duration  // before the ask after that, before it is drawn
	asked      bool           // is being asked
}

func newAddresses(cfg Config, self string) *addresses {
	return &addresses{cfg: cfg, self: self, max: cfg.AddressesMax + cfg.MembersMax, all: make(map[string]*target)}
}

// discovered replaces the discovery addresses.
func (a *addresses) discovered(addrs []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.all {
		t.discovered = slices.Contains(addrs, t.addr)
		if !t.discovered && t.who == (session.Origin{}) {
			delete(a.all, t.addr) // it never was anybody's, and is not listed any more
		}
	}
	for _, addr := range addrs {
		if t := a.atLocked(addr); t != nil {
			t.discovered = true
		}
	}
}

// member notes that a member is at an address.
func (a *addresses) member(m Member) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.atLocked(m.GossipAddr); t != nil {
		t.who = m.Origin()
	}
}

// atLocked returns the target of an address, made if need be; nil for our own. When
// there are too many, the one that was lost first goes.
func (a *addresses) atLocked(addr string) *target {
	if addr == a.self {
		return nil
	}
	t := a.all[addr]
	if t != nil {
		return t
	}
	if len(a.all) >= a.max {
		var oldest *target
		for _, t := range a.all {
			if !t.discovered && (oldest == nil || t.since.Before(oldest.since)) {
				oldest = t
			}
		}
		if oldest == nil {
			return nil
		}
		delete(a.all, oldest.addr)
	}
	t = &target{addr: addr}
	a.all[addr] = t
	return t
}

// next returns at most n addresses that are due and marks them as being asked. alive
// are the live members: neither their addresses nor others at which they answered are
// of interest.
func (a *addresses) next(now time.Time, alive []Member, n int) (due []string) {
	here := make(map[string]bool, len(alive))
	origins := make(map[session.Origin]bool, len(alive))
	for _, m := range alive {
		here[m.GossipAddr], origins[m.Origin()] = true, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var waiting []*target
	for _, t := range a.all {
		if here[t.addr] || origins[t.who] {
			t.since, t.pause, t.due = time.Time{}, 0, time.Time{}
			continue
		}
		if t.since.IsZero() { // lost just now, or never seen: due at once
			t.since = now
		}
		if !t.asked && !now.Before(t.due) {
			waiting = append(waiting, t)
		}
	}
	slices.SortFunc(waiting, func(x, y *target) int {
		if c := x.due.Compare(y.due); c != 0 {
			return c
		}
		return strings.Compare(x.addr, y.addr)
	})
	for _, t := range waiting[:min(n, len(waiting))] {
		t.asked = true
		due = append(due, t.addr)
	}
	return due
}

// answered notes how an ask ended, and when to ask next. Whoever answered is asked soon
// again, until memberlist says that it is a member.
func (a *addresses) answered(now time.Time, addr string, who session.Origin, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.all[addr]
	if t == nil {
		return
	}
	t.asked = false
	if ok {
		t.who, t.pause = who, 0
	}
	longest := a.cfg.RejoinMax
	if !t.discovered && now.Sub(t.since) > a.cfg.RejoinEager {
		longest = a.cfg.RejoinSlow
	}
	t.pause = min(max(2*t.pause, a.cfg.RejoinMin), longest)
	t.due = now.Add(t.pause/2 + rand.N(t.pause/2+1))
}
