package topics

import (
	"strings"
	"sync"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// How a node that leaves for good hands over what it keeps of topics, to the homes that they
// have then. Its own part is here, that of a home in inherit.go.
//
//  1. Leave begins: this node is no topic's home any more. A pass goes through its own window,
//     and through those that it was handed itself;
//  2. of each topic the messages are sent to its home in order, in frames of moveMessages and
//     moveBytes, while no more than Window.MoveBytes wait for an answer;
//  3. the home keeps them and says topic_moved. Here they stay, and are sent again to who asks,
//     until the process ends: whoever gets a message from both sees by its id that it is one;
//  4. what a home refuses, or does not answer for, the next pass sends again, and also what was
//     published here meanwhile, by those who have not heard that this node leaves, and what
//     has another home by then.
//
// A message has the position at which it was kept first, wherever it goes: so a home that gets
// it twice, or in another order, has each once and in its place.

// Heirs are the nodes that windows are handed over to. None of the methods blocks, and any
// goroutine may call them.
type Heirs interface {
	// Heir names the node that is the home of a topic now. It is empty if nobody can take
	// the topic: this node is the only one, or that node speaks an older version.
	Heir(topic string) (node string)
	// Send queues a frame for a node; false: there is no link, or no room. The body is borrowed.
	Send(node string, t wire.LinkType, body []byte) bool
}

// What one frame holds at most, but for one message that is larger: well below any
// peer.frame_bytes_max.
const (
	moveMessages = wire.TopicMoveMax
	moveBytes    = 32 << 10
)

// departure is the hand-over of a node that leaves.
type departure struct {
	broker *Broker
	heirs  Heirs // nil: there are no other nodes
	self   session.Origin

	mu      sync.Mutex
	leaving bool
	ref     uint64
	flying  map[uint64]*move // whose answer is awaited
	bytes   int              // of them
	nowMS   int64            // of the last tick
	why     string           // the last refusal, for people
	closed  map[string]bool  // homes that take nothing more in this pass

	// Where this pass is.
	windows []keptWindow // that are still to be gone through; nil: there is no pass
	topic   string       // in the first of them
}

// keptWindow is a window, and the process that it is of.
type keptWindow struct {
	keeper session.Origin
	window *window
}

// move is a frame that was sent to a home, which may have it.
type move struct {
	window     *window
	topic      string
	node       string
	from       uint64 // the position behind which its messages begin
	messages   int
	bytes      int
	deadlineMS int64
}

// portion is what of a topic is sent in one frame.
type portion struct {
	node     string
	from     uint64
	topic    string
	gone     horizon
	goneElse horizon
	messages []*Retained
	size     int
	ages     []int64
}

// AttachHeirs gives the broker those it can leave its windows to; self is this process. It comes
// before anything else is called.
func (b *Broker) AttachHeirs(self session.Origin, heirs Heirs) {
	b.departure.self, b.departure.heirs = self, heirs
}

// Leave has this node hand over what it keeps of topics, or begins another pass at once if it
// does so already. From the first call on Heir must name others. Tick goes on with it.
func (b *Broker) Leave() {
	d := &b.departure
	if d.heirs == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leaving = true
	if d.windows == nil {
		d.goOnLocked(true)
	}
}

// Left is how many messages of topics are still to be taken by a home, and how many stay,
// since nobody can take them; both 0 after Leave says that all is handed over. why is the
// last reason for which a home took none.
func (b *Broker) Left() (messages, stay int, why string) {
	d := &b.departure
	if d.heirs == nil {
		return 0, b.window.len() + b.inherited.len(), ""
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.all() {
		left, nobodys := w.window.left(d.heirs.Heir)
		messages, stay = messages+left, stay+nobodys
	}
	for _, v := range d.flying {
		messages += v.messages
	}
	return messages, stay, d.why
}

// all are this node's windows: its own, and those that it was handed.
func (d *departure) all() []keptWindow {
	return d.broker.inherited.appendAll([]keptWindow{{d.self, &d.broker.window}})
}

// tick stops waiting for answers that are late, and begins the next pass.
func (d *departure) tick(nowMS int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.nowMS = nowMS
	if !d.leaving {
		return
	}
	for ref, v := range d.flying {
		if v.deadlineMS <= nowMS {
			d.landLocked(ref, v)
			v.window.unsend(v.topic, v.node, v.from)
			d.broker.count.movesUnsure.Add(1)
		}
	}
	d.goOnLocked(d.windows == nil)
}

// unlinked has all that a node was sent be sent again: it may be another process when it is back.
func (d *departure) unlinked(node string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.leaving {
		return
	}
	for ref, v := range d.flying {
		if v.node == node {
			d.landLocked(ref, v)
			d.broker.count.movesUnsure.Add(1)
		}
	}
	for _, w := range d.all() {
		w.window.unsendAll(node)
	}
}

func (d *departure) landLocked(ref uint64, v *move) {
	delete(d.flying, ref)
	d.bytes -= v.bytes
}

// goOnLocked sends what there is room for. begin begins a pass; otherwise it goes on with the one
// that is under way, if any.
func (d *departure) goOnLocked(begin bool) {
	if begin {
		d.windows, d.topic, d.closed = d.all(), "", map[string]bool{}
	}
	heir := func(topic string) string {
		if node := d.heirs.Heir(topic); !d.closed[node] {
			return node
		}
		return ""
	}
	for len(d.windows) > 0 && d.bytes < d.broker.cfg.Window.MoveBytes {
		w := d.windows[0]
		p := w.window.portion(d.topic, heir)
		if p.messages == nil {
			d.windows, d.topic = d.windows[1:], ""
			continue
		}
		d.topic = p.topic
		if !d.sendLocked(w, &p) {
			w.window.unsend(p.topic, p.node, p.from)
			d.closed[p.node] = true
		}
	}
	if len(d.windows) == 0 {
		d.windows = nil
	}
}

// sendLocked sends a portion; false: its home takes nothing now.
func (d *departure) sendLocked(w keptWindow, p *portion) bool {
	d.ref++
	f := wire.TopicMove{Ref: d.ref, Keeper: w.keeper, Gone: wire.TopicGone{Position: p.gone.position, SentMS: p.gone.sentMS},
		GoneElse: wire.TopicGone{Position: p.goneElse.position, SentMS: p.goneElse.sentMS}, Topic: p.topic}
	for i, r := range p.messages {
		f.Messages = append(f.Messages, wire.TopicKept{ID: session.ID{Origin: r.Origin, Number: r.ID}, Kind: r.Kind, Position: r.position,
			SentMS: r.SentMS, AgeMS: p.ages[i], Payload: r.Payload})
	}
	if !d.heirs.Send(p.node, wire.LinkTypeTopicMove, wire.AppendTopicMove(make([]byte, 0, p.size+len(p.topic)+256), &f)) {
		return false
	}
	d.flying[d.ref] = &move{window: w.window, topic: p.topic, node: p.node, from: p.from, messages: len(p.messages), bytes: p.size,
		deadlineMS: d.nowMS + d.broker.cfg.AskTimeout.Milliseconds()}
	d.bytes += p.size
	d.broker.count.movesSent.Add(1)
	return true
}

// Moved is the answer of a home, borrowed.
func (b *Broker) Moved(a *wire.TopicMoved) {
	d := &b.departure
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.flying[a.Ref]
	if v == nil {
		b.count.movesLate.Add(1)
		return
	}
	d.landLocked(a.Ref, v)
	if a.Taken {
		b.count.moved.Add(uint64(v.messages))
	} else {
		b.count.movesRefused.Add(1)
		d.why = v.node + ": " + strings.Clone(a.Why)
		d.closed[v.node] = true
		v.window.unsend(v.topic, v.node, v.from)
	}
	d.goOnLocked(false)
}

// portion returns the first messages, of the first topic from one on, that were not sent to its
// heir of now yet, and takes them for sent. Its messages are nil if there is none. heir is
// called with the window locked.
func (w *window) portion(topic string, heir func(topic string) string) (p portion) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i, _ := w.search(topic)
	for _, t := range w.topics[i:] {
		p.node = heir(t.topic)
		if p.node == "" {
			continue
		}
		if t.heir != p.node {
			t.heir, t.sent = p.node, 0
		}
		w.trim(t)
		first := t.behind(t.sent)
		if first == len(t.messages) {
			continue
		}
		p.topic, p.from, p.gone, p.goneElse = t.topic, t.sent, t.gone, w.gone
		for _, r := range t.messages[first:] {
			if len(p.messages) == moveMessages || len(p.messages) > 0 && p.size+r.size() > moveBytes {
				break
			}
			p.messages, p.ages = append(p.messages, r), append(p.ages, max(w.nowMS-r.atMS, 0))
			p.size += r.size()
			t.sent = r.position
		}
		return p
	}
	return portion{}
}

// unsend takes back that what is behind a position was sent to a node.
func (w *window) unsend(topic, node string, from uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i, found := w.search(topic); found && w.topics[i].heir == node {
		w.topics[i].sent = min(w.topics[i].sent, from)
	}
}

// unsendAll takes back that anything was sent to a node.
func (w *window) unsendAll(node string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.topics {
		if t.heir == node {
			t.heir, t.sent = "", 0
		}
	}
}

// left counts the messages that were not sent to the heirs of now, and those that have none. heir
// is called with the window locked.
func (w *window) left(heir func(topic string) string) (left, nobodys int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.topics {
		w.trim(t)
		switch node := heir(t.topic); node {
		case "":
			nobodys += len(t.messages)
		case t.heir:
			left += len(t.messages) - t.behind(t.sent)
		default:
			left += len(t.messages)
		}
	}
	return left, nobodys
}
