package cluster

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/store"
)

// auditing names the nodes that have lost ends of their sessions: neither their homes nor
// those nodes themselves had room for them. It is to a home what the resync of the store
// is to a node's own records.
type auditing struct {
	wake chan struct{} // capacity 1

	mu    sync.Mutex
	nodes map[session.Origin]struct{}

	closed atomic.Uint64 // see KeepStats
}

func (a *auditing) add(o session.Origin) {
	a.mu.Lock()
	if a.nodes == nil {
		a.nodes = map[session.Origin]struct{}{}
	}
	a.nodes[o] = struct{}{}
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *auditing) take() map[session.Origin]struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	nodes := a.nodes
	a.nodes = nil
	return nodes
}

// auditGrace is how much later than the fact of an opening its entry may be in the table.
const auditGrace = time.Second

// audit closes records that are open at a node which does not hold the device, whenever
// such a node asks for it. Openings that were lost need no audit: the node notes all its
// sessions again.
func (c *Cluster) audit() {
	for {
		select {
		case <-c.ended:
			return
		case <-c.auditing.wake:
		}
		if nodes := c.auditing.take(); len(nodes) > 0 && !c.auditRecords(nodes) {
			return
		}
	}
}

// auditRecords looks at every record once; false: the node leaves.
func (c *Cluster) auditRecords(nodes map[session.Origin]struct{}) bool {
	for after := []byte(nil); ; {
		list, next, err := c.node.Store.Held(after, c.settings.Keeping.HandOverFacts, func(string) bool { return true })
		if err != nil {
			c.log.Warn("records cannot be audited", "error", err)
			return true
		}
		gone := c.gone(nodes, list)
		if len(gone) > 0 {
			if !c.waitFor(auditGrace, nil) {
				return false
			}
			for _, h := range c.gone(nodes, gone) {
				h.Closed, h.ClosedMS, h.CloseCode = true, max(c.nowMS(), h.OpenedMS), closedAbnormally
				if c.node.Store.Keep(&h.Fact) {
					c.auditing.closed.Add(1)
				}
			}
		}
		if after = next; next == nil || !c.waitFor(c.settings.Keeping.HandOverPause, nil) {
			return next == nil
		}
	}
}

// closedAbnormally is the close code of a session of whose end nothing is known (RFC
// 6455 section 7.1.5).
const closedAbnormally = 1006

// gone returns the facts of sessions that are open at one of the nodes though the table,
// which knows all that those nodes hold, does not have the device there.
func (c *Cluster) gone(nodes map[session.Origin]struct{}, list []store.Held) (gone []store.Held) {
	for _, h := range list {
		if _, asked := nodes[h.Origin]; !asked || h.Closed {
			continue
		}
		if p := c.Locate(h.Account, h.Device); p.State != deliver.There && c.replica.Lacking() == 0 && c.isMember(h.Origin) {
			gone = append(gone, h)
		}
	}
	return gone
}
