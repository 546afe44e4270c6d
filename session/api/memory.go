package api

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"
)

// memory remembers the answers of pushes that came with an idempotency key, so that
// a repeated push is answered again and not delivered again. It is a bounded window,
// in this process only: what is older than its limits, or than the process, is
// delivered again; unless it was kept, for whoever keeps it knows its key (session.Key,
// package mailbox). Any goroutine may call it.
//
// A key belongs to the node's services together: they are one trust domain.
type memory struct {
	seed     maphash.Seed
	keysMax  int
	bytesMax int
	age      time.Duration

	mu    sync.Mutex
	keys  map[string]*remembered
	first *remembered // oldest; a list through next and before, of just those in keys
	last  *remembered
	bytes int
}

// rememberedOverhead is what one entry costs beside its key and answer: the struct,
// its place in the map, the answer's headers.
const rememberedOverhead = 256

// remembered is the answer to one key, or the promise of it.
type remembered struct {
	key  string
	sum  uint64 // of the body
	at   time.Time
	size int
	gone bool // no longer in keys

	next, before *remembered

	settled bool
	answer  answer
	done    chan struct{} // made by the first who waits
}

func newMemory(cfg *PushConfig) *memory {
	return &memory{
		seed:     maphash.MakeSeed(),
		keysMax:  cfg.IdempotencyKeysMax,
		bytesMax: cfg.IdempotencyBytesMax,
		age:      cfg.IdempotencyAge,
		keys:     map[string]*remembered{},
	}
}

// claim looks a key up. mine means that the caller shall push and then call settle;
// otherwise the entry is another push's, and same says whether it had the same scope
// and body. All arguments are borrowed.
func (m *memory) claim(key, scope string, body []byte, now time.Time) (e *remembered, mine, same bool) {
	var h maphash.Hash
	h.SetSeed(m.seed)
	h.WriteString(scope)
	h.WriteByte(0)
	h.Write(body)
	sum := h.Sum64()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.evictLocked(now)
	if e := m.keys[key]; e != nil {
		return e, false, e.sum == sum
	}
	e = &remembered{key: strings.Clone(key), sum: sum, at: now, size: len(key) + rememberedOverhead}
	m.keys[e.key] = e
	m.bytes += e.size
	if e.before = m.last; m.last == nil {
		m.first = e
	} else {
		m.last.next = e
	}
	m.last = e
	return e, true, true
}

// settle keeps the answer (its members are copied) and wakes who waits for it.
func (m *memory) settle(e *remembered, a answer) {
	a.members = append([]byte(nil), a.members...)
	m.mu.Lock()
	defer m.mu.Unlock()
	e.answer, e.settled = a, true
	if !e.gone {
		e.size += len(a.members)
		m.bytes += len(a.members)
		if a.temporary() {
			m.removeLocked(e)
		}
	}
	if e.done != nil {
		close(e.done)
	}
}

// wait returns a channel that is closed once the entry has its answer.
func (m *memory) wait(e *remembered) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.done == nil {
		e.done = make(chan struct{})
		if e.settled {
			close(e.done)
		}
	}
	return e.done
}

// look returns the entry's answer if it has one. Its members are shared: do not
// change them.
func (m *memory) look(e *remembered) (answer, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return e.answer, e.settled
}

// size returns the bytes remembered.
func (m *memory) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
}

// evictLocked makes room for one more entry and drops what is too old. An entry that
// has no answer yet may go too; its waiters keep it.
func (m *memory) evictLocked(now time.Time) {
	for e := m.first; e != nil; e = m.first {
		if len(m.keys) < m.keysMax && m.bytes < m.bytesMax && now.Sub(e.at) < m.age {
			return
		}
		m.removeLocked(e)
	}
}

// removeLocked forgets an entry that is in keys. It leaves the list at once: answers that
// are not to be repeated would pile up behind an older one for idempotency_age.
func (m *memory) removeLocked(e *remembered) {
	if e.before == nil {
		m.first = e.next
	} else {
		e.before.next = e.next
	}
	if e.next == nil {
		m.last = e.before
	} else {
		e.next.before = e.before
	}
	e.gone, e.next, e.before = true, nil, nil
	delete(m.keys, e.key)
	m.bytes -= e.size
}
