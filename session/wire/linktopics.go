package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/roostpush/roost/session"
)

// TopicMove hands a part of what a node keeps of one topic over to the topic's present home,
// because that node leaves for good. Ids, order and times stay. It is answered by a
// TopicMoved; until that says so the sender keeps it too, and may send it again. Topic and
// payloads of a parsed one are borrowed, the nodes of ids and of Keeper are not.
//
// Times that something was kept for are relative, since the clocks of two nodes need not agree.
type TopicMove struct {
	Ref uint64 // names the frame in its TopicMoved

	// Keeper is the process to which these messages were published first. It may have left
	// long ago: whoever was handed its window hands it on. Positions are in its order.
	Keeper   session.Origin
	Gone     TopicGone // the newest of this topic that is not kept any more
	GoneElse TopicGone // the same of topics of which nothing is kept
	Topic    string
	Messages []TopicKept // by position
}

// TopicGone is the newest of some messages that are not kept any more; zero: there were none.
type TopicGone struct {
	Position uint64
	SentMS   int64 // Unix milliseconds
}

// TopicKept is one message that was published.
type TopicKept struct {
	ID       session.ID
	Kind     session.Kind
	Position uint64 // above 0
	SentMS   int64  // Unix milliseconds at the node that accepted it
	AgeMS    int64  // for how long it has been kept
	Payload  []byte
}

// TopicMoveMax bounds the messages of one frame.
const TopicMoveMax = 256

// AppendTopicMove appends the body of a TopicMove.
func AppendTopicMove(dst []byte, m *TopicMove) []byte {
	dst = appendOrigin(binary.BigEndian.AppendUint64(dst, m.Ref), m.Keeper)
	for _, g := range [...]TopicGone{m.Gone, m.GoneElse} {
		dst = appendTime(binary.AppendUvarint(dst, g.Position), g.SentMS)
	}
	dst = appendText(dst, m.Topic)
	for i := range m.Messages {
		k := &m.Messages[i]
		dst = append(appendMessageID(dst, k.ID), byte(k.Kind))
		dst = appendTime(appendTime(binary.AppendUvarint(dst, k.Position), k.SentMS), k.AgeMS)
		dst = appendText(dst, Borrow(k.Payload))
	}
	return dst
}

// ParseTopicMove reads the body of a topic_move frame; m.Messages is used again. An error is
// an *Error.
func ParseTopicMove(b []byte, m *TopicMove) error {
	r := linkBody{b: b}
	m.Ref = r.uint64("ref")
	r.origin(&m.Keeper)
	for _, g := range [...]*TopicGone{&m.Gone, &m.GoneElse} {
		g.Position, g.SentMS = r.uvarint("gone"), r.time("gone_ms")
	}
	m.Topic = r.topic("topic")
	m.Messages = m.Messages[:0]
	var from session.Origin // the messages of one node share its name
	for last := uint64(0); r.err == nil && r.left() > 0; {
		if len(m.Messages) == TopicMoveMax {
			r.fail(CodeLimit, fmt.Sprintf("more than %d messages", TopicMoveMax))
			break
		}
		k := TopicKept{ID: session.ID{Origin: from}}
		r.messageID(&k.ID)
		from = k.ID.Origin
		k.Kind = session.Kind(r.byte("kind"))
		k.Position = r.uvarint("position")
		k.SentMS, k.AgeMS = r.time("sent_ms"), r.time("age_ms")
		k.Payload = r.bytes("payload", r.left())
		switch {
		case r.err != nil:
		case k.ID.Node == "":
			r.fail(CodeValue, "a message of nobody")
		case k.Kind > session.Binary:
			r.fail(CodeValue, fmt.Sprintf("kind %d", k.Kind))
		case k.Position <= last:
			r.fail(CodeValue, fmt.Sprintf("position %d behind %d", k.Position, last))
		}
		last = k.Position
		m.Messages = append(m.Messages, k)
	}
	switch {
	case r.err != nil:
	case m.Keeper.Node == "":
		r.fail(CodeValue, "a window of nobody")
	case len(m.Messages) == 0:
		r.fail(CodeValue, "nothing is handed over")
	}
	if r.err != nil {
		m.Messages = m.Messages[:0]
	}
	return r.end()
}

// TopicMoved answers a TopicMove. Why is borrowed.
type TopicMoved struct {
	Ref   uint64 // of the TopicMove
	Taken bool   // the answering node keeps it from now on. Otherwise Why names the limit for people
	Why   string
}

// TopicWhyBytesMax bounds the reason of a refusal.
const TopicWhyBytesMax = 512

// AppendTopicMoved appends the body of a TopicMoved; a longer reason is cut.
func AppendTopicMoved(dst []byte, m *TopicMoved) []byte {
	return appendText(append(binary.BigEndian.AppendUint64(dst, m.Ref), boolByte(m.Taken)), m.Why[:min(len(m.Why), TopicWhyBytesMax)])
}

// ParseTopicMoved reads the body of a topic_moved frame. An error is an *Error.
func ParseTopicMoved(b []byte, m *TopicMoved) error {
	r := linkBody{b: b}
	m.Ref = r.uint64("ref")
	m.Taken, m.Why = r.bool("taken"), Borrow(r.bytes("why", TopicWhyBytesMax))
	return r.end()
}
