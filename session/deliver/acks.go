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
	deliveries map[session.MessageID]awaited
	_          [48]byte // a cache line for each shard
}

type awaited struct {
	delivery *Delivery
	acks     int
}

func (a *acks) init(max int) {
	a.max = int64(max)
	for i := range a.shards {
		a.shards[i].deliveries = make(map[session.MessageID]awaited)
	}
}

func (a *acks) shard(id session.MessageID) *ackShard { return &a.shards[id%ackShards] }

// await notes that d waits for n acks; false when that would be too many in all.
func (a *acks) await(id session.MessageID, d *Delivery, n int) bool {
	if a.awaited.Add(int64(n)) > a.max {
		a.awaited.Add(-int64(n))
		return false
	}
	sh := a.shard(id)
	sh.mu.Lock()
	sh.deliveries[id] = awaited{d, n}
	sh.mu.Unlock()
	return true
}

// find returns the delivery that waits for acks of that message, or nil.
func (a *acks) find(id session.MessageID) *Delivery {
	sh := a.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.deliveries[id].delivery
}

// forget ends the waiting for that message, if there was any.
func (a *acks) forget(id session.MessageID) {
	sh := a.shard(id)
	sh.mu.Lock()
	n := sh.deliveries[id].acks
	delete(sh.deliveries, id)
	sh.mu.Unlock()
	a.awaited.Add(-int64(n))
}
