package mailbox

import (
	"slices"
	"strings"

	"github.com/roostpush/roost/session"
)

// holds reports whether a message with that collapse key waits.
func (b *box) holds(collapse string) bool {
	return collapse != "" && slices.ContainsFunc(b.items, func(it item) bool { return it.collapse != nil && *it.collapse == collapse })
}

// keyOf returns a collapse key as items have it.
func keyOf(collapse string) *string {
	if collapse == "" {
		return nil
	}
	key := new(string) // collapse itself would be on the heap for every message
	*key = collapse
	return key
}

// insertLocked puts an item into the box, unless it is there. Of two with one collapse key
// the older is taken out.
func (s *shard) insertLocked(b *box, it item) {
	i, ok := b.find(b.id(&it))
	if ok {
		return
	}
	b.bytes += int(it.bytes)
	b.add(i, it)
	s.dueLocked(b, s.expiryLocked(it.expiresMS))
	if it.collapse == nil {
		return
	}
	newest := -1
	for j := len(b.items) - 1; j >= 0; j-- {
		if key := b.items[j].collapse; key == nil || *key != *it.collapse {
			continue
		}
		if newest < 0 {
			newest = j
			continue
		}
		s.mailbox.count.collapsed.Add(1)
		s.finishLocked(b, j, session.Cancelled)
	}
}

// tellLocked tells the item's watcher what it is now, if that is new.
func (s *shard) tellLocked(b *box, it *item, o session.Outcome) {
	if it.told == o {
		return
	}
	it.told = o
	if o == session.Queued { // of what was written the router knows more
		s.noteLocked(b, it, o)
	}
	if it.watched {
		s.mailbox.watches.tell(b.id(it), b.address.Device, o, false)
	}
}

// finishLocked takes an item out for good: the store hears of it, and its watcher. The
// caller releases the box.
func (s *shard) finishLocked(b *box, i int, o session.Outcome) {
	m, it := s.mailbox, b.items[i]
	id := b.id(&it)
	b.remove(i)
	m.waiting.Add(-1)
	m.waitingBytes.Add(-int64(it.bytes))
	m.count.outcomes[o].Add(1)
	s.noteLocked(b, &it, o)
	s.settleLocked(b, id, o)
	if it.watched {
		m.watches.tell(id, b.address.Device, o, true)
	}
	if it.moving {
		m.departure.ended(id, b.address, o)
	}
}

// settleLocked has the store settle a message of the device, and sees to it that what is
// being read from the store just now does not bring it back.
func (s *shard) settleLocked(b *box, id session.ID, o session.Outcome) {
	if !b.known && !s.mailbox.ofThisRun(id) {
		id.Node = strings.Clone(id.Node)
		u := b.unreadLocked()
		u.gone = append(u.gone, id)
	}
	nowMS := s.mailbox.now()
	s.recent[s.settled%recentFates] = recentFate{b.address.Device, id.Number, nowMS, s.mailbox.origins.number(id.Origin), o}
	s.settled++
	s.mailbox.store.Settle(b.address, id, o, nowMS)
}

// recentFates is how many settlements each shard remembers, for the store may need a moment
// to see them.
const recentFates = 64

// recentFate is what a message became for a device.
type recentFate struct {
	device  string
	number  session.MessageID
	atMS    int64
	origin  uint32
	outcome session.Outcome // Pending: there is none
}

// recentLocked puts into f what its device's message was settled with a moment ago.
func (s *shard) recentLocked(id session.ID, f *Fate) {
	origin, ok := s.mailbox.origins.find(id.Origin)
	for i := range s.recent {
		if r := &s.recent[i]; ok && r.number == id.Number && r.origin == origin && r.device == f.Device && r.outcome != session.Pending {
			f.Outcome, f.AtMS = r.outcome, r.atMS
			return
		}
	}
}
