// HOT PATH

package mailbox

import (
	"strings"

	"github.com/roostpush/roost/session"
)

// How a push becomes a message that waits:
//
//  1. Post copies it and finds out which devices it is for;
//  2. reserveLocked makes room for it in their boxes;
//  3. the store syncs it, and calls stored;
//  4. stored puts it into the boxes and tells the watcher that it is kept;
//  5. look asks who is online now, and gets it on its way.

// post is a push between Post and its first attempt. It is used again and again.
type post struct {
	mailbox *Mailbox
	shard   *shard
	id      session.ID
	watcher Watcher
	brief   bool         // it hears Kept only
	message session.Kept // for no device yet
	payload []byte       // the copy
	device  string
	except  string

	admitted bool   // it counts as pending
	arrived  bool   // another mailbox has made its id, and hands it over
	asks     bool   // other nodes may know its key
	claim    uint32 // place of its idempotency key in keys; 0: it has not claimed one

	list    []session.Kept // for each device
	places  []place        // where each is kept
	refused []string       // devices without room

	incomplete bool // there may be others that nobody here can name

	stored func(error) // hears from the store
}

// place is where a message of a post is.
type place struct {
	box     *box
	life    uint32
	version uint64 // of the session the device was believed to have when the message came in
	seen    uint64 // of the session it had before the message was stored, without ruleLook
}

const (
	payloadKeptMax = 64 << 10 // a larger copy is not used again
	lookedAtOnce   = 16       // a push to more devices is looked after by a worker
)

func newPost(m *Mailbox) *post {
	q := &post{mailbox: m}
	q.stored = q.whenStored
	return q
}

// Post keeps the push until each of its devices has acknowledged it, or it expires, or it is
// withdrawn. w, which may be nil, hears first whether it is kept; until it has heard Kept without an
// outcome there is no promise. Post does not block, and may be called on an event loop.
func (m *Mailbox) Post(p *Push, w Watcher) {
	q := m.newPost(p, w, m.newID())
	if o, why := m.admit(q); o != session.Pending {
		q.refuse(o, why)
		return
	}
	if q.message.Key.IsZero() || m.keys.claim(q) {
		m.enter(q)
	}
}

// enter finds out which devices an admitted post is for, and stores it.
func (m *Mailbox) enter(q *post) {
	s := q.shard
	s.mu.Lock()
	if q.device == "" || q.asks || s.gates[q.message.Account] != nil {
		opened := s.joinLocked(q)
		s.mu.Unlock()
		if opened != nil {
			m.aside(opened)
		}
		return
	}
	why := s.reserveLocked(q, q.device)
	s.mu.Unlock()
	q.store(why)
}

// newPost copies the push.
func (m *Mailbox) newPost(p *Push, w Watcher, id session.ID) *post {
	q := m.posts.Get().(*post)
	q.shard, q.watcher, q.brief, q.id = m.shard(p.Account), w, p.Brief, id
	q.payload = append(q.payload[:0], p.Payload...)
	q.message = session.Kept{
		ID: q.id, Kind: p.Kind, Payload: q.payload, From: strings.Clone(p.From),
		SentMS: p.SentMS, ExpiresMS: p.ExpiresMS, Priority: p.Priority,
		Collapse: strings.Clone(p.Collapse), First: p.First, Trace: strings.Clone(p.Trace), Key: p.Key,
	}
	q.message.Account, q.device, q.except = p.Account, p.Device, p.Except // borrowed, see own
	q.note(session.StepAccepted, session.Pending)
	return q
}

// own makes names that are borrowed until Post returns the post's own: it is to outlive that.
func (q *post) own() {
	q.message.Account, q.device, q.except = strings.Clone(q.message.Account), strings.Clone(q.device), strings.Clone(q.except)
}

// admit counts the push in, unless there is no time or no room for it.
func (m *Mailbox) admit(q *post) (refused session.Outcome, why string) {
	n := int64(len(q.payload))
	switch {
	case q.message.ExpiresMS <= m.now():
		return session.Expired, "its time was over before it was stored"
	case n > int64(m.cfg.DeviceBytesMax):
		return session.TooLarge, m.why.deviceBytes
	}
	if m.pending.Add(1) > int64(m.cfg.PendingMax) {
		m.pending.Add(-1)
		m.count.refusedPending.Add(1)
		return session.Overloaded, m.why.pending
	}
	if m.pendingBytes.Add(n) > int64(m.cfg.PendingBytesMax) {
		m.pending.Add(-1)
		m.pendingBytes.Add(-n)
		m.count.refusedPending.Add(1)
		return session.Overloaded, m.why.pendingBytes
	}
	q.admitted = true
	return session.Pending, ""
}

// reserveLocked makes room for the message in the device's box. If there is none, why says
// which limit was reached.
func (s *shard) reserveLocked(q *post, device string) (why string) {
	m, n := s.mailbox, len(q.payload)
	b := s.boxLocked(session.Address{Account: q.message.Account, Device: device})
	switch {
	case m.waiting.Load() >= int64(m.cfg.MessagesMax):
		m.count.refusedNode.Add(1)
		why = m.why.messages
	case m.waitingBytes.Load()+int64(n) > int64(m.cfg.BytesMax):
		m.count.refusedNode.Add(1)
		why = m.why.bytes
	case len(b.items)+int(b.pending) >= m.cfg.DeviceMessagesMax && !b.holds(q.message.Collapse):
		m.count.refusedDevice.Add(1)
		why = m.why.deviceMessages
	case b.bytes+n > m.cfg.DeviceBytesMax:
		m.count.refusedDevice.Add(1)
		why = m.why.deviceBytes
	}
	if why != "" {
		s.releaseLocked(b)
		return why
	}
	b.pending++
	b.bytes += n
	m.waiting.Add(1)
	m.waitingBytes.Add(int64(n))
	k := q.message
	k.Address = b.address
	q.list = append(q.list, k)
	q.places = append(q.places, place{box: b, life: b.life})
	return ""
}

// store hands the post to the store, or refuses it with why.
func (q *post) store(why string) {
	if why != "" {
		q.refuse(session.Overloaded, why)
		return
	}
	q.message.Address, q.device, q.except = session.Address{}, "", "" // they may be borrowed
	if !ruleLook {
		for i := range q.places {
			q.places[i].seen = q.mailbox.online(q.list[i].Address)
		}
	}
	q.mailbox.store.Post(q.list, q.stored)
}

// refuse says that there is no promise, and ends the post.
func (q *post) refuse(o session.Outcome, why string) {
	q.mailbox.count.refused.Add(1)
	q.note(session.StepRefused, o)
	if q.watcher != nil {
		q.watcher.Kept(q.id, 0, o, why)
	}
	repeats := q.mailbox.keys.refused(q)
	q.recycle()
	for _, r := range repeats {
		r.refuse(o, why)
	}
}

// whenStored is called once the post is on disk, or never will be.
func (q *post) whenStored(err error) {
	m, s := q.mailbox, q.shard
	s.mu.Lock()
	if err != nil {
		for i := range q.places {
			b := q.places[i].box
			b.pending--
			b.bytes -= len(q.payload)
			m.waiting.Add(-1)
			m.waitingBytes.Add(-int64(len(q.payload)))
			s.releaseLocked(b)
		}
		s.mu.Unlock()
		m.count.unstored.Add(1)
		q.refuse(session.Overloaded, "it could not be stored: "+err.Error())
		return
	}
	q.keepLocked()
	s.mu.Unlock()
	if len(q.list) > lookedAtOnce {
		m.queue.push(q)
		return
	}
	q.look()
}

// keepLocked tells the watcher and puts the messages into their boxes.
func (q *post) keepLocked() {
	m, s := q.mailbox, q.shard
	m.count.kept.Add(uint64(len(q.list)))
	q.note(session.StepStored, session.Pending)
	if q.watcher != nil {
		if !q.brief { // before Kept tells the id, so that Unwatch finds it
			m.watches.add(q.id, q.watcher, len(q.list))
		}
		why := ""
		if q.incomplete {
			why = ErrIncomplete.Error()
		}
		q.watcher.Kept(q.id, len(q.list), session.Pending, why)
	}
	for _, device := range q.refused {
		m.store.Note(session.Address{Account: q.list[0].Account, Device: device}, q.id, session.Overloaded, m.now())
		m.watches.tell(q.id, device, session.Overloaded, false)
	}
	m.keys.kept(q)
	it := item{
		number: q.id.Number, origin: m.origins.number(q.id.Origin), expiresMS: q.message.ExpiresMS,
		collapse: keyOf(q.message.Collapse), bytes: uint32(len(q.payload)),
		priority: q.message.Priority, first: q.message.First && (len(q.list) > 1 || q.arrived), watched: q.watcher != nil && !q.brief, known: true,
		traced: q.message.Trace != "",
	}
	for i := range q.places {
		p := &q.places[i]
		b := p.box
		p.version = b.version
		b.pending--
		b.bytes -= len(q.payload) // insertLocked adds them
		if q.arrived {
			s.arrivedLocked(b, &it)
		}
		s.insertLocked(b, it)
	}
}

// work looks after a post to many devices.
func (q *post) work(*worker) { q.look() }

// look asks, now that the messages are stored, which of the devices are online. A device
// that comes after that is told to Opened, which finds the message.
func (q *post) look() {
	m := q.mailbox
	for i := range q.places {
		p := &q.places[i]
		version := p.seen
		if ruleLook {
			version = m.online(q.list[i].Address)
		}
		q.send(&q.list[i], p, version)
	}
	q.recycle()
}

// send gets a message on its way to a device that has nothing else waiting. Otherwise it
// waits its turn.
func (q *post) send(k *session.Kept, p *place, version uint64) {
	m, s, b := q.mailbox, q.shard, p.box
	s.mu.Lock()
	if b.life != p.life {
		s.mu.Unlock() // it is gone already
		return
	}
	s.seesLocked(b, p.version, version)
	i, ok := b.find(q.id)
	if !ok {
		s.mu.Unlock()
		return
	}
	it := &b.items[i]
	alone := b.known && !b.working && b.unsent == 1 && b.retryMS == 0 && b.room(it, &m.cfg)
	if alone && b.version != 0 && b.sendable(it, it.priority, m.now()) {
		a, meant := m.attemptLocked(b, it), b.version
		b.working = true // what comes meanwhile must not overtake it
		s.mu.Unlock()
		m.count.direct.Add(1)
		m.router.Attempt(k, meant, a.heard)
		s.mu.Lock()
		b.working = false
		start := b.pumpLocked()
		s.releaseLocked(b)
		s.mu.Unlock()
		if start {
			m.start(b)
		}
		return
	}
	if it.told == session.Pending {
		s.tellLocked(b, it, session.Queued)
	}
	start := b.pumpLocked()
	s.mu.Unlock()
	if start {
		m.start(b)
	}
}

// recycle ends the post.
func (q *post) recycle() {
	if q.admitted {
		q.mailbox.pending.Add(-1)
		q.mailbox.pendingBytes.Add(-int64(len(q.payload)))
	}
	payload := q.payload
	if cap(payload) > payloadKeptMax {
		payload = nil
	}
	clear(q.list)
	clear(q.places)
	list, places := q.list[:0], q.places[:0]
	if cap(list) > lookedAtOnce {
		list, places = nil, nil
	}
	*q = post{mailbox: q.mailbox, payload: payload, list: list, places: places, stored: q.stored}
	q.mailbox.posts.Put(q)
}
