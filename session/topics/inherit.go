package topics

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// What a home does with the windows of nodes that have left; see handover.go. Each is kept
// as its keeper had it, beside the own one, and asked as its keeper was: positions are of one
// keeper's order and mean nothing to another's. Like this a device is sent the same, and told
// the same of whether that is all, as if the node that has left still were there. What is in it
// grows old as it would have there, and the window goes with the last of it.

// inherited are those windows. Any goroutine may call any method.
type inherited struct {
	cfg WindowConfig

	mu    sync.Mutex
	nowMS int64
	list  []keptWindow // in the order in which the first of each came
}

// keepersMax bounds the processes whose windows are kept: as many as former sets of members
// are remembered, and a rolling restart of 60 nodes within Window.Age has.
const keepersMax = 64

// TakeMove keeps what a node that leaves hands over, which is borrowed, or refuses it, and
// says which.
func (b *Broker) TakeMove(from string, m *wire.TopicMove) {
	b.count.movesReceived.Add(1)
	taken, why := b.inherited.take(m)
	b.count.inherited.Add(uint64(taken))
	if why != "" {
		b.count.movesUntaken.Add(1)
	}
	a := wire.TopicMoved{Ref: m.Ref, Taken: why == "", Why: why}
	if h := b.departure.heirs; h == nil || !h.Send(from, wire.LinkTypeTopicMoved, wire.AppendTopicMoved(nil, &a)) {
		b.count.movesUnanswered.Add(1) // it is sent again
	}
}

// take keeps the messages of a frame that are not there yet. why names the limit for which it
// keeps none.
func (x *inherited) take(m *wire.TopicMove) (taken int, why string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i := slices.IndexFunc(x.list, func(k keptWindow) bool { return k.keeper == m.Keeper })
	size, topics := 0, 0
	for _, k := range x.list {
		s, n := k.window.measure()
		size, topics = size+s, topics+n
	}
	more := 0
	for j := range m.Messages {
		if i < 0 || !x.list[i].window.holds(m.Topic, m.Messages[j].Position) {
			more += retainedBytes + len(m.Messages[j].Payload) + len(m.Topic)
		}
	}
	switch {
	case more == 0: // its answer was lost
		return 0, ""
	case size+more > x.cfg.Bytes:
		return 0, fmt.Sprintf("topics.window.bytes: nodes that left have handed over as much as that (%d) already", x.cfg.Bytes)
	case topics >= x.cfg.Topics && (i < 0 || !x.list[i].window.has(m.Topic)):
		return 0, fmt.Sprintf("topics.window.topics: nodes that left have handed over as many as that (%d) already", x.cfg.Topics)
	case i < 0 && len(x.list) >= keepersMax:
		return 0, fmt.Sprintf("the windows of %d nodes that left are kept already", keepersMax)
	case i < 0:
		i = len(x.list)
		x.list = append(x.list, keptWindow{m.Keeper, &window{cfg: x.cfg, nowMS: x.nowMS}})
	}
	return x.list[i].window.inherit(m), ""
}

// inherit keeps messages of the window's keeper, each in its place, and returns how many were not
// there. m is borrowed.
func (w *window) inherit(m *wire.TopicMove) (taken int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone.pass(horizon{m.GoneElse.Position, m.GoneElse.SentMS})
	i, found := w.search(m.Topic)
	if !found {
		t := &track{topic: strings.Clone(m.Topic)}
		w.topics = slices.Insert(w.topics, i, t)
		w.link(t)
	}
	t := w.topics[i]
	t.gone.pass(horizon{m.Gone.Position, m.Gone.SentMS})
	for j := range m.Messages {
		k := &m.Messages[j]
		if t.holds(k.Position) || k.Position <= t.gone.position {
			continue // it is there, or was
		}
		at := t.behind(k.Position)
		r := &Retained{
			Origin:   k.ID.Origin,
			Message:  session.Message{ID: k.ID.Number, Kind: k.Kind, Payload: slices.Clone(k.Payload), SentMS: k.SentMS, Topic: t.topic},
			position: k.Position, atMS: w.nowMS - k.AgeMS,
		}
		t.messages = slices.Insert(t.messages, at, r)
		t.size += r.size()
		w.size += r.size()
		w.length++
		taken++
	}
	w.trim(t)
	return taken
}

// holds reports whether a message is there.
func (w *window) holds(topic string, position uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i, found := w.search(topic)
	return found && w.topics[i].holds(position)
}

func (t *track) holds(position uint64) bool {
	at := t.behind(position)
	return at > 0 && t.messages[at-1].position == position
}

// since appends what each window has.
func (x *inherited) since(list []Replay, patterns []string, id session.ID, most, bytesMost int) []Replay {
	for _, k := range x.appendAll(nil) {
		list = append(list, k.window.since(patterns, id, most, bytesMost))
	}
	return list
}

// has reports whether one of them has anything of a topic.
func (x *inherited) has(topic string) bool {
	return slices.ContainsFunc(x.appendAll(nil), func(k keptWindow) bool { return k.window.has(topic) })
}

// appendAll appends the windows.
func (x *inherited) appendAll(dst []keptWindow) []keptWindow {
	x.mu.Lock()
	defer x.mu.Unlock()
	return append(dst, x.list...)
}

// tick forgets what is too old.
func (x *inherited) tick(nowMS int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.nowMS = max(x.nowMS, nowMS)
	x.list = slices.DeleteFunc(x.list, func(k keptWindow) bool {
		k.window.tick(nowMS)
		_, topics := k.window.measure()
		return topics == 0
	})
}

// len is how many messages there are.
func (x *inherited) len() (n int) {
	for _, k := range x.appendAll(nil) {
		n += k.window.len()
	}
	return n
}
