package topics

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// Sockets puts frames on connections; netpoll's Reactor is one.
type Sockets interface {
	Send(id netpoll.ConnID, op netpoll.Op, payload []byte, rcpt netpoll.Receipt, tag uint64)
}

// Others are the other nodes. None of their methods blocks.
type Others interface {
	// Home says whether this node keeps the window of a topic, and which other one does;
	// empty: none that can be reached. While a home moves both may.
	Home(topic string) (node string, here bool)
	// Told calls f once, by any goroutine and maybe before it returns: when the others know
	// of all topics that have subscribers here by now, or have had time enough; all says
	// that each of them does.
	Told(f func(all bool))
	// Ask asks the other nodes that keep windows of these topics what came after a message.
	// answer is called once, by any goroutine and maybe before Ask returns: with what each of
	// them has, and lacking if one that may have something did not say.
	Ask(patterns []string, since session.ID, answer func(list []Replay, lacking bool))
}

// Broker is the subscriptions of a node and what it keeps of topics. Any goroutine may
// call any method; only Run blocks.
type Broker struct {
	cfg     Config
	sockets Sockets
	others  Others // nil: there are none

	subs      subscriptions
	window    window
	interests interests
	inherited inherited
	departure departure
	asked     chan *replay
	known     atomic.Uint64 // entries up to this number are known to the others
	count     counters
}

// New returns a broker of valid configuration. everything says that tokens do not count,
// because nobody has one (mode none). others is nil for a node that has none.
func New(cfg Config, everything bool, sockets Sockets, others Others) *Broker {
	b := &Broker{cfg: cfg, sockets: sockets, others: others, asked: make(chan *replay, cfg.ReplaysMax)}
	b.subs.init(&cfg, everything)
	b.window.cfg, b.inherited.cfg = cfg.Window, cfg.Window
	b.departure = departure{broker: b, flying: map[uint64]*move{}}
	b.interests.init(cfg.InterestsMax)
	if others != nil {
		b.subs.changes.wake = make(chan struct{}, 1)
	}
	return b
}

// Permit notes the topics and patterns that the token of a session names, when it opens
// and when it has a new token; they are kept. Subscriptions beyond them end.
func (b *Broker) Permit(s *session.Session, patterns []string) {
	b.count.ended.Add(uint64(b.subs.permit(s, patterns)))
}

// Forget ends everything of a session that is over.
func (b *Broker) Forget(s *session.Session) { b.subs.forget(s) }

// Subscribe answers a subscribe frame of a session, whose loop calls it; the frame is
// borrowed. What it appends goes onto the connection before anything else does, so that
// the result precedes the first message. Where other nodes have to know first of what had no
// subscriber here, the result is sent when they do: what anybody publishes after it
// arrives. With since nothing is appended unless the frame is refused: what came since that
// message is sent, then the result, then what is new.
func (b *Broker) Subscribe(dst []byte, s *session.Session, f *wire.DeviceFrame) []byte {
	if f.Since != nil {
		return b.replaySince(dst, s, f)
	}
	var room [16]verdict
	verdicts := room[:0]
	b.subs.mu.Lock()
	newest := uint64(0)
	for _, pattern := range f.Topics {
		v := verdict{wire.Borrow(pattern), b.subs.subscribeLocked(s, wire.Borrow(pattern))}
		verdicts = append(verdicts, v)
		if v.refused == session.Pending {
			newest = max(newest, b.subs.entryLocked(v.pattern).number)
		}
	}
	made := b.subs.made
	b.subs.mu.Unlock()
	if b.others != nil && newest > b.known.Load() && len(f.Ref) > 0 && b.beginAnswer() {
		b.answerWhenTold(s, b.appendVerdicts(nil, f.Ref, verdicts, nil), made)
		return dst
	}
	return b.appendVerdicts(dst, f.Ref, verdicts, nil)
}

// beginAnswer counts one more frame that is answered later; false: they are too many.
func (b *Broker) beginAnswer() bool {
	if b.count.replaying.Add(1) > int64(b.cfg.ReplaysMax) {
		b.count.replaying.Add(-1)
		return false
	}
	return true
}

// answerWhenTold sends a result, which is kept, when the other nodes know what this one
// has subscribers of: all entries up to that number.
func (b *Broker) answerWhenTold(s *session.Session, answer []byte, made uint64) {
	conn := netpoll.ConnID(s.Conn)
	b.others.Told(func(bool) {
		for known := b.known.Load(); known < made && !b.known.CompareAndSwap(known, made); {
			known = b.known.Load()
		}
		b.sockets.Send(conn, netpoll.OpText, answer, b, 0)
		b.count.replaying.Add(-1)
	})
}

// Unsubscribe answers an unsubscribe frame in the same way. A topic that was not
// subscribed to is no mistake. Messages that are on their way still arrive.
func (b *Broker) Unsubscribe(dst []byte, s *session.Session, f *wire.DeviceFrame) []byte {
	var room [16]verdict
	verdicts := room[:0]
	for _, pattern := range f.Topics {
		b.subs.unsubscribe(s, wire.Borrow(pattern))
		verdicts = append(verdicts, verdict{pattern: wire.Borrow(pattern)})
	}
	return b.appendVerdicts(dst, f.Ref, verdicts, nil)
}

// Publish keeps a message to a topic, if this node is the topic's home, and appends those
// who are to have it, each once. Whoever waits for what came before gets it later and is
// not among them. from and m are borrowed. It is deliver's.
func (b *Broker) Publish(dst []*session.Session, from session.Origin, m *session.Message) []*session.Session {
	b.count.published.Add(1)
	var r *Retained
	retained := func() *Retained {
		if r == nil {
			r = newRetained(from, m)
		}
		return r
	}
	// Kept first, then looked: who subscribes meanwhile has it by one of the two.
	if b.isHome(m.Topic) {
		b.window.add(retained())
	}
	b.subs.mu.RLock()
	dst = b.subs.appendLocked(dst, m.Topic, retained)
	b.subs.mu.RUnlock()
	return dst
}

// isHome reports whether this node keeps the window of a topic.
func (b *Broker) isHome(topic string) bool {
	if b.others == nil {
		return true
	}
	_, here := b.others.Home(topic)
	return here
}

// AppendNodes appends the other nodes that are to have what is published to a topic: those
// with subscribers, and its home. It allocates nothing. It is deliver's.
func (b *Broker) AppendNodes(dst []string, topic string) []string {
	if b.others == nil {
		return dst
	}
	first := len(dst)
	if node, _ := b.others.Home(topic); node != "" {
		dst = append(dst, node)
	}
	return b.interests.append(dst, first, topic)
}

// Tick is given the time in milliseconds, of a clock that is never set back, about once a
// second.
func (b *Broker) Tick(nowMS int64) {
	b.window.tick(nowMS)
	b.inherited.tick(nowMS)
	b.departure.tick(nowMS)
}

// Run answers frames with since until ctx ends. What is not answered by then is of
// connections that end as well.
func (b *Broker) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-b.asked:
			b.work(r)
		}
	}
}

// verdict is what became of one topic of a frame: Pending means ok.
type verdict struct {
	pattern string
	refused session.Outcome
}

func (v verdict) word() string {
	if v.refused == session.Pending {
		return wire.StatusOK
	}
	return v.refused.String()
}

// appendVerdicts appends the result of a frame: its status is what all topics have in
// common, or ok where they differ. A frame without an id is answered only if a topic was
// refused, by an error.
func (b *Broker) appendVerdicts(dst, ref []byte, verdicts []verdict, replay *wire.ReplayInfo) []byte {
	refused, first := 0, 0
	for i, v := range verdicts {
		switch v.refused {
		case session.Pending:
			continue
		case session.Forbidden:
			b.count.forbidden.Add(1)
		default:
			b.count.overloaded.Add(1)
		}
		if refused++; refused == 1 {
			first = i
		}
	}
	switch {
	case len(ref) > 0:
		status := verdicts[0].word()
		for _, v := range verdicts {
			if v.word() != status {
				status = wire.StatusOK
			}
		}
		dst = wire.AppendResultTopicsOpen(dst, ref, status)
		for _, v := range verdicts {
			info := replay
			if v.refused != session.Pending {
				info = nil
			}
			dst = wire.AppendResultTopic(dst, v.pattern, v.word(), info)
		}
		return wire.AppendResultClose(dst)
	case refused > 0:
		return wire.AppendError(dst, nil, verdicts[first].word(), b.why(verdicts[first], refused))
	}
	return dst
}

// why says for people why a topic was refused.
func (b *Broker) why(v verdict, refused int) string {
	text := fmt.Sprintf("the token does not permit topic %s", v.pattern)
	if v.refused != session.Forbidden {
		text = fmt.Sprintf("topic %s is one too many: %d subscriptions of a device and %d of the node are possible (topics.session_subscriptions_max, topics.subscriptions_max), and %d that wait for what they missed (topics.replays_max)",
			v.pattern, b.cfg.SessionSubscriptionsMax, b.cfg.SubscriptionsMax, b.cfg.ReplaysMax)
	}
	if refused > 1 {
		text += fmt.Sprintf("; %d topics of this frame were refused, its id would have got a result that says which", refused)
	}
	return text
}
