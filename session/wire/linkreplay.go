package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/roostpush/roost/session"
)

// ReplayQuestion is the body of a LinkQuestion of kind QuestionReplay: what was published
// to these topics since that message? Patterns of a parsed one are borrowed.
type ReplayQuestion struct {
	Since    session.ID
	Patterns []string
}

// AppendReplayQuestion appends the body.
func AppendReplayQuestion(dst []byte, q *ReplayQuestion) []byte {
	dst = binary.AppendUvarint(appendOrigin(dst, q.Since.Origin), uint64(q.Since.Number))
	for _, p := range q.Patterns {
		dst = appendText(dst, p)
	}
	return dst
}

// ParseReplayQuestion reads the body; Patterns is filled again. An error is an *Error.
func ParseReplayQuestion(b []byte, q *ReplayQuestion) error {
	r := linkBody{b: b}
	r.origin(&q.Since.Origin)
	q.Since.Number = session.MessageID(r.uvarint("since"))
	q.Patterns = q.Patterns[:0]
	for r.err == nil && r.left() > 0 {
		if len(q.Patterns) == TopicsMax {
			r.fail(CodeLimit, fmt.Sprintf("more than %d topics", TopicsMax))
			break
		}
		if p := r.pattern("pattern"); r.err == nil {
			q.Patterns = append(q.Patterns, p)
		}
	}
	switch {
	case r.err != nil:
	case len(q.Patterns) == 0:
		r.fail(CodeValue, "no topics")
	case q.Since.Node == "":
		r.fail(CodeValue, "since a message of nobody")
	}
	return r.result()
}

// ReplayAnswer is the body of a LinkAnswer to it. Topics and payloads of a parsed one are
// borrowed.
type ReplayAnswer struct {
	Found    bool  // the message is there
	Complete bool  // and nothing of what came after it is missing
	FoundMS  int64 // its SentMS
	GoneMS   int64 // newest SentMS of what is not kept any more
	Messages []ReplayMessage
}

// ReplayMessage is one message that was published.
type ReplayMessage struct {
	Origin session.Origin // of its id
	session.Message
}

// The first byte of a replay answer.
const (
	replayFound    = 1
	replayComplete = 2
)

// AppendReplayAnswer appends the body up to the messages, which AppendReplayMessage
// appends.
func AppendReplayAnswer(dst []byte, a *ReplayAnswer) []byte {
	var first byte
	if a.Found {
		first |= replayFound
	}
	if a.Complete {
		first |= replayComplete
	}
	dst = appendTime(appendTime(append(dst, first), a.FoundMS), a.GoneMS)
	for i := range a.Messages {
		dst = AppendReplayMessage(dst, a.Messages[i].Origin, &a.Messages[i].Message)
	}
	return dst
}

// AppendReplayMessage appends one message to a replay answer.
func AppendReplayMessage(dst []byte, o session.Origin, m *session.Message) []byte {
	dst = append(appendOrigin(dst, o), byte(m.Kind))
	dst = binary.AppendUvarint(dst, uint64(m.ID))
	dst = appendTime(dst, m.SentMS)
	dst = appendText(dst, m.Topic)
	dst = binary.AppendUvarint(dst, uint64(len(m.Payload)))
	return append(dst, m.Payload...)
}

// ParseReplayAnswer reads the body; Messages is filled again. An error is an *Error.
func ParseReplayAnswer(b []byte, a *ReplayAnswer) error {
	r := linkBody{b: b}
	first := r.byte("flags")
	if first&^(replayFound|replayComplete) != 0 {
		r.fail(CodeValue, fmt.Sprintf("flags %#02x", first))
	}
	a.Found, a.Complete = first&replayFound != 0, first&replayComplete != 0
	a.FoundMS, a.GoneMS = r.time("found_ms"), r.time("gone_ms")
	a.Messages = a.Messages[:0]
	var origin session.Origin // the messages of one node share its name
	for r.err == nil && r.left() > 0 {
		r.origin(&origin)
		m := ReplayMessage{Origin: origin}
		if m.Kind = session.Kind(r.byte("kind")); m.Kind > session.Binary {
			r.fail(CodeValue, fmt.Sprintf("kind %d", m.Kind))
		}
		if r.err == nil && m.Origin.Node == "" {
			r.fail(CodeValue, "a message of nobody")
		}
		m.ID = session.MessageID(r.uvarint("id"))
		m.SentMS = r.time("sent_ms")
		m.Topic = r.topic("topic")
		m.Payload = r.bytes("payload", len(b))
		if r.err == nil {
			a.Messages = append(a.Messages, m)
		}
	}
	if r.err != nil {
		a.Messages = a.Messages[:0]
	}
	return r.result()
}
