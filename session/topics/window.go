package topics

import (
	"cmp"
	"slices"
	"sync"

	"github.com/roostpush/roost/session"
)

// Retained is a message that was published, as the window keeps it. Nobody changes it.
// Its names and Payload are its own.
type Retained struct {
	Origin session.Origin // of its id
	session.Message

	position uint64 // in the order in which this node kept them
	atMS     int64
}

func newRetained(from session.Origin, m *session.Message) *Retained {
	r := &Retained{Origin: from, Message: *m}
	names := m.Topic + from.Node + m.Trace // one string for all
	r.Topic, names = names[:len(m.Topic)], names[len(m.Topic):]
	r.Origin.Node, r.Trace = names[:len(from.Node)], names[len(from.Node):]
	r.Payload = slices.Clone(m.Payload)
	return r
}

// retainedBytes is about what a Retained takes beside its payload and topic.
const retainedBytes = 200

func (r *Retained) size() int { return retainedBytes + len(r.Payload) + len(r.Topic) + len(r.Trace) }

// window is what was published lately to the topics whose home this node is: of each the
// newest messages, in the order in which they came here. Any goroutine may call any
// method.
type window struct {
	cfg WindowConfig

	mu     sync.Mutex
	nowMS  int64
	newest uint64   // position
	topics []*track // by name
	first  *track   // published to longest ago
	last   *track
	size   int // bytes of all messages
	length int // of all tracks

	gone horizon // of the tracks that are gone
}

// track is one topic.
type track struct {
	topic      string
	messages   []*Retained
	size       int
	gone       horizon
	prev, next *track
	mark       uint64 // of the last search that found it

	heir string // to which it was handed over (handover.go)
	sent uint64 // the position up to which it was
}

// horizon is the newest of what is not kept any more.
type horizon struct {
	position uint64
	sentMS   int64
}

func (h *horizon) pass(o horizon) {
	h.position, h.sentMS = max(h.position, o.position), max(h.sentMS, o.sentMS)
}

func (r *Retained) horizon() horizon { return horizon{r.position, r.SentMS} }

// add keeps a message, which is the window's from then on.
func (w *window) add(r *Retained) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.newest++
	r.position, r.atMS = w.newest, w.nowMS
	i, found := w.search(r.Topic)
	var t *track
	if found {
		t = w.topics[i]
		w.unlink(t)
	} else {
		if len(w.topics) >= w.cfg.Topics {
			w.drop(w.first)
			i, _ = w.search(r.Topic)
		}
		t = &track{topic: r.Topic, gone: w.gone}
		w.topics = slices.Insert(w.topics, i, t)
	}
	w.link(t)
	t.messages = append(t.messages, r)
	t.size += r.size()
	w.size += r.size()
	w.length++
	w.trim(t)
	for w.size > w.cfg.Bytes && w.first != t {
		w.drop(w.first)
	}
}

func (w *window) search(topic string) (int, bool) {
	return slices.BinarySearchFunc(w.topics, topic, func(t *track, topic string) int { return cmp.Compare(t.topic, topic) })
}

// behind returns where the messages begin that come after a position.
func (t *track) behind(position uint64) int {
	i, _ := slices.BinarySearchFunc(t.messages, position+1, func(r *Retained, at uint64) int { return cmp.Compare(r.position, at) })
	return i
}

// len is how many messages there are.
func (w *window) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.length
}

// measure returns the memory of all messages, and how many topics there are.
func (w *window) measure() (bytes, topics int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size, len(w.topics)
}

// has reports whether anything is kept of a topic, or was lately.
func (w *window) has(topic string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, found := w.search(topic)
	return found
}

// trim takes from a track what is beyond its limits.
func (w *window) trim(t *track) {
	n := 0
	for n < len(t.messages) && (len(t.messages)-n > w.cfg.Messages || t.size > w.cfg.TopicBytes || w.isOld(t.messages[n])) {
		r := t.messages[n]
		t.gone.pass(r.horizon())
		t.size -= r.size()
		w.size -= r.size()
		w.length--
		n++
	}
	t.messages = slices.Delete(t.messages, 0, n)
}

func (w *window) isOld(r *Retained) bool { return r.atMS < w.nowMS-w.cfg.Age.Milliseconds() }

// drop takes out a track with all it has.
func (w *window) drop(t *track) {
	i, _ := w.search(t.topic)
	w.topics = slices.Delete(w.topics, i, i+1)
	w.unlink(t)
	w.gone.pass(t.gone)
	for _, r := range t.messages {
		w.gone.pass(r.horizon())
		w.size -= r.size()
	}
	w.length -= len(t.messages)
}

// tick drops the topics to which nothing was published for so long that all is too old.
func (w *window) tick(nowMS int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nowMS = max(w.nowMS, nowMS)
	for t := w.first; t != nil && (len(t.messages) == 0 || w.isOld(t.messages[len(t.messages)-1])); t = w.first {
		w.drop(t)
	}
}

// link makes a track the one that was published to last.
func (w *window) link(t *track) {
	if t.prev = w.last; t.prev != nil {
		t.prev.next = t
	} else {
		w.first = t
	}
	w.last = t
}

func (w *window) unlink(t *track) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		w.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		w.last = t.prev
	}
	t.prev, t.next = nil, nil
}

// Replay is what a window has of some topics since a message.
type Replay struct {
	Messages []*Retained // in the order in which they were kept
	Found    bool        // the message is there still, and Messages are what came after it
	FoundMS  int64       // its SentMS
	Complete bool        // and nothing of what came after it is missing
	GoneMS   int64       // newest SentMS of what is not kept any more, of these topics or others
}

// since returns what came after a message, or everything of those topics if it is not
// there; at most so many messages, the newest.
func (w *window) since(patterns []string, id session.ID, most, bytesMost int) (p Replay) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tracks, whole := w.match(patterns)
	after, gone := uint64(0), horizon{}
	if !whole {
		gone = w.gone
	}
	for _, t := range tracks {
		w.trim(t)
		gone.pass(t.gone)
		for _, r := range t.messages {
			if r.ID == id.Number && r.Origin == id.Origin {
				after, p.Found, p.FoundMS = r.position, true, r.SentMS
			}
		}
	}
	for _, t := range tracks {
		p.Messages = append(p.Messages, t.messages[t.behind(after):]...)
	}
	slices.SortFunc(p.Messages, func(a, b *Retained) int { return cmp.Compare(a.position, b.position) })
	p.Complete = p.Found && gone.position <= after
	p.GoneMS = gone.sentMS
	if p.cut(most, bytesMost) {
		p.Complete = false
	}
	return p
}

// cut leaves the newest messages, and says whether that are not all.
func (p *Replay) cut(most, bytesMost int) bool {
	n, size := 0, 0
	for n < len(p.Messages) && n < most {
		if size += p.Messages[len(p.Messages)-1-n].size(); size > bytesMost {
			break
		}
		n++
	}
	left := len(p.Messages) - n
	for _, r := range p.Messages[:left] {
		p.GoneMS = max(p.GoneMS, r.SentMS)
	}
	p.Messages = p.Messages[left:]
	return left > 0
}

// match returns the tracks of topics that patterns stand for, each once. whole says that
// no other topic that they stand for can have been dropped.
func (w *window) match(patterns []string) (tracks []*track, whole bool) {
	whole = true
	w.newest++ // a position that no message gets, so that a mark is of this search only
	for _, pattern := range patterns {
		key := keyOf(pattern)
		from, found := w.search(key)
		whole = whole && found // never of a pattern
		for _, t := range w.topics[from:] {
			if !Covers(pattern, t.topic) {
				break
			}
			if t.mark != w.newest {
				t.mark = w.newest
				tracks = append(tracks, t)
			}
		}
	}
	return tracks, whole
}
