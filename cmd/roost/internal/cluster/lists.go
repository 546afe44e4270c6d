package cluster

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/api"
	"github.com/roostpush/roost/session/route"
)

// Listing holds the limits of what is remembered of other nodes' answers about accounts'
// devices. It is read once.
type Listing struct {
	EntriesMax int
	BytesMax   int
	AgeMin     time.Duration
	AgeMax     time.Duration
}

// lists are what other nodes answered when they were asked for an account's devices, so that
// they are not asked again. Any goroutine may call any method.
//
// An answer is forgotten when the account changes: a device of it connects or leaves here
// or, as its log says, elsewhere; a fact about it comes in; the homes move. One thing is
// not heard of, that the record of a device has changed at the account's home: it does so
// a moment after the device has come or gone, and when the home hears that a node still
// lives. So an answer is believed for AgeMin, and for twice as long each time it is asked
// for again without any change in between, up to AgeMax: what is asked right after a
// change is soon asked again, and only what is long settled is kept long.
type lists struct {
	cfg    Listing
	length atomic.Int64 // of entries; read without mu

	mu      sync.Mutex
	entries map[uint64]*listing // by the account's hash
	used    list.List           // of *listing, the one used last in front
	bytes   int

	hits, misses, changes, evicted, large atomic.Uint64
}

// listing is what there is of one account. Once something has changed it is not among the
// entries any more, so that an answer under way is not kept either.
type listing struct {
	hash    uint64
	account string
	element *list.Element
	known   []api.Known
	valid   bool // known is an answer; else one is awaited
	bytes   int
	age     time.Duration // that it may reach
	keptMS  int64
}

// ListStats is what became of questions for devices.
type ListStats struct {
	Entries int    `metric:"roost_device_lists" doc:"accounts whose devices, as other nodes know them, are remembered"`
	Bytes   int    `metric:"roost_device_lists_bytes" doc:"memory for them"`
	Hits    uint64 `metric:"roost_device_lists_hits_total" doc:"questions for an account's devices that no other node was asked"`
	Misses  uint64 `metric:"roost_device_lists_misses_total" doc:"those for which other nodes were asked"`
	Changes uint64 `metric:"roost_device_lists_changed_total" doc:"answers forgotten because a device of the account came or went, or the members changed"`
	Evicted uint64 `metric:"roost_device_lists_evicted_total" doc:"answers forgotten because there were more than cluster.lists allows"`
	Large   uint64 `metric:"roost_device_lists_large_total" doc:"answers not remembered because they are larger than an eighth of what all may be"`
}

func (l *lists) init(cfg Listing) {
	l.cfg = cfg
	l.entries = map[uint64]*listing{}
}

func (l *lists) stats() ListStats {
	l.mu.Lock()
	entries, bytes := len(l.entries), l.bytes
	l.mu.Unlock()
	return ListStats{entries, bytes, l.hits.Load(), l.misses.Load(), l.changes.Load(), l.evicted.Load(), l.large.Load()}
}

// get returns what is remembered of an account or, with a device, of that one. That there is
// no such device is not believed: services forget devices for a 404.
func (l *lists) get(hash uint64, a session.Address, nowMS int64) ([]api.Known, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[hash]
	if e == nil || !e.valid || e.account != a.Account || nowMS-e.keptMS >= e.age.Milliseconds() {
		l.misses.Add(1)
		return nil, false
	}
	list := e.known
	if a.Device != "" {
		list = nil
		for i := range e.known {
			if e.known[i].Device == a.Device {
				list = append(list, e.known[i])
			}
		}
		if len(list) == 0 {
			l.misses.Add(1)
			return nil, false
		}
	}
	l.used.MoveToFront(e.element)
	l.hits.Add(1)
	return list, true
}

// begin is called before other nodes are asked, and keep when they have answered: what
// changes in between keeps the answer from being kept.
func (l *lists) begin(hash uint64, account string) *listing {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[hash]
	if e == nil || e.account != account {
		if e != nil {
			l.dropLocked(e)
		}
		e = &listing{hash: hash, account: account}
		e.element = l.used.PushFront(e)
		l.entries[hash] = e
		l.length.Add(1)
		l.fitLocked()
	}
	return e
}

// keep remembers an answer, unless something has changed since it was asked for.
func (l *lists) keep(e *listing, known []api.Known, nowMS int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries[e.hash] != e {
		return
	}
	bytes := bytesOf(known)
	if bytes > l.cfg.BytesMax/8 {
		l.large.Add(1)
		l.dropLocked(e)
		return
	}
	if e.age = 2 * e.age; !e.valid {
		e.age = l.cfg.AgeMin
	}
	e.age = min(e.age, l.cfg.AgeMax)
	l.bytes += bytes - e.bytes
	e.known, e.bytes, e.valid, e.keptMS = known, bytes, true, nowMS
	l.fitLocked()
}

// changed forgets what there is of an account. It is called on event loops.
func (l *lists) changed(hash uint64) {
	if l.length.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[hash]; e != nil {
		l.changes.Add(1)
		l.dropLocked(e)
	}
}

// changedFacts forgets what there is of the accounts of facts that came in.
func (l *lists) changedFacts(key route.Key, facts []session.Fact) {
	if l.length.Load() == 0 {
		return
	}
	for i := range facts {
		_, hash := key.Address(facts[i].Account, "")
		l.changed(hash)
	}
}

// clear forgets everything: nobody says which accounts have changed.
func (l *lists) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes.Add(uint64(len(l.entries)))
	for _, e := range l.entries {
		l.dropLocked(e)
	}
}

// fitLocked drops what was used longest ago until the rest fits.
func (l *lists) fitLocked() {
	for len(l.entries) > l.cfg.EntriesMax || l.bytes > l.cfg.BytesMax {
		l.evicted.Add(1)
		l.dropLocked(l.used.Back().Value.(*listing))
	}
}

func (l *lists) dropLocked(e *listing) {
	delete(l.entries, e.hash)
	l.used.Remove(e.element)
	l.length.Add(-1)
	l.bytes -= e.bytes
}

// bytesOf is about how much memory an answer takes.
func bytesOf(known []api.Known) int {
	const fixed = 320
	n := fixed
	for i := range known {
		k := &known[i]
		n += fixed + len(k.Device) + len(k.Session) + len(k.Record.Session) + len(k.Record.UserAgent) + len(k.Record.Remote) + len(k.Record.Attrs)
	}
	return n
}
