package mailbox

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/roostpush/roost/session"
)

// shardCount spreads the accounts over locks.
const shardCount = 64

// Mailbox is what waits for devices. Any goroutine may call any method; only Cancel and
// Fates block, for they ask the store, and Run, which is the mailbox's own.
type Mailbox struct {
	cfg       Config
	store     Store
	router    Router
	presence  Presence
	directory Directory
	canceller Canceller
	turns     Turns
	tracer    Tracer
	departure *departure // of Homes; nil: there are no other nodes
	newID     func() session.ID
	hash      session.Hasher
	now       func() int64 // the wall clock, which may be set
	steady    func() int64 // one that is not

	began   session.ID // ids of its origin from here on are of this run
	seed    maphash.Seed
	shards  []shard
	origins origins
	watches watches
	keys    keys
	queue   queue
	listers listers
	alone   worker      // of Work
	indexed atomic.Bool // the pass over the store is through
	looking atomic.Bool // LookAgain waits for a worker
	foreign atomic.Bool // something was here once whose id names another node

	asking atomic.Int64 // questions of Learn that are not answered yet

	waiting, waitingBytes atomic.Int64 // messages in boxes, and their payloads
	pending, pendingBytes atomic.Int64 // messages on their way into them
	boxes                 atomic.Int64
	count                 counters
	why                   reasons

	posts    sync.Pool // of *post
	attempts sync.Pool // of *attempt
}

// shard holds the boxes of some accounts; all of an account are in one.
type shard struct {
	mailbox *Mailbox

	mu    sync.Mutex
	boxes map[session.Address]*box
	named map[uint64]*box // by the hash of their device, if there is a Hasher
	spare []*box          // boxes to begin anew
	gates map[string]*gate
	wheel wheel
	due   []*box      // those that Tick is about to look at
	asked []*question // of Learn, in the order in which they came; some are answered
	dice  *rand.Rand

	aheadMS int64 // of the wheel's clock, the wall clock, as of when boxes were placed

	recent  [recentFates]recentFate // a ring
	settled uint                    // how many there have been in it
}

// spareMax bounds the boxes that a shard keeps to begin anew.
const spareMax = 256

// New returns a mailbox of valid configuration. It makes the first id of this run, and
// uses no port but NewID and Now before Run.
func New(cfg Config, p Ports) *Mailbox { return newMailbox(cfg, p, shardCount) }

func newMailbox(cfg Config, p Ports, shards int) *Mailbox {
	m := &Mailbox{
		cfg: cfg, store: p.Store, router: p.Router, presence: p.Presence, directory: p.Directory,
		hash: p.Hash, canceller: p.Canceller, turns: p.Turns, tracer: p.Tracer, newID: p.NewID, now: p.Now, steady: p.SteadyMS,
		began: p.NewID(), seed: maphash.MakeSeed(), shards: make([]shard, shards), why: newReasons(cfg),
	}
	if m.steady == nil {
		m.steady = m.now
	}
	steadyMS := m.steady()
	aheadMS := m.now() - steadyMS
	for i := range m.shards {
		s := &m.shards[i]
		s.mailbox, s.boxes, s.gates = m, make(map[session.Address]*box), make(map[string]*gate)
		if m.hash != nil {
			s.named = make(map[uint64]*box)
		}
		s.wheel.now, s.aheadMS = steadyMS>>tickBits, aheadMS
		s.dice = rand.New(rand.NewPCG(p.Seed, uint64(i)))
	}
	m.posts.New = func() any { return newPost(m) }
	m.attempts.New = func() any { return newAttempt(m) }
	m.queue.init()
	m.keys.init(m, p.Keys)
	m.queue.push((*index)(m))
	return m
}

// Run does the mailbox's reading until ctx is done. It begins with the pass over what the
// store holds; other work goes on meanwhile. It may be called once.
func (m *Mailbox) Run(ctx context.Context) {
	stop := context.AfterFunc(ctx, m.queue.close)
	defer stop()
	m.listers.begin()
	defer m.listers.end()
	var workers sync.WaitGroup
	for range m.cfg.Workers {
		workers.Go(func() {
			var w worker
			for j := m.queue.pop(true); j != nil; j = m.queue.pop(true) {
				j.work(&w)
			}
		})
	}
	workers.Wait()
}

// Unwatch ends the watching of a message by w; others who wait for the same one, of a push that came
// again, wait on. When it has returned, w is not called any more, but for one whose push had an
// idempotency key: that may just now be told what the first push with it has come to. A watcher must
// not call it.
func (m *Mailbox) Unwatch(id session.ID, w Watcher) {
	m.watches.removeOf(id, func(of Watcher) bool { return of == w })
}

func (m *Mailbox) shard(account string) *shard {
	if m.hash != nil {
		_, hash := m.hash(account, "")
		return m.shardOf(hash)
	}
	return &m.shards[maphash.String(m.seed, account)%uint64(len(m.shards))]
}

// shardOf returns the shard of an account's hash.
func (m *Mailbox) shardOf(hash uint64) *shard {
	return &m.shards[hash%uint64(len(m.shards))]
}

// ofThisRun reports whether the id was made since New: what has it came in by Post, and
// need not be learned from the store.
func (m *Mailbox) ofThisRun(id session.ID) bool {
	return id.Origin == m.began.Origin && id.Number >= m.began.Number
}

// boxLocked returns the box of the device, which begins if there is none.
func (s *shard) boxLocked(a session.Address) *box {
	if b := s.boxes[a]; b != nil {
		return b
	}
	// The strings may be borrowed. One allocation holds both.
	names := a.Account + a.Device
	a.Account, a.Device = names[:len(a.Account)], names[len(a.Account):]
	var b *box
	if n := len(s.spare); n > 0 {
		b, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		b = &box{shard: s}
	}
	b.address, b.known = a, s.mailbox.indexed.Load()
	s.boxes[a] = b
	if s.mailbox.hash != nil {
		b.hash, _ = s.mailbox.hash(a.Account, a.Device)
		s.named[b.hash] = b // of two devices with one hash the newer box
	}
	s.mailbox.boxes.Add(1)
	return b
}

// releaseLocked lets go of the box if nothing waits in it and nobody has a hold on it.
// While the pass is under way boxes stay, because they know what it must not bring back.
func (s *shard) releaseLocked(b *box) {
	if len(b.items) > 0 || b.pending > 0 || b.working || b.due || b.owes() || !s.mailbox.indexed.Load() {
		return
	}
	s.wheel.take(b)
	delete(s.boxes, b.address)
	if s.named[b.hash] == b {
		delete(s.named, b.hash)
	}
	s.mailbox.boxes.Add(-1)
	items := b.items[:0]
	if cap(items) > 16 {
		items = nil
	}
	b.contents = contents{life: b.life + 1, items: items}
	if len(s.spare) < spareMax {
		s.spare = append(s.spare, b)
	}
}

// dueLocked has the box looked at no later than that, by the steady clock.
func (s *shard) dueLocked(b *box, dueMS int64) {
	if b.slot == nil || dueMS < b.dueMS {
		s.wheel.put(b, dueMS)
	}
}

// expiryLocked is when something expires, by the steady clock.
func (s *shard) expiryLocked(expiresMS int64) (dueMS int64) { return expiresMS - s.aheadMS }

// reasons are the sentences that say which limit was reached, made once so that they cost
// nothing when it matters.
type reasons struct {
	messages, bytes, deviceMessages, deviceBytes, accountDevices, pending, pendingBytes string
}

func newReasons(cfg Config) reasons {
	return reasons{
		messages:       fmt.Sprintf("mailbox.messages_max: %d messages wait on this node already", cfg.MessagesMax),
		bytes:          fmt.Sprintf("mailbox.bytes_max: payloads of %d bytes wait on this node already", cfg.BytesMax),
		deviceMessages: fmt.Sprintf("mailbox.device_messages_max: %d messages wait for the device already", cfg.DeviceMessagesMax),
		deviceBytes:    fmt.Sprintf("mailbox.device_bytes_max: with this one payloads of more than %d bytes would wait for the device", cfg.DeviceBytesMax),
		accountDevices: fmt.Sprintf("mailbox.account_devices_max: the account has more than %d devices", cfg.AccountDevicesMax),
		pending:        fmt.Sprintf("mailbox.pending_max: %d pushes are being stored already", cfg.PendingMax),
		pendingBytes:   fmt.Sprintf("mailbox.pending_bytes_max: payloads of %d bytes are being stored already", cfg.PendingBytesMax),
	}
}
