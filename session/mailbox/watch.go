package mailbox

import (
	"slices"
	"sync"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
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

// removeOf ends the watching of a message if its watcher is so, and reports whether it was: when
// removeOf has returned, tell does not call it any more.
func (ws *watches) removeOf(id session.ID, which func(Watcher) bool) bool {
	s := &ws.shards[id.Number%watchShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.of[id]
	if ok = ok && which(w.watcher); ok {
		delete(s.of, id)
	}
	return ok
}

// remove ends it, whoever the watcher is.
func (ws *watches) remove(id session.ID) {
	ws.removeOf(id, func(Watcher) bool { return true })
}

// removeAll ends the watching by all watchers that are so, and returns of how many messages.
func (ws *watches) removeAll(which func(Watcher) bool) (n int) {
	for i := range ws.shards {
		s := &ws.shards[i]
		s.mu.Lock()
		for id, w := range s.of {
			if which(w.watcher) {
				delete(s.of, id)
				n++
			}
		}
		s.mu.Unlock()
	}
	return n
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

// watchedMail is a message that another node keeps and somebody here waits for the outcome of.
type watchedMail struct {
	watcher  Watcher
	node     string       // that keeps it
	left     int          // devices without a final outcome
	ended    []string     // the others: of a push that came again two watches tell the same
	unheedMS int64        // from when on nothing more can come, by SteadyMS: it has expired, and that was told or lost
	before   *watchedMail // who waits for the same message since before, of a push that came again; nil: nobody
}

// tell tells those who wait what the message is now for a device, and returns those who wait on; nil
// when nobody does.
func (w *watchedMail) tell(id session.ID, device string, o session.Outcome) *watchedMail {
	if w == nil {
		return nil
	}
	w.before = w.before.tell(id, device, o)
	if slices.Contains(w.ended, device) {
		return w
	}
	w.watcher.Became(id, device, o)
	if o == session.Queued || o == session.Written || o == session.Overloaded {
		return w
	}
	if w.left--; w.left <= 0 {
		return w.before
	}
	w.ended = append(w.ended, device)
	return w
}

// without returns those who wait but for one; nil when nobody else does.
func (w *watchedMail) without(watcher Watcher) *watchedMail {
	switch {
	case w == nil:
		return nil
	case w.watcher == watcher:
		return w.before
	}
	w.before = w.before.without(watcher)
	return w
}

// unwatchThere tells the keeper of a message that nobody here listens any more. Without a link
// there is no need, since the keeper has stopped with that; without room it tells until the message
// ends.
func (m *Homes) unwatchThere(node string, id session.ID) {
	var room [256]byte
	if !m.ports.Links.Send(node, wire.LinkTypeMailUnwatch, wire.AppendMailUnwatch(room[:0], &wire.MailUnwatch{ID: id})) {
		m.count.unwatchesLost.Add(1)
	}
}

// Unwatched is another node's word that nobody there listens any more.
func (m *Homes) Unwatched(from string, u *wire.MailUnwatch) {
	if m.box.watches.removeOf(u.ID, func(w Watcher) bool { t, ok := w.(*teller); return ok && t.node == from }) {
		m.count.unwatched.Add(1)
	}
}

// unwatchAll ends the watching between this node and one that it is not linked to any more.
func (m *Homes) unwatchAll(node string) {
	n := m.box.watches.removeAll(func(w Watcher) bool { t, ok := w.(*teller); return ok && t.node == node })
	m.count.unwatched.Add(uint64(n))
	m.endWatches(func(w *watchedMail) bool { return w.node == node })
}

// unwatchOld forgets messages that have expired and whose last word was lost.
func (m *Homes) unwatchOld(steadyMS int64) {
	if steadyMS-m.sweptMS < watchSweepMS {
		return
	}
	m.sweptMS = steadyMS
	m.endWatches(func(w *watchedMail) bool { return w.unheedMS <= steadyMS })
}

// watchSweepMS is the time between two looks for such messages.
const watchSweepMS = 1000

func (m *Homes) endWatches(which func(*watchedMail) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, w := range m.watched {
		if which(w) {
			delete(m.watched, id)
			m.count.watchesEnded.Add(1)
		}
	}
}
