package mailbox

import (
	"slices"

	"github.com/roostpush/roost/session"
)

// item is a message that waits for one device, without what only the store has.
type item struct {
	number    session.MessageID
	expiresMS int64             // by the wall clock, as everybody means it
	sentOn    uint64            // version of the session it was last sent to; 0: of none, or in vain
	writtenMS int64             // when it was written last, by the steady clock
	writtenAt session.MessageID // the id that was next when that session's kernel had it; from underWay on: the attempt by which it goes there; 0: neither
	collapse  *string           // nil: none
	origin    uint32            // number of its maker
	bytes     uint32            // of its payload; 0 until known
	priority  session.Priority
	told      session.Outcome // Queued or Written; Pending: neither yet
	first     bool            // the first device's ack takes it from the account's others
	watched   bool            // somebody may want to hear what becomes of it
	passed    bool            // it has gone to that session so long ago that the window does not count it any more
	traced    bool            // it came with a traceparent
	moving    bool            // the node leaves, and has sent it to its new home; see handover.go
	known     bool            // all of this is true; otherwise only number, origin, expiry and collapse are
}

// underWay is added to the number of an attempt. Sessions alone would not tell attempts apart:
// of two sessions with one version now this one and now that one may seem to be the device's.
const underWay = 1 << 63

// isWritten reports whether the kernel of the session it was last sent to has the item.
func (it *item) isWritten() bool { return it.writtenAt != 0 && it.writtenAt < underWay }

// box is what waits for one device. It is guarded by its shard's mutex, but for address,
// which stays as it is while anybody has a hold on the box: pending, working or due.
type box struct {
	shard *shard // never changes, though a box begins anew for another device
	contents
}

// contents is what changes of a box. What every message needs comes first: with shard it is
// two lines of the processor's cache, which knows none of a box when it is needed.
type contents struct {
	items   []item // in the order of ids
	version uint64 // of the session the device is believed to have; 0: of none
	bytes   int    // payloads of items and of pending
	life    uint32 // counts how often the box began anew for a device
	unsent  int32  // items that have not gone to that session
	pending int32  // messages that are being stored
	known   bool   // items is all that the store holds, and all of each; see learn.go
	working bool   // a worker reads for it, or it waits for one or for its turn
	due     bool   // Tick is about to look at it
	tries   uint8  // attempts in a row that failed although the device was there

	newest        session.MessageID // no item comes after this one, which may be gone
	newestOrigin  uint32            // number of its maker
	inFlight      int32             // items that have gone to that session, and count against the window
	inFlightBytes int               // and their payloads
	patienceMS    int64             // no item passes before that, by the steady clock; 0: none can be said to
	retryMS       int64             // until when nothing is sent after failed attempts, by the steady clock; 0: no such pause
	dueMS         int64             // when to look at it next, by the steady clock; see wheel.go
	slot          **box
	prev, next    *box

	address session.Address
	hash    uint64  // of the address, if there is a Hasher
	done    func()  // ends its turn
	unread  *unread // nil once known, and before there is need
}

// unread is what is remembered of messages that may be in the store and are not known yet.
type unread struct {
	early []session.ID // acked
	gone  []session.ID // settled, so that reading must not bring them back
	asked []*question  // who wants to hear when they are known; some are answered
}

// owes reports whether somebody waits for the box to be known: acks, or questions.
func (b *box) owes() bool {
	return b.unread != nil && len(b.unread.early)+len(b.unread.asked) > 0
}

// early returns the acks of messages that are not known yet.
func (b *box) early() []session.ID {
	if b.unread == nil {
		return nil
	}
	return b.unread.early
}

// isGone reports whether the message, of before the start, was settled since.
func (b *box) isGone(id session.ID) bool {
	return b.unread != nil && slices.Contains(b.unread.gone, id)
}

// unreadLocked returns what is remembered, to be added to.
func (b *box) unreadLocked() *unread {
	if b.unread == nil {
		b.unread = &unread{}
	}
	return b.unread
}

// id returns the id of an item.
func (b *box) id(it *item) session.ID {
	return session.ID{Origin: b.shard.mailbox.origins.all()[it.origin], Number: it.number}
}

// find returns the place of the message, or where it would be.
func (b *box) find(id session.ID) (i int, ok bool) {
	n := len(b.items)
	if n == 0 {
		return 0, false
	}
	all := b.shard.mailbox.origins.all()
	if compareIDs(session.ID{Origin: all[b.newestOrigin], Number: b.newest}, id) < 0 {
		return n, false // nearly all that come, and no item had to be looked at
	}
	if b.id(&b.items[n-1]) == id {
		return n - 1, true
	}
	return slices.BinarySearchFunc(b.items, id, func(it item, id session.ID) int {
		return compareIDs(session.ID{Origin: all[it.origin], Number: it.number}, id)
	})
}

// has reports whether the item has gone to the session of now.
func (b *box) has(it *item) bool { return b.version != 0 && it.sentOn == b.version }

// add puts an item that was never sent at its place.
func (b *box) add(i int, it item) {
	if i == len(b.items) {
		b.newest, b.newestOrigin = it.number, it.origin
	}
	b.items = slices.Insert(b.items, i, it)
	b.unsent++
}

// remove takes an item out.
func (b *box) remove(i int) {
	it := &b.items[i]
	b.leave(it)
	b.unsent--
	b.bytes -= int(it.bytes)
	if i == 0 && len(b.items) > 64 { // a long queue is taken from its front
		b.items[0] = item{}
		b.items = b.items[1:]
		return
	}
	b.items = slices.Delete(b.items, i, i+1)
}

// send notes that the item goes to the session of now, by that attempt.
func (b *box) send(it *item, number session.MessageID) {
	it.sentOn, it.writtenAt, it.passed = b.version, number, false
	b.unsent--
	b.inFlight++
	b.inFlightBytes += int(it.bytes)
}

// leave notes that the item has not gone to any session.
func (b *box) leave(it *item) {
	if b.has(it) {
		b.unsent++
		b.uncount(it)
	}
	it.sentOn, it.writtenAt, it.passed = 0, 0, false
}

// uncount takes an item that has gone to the session of now out of the window.
func (b *box) uncount(it *item) {
	if !it.passed {
		b.inFlight--
		b.inFlightBytes -= int(it.bytes)
	}
}

// written notes that the kernel has the item.
func (b *box) written(it *item, next session.MessageID, steadyMS int64) {
	it.writtenAt, it.writtenMS = next, steadyMS
	if b.patienceMS == 0 {
		b.patienceMS = steadyMS + int64(b.shard.mailbox.cfg.WindowPatienceMS)
	}
}

// pass lets those go out of the window that the device has had for long without an ack: a
// client that only listens acknowledges nothing until it comes back, and one that forgot to
// must not keep out what comes after. They are not sent to this session again.
func (b *box) pass(steadyMS int64) {
	if b.patienceMS == 0 || steadyMS < b.patienceMS {
		return
	}
	b.patienceMS = 0
	for i := range b.items {
		it := &b.items[i]
		if !b.has(it) || it.passed || !it.isWritten() {
			continue
		}
		at := it.writtenMS + int64(b.shard.mailbox.cfg.WindowPatienceMS)
		if at <= steadyMS {
			b.shard.mailbox.count.passed.Add(1)
			b.uncount(it)
			it.passed = true
		} else if b.patienceMS == 0 || at < b.patienceMS {
			b.patienceMS = at
		}
	}
}

// sees notes which session the device has; 0 is none.
func (b *box) sees(version uint64) {
	if b.version == version {
		return
	}
	b.version, b.unsent, b.inFlight, b.inFlightBytes = version, 0, 0, 0
	for i := range b.items {
		switch it := &b.items[i]; {
		case !b.has(it):
			b.unsent++
		case !it.passed:
			b.inFlight++
			b.inFlightBytes += int(it.bytes)
		}
	}
}

// run is a stretch of items to be sent one after another.
type run struct {
	at, n    int
	priority session.Priority
}

// nextRun returns what is to be sent next, in the order high, normal, low and within each
// in the order of ids, as far as the window has room. n is 0 if there is nothing.
func (b *box) nextRun(nowMS int64, cfg *Config) (r run) {
	if b.version == 0 || b.unsent == 0 || b.retryMS != 0 {
		return run{}
	}
	for _, p := range [...]session.Priority{session.PriorityHigh, session.PriorityNormal, session.PriorityLow} {
		for i := range b.items {
			if b.sendable(&b.items[i], p, nowMS) {
				return run{i, b.stretch(i, p, nowMS, cfg), p}
			}
		}
	}
	return run{}
}

// sendable reports whether the item is to be sent to the session of now.
func (b *box) sendable(it *item, p session.Priority, nowMS int64) bool {
	return it.priority == p && !b.has(it) && it.expiresMS > nowMS
}

// stretch counts the items from i on that can go together.
func (b *box) stretch(i int, p session.Priority, nowMS int64, cfg *Config) (n int) {
	messages, bytes := int(b.inFlight), b.inFlightBytes
	for ; i+n < len(b.items); n++ {
		it := &b.items[i+n]
		full := messages >= cfg.WindowMessages || messages > 0 && bytes+int(it.bytes) > cfg.WindowBytes
		if full || !b.sendable(it, p, nowMS) {
			break
		}
		messages++
		bytes += int(it.bytes)
	}
	return n
}

// room reports whether the window has room for the item.
func (b *box) room(it *item, cfg *Config) bool {
	return b.inFlight == 0 ||
		int(b.inFlight) < cfg.WindowMessages && b.inFlightBytes+int(it.bytes) <= cfg.WindowBytes
}

// earliest returns when the box is to be looked at next, for expiry or a retry, by the
// steady clock; ok is false if never.
func (b *box) earliest() (dueMS int64, ok bool) {
	dueMS, ok = b.retryMS, b.retryMS != 0
	for i := range b.items {
		if e := b.shard.expiryLocked(b.items[i].expiresMS); !ok || e < dueMS {
			dueMS, ok = e, true
		}
	}
	return dueMS, ok
}
