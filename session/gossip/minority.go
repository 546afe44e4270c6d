package gossip

import (
	"fmt"
	"time"
)

// Side says on which side of a split this node is, as far as it can tell: by nodes, not
// processes, so that a restart is no loss.
type Side struct {
	Alive    int // nodes alive, this one included
	Expected int // those, and the ones that died within minority_window and did not come back
}

// Minority reports whether more than half of the nodes that are expected are missing.
// Of two halves of equal size neither is the minority: nothing could say which.
func (s Side) Minority() bool { return 2*s.Alive < s.Expected }

func (r *roster) side(window time.Duration) Side {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for node, died := range r.lost {
		if now.Sub(died) > window {
			delete(r.lost, node)
		}
	}
	alive := 1 + len(r.told)
	return Side{Alive: alive, Expected: alive + len(r.lost)}
}

// Side returns how many nodes are alive and how many are expected.
func (g *Gossip) Side() Side { return g.roster.side(g.cfg.MinorityWindow) }

// Ready reports whether gossip has nothing against this node's taking traffic, and if
// it has, what: for /readyz.
func (g *Gossip) Ready() (ok bool, why string) {
	s := g.Side()
	if !s.Minority() {
		return true, ""
	}
	return g.cfg.MinorityReady, fmt.Sprintf("minority side: %d of %d nodes are reachable", s.Alive, s.Expected)
}
