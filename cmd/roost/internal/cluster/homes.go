package cluster

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/gossip"
	"github.com/roostpush/roost/session/home"
	"github.com/roostpush/roost/session/route"
)

// homes says which node keeps the records of an account: the one of the active members
// that rendezvous hashing names, processors not among them (DESIGN.md decision 7). Any goroutine may ask.
type homes struct {
	key  route.Key
	self string

	members   atomic.Pointer[home.Members]
	changedMS atomic.Int64 // when the active members changed last
	formers   formers      // who they were before

	mu     sync.Mutex
	others map[string]gossip.Member
	active []string           // the names of members, sorted
	leaves bool               // this node is nobody's home: it sees its devices out, or is a processor
	absent map[string]absence // nodes that are gone
	handed map[string]uint64  // epochs of members that leave, and have handed over what they kept of topics
}

// absence is a node's that was a member.
type absence struct {
	sinceMS int64
	records bool // it may have records that nobody else has
}

func newHomes(key route.Key, self string, processor bool) *homes {
	h := &homes{key: key, self: self, leaves: processor, others: map[string]gossip.Member{}, absent: map[string]absence{}, handed: map[string]uint64{}}
	h.refreshLocked(0)
	return h
}

// of returns the home of an account, whose name is borrowed; it allocates nothing.
func (h *homes) of(account string) string {
	_, hash := h.key.Address(account, "")
	return h.members.Load().Home(hash)
}

// isSelf reports whether this node is the home of an account.
func (h *homes) isSelf(account string) bool { return h.of(account) == h.self }

// knows reports whether a node is a member, this one included, or was one lately.
func (h *homes) knows(node string) bool {
	if node == h.self {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, member := h.others[node]
	_, absent := h.absent[node]
	return member || absent
}

// appendOthers appends the names of all members but this one.
func (h *homes) appendOthers(dst []string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for node := range h.others {
		dst = append(dst, node)
	}
	return dst
}

// update takes a member as it is now. It returns the processes of all others and whether
// homes have moved.
func (h *homes) update(m gossip.Member, nowMS int64) (living []session.Origin, moved bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.others[m.Node] = m
	delete(h.absent, m.Node)
	return h.refreshLocked(nowMS)
}

// remove takes a member out; see update.
func (h *homes) remove(m gossip.Member, why gossip.Reason, nowMS int64) (living []session.Origin, moved bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.others[m.Node].Epoch == m.Epoch {
		delete(h.others, m.Node)
	}
	if epoch, handed := h.handed[m.Node]; handed && epoch == m.Epoch {
		delete(h.handed, m.Node)
	} else {
		h.formers.went(m.Node, nowMS)
	}
	if why != gossip.Replaced {
		h.absent[m.Node] = absence{sinceMS: nowMS, records: !m.Processor}
	}
	return h.refreshLocked(nowMS)
}

// handedOver notes that a member which leaves has handed over what it kept of topics, so that
// nothing is lost when it goes.
func (h *homes) handedOver(o session.Origin) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m, ok := h.others[o.Node]; ok && m.Epoch == o.Epoch {
		h.handed[o.Node] = o.Epoch
	}
}

// leave makes this node nobody's home, as long as there are others.
func (h *homes) leave(nowMS int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leaves = true
	h.refreshLocked(nowMS)
}

// refreshLocked counts the active members again. While there is none everything stays
// where it is.
func (h *homes) refreshLocked(nowMS int64) (living []session.Origin, moved bool) {
	var names []string
	for _, m := range h.others {
		living = append(living, m.Origin())
		if m.State == gossip.Active && !m.Processor {
			names = append(names, m.Node)
		}
	}
	if !h.leaves || len(names) == 0 {
		names = append(names, h.self)
	}
	slices.Sort(names)
	if slices.Equal(names, h.active) {
		return living, false
	}
	now, err := home.New(names)
	if err != nil {
		panic("cluster: members have one name each, they are keys of a map: " + err.Error())
	}
	if old := h.members.Load(); old != nil {
		h.formers.ended(old, nowMS)
	}
	h.active = names
	h.members.Store(now)
	h.changedMS.Store(nowMS)
	return living, true
}

// sinceChange returns how long ago the members changed.
func (h *homes) sinceChange(nowMS int64) time.Duration {
	return time.Duration(nowMS-h.changedMS.Load()) * time.Millisecond
}

// isMissing reports whether a node is gone that may have records nobody else has, for
// less than so long: one that stays away is not waited for for ever. A node that left on
// purpose has handed over only what it had time for.
func (h *homes) isMissing(nowMS int64, most time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	missing := false
	for node, a := range h.absent {
		if nowMS-a.sinceMS >= most.Milliseconds() {
			delete(h.absent, node)
		} else if a.records {
			missing = true
		}
	}
	return missing
}
