package gossip

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/roostpush/roost/session"
)

// Every node remembers the highest epoch of every node it ever heard of, and tells it
// with each full exchange: a node that lost its disk learns from anybody which epoch
// not to take again, however long ago its last process died.

// raiseLocked notes that a node has an epoch; addr is that of its process, if known.
func (r *roster) raiseLocked(node string, epoch uint64, addr string) {
	if epoch <= r.epochs[node] {
		return
	}
	r.epochs[node] = epoch
	if node == r.self.Node {
		r.overtakenLocked(Overtaken{Epoch: epoch, By: addr})
	}
	if _, was := r.told[node]; was { // an older process, which is a ghost from now on
		r.markLocked(node)
	}
}

// overtake notes what a peer knows of our own node.
func (r *roster) overtake(epoch uint64, by string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if checkEpoch(epoch) == nil {
		r.raiseLocked(r.self.Node, epoch, by)
	}
}

// roomLocked reports whether one more node may be known. When there are members_max, an
// absent one is forgotten: one that left, or else the one that died first.
func (r *roster) roomLocked() bool {
	if len(r.epochs) < r.max {
		return true
	}
	present := map[string]bool{r.self.Node: true}
	for o := range r.entries {
		present[o.Node] = true
	}
	victim := ""
	for node := range r.epochs {
		switch died, lost := r.lost[node]; {
		case present[node]:
		case !lost:
			delete(r.epochs, node)
			return true
		case victim == "" || died.Before(r.lost[victim]):
			victim = node
		}
	}
	if victim == "" {
		return false
	}
	delete(r.epochs, victim)
	delete(r.lost, victim)
	return true
}

// HighestEpoch returns the highest epoch of a node that this one has heard of; 0: none.
func (g *Gossip) HighestEpoch(node string) uint64 {
	epoch, _ := g.roster.of(node)
	return epoch
}

// LocalState is what goes with a full exchange: uvarint(versionMajor), then for each
// node text(id) uvarint(epoch), in order of ids.
func (r *roster) LocalState(bool) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	nodes := make([]string, 0, len(r.epochs))
	for node := range r.epochs {
		nodes = append(nodes, node)
	}
	slices.SortFunc(nodes, strings.Compare)
	state := binary.AppendUvarint(nil, versionMajor)
	for _, node := range nodes {
		state = appendText(state, node)
		state = binary.AppendUvarint(state, r.epochs[node])
	}
	return state
}

// MergeRemoteState takes what came with a full exchange, up to the first thing that
// cannot be read.
func (r *roster) MergeRemoteState(state []byte, _ bool) {
	s := scanner{rest: state}
	if s.uvarint() != versionMajor {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(s.rest) > 0 {
		node, epoch := s.text(session.NodeBytesMax), s.uvarint()
		if s.bad || session.CheckNode(node) != nil || checkEpoch(epoch) != nil {
			r.count.refused[RefusedMalformed].Add(1)
			return
		}
		if _, seen := r.epochs[node]; !seen && !r.roomLocked() {
			r.count.refused[RefusedFull].Add(1)
			continue
		}
		r.raiseLocked(node, epoch, "")
	}
}

// NodeMeta, NotifyMsg and GetBroadcasts make the roster memberlist's delegate.
func (r *roster) NodeMeta(int) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return appendMeta(nil, r.me) // Start checked that it fits
}

// NotifyMsg is for messages of users, which we do not send.
func (r *roster) NotifyMsg([]byte) {}

// GetBroadcasts returns nothing: what is gossiped is membership only.
func (r *roster) GetBroadcasts(int, int) [][]byte { return nil }
