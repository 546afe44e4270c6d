package gossip

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/roostpush/roost/session"
)

// TestAddressesForEver: over hours of made-up time, in which members come, die and
// answer at random, everybody who might be a member and is not is asked again within
// the longest pause, nobody else ever is, and never more than allowed at one time.
func TestAddressesForEver(t *testing.T) {
	const step = 100 * time.Millisecond
	rapid.Check(t, func(t *rapid.T) {
		cfg := Default()
		cfg.RejoinEager = 5 * time.Second
		cfg.RejoinSlow = 10 * time.Second
		a := newAddresses(cfg, "self:1")
		now := time.Unix(1e9, 0)
		addr := func(i int) string { return fmt.Sprint("10.0.0.", i, ":1") }
		seeds := []string{addr(0), addr(1), "self:1"}
		a.discovered(seeds)
		last := map[string]time.Time{addr(0): now, addr(1): now}
		var alive []Member
		asked := map[string]bool{}
		for range rapid.IntRange(1, 1500).Draw(t, "steps") {
			now = now.Add(step)
			switch i := rapid.IntRange(0, 40).Draw(t, "event"); {
			case i < 5: // a member comes
				m := Member{Node: fmt.Sprint("n", i), Epoch: 1, GossipAddr: addr(i)}
				if !slices.Contains(alive, m) {
					alive = append(alive, m)
				}
			case i < 10 && len(alive) > 0: // one dies
				k := i % len(alive)
				last[alive[k].GossipAddr] = now
				alive = slices.Delete(alive, k, k+1)
			}
			for _, m := range alive {
				a.member(m)
				delete(last, m.GossipAddr)
			}
			for _, addr := range seeds[:2] {
				if _, waits := last[addr]; !waits && !slices.ContainsFunc(alive, func(m Member) bool { return m.GossipAddr == addr }) {
					last[addr] = now
				}
			}
			due := a.next(now, alive, 3)
			if len(due) > 3 {
				t.Fatalf("%d at one time", len(due))
			}
			for _, addr := range due {
				if addr == "self:1" || asked[addr] || slices.ContainsFunc(alive, func(m Member) bool { return m.GossipAddr == addr }) {
					t.Fatalf("%s was asked", addr)
				}
				asked[addr] = true
				last[addr] = now
			}
			for addr := range asked {
				if rapid.Bool().Draw(t, "answers") {
					delete(asked, addr)
					last[addr] = now
					a.answered(now, addr, session.Origin{}, false)
				}
			}
			for addr, at := range last {
				// A few steps for those before it, as 3 are asked at one time.
				if !asked[addr] && now.Sub(at) > cfg.RejoinSlow+5*step {
					t.Fatalf("%s was last asked %v ago", addr, now.Sub(at))
				}
			}
		}
	})
}

func TestAddressesDoubleTheirPause(t *testing.T) {
	cfg := Default()
	a := newAddresses(cfg, "self:1")
	now := time.Unix(1e9, 0)
	a.member(Member{Node: "a", Epoch: 1, GossipAddr: "a:1"})
	a.discovered([]string{"seed:1"})
	pauses := map[string][]time.Duration{}
	last := map[string]time.Time{"a:1": now, "seed:1": now}
	for end := now.Add(time.Hour); now.Before(end); now = now.Add(50 * time.Millisecond) {
		for _, addr := range a.next(now, nil, 10) {
			pauses[addr] = append(pauses[addr], now.Sub(last[addr]))
			last[addr] = now
			a.answered(now, addr, session.Origin{}, false)
		}
	}
	for addr, longest := range map[string]time.Duration{"a:1": cfg.RejoinSlow, "seed:1": cfg.RejoinMax} {
		p := pauses[addr]
		if p[0] != 0 || p[1] > cfg.RejoinMin+50*time.Millisecond || p[3] < cfg.RejoinMin {
			t.Errorf("%s begins with %v", addr, p[:4])
		}
		end := p[len(p)-20:]
		if m := slices.Max(end); m > longest+50*time.Millisecond || m < longest/2 || slices.Min(end) == m {
			t.Errorf("%s ends with %v", addr, end)
		}
	}
}

func TestAddressesAreBounded(t *testing.T) {
	cfg := Default()
	cfg.AddressesMax, cfg.MembersMax = 2, 3
	a := newAddresses(cfg, "self:1")
	a.discovered([]string{"s:1", "s:2"})
	for i := range 100 {
		a.member(Member{Node: "a", Epoch: uint64(i + 1), GossipAddr: fmt.Sprint("m:", i)})
	}
	if len(a.all) > 5 || a.all["s:1"] == nil || a.all["s:2"] == nil || a.all["m:99"] == nil {
		t.Error(a.all)
	}
	a.discovered(nil)
	if a.all["s:1"] != nil || a.all["m:99"] == nil {
		t.Error("a member's address is for ever, one that was only listed is not")
	}
}
