package mailbox

import (
	"sync"

	"github.com/roostpush/roost/session"
)

// watchShards spreads the watchers over locks.
const watchShards = 16

// watches knows who wants to hear of which message. It is called with a shard locked, so
// that the outcomes of a device are told in order.
type watches struct {
	shards [watchShards]struct {
		mu sync.Mutex
		of map[session.ID]watch
		_  [48]byte // a cache line for each
	}
}

// watch is one watcher.
type watch struct {
	watcher Watcher
	left    int // devices without a final outcome
}

// add has w hear of a message for so many devices.
func (ws *watches) add(id session.ID, w Watcher, devices int) {
	s := &ws.shards[id.Number%watchShards]
	s.mu.Lock()
	if s.of == nil {
		s.of = make(map[session.ID]watch)
	}
	s.of[id] = watch{w, devices}
	s.mu.Unlock()
}

// tell tells the watcher of the message, if it has one, what it is now.
func (ws *watches) tell(id session.ID, device string, o session.Outcome, final bool) {
	s := &ws.shards[id.Number%watchShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.of[id]
	if !ok {
		return
	}
	w.watcher.Became(id, device, o)
	if !final {
		return
	}
	if w.left--; w.left == 0 {
		delete(s.of, id)
	} else {
		s.of[id] = w
	}
}

// remove ends it: when remove has returned, the watcher is not called any more.
func (ws *watches) remove(id session.ID) {
	s := &ws.shards[id.Number%watchShards]
	s.mu.Lock()
	delete(s.of, id)
	s.mu.Unlock()
}

// count returns how many messages are watched.
func (ws *watches) count() (n int) {
	for i := range ws.shards {
		s := &ws.shards[i]
		s.mu.Lock()
		n += len(s.of)
		s.mu.Unlock()
	}
	return n
}
