package mailbox

import (
	"sync"

	"github.com/roostpush/roost/session"
)

// keys knows the idempotency keys of the pushes that this mailbox keeps or has kept, for
// idempotency_age_ms from the first push on. What is guaranteed to a caller that repeats a
// push with its key and the same content within that time:
//
//   - The key is on disk before the caller of the first push hears that it is kept, in one
//     write with the message. So a repeat at this mailbox gets the id of the first one, and
//     what has become of it, in place of a second message: while the first is being stored,
//     after it is final, and after a restart or a crash.
//   - Every node takes a push to the home of its account, so it does not matter through
//     which node the repeat comes. A node that has kept the first one itself, as a former home
//     or in place of one, answers from its own mailbox whoever is the home now.
//   - When the home has changed in between, the new one asks the others before it takes a
//     key as new, until they have given it theirs (keyhomes.go). If a node that has the key is
//     out of reach, because it crashed or the network is parted, the repeat is a second message: at
//     least once, as without a key. HomesStats counts those that may be (KeysUnsure). The same when more than
//     idempotency_keys_max pushes with keys came since, which KeyStats counts (Forgotten).
//   - A push that was refused has no key: its repeat is tried again. One without a ttl is
//     not kept, and not known here.
//   - The same key with another content is refused: Forbidden.
//
// Any goroutine may call any method, also with a shard locked. keys calls watchers with
// its own mutex free.
type keys struct {
	mailbox *Mailbox
	store   KeyStore

	mu      sync.Mutex
	ready   bool    // the keys of before the start are here
	early   []*post // that came before that; pending_max bounds them
	slots   []heldKey
	of      map[[16]byte]uint32 // their places
	spare   uint32              // a list through next; 0: empty
	oldest  uint32              // of those that are kept; a list through next
	newest  uint32
	repeats map[uint32][]*post // what waits for a first push to be stored; pending_max bounds them
	unfiled int                // of those that are kept the ones that only this node has, as far as it knows

	repeated, reused, forgotten, unread uint64
}

// heldKey is a key. It holds no pointer, so that the collector has nothing to look at. The
// place 0 is nobody's.
type heldKey struct {
	hash    [16]byte
	sum     uint64
	goneMS  int64
	number  session.MessageID // of the first push's message, once that is kept
	account uint64            // hash
	origin  uint32
	devices uint32
	next    uint32
	kept    bool // on disk; else it is being stored
	filed   bool // another node, which is the account's home, knows it too
}

func (ks *keys) init(m *Mailbox, store KeyStore) {
	ks.mailbox, ks.store, ks.ready = m, store, store == nil
	ks.slots = make([]heldKey, 1)
	ks.of, ks.repeats = map[[16]byte]uint32{}, map[uint32][]*post{}
	if store != nil {
		m.queue.push((*keyPass)(m))
	}
}

// HasKey reports whether a push with that key and within its time was kept here, or is
// about to be. Until the keys of before a start are read it knows this run's only. k is borrowed.
func (m *Mailbox) HasKey(k *session.Key) bool {
	if k.IsZero() {
		return false
	}
	now := m.now()
	m.keys.mu.Lock()
	defer m.keys.mu.Unlock()
	i := m.keys.of[k.Hash]
	return i != 0 && m.keys.slots[i].goneMS > now
}

// claim notes that an admitted post is the first one with its key, and true: it is to be
// stored. Else the post is answered by and by, and not the caller's any more.
func (ks *keys) claim(q *post) bool {
	now := ks.mailbox.now()
	k := &q.message.Key
	ks.mu.Lock()
	if !ks.ready {
		q.own()
		ks.early = append(ks.early, q)
		ks.mu.Unlock()
		return false
	}
	ks.expireLocked(now)
	i := ks.of[k.Hash]
	switch held := &ks.slots[i]; {
	case i == 0, held.kept && held.goneMS <= now:
		k.GoneMS = now + int64(ks.mailbox.cfg.IdempotencyAgeMS)
		if ks.mailbox.hash != nil {
			_, k.Account = ks.mailbox.hash(q.message.Account, "")
		}
		q.claim = ks.addLocked(heldKey{hash: k.Hash, sum: k.Sum, goneMS: k.GoneMS, account: k.Account})
		ks.mu.Unlock()
		q.asks = ks.mailbox.departure != nil && ks.mailbox.departure.homes.claimed(k.Account)
		return true
	case held.sum != k.Sum:
		ks.reused++
		ks.mu.Unlock()
		q.refuse(session.Forbidden, reusedKey)
		return false
	case !held.kept:
		ks.repeated++
		q.own()
		ks.repeats[i] = append(ks.repeats[i], q)
		ks.mu.Unlock()
		return false
	default:
		ks.repeated++
		first, devices := ks.firstLocked(held)
		ks.mu.Unlock()
		q.repeat(first, devices)
		return false
	}
}

const reusedKey = "its idempotency key is that of an earlier push with another address, payload, ttl or collapse key: a key names one message"

// kept notes that the post that has claimed a key, if it has, is on disk, and answers those
// that repeat it.
func (ks *keys) kept(q *post) {
	if q.claim == 0 {
		return
	}
	ks.mu.Lock()
	ks.keepLocked(q.claim, q.id, len(q.list))
	list := ks.repeatsLocked(q.claim)
	ks.mu.Unlock()
	for _, r := range list {
		r.repeat(q.id, len(q.list))
	}
}

// keepLocked notes the message of a key that is on disk from now on.
func (ks *keys) keepLocked(i uint32, id session.ID, devices int) {
	held := &ks.slots[i]
	held.kept, held.number, held.devices = true, id.Number, uint32(devices)
	held.origin = ks.mailbox.origins.number(id.Origin)
	if held.account != 0 {
		ks.unfiled++
	}
	ks.queueLocked(i)
}

// refused forgets the key that a post has claimed, if it has, and returns those that repeat
// it: they are refused too.
func (ks *keys) refused(q *post) []*post {
	if q.claim == 0 {
		return nil
	}
	ks.mu.Lock()
	defer ks.mu.Unlock()
	list := ks.repeatsLocked(q.claim)
	ks.removeLocked(q.claim)
	q.claim = 0
	return list
}

func (ks *keys) repeatsLocked(i uint32) []*post {
	list := ks.repeats[i]
	delete(ks.repeats, i)
	return list
}

func (ks *keys) firstLocked(held *heldKey) (id session.ID, devices int) {
	return session.ID{Origin: ks.mailbox.origins.all()[held.origin], Number: held.number}, int(held.devices)
}

// addLocked finds a place for a key. The oldest one makes room; those that are being stored
// stay, of which there are no more than pending_max.
func (ks *keys) addLocked(k heldKey) uint32 {
	for len(ks.of) >= ks.mailbox.cfg.IdempotencyKeysMax && ks.oldest != 0 {
		old := &ks.slots[ks.oldest]
		if ks.of[old.hash] == ks.oldest {
			ks.forgotten++
		}
		if ks.store != nil {
			ks.store.ForgetKey(session.Key{Hash: old.hash, GoneMS: old.goneMS})
		}
		ks.dropOldestLocked()
	}
	i := ks.spare
	if i != 0 {
		ks.spare = ks.slots[i].next
	} else {
		i = uint32(len(ks.slots))
		ks.slots = append(ks.slots, heldKey{})
	}
	ks.slots[i] = k
	ks.of[k.hash] = i
	return i
}

// queueLocked puts a key that is kept behind the others, which go before it.
func (ks *keys) queueLocked(i uint32) {
	if ks.newest != 0 {
		ks.slots[ks.newest].next = i
	} else {
		ks.oldest = i
	}
	ks.newest = i
}

// expireLocked forgets the keys whose time is over; the store sweeps them by itself.
func (ks *keys) expireLocked(nowMS int64) {
	for ks.oldest != 0 && ks.slots[ks.oldest].goneMS <= nowMS {
		ks.dropOldestLocked()
	}
}

func (ks *keys) dropOldestLocked() {
	i := ks.oldest
	if ks.oldest = ks.slots[i].next; ks.oldest == 0 {
		ks.newest = 0
	}
	ks.removeLocked(i)
}

// removeLocked gives back a place that is in no list. Its key may have another one by now,
// if a clock that was set has put its time out of order.
func (ks *keys) removeLocked(i uint32) {
	k := &ks.slots[i]
	if k.kept && !k.filed && k.account != 0 {
		ks.unfiled--
	}
	if ks.of[k.hash] == i {
		delete(ks.of, k.hash)
	}
	*k = heldKey{next: ks.spare}
	ks.spare = i
}

// repeat answers a post in the name of the first one with its key.
func (q *post) repeat(first session.ID, devices int) {
	if q.watcher == nil {
		q.recycle()
		return
	}
	q.watcher.Kept(first, devices, session.Pending, "")
	if q.brief {
		q.recycle()
		return
	}
	q.id = first
	if d := q.mailbox.departure; d != nil && first.Node != d.homes.ports.Self {
		q.mailbox.aside((*repeat)(q)) // other nodes are asked
	} else {
		q.mailbox.queue.push((*repeat)(q)) // for the outcomes the store is asked
	}
}

// repeat is a post whose watcher is to hear what has become of the first one so far. What
// becomes of it later the first one's watcher hears.
type repeat post

func (r *repeat) work(*worker) {
	q := (*post)(r)
	fates := q.mailbox.Fates
	if d := q.mailbox.departure; d != nil {
		fates = d.homes.Fates
	}
	list, _, err := fates(q.id)
	if err != nil {
		q.mailbox.count.unread.Add(1) // its caller has the id, and can ask by that
	}
	for _, f := range list {
		q.watcher.Became(q.id, f.Device, f.Outcome)
	}
	q.recycle()
}

// keyPass reads the keys of before the start. Pushes with keys wait for it.
type keyPass Mailbox

// work reads them. If the store fails it begins again after the next Tick.
func (x *keyPass) work(*worker) {
	m := (*Mailbox)(x)
	ks := &m.keys
	err := ks.store.Keys(m.now(), func(k session.Key, id session.ID, devices int) bool {
		ks.mu.Lock()
		defer ks.mu.Unlock()
		if ks.slots[ks.of[k.Hash]].goneMS < k.GoneMS { // else it was read before the store failed
			ks.keepLocked(ks.addLocked(heldKey{hash: k.Hash, sum: k.Sum, goneMS: k.GoneMS, account: k.Account}), id, devices)
		}
		return true
	})
	ks.mu.Lock()
	if err != nil {
		ks.unread++
		ks.mu.Unlock()
		m.queue.delay(x)
		return
	}
	ks.ready = true
	early := ks.early
	ks.early = nil
	ks.mu.Unlock()
	for _, q := range early {
		if ks.claim(q) {
			m.enter(q)
		}
	}
}

// KeyStats is what is known of idempotency keys. Each field's metric tag is the name under
// which it is published.
type KeyStats struct {
	Held      uint64 `metric:"roost_mailbox_keys" doc:"idempotency keys remembered now"`
	Repeated  uint64 `metric:"roost_mailbox_keys_repeated_total" doc:"pushes not kept again, because one with their key is kept or was"`
	Reused    uint64 `metric:"roost_mailbox_keys_reused_total" doc:"pushes refused because their key was that of another message"`
	Forgotten uint64 `metric:"roost_mailbox_keys_forgotten_total" doc:"keys forgotten before idempotency_age_ms, because there were idempotency_keys_max of them: a push that comes again is kept again"`
	Unread    uint64 `metric:"roost_mailbox_keys_unread_total" doc:"times the keys of before the start could not be read; pushes with keys wait until they can"`
	Early     uint64 `metric:"roost_mailbox_keys_early" doc:"pushes with keys that wait now until the keys of before the start are read"`
}

// KeyStats returns them, all of one moment.
func (m *Mailbox) KeyStats() KeyStats {
	ks := &m.keys
	ks.mu.Lock()
	defer ks.mu.Unlock()
	return KeyStats{
		Held: uint64(len(ks.of)), Repeated: ks.repeated, Reused: ks.reused, Forgotten: ks.forgotten, Unread: ks.unread,
		Early: uint64(len(ks.early)),
	}
}
