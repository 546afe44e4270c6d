package records

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// Keeper takes facts to the homes of their accounts, in batches over the control links,
// and keeps here what cannot be taken there: then this node's own store stands in, and
// a hand-over takes it there later (Offer). So a fact is always in a queue, on this node's
// disk, or on the home's. Any goroutine may call any method but Attach; none blocks.
type Keeper struct {
	cfg   Config
	ports Ports
	count counts

	store   Store // set once, before the first session
	ref     atomic.Uint64
	batches sync.Pool // of *batch, those from sessions
	facts   sync.Pool // of *session.Fact, of the journal

	// Of Tick.
	scratch []byte
	lost    uint64 // facts, when it looked last
	lostMS  int64  // when that changed
	tellOf  uint64 // of lost, those that the homes are told of

	mu     sync.Mutex
	queues atomic.Pointer[map[string]*queue] // changed under mu, never in place
}

// Ports are what a Keeper needs of the rest of the node. All may be called on an event
// loop, and must not block.
type Ports struct {
	Self session.Origin // whose sessions the journal is of
	// Home returns the node that keeps an account, whose name is borrowed.
	Home func(account string) string
	// Send queues a frame, which is borrowed, for a node; false: there is no room, or no link.
	Send func(node string, t wire.LinkType, body []byte) bool
	// Due hears that something is on this node's disk that belongs elsewhere.
	Due func()
}

// Store is this node's disk; store.Store is one. False says that the fact, which is
// borrowed, was not taken. It must not block.
type Store interface {
	Keep(f *session.Fact) bool
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

// New returns a Keeper that has no link yet. cfg has been validated.
func New(cfg Config, p Ports) *Keeper {
	k := &Keeper{cfg: cfg, ports: p}
	k.queues.Store(&map[string]*queue{})
	k.batches.New = func() any { return &batch{body: make([]byte, 0, cfg.BatchBytes)} }
	k.facts.New = func() any { return new(session.Fact) }
	return k
}

// Attach gives it the store. It comes before the first session.
func (k *Keeper) Attach(s Store) { k.store = s }

// batchesMax is how many batches may wait for one node.
func (k *Keeper) batchesMax() int { return k.cfg.QueueBytes / k.cfg.BatchBytes }

func (k *Keeper) newBatch() *batch {
	b := k.batches.Get().(*batch)
	*b = batch{body: wire.BeginKeep(b.body[:0], 0, wire.KeepState{})}
	return b
}

// Keep sends a fact, which is borrowed, to a node, or else keeps it here. It may be called
// on an event loop.
func (k *Keeper) Keep(node string, f *session.Fact) {
	why := standUnlinked
	if q := (*k.queues.Load())[node]; q != nil {
		why = q.add(f, k.batchesMax(), k)
	}
	if why != standNot {
		k.standIn(f, why)
	}
}

// standIn keeps a fact here though it belongs elsewhere.
func (k *Keeper) standIn(f *session.Fact, why standing) {
	k.count.stoodIn[why].Add(1)
	if !k.store.Keep(f) {
		k.count.lost.Add(1)
	}
	k.ports.Due()
}

// lostQuietMS is the time without a further loss before the homes are told of it, which
// then look at all records that they have of this node.
const lostQuietMS = 2000

// Tick sends what waits; holding tells the others whether this node has what belongs
// elsewhere. One goroutine calls it, every few ten milliseconds, with a clock that nobody
// sets, in milliseconds.
func (k *Keeper) Tick(holding bool, nowMS int64) {
	if lost := k.count.lost.Load(); lost != k.lost {
		k.lost, k.lostMS = lost, nowMS
	} else if nowMS-k.lostMS >= lostQuietMS {
		k.tellOf = lost
	}
	for _, q := range *k.queues.Load() {
		k.endAll(q.tick(k, holding, k.tellOf, nowMS), standLate)
	}
}

// Linked says that a node can be sent facts, or cannot any more. Queues stay when members
// go: a link may be up before its node is told of as a member, and there are not more of
// them than nodes were ever seen.
func (k *Keeper) Linked(node string, up bool) {
	k.mu.Lock()
	queues := *k.queues.Load()
	q := queues[node]
	if q == nil {
		now := maps.Clone(queues)
		q = &queue{node: node}
		now[node] = q
		k.queues.Store(&now)
	}
	k.mu.Unlock()
	k.endAll(q.link(up), standUnlinked)
}

// Kept is a home's answer.
func (k *Keeper) Kept(node string, a *wire.Kept) {
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
		k.endAll([]*batch{b}, standRefused)
	default:
		k.count.acknowledged.Add(uint64(b.facts))
		k.end(b, true)
	}
}

// endAll ends batches that were not kept where they belong.
func (k *Keeper) endAll(list []*batch, why standing) {
	for _, b := range list {
		if b.end == nil {
			k.standInAll(b, why)
		}
		k.end(b, false)
	}
}

func (k *Keeper) standInAll(b *batch, why standing) {
	var frame wire.Keep
	if err := wire.ParseKeep(b.body, &frame); err != nil {
		panic("records: a batch of this node's own does not parse: " + err.Error())
	}
	for i := range frame.Facts {
		k.standIn(&frame.Facts[i], why)
	}
}

// end is the end of a batch that was taken out of its queue.
func (k *Keeper) end(b *batch, kept bool) {
	if b.end == nil {
		k.batches.Put(b)
		return
	}
	b.end(b.facts, kept)
}

// Offer sends facts that are on this node's disk to a node, count of them that at returns
// by their numbers and that are borrowed, as many as fit into one batch. It returns how
// many those are; 0: there is no link, or no room. end is called once with that number
// and whether they are kept there, perhaps before Offer has returned.
func (k *Keeper) Offer(node string, count int, at func(i int) *session.Fact, end func(n int, kept bool)) int {
	q := (*k.queues.Load())[node]
	if q == nil {
		return 0
	}
	b := &batch{body: wire.BeginKeep(make([]byte, 0, k.cfg.BatchBytes), 0, wire.KeepState{}), end: end}
	for b.facts < count {
		f := at(b.facts)
		if b.facts > 0 && len(b.body)+wire.FactSizeMax(f) > k.cfg.BatchBytes {
			break
		}
		b.body = wire.AppendFact(b.body, f)
		b.facts++
	}
	n := b.facts
	// The other half of the queue is for what happens meanwhile.
	if !q.offer(b, max(k.batchesMax()/2, 1)) {
		return 0
	}
	return n
}

// Take keeps the facts of other nodes, which are borrowed; false: they are not kept, or
// not all. elsewhere says that some belong to another node than this one.
func (k *Keeper) Take(from string, frame *wire.Keep) (kept, elsewhere bool) {
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
		elsewhere = elsewhere || k.ports.Home(f.Account) != k.ports.Self.Node
	}
	return true, elsewhere
}

// IsUp reports whether a node is linked and knows keep frames.
func (k *Keeper) IsUp(node string) bool {
	q := (*k.queues.Load())[node]
	if q == nil {
		return false
	}
	up, _, _ := q.state()
	return up
}

// IsHolding reports whether a node may have on its disk what belongs elsewhere: it said
// so, or cannot say.
func (k *Keeper) IsHolding(node string) bool {
	q := (*k.queues.Load())[node]
	if q == nil {
		return true
	}
	up, holding, _ := q.state()
	return !up || holding
}

// HeldAtLast reports whether a node whose link has ended had on its disk what belongs
// elsewhere, as far as it has said.
func (k *Keeper) HeldAtLast(node string) bool {
	q := (*k.queues.Load())[node]
	if q == nil {
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held || q.holding
}

// Queued returns the bytes that wait for an answer.
func (k *Keeper) Queued() (bytes int) {
	for _, q := range *k.queues.Load() {
		_, _, n := q.state()
		bytes += n
	}
	return bytes
}
