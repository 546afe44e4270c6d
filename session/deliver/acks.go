package deliver

import (
	"sync"
	"sync/atomic"

	"github.com/roostpush/roost/session"
)

// ackShards spreads the table of awaited acks, so that loops do not wait for one
// another. Ids are counted up: their lowest bits spread evenly.
const ackShards = 32

// acks knows which deliveries wait for devices' acks. A delivery's own targets say
// whose acks those are.
type acks struct {
	max     int64
	awaited atomic.Int64 // acks, not deliveries
	shards  [ackShards]ackShard
}

type ackShard struct {
	mu         sync.Mutex
	deliveries map[ackKey]awaited
	_          [48]byte // a cache line for each shard
}

// ackKey is a message's whole id: one that came over a link has its origin's.
type ackKey struct {
	origin session.Origin
	id     session.MessageID
}

// key is that of the delivery's message.
func (d *Delivery) key() ackKey { return ackKey{d.origin, d.message.ID} }

type awaited struct {
	delivery *Delivery
	acks     int
}

// awaitAcks enters the delivery, once, among those that wait for n acks, if it is one that
// does; false when that would be too many in all. The caller holds mu.
func (d *Delivery) awaitAcks(n int) bool {
	if d.wait != session.WaitAcked || d.awaits {
		return true
	}
	d.awaits = d.router.acks.await(d.key(), d, n)
	return d.awaits
}

func (a *acks) init(max int) {
	a.max = int64(max)
	for i := range a.shards {
		a.shards[i].deliveries = make(map[ackKey]awaited)
	}
}

func (a *acks) shard(k ackKey) *ackShard { return &a.shards[k.id%ackShards] }

// await notes that d waits for n acks; false when that would be too many in all.
func (a *acks) await(k ackKey, d *Delivery, n int) bool {
	if a.awaited.Add(int64(n)) > a.max {
		a.awaited.Add(-int64(n))
		return false
	}
	sh := a.shard(k)
	sh.mu.Lock()
	sh.deliveries[k] = awaited{d, n}
	sh.mu.Unlock()
	return true
}

// find returns the delivery that waits for acks of that message, or nil.
func (a *acks) find(k ackKey) *Delivery {
	sh := a.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.deliveries[k].delivery
}

// forget ends the waiting for that message, if there was any.
func (a *acks) forget(k ackKey) {
	sh := a.shard(k)
	sh.mu.Lock()
	n := sh.deliveries[k].acks
	delete(sh.deliveries, k)
	sh.mu.Unlock()
	a.awaited.Add(-int64(n))
}
