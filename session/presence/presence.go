package presence

import (
	"sync"
	"sync/atomic"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

// State is what is known of a device.
type State uint8

// The states.
const (
	Unknown State = iota // it may be at a node whose sessions are not all known
	Offline              // it is connected to no node
	Online
)

// Devices knows which devices are connected to which node. Any goroutine may call it.
type Devices interface {
	// State looks a device up by its hashes, in memory. sinceMS is when an Online one
	// connected, Unix milliseconds. It must not block, nor call Presence.
	State(address, account uint64) (state State, sinceMS int64)
	// Names asks all nodes that may hold devices of the account for the names of those
	// that are connected. named is called with names as they come, and done once, last:
	// complete is false when some node did not answer. Both may be called before Names
	// returns and from any goroutine; names are borrowed, strings may be kept.
	Names(account string, named func(devices []string), done func(complete bool))
}

// Sockets puts events on watchers' connections; netpoll's Reactor is one.
type Sockets interface {
	Send(id netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64)
}

// Presence knows who watches which account, and what they were told. Any goroutine may
// call any method but Tick, whose caller is one, and who receives from First; none blocks.
type Presence struct {
	cfg     Config
	graceMS int64
	hash    session.Hasher
	devices Devices
	sockets Sockets
	count   counters

	watchers atomic.Int64
	entries  atomic.Int64
	asking   atomic.Int64 // accounts
	lost     atomic.Bool  // some watcher has lost an event
	first    chan struct{}
	shards   [shardCount]shard

	// Of Tick.
	next    int // shard that is the first to be looked at
	lostMS  int64
	asks    []ask
	scratch []byte
}

const (
	shardBits  = 5
	shardCount = 1 << shardBits
)

// shard has the watched accounts whose hashes begin alike.
type shard struct {
	length atomic.Int32 // of accounts; read without mu

	mu       sync.Mutex
	accounts map[uint64]*account
	due      []*account // to be looked at, oldest first
	later    []*account // to be looked at when they say
	_        [40]byte
}

// account is one that sessions of this node watch. Its shard's mutex guards it.
type account struct {
	name     string
	hash     uint64
	watchers []*watcher
	devices  []device // in no order that means anything, but watchers count on it

	due     bool  // it is in shard.due
	waits   bool  // it is in shard.later
	lookMS  int64 // when it is due again, steady; 0: when something changes
	unnamed bool  // it may have devices whose names are not known
	asking  bool  // for their names
	askedMS int64 // when that began, steady
	askMS   int64 // not to be asked for before, steady
	failed  int   // questions in a row that did not get all answers
}

// device is one device of a watched account.
type device struct {
	address  uint64
	name     string
	told     State // Unknown: nobody was told anything
	atMS     int64 // when it became what was told, Unix milliseconds
	leftMS   int64 // when it was found gone, steady; 0: it was not
	leftAtMS int64 // the same, Unix milliseconds
}

// watcher is one session that watches.
type watcher struct {
	p      *Presence
	conn   netpoll.ConnID
	number uint64 // of the session
	device string
	next   int  // the device to be told of next; -1: it knows all
	all    bool // it may believe devices online that are not, so those are told of too

	inFlight atomic.Int32
	lost     atomic.Bool // an event did not get into the outbox
}

// New returns a Presence that goes by the given hashes, which are the table's or the
// registry's.
func New(cfg Config, hash session.Hasher, devices Devices, sockets Sockets) *Presence {
	p := &Presence{cfg: cfg, graceMS: cfg.Grace.Milliseconds(), hash: hash, devices: devices, sockets: sockets, first: make(chan struct{}, 1)}
	for i := range p.shards {
		p.shards[i].accounts = map[uint64]*account{}
	}
	return p
}

func (p *Presence) shard(hash uint64) *shard { return &p.shards[hash>>(64-shardBits)] }

// Watch makes a session hear of its account's other devices: first of those that are
// online, then of whatever changes. To watch again is to be told all again. False says
// that there is no room for another watcher. Call it on the session's loop; events follow
// whatever the loop has answered until then.
func (p *Presence) Watch(s *session.Session) bool {
	_, hash := p.hash(s.Account, "")
	sh := p.shard(hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	a := sh.accounts[hash]
	if a != nil && a.name == s.Account {
		if w := a.watcherOf(s); w != nil {
			w.next = 0
			sh.look(a)
			return true
		}
	}
	// Two watched accounts with one hash of 64 bits: the second is refused.
	full := a != nil && (a.name != s.Account || len(a.watchers) >= p.cfg.AccountWatchersMax)
	if full || !p.admit() {
		p.count.refused.Add(1)
		return false
	}
	if a == nil {
		a = &account{name: s.Account, hash: hash, unnamed: true}
		sh.accounts[hash] = a
		sh.length.Add(1)
	}
	a.watchers = append(a.watchers, &watcher{p: p, conn: netpoll.ConnID(s.Conn), number: s.Number, device: s.Device})
	sh.look(a)
	return true
}

// admit counts one more watcher; false: there is no room.
func (p *Presence) admit() bool {
	switch n := p.watchers.Add(1); {
	case n > int64(p.cfg.WatchersMax):
		p.watchers.Add(-1)
		return false
	case n == 1:
		select {
		case p.first <- struct{}{}:
		default: // it is to be told of an earlier one
		}
	}
	return true
}

// Watched reports whether anybody watches. While nobody does there is nothing to tick for:
// on an idle node each wake of the process costs more than a device's ping. Whoever stops
// ticking goes on when First says so.
func (p *Presence) Watched() bool { return p.watchers.Load() > 0 }

// First has a value when there are watchers after there were none, at most one: a spurious
// one is possible, a lost one is not.
func (p *Presence) First() <-chan struct{} { return p.first }

// Unwatch ends that. It is called for every session that ends, too: for one that does not
// watch it costs next to nothing.
func (p *Presence) Unwatch(s *session.Session) {
	if p.watchers.Load() == 0 {
		return
	}
	_, hash := p.hash(s.Account, "")
	sh := p.shard(hash)
	if sh.length.Load() == 0 {
		return
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	a := sh.accounts[hash]
	if a == nil || a.name != s.Account {
		return
	}
	for i, w := range a.watchers {
		if w.number == s.Number {
			last := len(a.watchers) - 1
			a.watchers[i], a.watchers[last] = a.watchers[last], nil
			a.watchers = a.watchers[:last]
			p.watchers.Add(-1)
			break
		}
	}
	if len(a.watchers) == 0 {
		delete(sh.accounts, hash)
		sh.length.Add(-1)
		p.entries.Add(-int64(len(a.devices)))
		a.devices = nil
	}
}

func (a *account) watcherOf(s *session.Session) *watcher {
	for _, w := range a.watchers {
		if w.number == s.Number {
			return w
		}
	}
	return nil
}

// isOver says that nobody watches the account any more; it may still be among those due.
func (a *account) isOver() bool { return len(a.watchers) == 0 }

// find returns where a device is in the list, -1 if it is not known.
func (a *account) find(address uint64) int {
	for i := range a.devices {
		if a.devices[i].address == address {
			return i
		}
	}
	return -1
}

// look makes an account due. The caller holds mu.
func (sh *shard) look(a *account) {
	if !a.due {
		a.due = true
		sh.due = append(sh.due, a)
	}
}
