package mailbox

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// What a home does with messages that a node which leaves hands over; see handover.go. They
// are dealt with one after another, so that a device gets them in their order:
//
//  1. TakeMove copies the message, or refuses it;
//  2. work asks the store what is known of the id: a message that was settled here is not
//     brought back, whoever sends it again;
//  3. the mailbox keeps it like any other, but under the id that it has;
//  4. once it is synced, Kept says so. An ack that came meanwhile is not lost.

// arrivals are the messages that were handed over and are not synced yet.
type arrivals struct {
	homes *Homes
	any   atomic.Bool // there was one ever

	mu      sync.Mutex
	waiting []*arrival
	queued  bool // the job is, or runs
	coming  map[letter]*arrival
	bytes   int
}

// arrival is one message on its way into this mailbox.
type arrival struct {
	of   *arrivals
	from string
	ref  uint64
	kept session.Kept    // a copy
	end  session.Outcome // what its device said of it meanwhile: Acked, Cancelled
}

func (r *arrivals) init(m *Homes) { r.homes, r.coming = m, map[letter]*arrival{} }

func (a *arrival) letter() letter { return letter{a.kept.ID, a.kept.Address} }

// TakeMove keeps a message of a node that leaves, which is borrowed.
func (m *Homes) TakeMove(from string, f *wire.MailMove) {
	m.count.movesReceived.Add(1)
	a := &arrival{of: &m.arrivals, from: from, ref: f.Ref, kept: f.Kept}
	k := &a.kept
	k.ExpiresMS = m.ports.NowMS() + f.LeftMS
	k.Payload = slices.Clone(f.Payload)
	for _, s := range [...]*string{&k.Node, &k.Account, &k.Device, &k.From, &k.Collapse, &k.Trace} {
		*s = strings.Clone(*s)
	}
	r := &m.arrivals
	r.any.Store(true)
	r.mu.Lock()
	_, twice := r.coming[a.letter()]
	full := len(r.coming) >= m.cfg.MoveMax || r.bytes+len(k.Payload) > m.cfg.MoveBytes && len(r.coming) > 0
	start := false
	if !twice && !full {
		r.coming[a.letter()] = a
		r.bytes += len(k.Payload)
		r.waiting = append(r.waiting, a)
		start, r.queued = !r.queued, true
	}
	r.mu.Unlock()
	switch {
	case twice: // the answer to the first is one to this as well
	case full:
		m.answerMove(a, session.Pending, "cluster.mail.move_max: so many messages are being handed over to this node already")
	case start:
		m.box.queue.push(r)
	}
}

// work deals with what has come.
func (r *arrivals) work(*worker) {
	for {
		r.mu.Lock()
		if len(r.waiting) == 0 {
			r.queued, r.waiting = false, nil
			r.mu.Unlock()
			return
		}
		a := r.waiting[0]
		r.waiting = r.waiting[1:]
		r.mu.Unlock()
		r.homes.arrive(a)
	}
}

// arrive has the mailbox keep a message, unless it was settled here.
func (m *Homes) arrive(a *arrival) {
	if !m.box.indexed.Load() {
		m.refuseMove(a, "the mailbox does not know yet what it has from before its start")
		return
	}
	list, _, err := m.box.Fates(a.kept.ID)
	if err != nil {
		m.refuseMove(a, "the store cannot be read: "+err.Error())
		return
	}
	o := session.Pending
	for _, f := range list {
		if f.Device == a.kept.Device && final(f.Outcome) {
			o = f.Outcome
			break
		}
		if a.kept.First && f.Outcome == session.Acked {
			o = session.Cancelled // one ack was enough
		}
	}
	if o != session.Pending {
		m.landMove(a)
		m.answerMove(a, o, "")
		return
	}
	m.box.arrive(&a.kept, a)
}

// Kept says that the message is on this node's disk, or why not (Watcher).
func (a *arrival) Kept(_ session.ID, _ int, refused session.Outcome, why string) {
	m := a.of.homes
	switch {
	case refused == session.Pending:
		end := m.landMove(a)
		m.count.movesTaken.Add(1)
		m.note(session.Event{ID: a.kept.ID, Step: session.StepTaken, Device: a.kept.Device, Traced: a.kept.Trace != "", Peer: a.from})
		m.answerMove(a, session.Queued, "")
		if end != session.Pending {
			m.box.queue.push(&arrivalEnd{a, end}) // the mailbox is calling
		}
	case refused == session.Expired:
		m.landMove(a)
		m.answerMove(a, session.Expired, "")
	default:
		m.refuseMove(a, why)
	}
}

// Became is not asked for.
func (a *arrival) Became(session.ID, string, session.Outcome) {}

func (m *Homes) refuseMove(a *arrival, why string) {
	m.landMove(a)
	m.answerMove(a, session.Pending, why)
}

// landMove ends an arrival, and returns what its device has said of it meanwhile.
func (m *Homes) landMove(a *arrival) (end session.Outcome) {
	r := &m.arrivals
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.coming, a.letter())
	r.bytes -= len(a.kept.Payload)
	return a.end
}

// answerMove answers; an outcome of Pending refuses. Should it get lost the message is sent again.
func (m *Homes) answerMove(a *arrival, o session.Outcome, why string) {
	var room [256]byte
	f := wire.MailMoved{Ref: a.ref, Taken: o != session.Pending, Outcome: o, Why: why}
	if !m.ports.Links.Send(a.from, wire.LinkTypeMailMoved, wire.AppendMailMoved(room[:0], &f)) {
		m.count.answersLost.Add(1)
	}
}

// endEarly notes the end of a message that is being stored; false: it is none of those.
func (r *arrivals) endEarly(a session.Address, id session.ID, o session.Outcome) bool {
	if !r.any.Load() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.coming[letter{id, a}]
	if x != nil {
		x.end = o
	}
	return x != nil
}

// arrivalEnd settles a message that was acknowledged or withdrawn while it was being stored.
type arrivalEnd struct {
	arrival *arrival
	outcome session.Outcome
}

func (e *arrivalEnd) work(*worker) {
	k := &e.arrival.kept
	e.arrival.of.homes.endHere(k.Address, k.ID, e.outcome)
}

// endHere settles a message that another node's name may be in the id of, if it is here.
func (m *Homes) endHere(a session.Address, id session.ID, o session.Outcome) bool {
	if m.arrivals.endEarly(a, id, o) {
		return true
	}
	if !m.box.holds(a, id) {
		return false
	}
	if o == session.Acked {
		return m.box.Acked(a, id)
	}
	withdrawn, shown := m.box.withdraw(a, id)
	if shown {
		m.box.canceller.Cancel(a, []session.ID{id})
	}
	return withdrawn
}

// holds reports whether a message waits here for the device.
func (m *Mailbox) holds(a session.Address, id session.ID) bool {
	s := m.shard(a.Account)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.itemLocked(a, id) != nil
}

// arrive keeps a message that has an id, another mailbox's; w hears Kept only. One that is
// here already is kept.
func (m *Mailbox) arrive(k *session.Kept, w Watcher) {
	p := Push{
		Account: k.Account, Device: k.Device, Kind: k.Kind, Payload: k.Payload, From: k.From, SentMS: k.SentMS, ExpiresMS: k.ExpiresMS,
		Priority: k.Priority, Collapse: k.Collapse, First: k.First, Trace: k.Trace, Brief: true,
	}
	q := m.newPost(&p, w, k.ID)
	q.arrived = true
	m.foreign.Store(true)
	if o, why := m.admit(q); o != session.Pending {
		q.refuse(o, why)
		return
	}
	s := q.shard
	s.mu.Lock()
	if s.itemLocked(k.Address, k.ID) != nil {
		s.mu.Unlock()
		w.Kept(k.ID, 1, session.Pending, "")
		q.recycle()
		return
	}
	why := s.reserveLocked(q, p.Device)
	s.mu.Unlock()
	q.store(why)
}

// arrivedLocked takes back the count of a message that was handed over if the box has read it
// from the store meanwhile.
func (s *shard) arrivedLocked(b *box, it *item) {
	if _, ok := b.find(b.id(it)); ok {
		s.mailbox.waiting.Add(-1)
		s.mailbox.waitingBytes.Add(-int64(it.bytes))
	}
}
