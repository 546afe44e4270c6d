package cluster

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/gossip"
	"github.com/roostpush/roost/store"
)

// handing says whether this node's disk may have facts that belong elsewhere. It is due
// after the members changed, and after this node stood in for another.
type handing struct {
	asked, done atomic.Uint64
	wake        chan struct{} // capacity 1

	passes, unfinished, handedOver atomic.Uint64 // see KeepStats
}

// due says that there may be something to hand over.
func (h *handing) due() {
	h.asked.Add(1)
	h.again()
}

// again goes on at once with a pass that left something behind.
func (h *handing) again() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// pending reports whether there may be something to hand over.
func (h *handing) pending() bool { return h.asked.Load() != h.done.Load() }

// The pauses between two passes: a pass that left something behind is repeated, ever
// more seldom, or at once when a link comes up.
const (
	passPauseMin = time.Second
	passPauseMax = 30 * time.Second
)

// handOver goes through the records whenever it is due and takes those that belong
// elsewhere there. Its steps:
//
//  1. wait until the members have not changed for SettleAfter, since a node that starts
//     again would get everything back a moment later;
//  2. read HandOverFacts records, send those of other homes there, in batches;
//  3. delete here what is acknowledged, unless something newer came in between;
//  4. pause, and go on with 2 until the last record.
func (c *Cluster) handOver() {
	pause := passPauseMin
	for {
		select {
		case <-c.ended:
			return
		case <-c.handing.wake:
		}
		for c.handing.pending() && c.settle() {
			asked := c.handing.asked.Load()
			c.handing.passes.Add(1)
			if c.pass() {
				c.handing.done.Store(asked)
				pause = passPauseMin
			} else {
				c.handing.unfinished.Add(1)
				pause = min(2*pause, passPauseMax)
			}
			if !c.waitFor(pause, c.handing.wake) {
				return
			}
		}
	}
}

// settle waits until the members have been the same for a while.
func (c *Cluster) settle() bool {
	for {
		left := c.settings.Keeping.SettleAfter - c.homes.sinceChange(c.settings.SteadyMS())
		if left <= 0 {
			return true
		}
		if !c.waitFor(left, nil) {
			return false
		}
	}
}

// waitFor waits for that long, or until sooner has something; false: the node leaves.
func (c *Cluster) waitFor(d time.Duration, sooner <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.ended:
		return false
	case <-sooner:
	case <-t.C:
	}
	return true
}

// flushTimeout bounds the wait for what was noted before a pass.
const flushTimeout = 10 * time.Second

// pass goes through all records once; true: nothing that belongs elsewhere was left
// behind.
func (c *Cluster) pass() bool {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	err := c.node.Store.Flush(ctx)
	cancel()
	if err != nil {
		return false
	}
	whole := true
	for after := []byte(nil); ; {
		list, next, err := c.node.Store.Held(after, c.settings.Keeping.HandOverFacts, func(account string) bool { return !c.homes.isSelf(account) })
		if err != nil {
			c.log.Warn("records cannot be handed over", "error", err)
			return false
		}
		if len(list) > 0 && !c.handPortion(list) {
			whole = false
		}
		if next == nil {
			return whole
		}
		if after = next; !c.waitFor(c.settings.Keeping.HandOverPause, nil) {
			return false
		}
	}
}

// handPortion sends facts to where they belong and deletes them here; false: some stay.
func (c *Cluster) handPortion(list []store.Held) (whole bool) {
	homes := map[string][]store.Held{}
	for _, h := range list {
		home := c.homes.of(h.Account) // once: it may be another in a moment
		homes[home] = append(homes[home], h)
	}
	var mu sync.Mutex
	var kept []store.Held
	var wait sync.WaitGroup
	for node, rest := range homes {
		for len(rest) > 0 {
			wait.Add(1)
			portion := rest
			n := c.keeper.Offer(node, len(portion), func(i int) *session.Fact { return &portion[i].Fact }, func(n int, ok bool) {
				defer wait.Done()
				if ok {
					mu.Lock()
					kept = append(kept, portion[:n]...)
					mu.Unlock()
				}
			})
			if n == 0 {
				wait.Done()
				break
			}
			rest = rest[n:]
		}
	}
	wait.Wait() // each batch ends: it is kept, late, or its link is lost
	released, err := c.node.Store.Release(kept)
	if err != nil {
		c.log.Warn("records that were handed over cannot be deleted", "error", err)
		return false
	}
	c.handing.handedOver.Add(uint64(released))
	return released == len(list)
}

// memberIs notes a member as it is now.
func (c *Cluster) memberIs(m gossip.Member) {
	c.moving.Lock()
	defer c.moving.Unlock()
	c.moved(c.homes.update(m, c.settings.SteadyMS()))
}

// memberGone notes that a member is none any more.
func (c *Cluster) memberGone(m gossip.Member, why gossip.Reason) {
	c.moving.Lock()
	defer c.moving.Unlock()
	c.moved(c.homes.remove(m, why, c.settings.SteadyMS()))
}

// moved tells everybody concerned that the members are others than before. The caller holds
// moving: the last to be told must be the last that happened.
func (c *Cluster) moved(living []session.Origin, homesMoved bool) {
	c.node.Store.Living(living)
	if homesMoved {
		c.lists.clear()
		c.handing.due()
		c.mail.HomesMoved()
	}
}
