// HOT PATH: add runs on event loops.

package records

import (
	"sync"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// queue holds the facts that one other node shall keep, encoded, until it says that
// it has them. Its life is one link's: when that ends everything is taken out.
//
//	add -> the batch that is being filled -> tick sends it -> kept, or taken out as late
//
// Any goroutine may call any method; none blocks.
type queue struct {
	node string

	mu      sync.Mutex
	up      bool   // the node is linked and knows keep frames
	told    bool   // what it was told last: that this node holds what belongs elsewhere
	lost    uint64 // of the facts that were lost here, those that it was told of
	holding bool   // what it said last
	held    bool   // and that was so when the last link ended
	batches []*batch
}

// batch is the body of one keep frame.
type batch struct {
	body    []byte
	facts   int
	ref     uint64                 // 0: not sent
	sinceMS int64                  // when it was sent, or first could not be; 0: neither
	end     func(n int, kept bool) // of facts that are handed over: they are on this node's disk; nil: from sessions
}

// add puts a fact, which is borrowed, behind the others, or says why not.
func (q *queue) add(f *session.Fact, batchesMax int, k *Keeper) standing {
	size := wire.FactSizeMax(f)
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.up {
		return standUnlinked
	}
	var b *batch
	if n := len(q.batches); n > 0 {
		b = q.batches[n-1]
	}
	if b == nil || b.ref != 0 || b.end != nil || len(b.body)+size > cap(b.body) {
		if len(q.batches) >= batchesMax {
			return standFull
		}
		if b = k.newBatch(); len(b.body)+size > cap(b.body) {
			return standFull // larger than a batch
		}
		q.batches = append(q.batches, b)
	}
	b.body = wire.AppendFact(b.body, f)
	b.facts++
	return standNot
}

// offer puts a batch of held facts behind the others, unless there is no room.
func (q *queue) offer(b *batch, batchesMax int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.up || len(q.batches) >= batchesMax {
		return false
	}
	q.batches = append(q.batches, b)
	return true
}

// tick sends what waits and takes out what has waited for too long.
func (q *queue) tick(k *Keeper, holding bool, lost uint64, nowMS int64) (late []*batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.up {
		return nil
	}
	room := true
	kept := q.batches[:0]
	for _, b := range q.batches {
		if b.ref == 0 && room {
			ref := k.ref.Add(1)
			wire.SetKeep(b.body, ref, wire.KeepState{Holding: holding})
			if room = k.ports.Send(q.node, wire.LinkTypeKeep, b.body); room {
				b.ref, b.sinceMS, q.told = ref, nowMS, holding
				k.count.sent.Add(uint64(b.facts))
			} else if b.sinceMS == 0 {
				b.sinceMS = nowMS
			}
		}
		if b.sinceMS != 0 && nowMS-b.sinceMS > k.cfg.AckTimeout.Milliseconds() {
			late = append(late, b)
			continue
		}
		kept = append(kept, b)
	}
	clear(q.batches[len(kept):])
	q.batches = kept
	if room && (q.told != holding || q.lost != lost) {
		k.scratch = wire.BeginKeep(k.scratch[:0], 0, wire.KeepState{Holding: holding, Lost: q.lost != lost})
		if k.ports.Send(q.node, wire.LinkTypeKeep, k.scratch) {
			q.told, q.lost = holding, lost
		}
	}
	return late
}

// take removes the batch of that ref; nil: it is not waited for any more.
func (q *queue) take(ref uint64) *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, b := range q.batches {
		if b.ref == ref && ref != 0 {
			q.batches = append(q.batches[:i], q.batches[i+1:]...)
			return b
		}
	}
	return nil
}

// link says whether the node can be sent to, and takes out everything when it cannot.
func (q *queue) link(up bool) (all []*batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !up {
		q.held = q.holding
	}
	q.up, q.told, q.holding, q.lost = up, false, false, 0
	all, q.batches = q.batches, nil
	return all
}

// says notes what the node says of itself.
func (q *queue) says(holding bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.holding = holding
}

// state returns whether the node is linked and knows keep frames, whether it holds what
// belongs elsewhere, and the bytes that wait for it.
func (q *queue) state() (up, holding bool, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range q.batches {
		bytes += len(b.body)
	}
	return q.up, q.holding, bytes
}
