package mailbox

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/roostpush/roost/session"
)

// strays remembers which node sent a message here that another node's name is in the id of:
// it was handed over, and the ack is for whoever keeps it now. The newest max are remembered;
// an ack of an older one goes to the node that the id names and, should that have left, to the home
// of the account.
type strays struct {
	max int
	any atomic.Bool // there was one ever

	mu   sync.Mutex
	of   map[session.ID]string
	list []session.ID // a ring
	next int
}

// Sent notes that a node has sent a kept message here. It costs nothing for one that the node has
// kept from the beginning. The names are borrowed.
func (m *Homes) Sent(node string, id session.ID) {
	if id.Node == node {
		return
	}
	id.Node = strings.Clone(id.Node)
	s := &m.strays
	s.any.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.of[id]; !known {
		if len(s.list) < s.max {
			s.list = append(s.list, id)
		} else {
			delete(s.of, s.list[s.next])
			s.list[s.next] = id
			s.next = (s.next + 1) % s.max
		}
	}
	s.of[id] = strings.Clone(node)
}

// keeper returns which node has sent the message here last, if that is not the one of the id.
func (s *strays) keeper(id session.ID) (node string) {
	if !s.any.Load() {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[id]
}
