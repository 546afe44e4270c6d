package topics

import "github.com/roostpush/roost/session/wire"

// changes notes in order which entries have come and gone, for who tells other nodes.
type changes struct {
	list  []wire.InterestChange
	whole bool          // more than are worth a list: the whole is to be told
	wake  chan struct{} // nil: there is nobody to tell
}

// changesMax is the length of a list from which on telling the whole is as good.
const changesMax = 64 << 10

// note is called with the lock of the subscriptions held.
func (c *changes) note(pattern string, lost bool) {
	if c.wake == nil {
		return
	}
	if len(c.list) >= changesMax {
		c.list, c.whole = nil, true
	}
	if !c.whole {
		c.list = append(c.list, wire.InterestChange{Pattern: pattern, Lost: lost})
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Changed receives a value when this node's subscribers have come to topics that had none,
// or left some without any. It is nil where there is nobody to tell.
func (b *Broker) Changed() <-chan struct{} { return b.subs.changes.wake }

// TakeChanges appends what has changed since it was called last, in order. whole says that
// this is not all: AppendInterest has it. One goroutine at a time may call it.
func (b *Broker) TakeChanges(dst []wire.InterestChange) (list []wire.InterestChange, whole bool) {
	b.subs.mu.Lock()
	defer b.subs.mu.Unlock()
	c := &b.subs.changes
	list, whole = append(dst, c.list...), c.whole
	clear(c.list)
	c.list, c.whole = c.list[:0], false
	if cap(c.list) > changesKept {
		c.list = nil
	}
	return list, whole
}

// changesKept is the size up to which the list is used again.
const changesKept = 1024

// AppendInterest appends all topics and patterns that have a subscriber here.
func (b *Broker) AppendInterest(dst []wire.InterestChange) []wire.InterestChange {
	b.subs.mu.RLock()
	defer b.subs.mu.RUnlock()
	for _, e := range b.subs.entries {
		dst = append(dst, wire.InterestChange{Pattern: e.pattern})
	}
	return dst
}
