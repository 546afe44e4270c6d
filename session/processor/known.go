package processor

import (
	"hash/maphash"
	"math/bits"

	"github.com/roostpush/roost/session"
)

// idHash stands for a record's ID and its scope. Two ids with one hash would be taken for
// one: 128 bits with secret seeds make that once in the life of nobody's cluster.
type idHash [2]uint64

// known is an ID that a record had: one on its way, or one that has its result.
type known struct {
	hash   idHash
	sum    uint64 // of what the record says
	first  *task  // on its way; nil: it has its result
	goneMS int64  // steady time from which on it is forgotten
	next   *known // the one that had its result after it, or among the spare

	outcome session.Outcome // the result, which is of one kind for almost all
	devices int
	mixed   *[session.OutcomeCount]int
	id      session.ID
	reject  *Reject
}

// ids remembers which records there were, for a bounded window and in this process only:
// what is older, or came before a restart, is pushed again. Of a record with a ttl that does
// no harm: its keeper knows its key for longer (Keeping), and keeps it once.
type ids struct {
	seeds     [3]maphash.Seed
	ageMS     int64
	max       int
	all       map[idHash]*known
	oldest    *known // of those with a result
	newest    *known
	spare     *known
	settled   int
	forgotten uint64 // because there were too many
}

func (m *ids) reset(cfg Config) {
	*m = ids{ageMS: cfg.IdempotencyAge.Milliseconds(), max: cfg.IdempotencyIDsMax, all: map[idHash]*known{}}
	for i := range m.seeds {
		m.seeds[i] = maphash.MakeSeed()
	}
}

// hash and sum may be called without the processor's mutex.
func (m *ids) hash(r *Record) (id idHash) {
	for i := range id {
		id[i] = fold(maphash.String(m.seeds[i], r.IDScope), maphash.String(m.seeds[i], r.ID))
	}
	return id
}

// sum stands for everything that makes two records with one ID the same.
func (m *ids) sum(r *Record) uint64 {
	seed := m.seeds[2]
	sum := fold(uint64(r.TTLMS), uint64(r.Kind))
	for _, s := range [...]string{r.Account, r.Device, r.Topic} {
		sum = fold(sum, maphash.String(seed, s))
	}
	return fold(sum, maphash.Bytes(seed, r.Payload))
}

// fold makes one hash of two, whose order counts.
func fold(a, b uint64) uint64 {
	const odd = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	return (bits.RotateLeft64(a, 32) ^ b) * odd
}

// claim notes that t is the record with an ID that is not known yet.
func (m *ids) claim(t *task, hash idHash, sum uint64) {
	k := m.spare
	if k == nil {
		k = new(known)
	} else {
		m.spare = k.next
	}
	*k = known{hash: hash, sum: sum, first: t}
	m.all[hash] = k
	t.known = k
}

// settle remembers the result of the record that has claimed k.
func (m *ids) settle(k *known, r *Result, nowMS int64) {
	k.first = nil
	k.goneMS = nowMS + m.ageMS
	k.id, k.reject = r.ID, r.Reject
	for o, n := range r.Counts {
		switch {
		case n == 0:
		case k.devices == 0:
			k.outcome, k.devices = session.Outcome(o), n
		default:
			k.mixed = new(r.Counts)
		}
	}
	if m.newest == nil {
		m.oldest = k
	} else {
		m.newest.next = k
	}
	m.newest = k
	m.settled++
	if m.settled > m.max {
		m.forgotten++
		m.forgetOldest()
	}
}

// result returns what settle was told.
func (k *known) result() Result {
	r := Result{ID: k.id, Reject: k.reject, Repeated: true}
	if k.mixed != nil {
		r.Counts = *k.mixed
	} else {
		r.Counts[k.outcome] = k.devices
	}
	return r
}

// abandon forgets an ID whose record has no result that would be the same next time.
func (m *ids) abandon(k *known) {
	delete(m.all, k.hash)
	*k = known{next: m.spare}
	m.spare = k
}

// forget forgets what is too old.
func (m *ids) forget(nowMS int64) {
	for m.oldest != nil && m.oldest.goneMS <= nowMS {
		m.forgetOldest()
	}
}

func (m *ids) forgetOldest() {
	k := m.oldest
	if m.oldest = k.next; m.oldest == nil {
		m.newest = nil
	}
	m.settled--
	m.abandon(k)
}
