package cluster

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
	"github.com/roostpush/roost/store"
)

// Keeping holds the limits of what is kept at the home of an account. It is read once.
type Keeping struct {
	QueueBytes    int
	BatchBytes    int
	AckTimeout    time.Duration
	SettleAfter   time.Duration
	HandOverFacts int
	HandOverPause time.Duration
	AbsentFor     time.Duration
}

// keeper takes facts to the homes of their accounts, in batches over the control links,
// and keeps here what cannot be taken there: then this node's own store stands in, and
// handOver takes it there later. So a fact is always in a queue, on this node's disk, or
// on the home's. Any goroutine may call any method.
type keeper struct {
	cfg   Keeping
	self  string
	homes *homes
	send  func(node string, t wire.LinkType, body []byte) bool
	due   func() // something is here that belongs elsewhere
	count keepCounts

	store   *store.Store // set once, before the first session
	ref     atomic.Uint64
	batches sync.Pool // of *keepBatch, those from sessions

	// Of tick.
	scratch []byte
	lost    uint64 // facts, when it looked last
	lostMS  int64  // when that changed
	tellOf  uint64 // of lost, those that the homes are told of

	mu     sync.Mutex
	queues atomic.Pointer[map[string]*keepQueue] // changed under mu, never in place
}

// standing is why this node's store stands in for a home.
type standing int

const (
	standNot      standing = iota
	standUnlinked          // there is no link, or it ended before the answer
	standFull              // the queue for the home is full
	standLate              // the home did not answer in time
	standRefused           // the home has no room
	standings
)

func newKeeper(cfg Keeping, self string, h *homes) *keeper {
	k := &keeper{cfg: cfg, self: self, homes: h}
	k.queues.Store(&map[string]*keepQueue{})
	k.batches.New = func() any { return &keepBatch{body: make([]byte, 0, cfg.BatchBytes)} }
	return k
}

// batchesMax is how many batches may wait for one node.
func (k *keeper) batchesMax() int { return k.cfg.QueueBytes / k.cfg.BatchBytes }

func (k *keeper) newBatch() *keepBatch {
	b := k.batches.Get().(*keepBatch)
	*b = keepBatch{body: wire.BeginKeep(b.body[:0], 0, wire.KeepState{})}
	return b
}

// keep sends a fact, which is borrowed, to a node, or else keeps it here. It may be called
// on an event loop.
func (k *keeper) keep(node string, f *session.Fact) {
	why := standUnlinked
	if q := (*k.queues.Load())[node]; q != nil {
		why = q.add(f, k.batchesMax(), k)
	}
	if why != standNot {
		k.standIn(f, why)
	}
}

// standIn keeps a fact here though it belongs elsewhere.
func (k *keeper) standIn(f *session.Fact, why standing) {
	k.count.stoodIn[why].Add(1)
	if !k.store.Keep(f) {
		k.count.lost.Add(1)
	}
	k.due()
}

// lostQuietMS is the time without a further loss before the homes are told of it, which
// then look at all records that they have of this node.
const lostQuietMS = 2000

// tick sends what waits; holding tells the others whether this node has what belongs
// elsewhere. One goroutine calls it, every few ten milliseconds.
func (k *keeper) tick(holding bool, nowMS int64) {
	if lost := k.count.lost.Load(); lost != k.lost {
		k.lost, k.lostMS = lost, nowMS
	} else if nowMS-k.lostMS >= lostQuietMS {
		k.tellOf = lost
	}
	for _, q := range *k.queues.Load() {
		k.endAll(q.tick(k, holding, k.tellOf, nowMS), standLate)
	}
}

// linked says that a node can be sent facts, or cannot any more. Queues stay when members
// go: a link may be up before its node is told of as a member, and there are not more of
// them than nodes were ever seen.
func (k *keeper) linked(node string, up bool) {
	k.mu.Lock()
	queues := *k.queues.Load()
	q := queues[node]
	if q == nil {
		now := make(map[string]*keepQueue, len(queues)+1)
		for name, other := range queues {
			now[name] = other
		}
		q = &keepQueue{node: node}
		now[node] = q
		k.queues.Store(&now)
	}
	k.mu.Unlock()
	k.endAll(q.link(up), standUnlinked)
}

// kept is a home's answer.
func (k *keeper) kept(node string, a *wire.Kept) {
	q := (*k.queues.Load())[node]
	if q == nil {
		return
	}
	b := q.take(a.Ref)
	switch {
	case b == nil: // its facts are kept here, too, and will be sent again
		k.count.lateAnswers.Add(1)
	case a.Refused:
		k.count.refusedThere.Add(uint64(b.facts))
		k.endAll([]*keepBatch{b}, standRefused)
	default:
		k.count.acknowledged.Add(uint64(b.facts))
		k.end(b, true)
	}
}

// endAll ends batches that were not kept where they belong.
func (k *keeper) endAll(list []*keepBatch, why standing) {
	for _, b := range list {
		if b.held == nil {
			k.standInAll(b, why)
		}
		k.end(b, false)
	}
}

func (k *keeper) standInAll(b *keepBatch, why standing) {
	var frame wire.Keep
	if err := wire.ParseKeep(b.body, &frame); err != nil {
		panic("cluster: a batch of this node's own does not parse: " + err.Error())
	}
	for i := range frame.Facts {
		k.standIn(&frame.Facts[i], why)
	}
}

// end is the end of a batch that was taken out of its queue.
func (k *keeper) end(b *keepBatch, kept bool) {
	if b.held == nil {
		k.batches.Put(b)
		return
	}
	b.end(b.held, kept)
}

// offer sends held facts to a node, as many of them as fit into one batch, and returns
// how many those are; 0: there is no link, or no room. end is called once with those
// and whether they are kept there.
func (k *keeper) offer(node string, list []store.Held, end func(part []store.Held, kept bool)) int {
	q := (*k.queues.Load())[node]
	if q == nil {
		return 0
	}
	b := &keepBatch{body: wire.BeginKeep(make([]byte, 0, k.cfg.BatchBytes), 0, wire.KeepState{}), end: end}
	for i := range list {
		f := &list[i].Fact
		if b.facts > 0 && len(b.body)+wire.FactSizeMax(f) > k.cfg.BatchBytes {
			break
		}
		b.body = wire.AppendFact(b.body, f)
		b.facts++
	}
	b.held = list[:b.facts]
	// The other half of the queue is for what happens meanwhile.
	if !q.offer(b, max(k.batchesMax()/2, 1)) {
		return 0
	}
	return b.facts
}

// take keeps the facts of other nodes, which are borrowed; false: they are not kept, or
// not all. elsewhere says that some belong to another node than this one.
func (k *keeper) take(from string, frame *wire.Keep) (kept, elsewhere bool) {
	if q := (*k.queues.Load())[from]; q != nil {
		q.says(frame.Holding)
	}
	for i := range frame.Facts {
		f := &frame.Facts[i]
		if !k.store.Keep(f) {
			k.count.refused.Add(uint64(len(frame.Facts) - i))
			return false, elsewhere
		}
		k.count.received.Add(1)
		elsewhere = elsewhere || !k.homes.isSelf(f.Account)
	}
	return true, elsewhere
}

// isUp reports whether a node is linked and knows keep frames.
func (k *keeper) isUp(node string) bool {
	q := (*k.queues.Load())[node]
	if q == nil {
		return false
	}
	up, _, _ := q.state()
	return up
}

// isHolding reports whether a node may have on its disk what belongs elsewhere: it said
// so, or cannot say.
func (k *keeper) isHolding(node string) bool {
	q := (*k.queues.Load())[node]
	if q == nil {
		return true
	}
	up, holding, _ := q.state()
	return !up || holding
}

// queued returns the bytes that wait for an answer.
func (k *keeper) queued() (bytes int) {
	for _, q := range *k.queues.Load() {
		_, _, n := q.state()
		bytes += n
	}
	return bytes
}
