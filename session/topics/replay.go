package topics

import (
	"slices"
	"strings"
	"sync"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// A subscribe frame with since, in order:
//
//	replaySince  on the loop: the session waits at its topics, and what is published to
//	             them from now on is held back for it
//	look         Run: what came after that message is asked for at other nodes
//	gather       Run, once they have answered: it is looked up here as well, and put together
//	finish       it is sent, then what was held back, then the result; and in the moment in
//	             which nothing is held back any more the session becomes a subscriber
//
// A message is kept in the window before its subscribers are looked for, so it is in the
// window when that is read, or held back, or sent to a subscriber: perhaps twice, never
// not at all.

// replay is one such frame.
type replay struct {
	broker   *Broker
	session  *session.Session
	ref      []byte
	since    session.ID
	verdicts []verdict
	patterns []string // those that were not refused

	answered bool     // by the other nodes; this and what follows is Run's
	answers  []Replay // what they have
	lacking  bool     // one of them did not say

	awaits   []*entry // in which it waits; of the subscriptions' lock, as verdicts are from here on
	narrowed bool     // a new token does not permit all of it

	mu       sync.Mutex
	held     []*Retained
	heldSize int
	lost     bool // what was held back was too much
}

// replaySince begins. It appends an error if since is no id of a message.
func (b *Broker) replaySince(dst []byte, s *session.Session, f *wire.DeviceFrame) []byte {
	id, ok := session.ParseMessageID(wire.Borrow(f.Since))
	if !ok {
		b.count.malformed.Add(1)
		return wire.AppendError(dst, f.Ref, wire.CodeValue, "since is not the id of a message, as a message frame has it")
	}
	id.Node = strings.Clone(id.Node)
	r := &replay{broker: b, session: s, ref: slices.Clone(f.Ref), since: id}
	full := !b.beginAnswer()
	b.subs.mu.Lock()
	for _, pattern := range f.Topics {
		v := verdict{strings.Clone(wire.Borrow(pattern)), session.Overloaded}
		if !full {
			v.refused = b.subs.awaitLocked(r, v.pattern)
		}
		r.verdicts = append(r.verdicts, v)
		if v.refused == session.Pending {
			r.patterns = append(r.patterns, v.pattern)
		}
	}
	b.subs.mu.Unlock()
	if len(r.patterns) == 0 {
		if !full {
			b.count.replaying.Add(-1)
		}
		return b.appendVerdicts(dst, r.ref, r.verdicts, nil)
	}
	b.count.replays.Add(1)
	b.asked <- r // there is room for all that are counted
	return dst
}

// awaitLocked makes a session wait to become a subscriber; Pending says that it does, or
// is one.
func (x *subscriptions) awaitLocked(r *replay, pattern string) session.Outcome {
	h, refused := x.admitLocked(r.session, pattern)
	if refused != session.Pending {
		return refused
	}
	if !slices.Contains(h.replays, r) {
		h.replays = append(h.replays, r)
	}
	if h.find(pattern) >= 0 {
		return session.Pending
	}
	e := x.entryLocked(pattern)
	if e.awaiting == nil {
		e.awaiting = map[*replay]struct{}{}
	}
	if _, there := e.awaiting[r]; !there {
		e.awaiting[r] = struct{}{}
		r.awaits = append(r.awaits, e)
	}
	return session.Pending
}

// withdrawLocked ends the waiting at one pattern; false: it did not wait there.
func (x *subscriptions) withdrawLocked(r *replay, pattern string) bool {
	i := slices.IndexFunc(r.awaits, func(e *entry) bool { return e.pattern == pattern })
	if i < 0 {
		return false
	}
	e := r.awaits[i]
	r.awaits = slices.Delete(r.awaits, i, i+1)
	delete(e.awaiting, r)
	x.endLocked(e)
	return true
}

// narrowLocked ends the waiting at what a new token does not permit, and has the result say so.
func (x *subscriptions) narrowLocked(r *replay, permitted []string) (ended int) {
	for i := range r.verdicts {
		v := &r.verdicts[i]
		if v.refused != session.Pending || coversAny(permitted, v.pattern) {
			continue
		}
		v.refused, r.narrowed = session.Forbidden, true
		if x.withdrawLocked(r, v.pattern) {
			ended++
		}
	}
	return ended
}

// mayHave reports whether a session may still be sent what was published to a topic that it
// asked for.
func (x *subscriptions) mayHave(r *replay, topic string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return !r.narrowed || slices.ContainsFunc(r.verdicts, func(v verdict) bool {
		return v.refused == session.Pending && Covers(v.pattern, topic)
	})
}

// dropLocked ends the waiting of a session that is over.
func (x *subscriptions) dropLocked(r *replay) {
	for _, e := range r.awaits {
		delete(e.awaiting, r)
		x.endLocked(e)
	}
	r.awaits = nil
}

// joinAwaitedLocked makes a session that waited a subscriber, unless it is over.
func (x *subscriptions) joinAwaitedLocked(r *replay) {
	h := x.holders[r.session]
	if h == nil {
		return
	}
	h.replays = slices.DeleteFunc(h.replays, func(other *replay) bool { return other == r })
	for _, e := range r.awaits {
		x.joinLocked(r.session, h, e.pattern)
		delete(e.awaiting, r)
		x.endLocked(e)
	}
	r.awaits = nil
	x.releaseLocked(r.session, h)
}

// hold keeps a message back, and the newest if that is too much. Any goroutine.
func (r *replay) hold(m *Retained) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = append(r.held, m)
	r.heldSize += m.size()
	cfg, n := &r.broker.cfg, 0
	for len(r.held)-n > cfg.ReplayMessagesMax || r.heldSize > cfg.ReplayBytesMax {
		r.heldSize -= r.held[n].size()
		n++
	}
	if n > 0 {
		r.held = slices.Delete(r.held, 0, n)
		r.lost = true
		r.broker.count.heldDropped.Add(uint64(n))
	}
}

// take returns what is held back.
func (r *replay) take() (held []*Retained) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held, r.held, r.heldSize = r.held, nil, 0
	return held
}

// work goes on with a frame.
func (b *Broker) work(r *replay) {
	switch {
	case b.others == nil:
		b.finish(r, b.Since(r.patterns, r.since))
	case r.answered:
		b.finish(r, b.gather(r))
	default:
		b.look(r)
	}
}

// look asks other nodes what came after the message. Whoever answers last may be the reader of
// a link, which has others to serve: what is to be done then is done by Run.
func (b *Broker) look(r *replay) {
	b.others.Ask(r.patterns, r.since, func(list []Replay, lacking bool) {
		r.answered, r.answers, r.lacking = true, list, lacking
		b.asked <- r // there is room still for all that are counted
	})
}

// gather makes one of what the other nodes have and this one.
func (b *Broker) gather(r *replay) Replay {
	list := r.answers
	if own := b.own(r.patterns); len(own) > 0 {
		list = append(list, b.Since(own, r.since))
	}
	p := merge(list)
	p.Complete = p.Complete && !r.lacking
	if p.cut(b.cfg.ReplayMessagesMax, b.cfg.ReplayBytesMax) {
		p.Complete = false
	}
	return p
}

// own returns the patterns of which this node may keep something: it is their home, or was, or
// a node that was has left it to this one.
func (b *Broker) own(patterns []string) (own []string) {
	for _, pattern := range patterns {
		if strings.HasSuffix(pattern, wildcard) || b.isHome(pattern) || b.window.has(pattern) || b.inherited.has(pattern) {
			own = append(own, pattern)
		}
	}
	return own
}

// Since returns what this node keeps of topics since a message: in its own window, and in those
// that nodes which have left handed over. It may look at all that is kept, so it is not for loops.
func (b *Broker) Since(patterns []string, id session.ID) Replay {
	most, bytesMost := b.cfg.ReplayMessagesMax, b.cfg.ReplayBytesMax
	var room [4]Replay
	list := append(room[:0], b.window.since(patterns, id, most, bytesMost))
	p := merge(b.inherited.since(list, patterns, id, most, bytesMost))
	if p.cut(most, bytesMost) {
		p.Complete = false
	}
	return p
}

// finish sends what came since, and has the session be a subscriber.
func (b *Broker) finish(r *replay, p Replay) {
	var buffer []byte
	sent := make(map[session.ID]struct{}, len(p.Messages))
	put := func(list []*Retained) {
		for _, m := range list {
			id := session.ID{Origin: m.Origin, Number: m.ID}
			if _, twice := sent[id]; twice || !b.subs.mayHave(r, m.Topic) {
				continue
			}
			sent[id] = struct{}{}
			var op netpoll.Op
			op, buffer = appendMessage(buffer[:0], r.session.Permissions, m)
			b.sockets.Send(netpoll.ConnID(r.session.Conn), op, buffer, b, 0)
		}
	}
	put(p.Messages)
	for !b.end(r, p.Complete) {
		put(r.take())
	}
	b.count.replayed.Add(uint64(len(sent)))
	b.count.replaying.Add(-1)
}

// appendMessage encodes a message as those who subscribe get it: in roost.v1 or as an event, since
// roost.raw has nothing to subscribe with.
func appendMessage(dst []byte, p session.Permissions, m *Retained) (netpoll.Op, []byte) {
	frame := wire.AppendMessage(dst, m.Origin, &m.Message)
	if p&session.SSE == 0 {
		return netpoll.OpText, frame
	}
	var room [session.IDBytesMax]byte
	n := len(frame)
	return netpoll.OpEvent, netpoll.AppendEvent(frame, "", m.Origin.Append(room[:0], uint64(m.ID)), frame)[n:]
}

// answerOf makes an answer what the session reads. An event stream names nothing to answer
// to, so that what it is told is an error.
func answerOf(s *session.Session, answer []byte) (netpoll.Op, []byte) {
	if s.Permissions&session.SSE == 0 {
		return netpoll.OpText, answer
	}
	return netpoll.OpEvent, netpoll.AppendEvent(nil, wire.ServerError.String(), nil, answer)
}

// end sends the result and makes the session a subscriber, unless something is held back.
// It does so with the lock held: nobody can publish to the session before the result is on
// its way, and nothing that the result does not know can be lost. Send does not block.
func (b *Broker) end(r *replay, complete bool) bool {
	b.subs.mu.Lock()
	defer b.subs.mu.Unlock()
	r.mu.Lock()
	more := len(r.held) > 0
	info := wire.ReplayInfo{Complete: complete && !r.lost}
	r.mu.Unlock()
	if more {
		return false
	}
	b.subs.joinAwaitedLocked(r)
	if !info.Complete {
		b.count.incomplete.Add(1)
	}
	if answer := b.appendVerdicts(nil, r.ref, r.verdicts, &info); len(answer) > 0 {
		op, answer := answerOf(r.session, answer)
		b.sockets.Send(netpoll.ConnID(r.session.Conn), op, answer, b, 0)
	}
	return true
}

// Sent counts what was sent again and did not get there (netpoll.Receipt).
func (b *Broker) Sent(_ uint64, res netpoll.Result) {
	if res != netpoll.ResultWritten {
		b.count.replayLost.Add(1)
	}
}
