package cluster

import (
	"fmt"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/gossip"
	"github.com/roostpush/roost/session/home"
	"github.com/roostpush/roost/session/route"
)

// TestFormerHomes lets nodes come and go: whoever was the home of a topic is known for as long as
// its window may have something, and so is that a process went with what it had.
func TestFormerHomes(t *testing.T) {
	h := newHomes(route.Key{}, "n1", false)
	h.formers.keepMS = 1000
	if h.formers.past.Load().wasHome("n1", 7, 0) {
		t.Error("nobody was the home before the first change")
	}
	n2, n3 := gossip.Member{Node: "n2", Epoch: 1}, gossip.Member{Node: "n3", Epoch: 1}
	h.update(n2, 10_000)
	h.update(n3, 10_500)
	// A topic that moved each time: n1, n2, n3.
	var hash uint64
	two, _ := home.New([]string{"n1", "n2"})
	for hash = home.Hash("0"); two.Home(hash) != "n2" || h.members.Load().Home(hash) != "n3"; {
		hash++
	}
	homes := func(fromMS int64) string {
		list, whole := h.formers.past.Load().appendHomes([]string{"n3"}, hash, fromMS)
		return fmt.Sprint(list, whole)
	}
	for fromMS, want := range map[int64]string{10_000: "[n3 n2 n1] true", 10_001: "[n3 n2] true", 10_501: "[n3] true"} {
		if got := homes(fromMS); got != want {
			t.Errorf("from %d on: %s, want %s", fromMS, got, want)
		}
		if got := h.formers.past.Load().wasHome("n1", hash, fromMS); got != (fromMS == 10_000) {
			t.Errorf("from %d on: n1 was the home: %v", fromMS, got)
		}
	}
	h.remove(n3, gossip.Replaced, 10_900)
	if p := h.formers.past.Load(); p.lostMS("n3") != 10_900 || p.lostMS("n2") != 0 || p.lastLostMS() != 10_900 {
		t.Error("n3 went, and what it had in memory")
	}
	h.remove(n2, gossip.Dead, 11_950)
	if p := h.formers.past.Load(); p.lostMS("n3") != 0 || len(p.sets) != 1 {
		t.Errorf("what is older than a second is remembered: %d sets, n3 went at %d", len(p.sets), p.lostMS("n3"))
	}
	// What a process has handed over is not lost with it, unless that was an older one.
	n4, n5 := gossip.Member{Node: "n4", Epoch: 7}, gossip.Member{Node: "n5", Epoch: 7}
	h.update(n4, 11_960)
	h.update(n5, 11_960)
	h.handedOver(n4.Origin())
	h.handedOver(session.Origin{Node: "n5", Epoch: 6})
	h.handedOver(session.Origin{Node: "nobody", Epoch: 1})
	h.remove(n4, gossip.Left, 11_970)
	h.remove(n5, gossip.Left, 11_980)
	if p := h.formers.past.Load(); p.lostMS("n4") != 0 || p.lostMS("n5") != 11_980 || len(h.handed) != 0 {
		t.Errorf("n4 went at %d with what it had, n5 at %d; noted %v", p.lostMS("n4"), p.lostMS("n5"), h.handed)
	}
	h.update(n4, 11_985)
	h.remove(n4, gossip.Dead, 11_990)
	if at := h.formers.past.Load().lostMS("n4"); at != 11_990 {
		t.Errorf("what was handed over before it came again counts for its crash: it went at %d", at)
	}
	// More changes than there is room for are not taken for none.
	for range formersMax {
		h.update(n2, 12_000)
		h.remove(n2, gossip.Dead, 12_000)
	}
	if p := h.formers.past.Load(); len(p.sets) != formersMax {
		t.Errorf("%d sets", len(p.sets))
	}
	if _, whole := h.formers.past.Load().appendHomes(nil, hash, 11_500); whole {
		t.Error("some sets are forgotten, and it says that there were no others")
	}
}
