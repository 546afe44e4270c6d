package gossip

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/roostpush/roost/session"
)

// roster turns what memberlist believes into what Events are told:
//
//  1. memberlist's callbacks, which hold its lock, write into entries and mark the node;
//  2. one goroutine (tell.go) takes the marked nodes and compares what should be told
//     of each with what was told, so that it can be slow and nothing queues up;
//  3. of one node only the process with the highest epoch is ever told.
//
// It is bounded by members_max: one entry for each process that memberlist knows, one
// epoch for each node that was ever seen.
type roster struct {
	self  session.Origin
	max   int
	now   func() time.Time
	count *counters

	// overtaken gets the epoch that says that this process is not the newest of its node.
	overtaken chan Overtaken
	wake      chan struct{} // something is marked

	mu       sync.Mutex
	entries  map[session.Origin]*entry
	epochs   map[string]uint64    // the highest of each node, this one included
	marked   map[string]struct{}  // nodes to look at
	told     map[string]Member    // what Events believe
	lost     map[string]time.Time // nodes that died and did not come back, and when
	starting bool
	telling  bool   // Events are being told what was taken
	me       Member // what this node announces
	rival    string // address of another that has our name, not looked into yet
}

// entry is what is known of one process.
type entry struct {
	member  Member
	alive   bool // says memberlist
	buried  bool // a hint was confirmed: its process is gone, whatever memberlist still believes
	leaving bool // it said goodbye
}

// Overtaken says that this process is not, or no longer, the newest of its node: it
// must stop, or start again with a higher epoch.
type Overtaken struct {
	Epoch uint64 // the highest that is known of this node
	By    string // gossip address of the process that has it; empty: a memory of the peers
}

func newRoster(me Member, limit int, count *counters) *roster {
	return &roster{
		self: me.Origin(), max: limit, now: time.Now, count: count, me: me, starting: true,
		overtaken: make(chan Overtaken, 1), wake: make(chan struct{}, 1),
		entries: make(map[session.Origin]*entry),
		epochs:  map[string]uint64{me.Node: me.Epoch},
		marked:  make(map[string]struct{}),
		told:    make(map[string]Member),
		lost:    make(map[string]time.Time),
	}
}

var errFull = errors.New("members_max is reached")

// NotifyAlive decides whether memberlist may believe that a node is alive. It sees
// every such message first, so it is the one gate for what strangers say.
func (r *roster) NotifyAlive(n *memberlist.Node) error {
	m, err := parseMember(n)
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		r.count.refused[refused.Why].Add(1)
		return err
	case err != nil:
		r.count.refused[RefusedMalformed].Add(1)
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known, seen := r.epochs[m.Node]
	switch {
	case m.Epoch < known:
		r.count.refused[RefusedEpoch].Add(1)
		return &StaleError{Epoch: m.Epoch, Known: known}
	case !seen && !r.roomLocked():
		r.count.refused[RefusedFull].Add(1)
		return errFull
	}
	r.raiseLocked(m.Node, m.Epoch, m.GossipAddr)
	return nil
}

// overtakenLocked leaves the newest news for whoever asks.
func (r *roster) overtakenLocked(o Overtaken) {
	select {
	case <-r.overtaken:
	default:
	}
	r.overtaken <- o
}

// NotifyJoin, NotifyUpdate and NotifyLeave are memberlist's news, of this node too.
func (r *roster) NotifyJoin(n *memberlist.Node)   { r.note(n, true) }
func (r *roster) NotifyUpdate(n *memberlist.Node) { r.note(n, true) }
func (r *roster) NotifyLeave(n *memberlist.Node)  { r.note(n, false) }

func (r *roster) note(n *memberlist.Node, alive bool) {
	m, err := parseMember(n)
	if err != nil || m.Origin() == r.self {
		return // NotifyAlive let it pass, so it can be read
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[m.Origin()]
	if e == nil {
		e = &entry{}
		r.entries[m.Origin()] = e
	}
	e.member, e.alive = m, alive
	if !alive {
		e.buried = false // memberlist has come to the same
	}
	r.markLocked(m.Node)
}

// NotifyConflict hears of two addresses under one name. If it is our own, somebody took
// our epoch at the same moment as we did, or lies: whoever is there is asked.
func (r *roster) NotifyConflict(existing, other *memberlist.Node) {
	m, err := parseMember(other)
	if err != nil || m.Origin() != r.self {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rival = m.GossipAddr
}

// conflict returns the address of a conflict that nobody looked into yet; empty: none.
func (r *roster) conflict() (addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	addr, r.rival = r.rival, ""
	return addr
}

// twin notes that a second process with our id and epoch answers. It will notice too;
// both give up, and of two that start again one comes first.
func (r *roster) twin(addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if addr != "" && addr != r.me.GossipAddr {
		r.overtakenLocked(Overtaken{Epoch: r.self.Epoch, By: addr})
	}
}

func (r *roster) markLocked(node string) {
	r.marked[node] = struct{}{}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// bury notes that a process is gone although memberlist has yet to notice; revive that
// it is not.
func (r *roster) bury(o session.Origin, buried bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.entries[o]; e != nil && e.alive && e.buried != buried {
		e.buried = buried
		r.markLocked(o.Node)
	}
}

// buried returns the members that memberlist still hears of and we do not believe in.
func (r *roster) buried() (members []Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		if e.buried {
			members = append(members, e.member)
		}
	}
	return members
}

// of, goodbye and condition are what a caller is told and tells: knowledge.
func (r *roster) of(node string) (epoch uint64, holder string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	epoch = r.epochs[node]
	if e := r.entries[session.Origin{Node: node, Epoch: epoch}]; e != nil && e.alive {
		holder = e.member.GossipAddr
	}
	if node == r.self.Node && epoch == r.self.Epoch {
		holder = r.me.GossipAddr
	}
	return epoch, holder
}

func (r *roster) goodbye(o session.Origin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.entries[o]; e != nil {
		e.leaving = true
		r.markLocked(o.Node)
	}
}

func (r *roster) condition() (starting, leaving bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.starting, r.me.State == Leaving
}

// members returns those that Events were told of and this node, by name.
func (r *roster) members() []Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Member, 0, 1+len(r.told))
	all = append(all, r.me)
	for _, m := range r.told {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Member) int { return strings.Compare(a.Node, b.Node) })
	return all
}

// isTold says that Events have been told all that is known.
func (r *roster) isTold() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.marked) == 0 && !r.telling
}

func (r *roster) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return 1 + len(r.told)
}

// member returns what was told of a node.
func (r *roster) member(node string) (Member, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.told[node]
	return m, ok
}

func (r *roster) announcement() Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.me
}

// setState changes what is announced of this node, and reports whether that is news.
func (r *roster) setState(s State) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	news := r.me.State != s
	r.me.State = s
	return news
}

// announced ends the time in which this node gives way to another that starts.
func (r *roster) announced() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.starting = false
}
