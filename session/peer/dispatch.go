// HOT PATH

package peer

import (
	"fmt"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// parsed holds what a reader parses frames into, again and again.
type parsed struct {
	forward  wire.Forward
	outcomes wire.Outcomes
	delta    wire.Delta
	heads    wire.Heads
	request  wire.LogRequest
	snapshot wire.SnapshotChunk
	question wire.LinkQuestion
	answer   wire.LinkAnswer
	keep     wire.Keep
	kept     wire.Kept
	interest wire.Interest
	mail     wire.Mail
	mailed   wire.Mailed
	fate     wire.MailFate
	ack      wire.MailAck
	move     wire.MailMove
	moved    wire.MailMoved
	unwatch  wire.MailUnwatch
	keys     wire.MailKeys
	filed    wire.MailFiled
	settled  wire.MailSettled

	topicMove  wire.TopicMove
	topicMoved wire.TopicMoved
}

// dispatch hands a frame to whom it is for. An error ends the link.
func (l *link) dispatch(t wire.LinkType, body []byte) error {
	switch t {
	case wire.LinkTypePing:
		if len(body) > 0 {
			return fmt.Errorf("peer: a ping with %d bytes", len(body))
		}
		return nil
	case wire.LinkTypeGoodbye:
		var g wire.Goodbye
		if err := wire.ParseGoodbye(body, &g); err != nil {
			return err
		}
		return &leaving{g}
	case wire.LinkTypeForward, wire.LinkTypeOutcomes:
		if l.channel != wire.ChannelMessages {
			break
		}
		if t == wire.LinkTypeForward {
			return l.forwards(body)
		}
		return l.answered(body)
	case wire.LinkTypeDelta, wire.LinkTypeHeads, wire.LinkTypeLogRequest, wire.LinkTypeSnapshot,
		wire.LinkTypeQuestion, wire.LinkTypeAnswer, wire.LinkTypeKeep, wire.LinkTypeKept, wire.LinkTypeInterest,
		wire.LinkTypeMail, wire.LinkTypeMailed, wire.LinkTypeMailFate, wire.LinkTypeMailAck,
		wire.LinkTypeMailMove, wire.LinkTypeMailMoved, wire.LinkTypeMailUnwatch, wire.LinkTypeMailKeys, wire.LinkTypeMailFiled, wire.LinkTypeMailSettled,
		wire.LinkTypeTopicMove, wire.LinkTypeTopicMoved:
		if l.channel == wire.ChannelControl {
			return l.dispatchControl(t, body)
		}
	}
	return fmt.Errorf("peer: a frame of %v has no place on a %v connection that is open", t, l.channel)
}

func (l *link) forwards(body []byte) (err error) {
	f := &l.read.forward
	n := uint64(0)
	for len(body) > 0 {
		if body, err = wire.ParseForward(body, f); err != nil {
			break
		}
		n++
		l.pool.handlers.Messages.Forwarded(l.pair.origin, f, Reply{l, f.Ref})
	}
	l.pool.count.forwarded.Add(n)
	return err
}

func (l *link) answered(body []byte) (err error) {
	o := &l.read.outcomes
	for len(body) > 0 {
		if body, err = wire.ParseOutcomes(body, o); err != nil {
			return err
		}
		l.mu.Lock()
		x := l.flights.answer(o.Ref, o.Final)
		l.mu.Unlock()
		if x.receipt == nil {
			l.pool.count.late.Add(1)
			continue
		}
		x.receipt.Answered(x.tag, o)
	}
	return nil
}

func (l *link) dispatchControl(t wire.LinkType, body []byte) (err error) {
	h, from, r := &l.pool.handlers, l.pair.origin, &l.read
	switch t {
	case wire.LinkTypeDelta:
		if err = wire.ParseDelta(body, &r.delta); err == nil {
			h.Log.Delta(from, &r.delta)
		}
	case wire.LinkTypeHeads:
		if err = wire.ParseHeads(body, &r.heads); err == nil {
			h.Log.Heads(from, &r.heads)
		}
	case wire.LinkTypeLogRequest:
		if err = wire.ParseLogRequest(body, &r.request); err == nil {
			h.Log.LogRequest(from, &r.request)
		}
	case wire.LinkTypeSnapshot:
		if err = wire.ParseSnapshotChunk(body, &r.snapshot); err == nil {
			h.Log.SnapshotChunk(from, &r.snapshot)
		}
	case wire.LinkTypeQuestion:
		if err = wire.ParseLinkQuestion(body, &r.question); err == nil {
			h.Questions.Asked(from, &r.question, AnswerReply{l, r.question.Ref})
		}
	case wire.LinkTypeKeep:
		if err = wire.ParseKeep(body, &r.keep); err == nil {
			h.Keeps.Keep(from, &r.keep)
		}
	case wire.LinkTypeKept:
		if err = wire.ParseKept(body, &r.kept); err == nil {
			h.Keeps.Kept(from, &r.kept)
		}
	case wire.LinkTypeInterest:
		if err = wire.ParseInterest(body, &r.interest); err == nil && h.Interests != nil {
			h.Interests.Interested(from, &r.interest)
		}
	case wire.LinkTypeMail:
		if err = wire.ParseMail(body, &r.mail); err == nil {
			h.Mails.Mail(from, &r.mail)
		}
	case wire.LinkTypeMailed:
		if err = wire.ParseMailed(body, &r.mailed); err == nil {
			h.Mails.Mailed(from, &r.mailed)
		}
	case wire.LinkTypeMailFate:
		if err = wire.ParseMailFate(body, &r.fate); err == nil {
			h.Mails.MailFate(from, &r.fate)
		}
	case wire.LinkTypeMailAck:
		if err = wire.ParseMailAck(body, &r.ack); err == nil {
			h.Mails.MailAck(from, &r.ack)
		}
	case wire.LinkTypeMailMove:
		if err = wire.ParseMailMove(body, &r.move); err == nil {
			h.Mails.MailMove(from, &r.move)
		}
	case wire.LinkTypeMailMoved:
		if err = wire.ParseMailMoved(body, &r.moved); err == nil {
			h.Mails.MailMoved(from, &r.moved)
		}
	case wire.LinkTypeMailUnwatch:
		if err = wire.ParseMailUnwatch(body, &r.unwatch); err == nil {
			h.Mails.MailUnwatch(from, &r.unwatch)
		}
	case wire.LinkTypeMailKeys:
		if err = wire.ParseMailKeys(body, &r.keys); err == nil {
			h.Mails.MailKeys(from, &r.keys)
		}
	case wire.LinkTypeMailFiled:
		if err = wire.ParseMailFiled(body, &r.filed); err == nil {
			h.Mails.MailFiled(from, &r.filed)
		}
	case wire.LinkTypeMailSettled:
		if err = wire.ParseMailSettled(body, &r.settled); err == nil {
			h.Mails.MailSettled(from, &r.settled)
		}
	case wire.LinkTypeTopicMove:
		if err = wire.ParseTopicMove(body, &r.topicMove); err == nil && h.Topics != nil {
			h.Topics.TopicMove(from, &r.topicMove)
		}
	case wire.LinkTypeTopicMoved:
		if err = wire.ParseTopicMoved(body, &r.topicMoved); err == nil && h.Topics != nil {
			h.Topics.TopicMoved(from, &r.topicMoved)
		}
	case wire.LinkTypeAnswer:
		if err = wire.ParseLinkAnswer(body, &r.answer); err == nil {
			l.pair.questions.answered(l.pool, &r.answer)
		}
	}
	return err
}

// Reply takes the outcomes of a message to the node that sent it. It may be copied,
// and used by any goroutine at any time: after the link has ended it does nothing. It
// never blocks.
type Reply struct {
	link *link
	ref  uint64
}

// Wanted reports whether the sender waits for outcomes at all.
func (r Reply) Wanted() bool { return r.ref != 0 }

// Outcome is the one and final outcome of a message to one device.
func (r Reply) Outcome(o session.Outcome) {
	if r.ref == 0 {
		return
	}
	devices := [1]wire.DeviceOutcome{{Outcome: o}}
	r.link.outcomes(&wire.Outcomes{Ref: r.ref, Devices: devices[:], Final: true})
}

// Outcomes sends o, which is borrowed and whose Ref is ignored. Devices beyond the
// first thousand, or beyond what a frame takes, are counted instead of listed.
func (r Reply) Outcomes(o *wire.Outcomes) {
	if r.ref == 0 {
		return
	}
	c := *o
	c.Ref = r.ref
	c.Devices = c.Devices[:min(len(c.Devices), wire.OutcomesListedMax)]
	if wire.LinkHeaderBytes+c.SizeMax() > r.link.sendMax {
		c.Devices = c.Devices[:0]
	}
	for i := range o.Devices[len(c.Devices):] {
		c.Counts[o.Devices[len(c.Devices)+i].Outcome]++
	}
	r.link.outcomes(&c)
}

// AnswerReply takes the answer to a question; see Reply.
type AnswerReply struct {
	link *link
	ref  uint64
}

// Answer sends a, which is borrowed and whose Ref is ignored. An answer larger than a
// frame becomes one with an error.
func (r AnswerReply) Answer(a *wire.LinkAnswer) {
	c := *a
	c.Ref = r.ref
	if wire.LinkHeaderBytes+c.SizeMax() > r.link.sendMax {
		c = wire.LinkAnswer{Ref: r.ref, Error: fmt.Sprintf("the answer of %d bytes is larger than a frame", len(a.Body))}
	}
	if !r.link.control(wire.LinkTypeAnswer, wire.AppendLinkAnswer(nil, &c)) {
		r.link.pool.count.answersDropped.Add(1)
	}
}
