package cluster

import (
	"testing"
	"time"

	"github.com/roostpush/roost/session/gossip"
	"github.com/roostpush/roost/session/route"
)

// TestHomesAreTheActiveMembers: who drains keeps nothing new, and who comes, goes or
// drains moves homes; who only changes its addresses does not.
func TestHomesAreTheActiveMembers(t *testing.T) {
	h := newHomes(route.Key{}, "n1", false)
	if h.of("a") != "n1" || h.sinceChange(1_000_000) < time.Minute {
		t.Error("a node alone is everybody's home, and always was")
	}
	homes := func() map[string]bool {
		seen := map[string]bool{}
		for i := range 200 {
			seen[h.of(string(rune('a'+i)))] = true
		}
		return seen
	}
	n2 := gossip.Member{Node: "n2", Epoch: 1}
	if living, moved := h.update(n2, 1000); !moved || len(living) != 1 || living[0] != n2.Origin() || !homes()["n2"] || !homes()["n1"] {
		t.Errorf("n2 has joined: %v, %v, homes %v", living, moved, homes())
	}
	n2.PeerAddr = "127.0.0.1:1"
	if _, moved := h.update(n2, 2000); moved || h.sinceChange(3000) != 2*time.Second {
		t.Error("another address is no other home")
	}
	n2.State = gossip.Draining
	if living, moved := h.update(n2, 4000); !moved || len(living) != 1 || homes()["n2"] || h.sinceChange(4500) != 500*time.Millisecond {
		t.Errorf("n2 drains: %v, %v, homes %v", living, moved, homes())
	}
	h.leave(5000)
	if !homes()["n1"] {
		t.Error("with nobody else a node that leaves stays the home")
	}
	n2.State = gossip.Active
	h.update(n2, 6000)
	if seen := homes(); seen["n1"] || !seen["n2"] {
		t.Errorf("n1 leaves, homes %v", seen)
	}
	if h.isMissing(6000, time.Minute) {
		t.Error("nobody is missing")
	}
	if living, moved := h.remove(n2, gossip.Dead, 7000); !moved || len(living) != 0 || !h.isMissing(8000, time.Minute) || h.isMissing(68000, time.Minute) {
		t.Errorf("n2 is dead: %v, %v", living, moved)
	}
	h.remove(restarted(n2), gossip.Dead, 70_000)
	h.update(restarted(n2), 71_000)
	if h.isMissing(71_000, time.Hour) {
		t.Error("n2 is back")
	}
	// The going of an older process is no news of the newer one.
	h.remove(n2, gossip.Replaced, 72_000)
	if !homes()["n2"] || h.isMissing(72_000, time.Hour) {
		t.Error("n2 runs with a newer epoch")
	}
}

// TestProcessorIsNoHome: neither for itself nor for the others, and its going leaves no
// gap in anybody's records.
func TestProcessorIsNoHome(t *testing.T) {
	p, n1 := newHomes(route.Key{}, "p1", true), newHomes(route.Key{}, "n1", false)
	if p.of("a") != "p1" {
		t.Error("with nobody else a processor keeps what has to be kept")
	}
	p.update(gossip.Member{Node: "n1", Epoch: 1}, 1000)
	self := gossip.Member{Node: "p1", Epoch: 1, Processor: true}
	if _, moved := n1.update(self, 1000); moved {
		t.Error("homes move when a processor joins")
	}
	for i := range 200 {
		account := string(rune('a' + i))
		if p.of(account) != "n1" || n1.of(account) != "n1" {
			t.Fatalf("the home of %s is %s and %s", account, p.of(account), n1.of(account))
		}
	}
	if _, moved := n1.remove(self, gossip.Dead, 2000); moved || n1.isMissing(2000, time.Minute) || !n1.knows("p1") {
		t.Error("a dead processor is missed for more than what it stood in for")
	}
}

// restarted is the next process of a node.
func restarted(m gossip.Member) gossip.Member {
	m.Epoch++
	return m
}
