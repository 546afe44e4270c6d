package mailbox

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/roostpush/roost/session/wire"
)

// settling knows which linked nodes may have idempotency keys that this node, as the home of their accounts,
// does not know: all but those that are settled among the members of now.
//
// A node is settled among some members when the home, by those, of each of its keys has that key, on
// its disk or about to be: its last pass (keyfiling.go) began among them and left nothing to do, and no
// push with a key has come since whose home is another node. It says so to all, and takes it back before
// it stores such a push, or whenever its members change. What a link takes with it when it ends is said anew over the next.
//
// So a home needs no clock to know how long the nodes disagree on who the members are, and asks nobody
// when they do not.
type settling struct {
	homes *Homes
	peers atomic.Pointer[[]keyPeer] // that are linked; never changed in place

	mu     sync.Mutex       // of whoever changes peers, and of:
	self   wire.MailSettled // what this node says
	untold map[string]bool  // who has not been told that
	lost   map[string]int64 // nodes whose link ended before they were settled: when, Unix milliseconds
}

// keyPeer is a linked node, and what it says.
type keyPeer struct {
	node string
	said wire.MailSettled
}

func (s *settling) init(m *Homes) {
	s.homes, s.untold, s.lost = m, map[string]bool{}, map[string]int64{}
	s.peers.Store(new([]keyPeer))
}

// unsettled appends the nodes that have to be asked.
func (s *settling) unsettled(dst []string) []string {
	now := wire.MailSettled{Settled: true, Members: s.homes.ports.Members.Sum()}
	for i := range *s.peers.Load() {
		if p := &(*s.peers.Load())[i]; p.said != now {
			dst = append(dst, p.node)
		}
	}
	return dst
}

// changeLocked gives a linked node another entry, or the first; nil takes it out.
func (s *settling) changeLocked(node string, to *keyPeer) {
	list := slices.DeleteFunc(slices.Clone(*s.peers.Load()), func(p keyPeer) bool { return p.node == node })
	if to != nil {
		list = append(list, *to)
	}
	s.peers.Store(&list)
}

// linked begins with a node that has said nothing yet.
func (s *settling) linked(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changeLocked(node, &keyPeer{node: node})
	delete(s.lost, node)
	s.untold[node] = true
	s.tellLocked()
}

// unlinked forgets what a node has said. If it was not settled, nobody may know its keys until it is back.
func (s *settling) unlinked(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.unsettled(nil), node) {
		s.lost[node] = s.homes.ports.NowMS()
	}
	s.changeLocked(node, nil)
	delete(s.untold, node)
}

// mayLack reports whether a node is out of reach whose keys nobody else may know.
func (s *settling) mayLack() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.homes.ports.NowMS() - int64(s.homes.box.cfg.IdempotencyAgeMS)
	for node, sinceMS := range s.lost {
		if sinceMS < from {
			delete(s.lost, node)
		}
	}
	return len(s.lost) > 0
}

// say tells all linked nodes what this one is, if it was not before. It does not block.
func (s *settling) say(now wire.MailSettled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.self == now {
		return
	}
	s.self = now
	for _, p := range *s.peers.Load() {
		s.untold[p.node] = true
	}
	s.tellLocked()
}

// tick tells those whose link had no room.
func (s *settling) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tellLocked()
}

func (s *settling) tellLocked() {
	var room [16]byte
	body := wire.AppendMailSettled(room[:0], &s.self)
	for _, p := range *s.peers.Load() { // in an order that the simulator can repeat
		node := p.node
		if !s.untold[node] {
			continue
		}
		if !s.homes.ports.Links.Speaks(node, wire.LinkTypeMailSettled) || s.homes.ports.Links.Send(node, wire.LinkTypeMailSettled, body) {
			delete(s.untold, node) // one of an older version asks everybody as long as it is one
		} else {
			s.homes.count.settledUntold.Add(1)
		}
	}
}

// Settled hears what another node says of its keys.
func (m *Homes) Settled(from string, f *wire.MailSettled) {
	s := &m.settling
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(*s.peers.Load(), func(p keyPeer) bool { return p.node == from }) {
		s.changeLocked(from, &keyPeer{from, *f})
	}
}
