package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/mailbox"
	"github.com/roostpush/roost/session/wire"
)

// take keeps a message of another node, which is borrowed.
func (m *Mail) take(from string, f *wire.Mail) {
	m.count.received.Add(1)
	m.box.Post(&mailbox.Push{
		Account: f.Account, Device: f.Device, Except: f.Except, Kind: f.Kind, Payload: f.Payload, From: f.From,
		SentMS: f.SentMS, ExpiresMS: m.nowMS() + f.LeftMS, Priority: f.Priority, Collapse: f.Collapse, First: f.First,
		Trace: f.Trace, Brief: !f.Watch,
	}, &teller{m, from, f.Ref, f.Trace != ""})
}

// teller tells another node what becomes of a message it gave this one (mailbox.Watcher).
type teller struct {
	mail *Mail
	node string
	ref  uint64

	traced bool
}

// Kept answers the node. If it cannot be told it stands in, and the message is kept twice.
func (t *teller) Kept(id session.ID, devices int, refused session.Outcome, why string) {
	t.mail.tracer.Note(session.Event{ID: id, Step: session.StepTaken, Traced: t.traced, Peer: t.node})
	var room [256]byte
	a := wire.Mailed{Ref: t.ref, ID: id, Devices: devices, Refused: refused, Why: why}
	if !t.mail.send(t.node, wire.LinkTypeMailed, wire.AppendMailed(room[:0], &a)) {
		t.mail.count.answersLost.Add(1)
	}
}

// Became tells the node; if that is not possible its caller hears that the message is queued,
// which it was.
func (t *teller) Became(id session.ID, device string, o session.Outcome) {
	var room [256]byte
	f := wire.MailFate{ID: id, Device: device, Outcome: o}
	if !t.mail.send(t.node, wire.LinkTypeMailFate, wire.AppendMailFate(room[:0], &f)) {
		t.mail.count.answersLost.Add(1)
	}
}

// mailed is the answer of a home.
func (m *Mail) mailed(a *wire.Mailed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.endLocked(a.Ref)
	if f == nil {
		m.count.lateAnswers.Add(1) // it is kept here as well
		return
	}
	if a.Refused == session.Pending {
		m.tracer.Note(session.Event{ID: a.ID, Step: session.StepKept, Traced: f.push.Trace != "", Devices: uint32(a.Devices), Device: f.push.Device, Peer: f.node})
	}
	if f.watcher == nil {
		return
	}
	f.watcher.Kept(a.ID, a.Devices, a.Refused, string([]byte(a.Why)))
	if a.Refused == session.Pending && !f.push.Brief {
		m.watched[a.ID] = watchedMail{f.watcher, a.Devices}
	}
}

// fate is what a home says of a device.
func (m *Mail) fate(f *wire.MailFate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w, ok := m.watched[f.ID]
	if !ok {
		return
	}
	w.watcher.Became(f.ID, string([]byte(f.Device)), f.Outcome)
	if f.Outcome == session.Queued || f.Outcome == session.Written || f.Outcome == session.Overloaded {
		return
	}
	if w.left--; w.left <= 0 {
		delete(m.watched, f.ID)
		return
	}
	m.watched[f.ID] = w
}

// acked is an ack that a device gave to another node.
func (m *Mail) acked(a *wire.MailAck) {
	m.count.acksReceived.Add(1)
	m.box.Acked(session.Address{Account: a.Account, Device: a.Device}, a.ID)
}

// Fates asks the keeper of a message what has become of it. It waits for a disk.
func (m *Mail) Fates(id session.ID) ([]mailbox.Fate, bool, error) {
	if id.Node == m.self {
		return m.box.Fates(id)
	}
	return m.ask(wire.QuestionFates, id)
}

// Cancel has the keeper of a message withdraw it; see mailbox.Mailbox's Cancel.
func (m *Mail) Cancel(id session.ID) ([]mailbox.Fate, bool, error) {
	if id.Node == m.self {
		return m.box.Cancel(id)
	}
	return m.ask(wire.QuestionCancel, id)
}

func (c *Cluster) askKeeper(kind wire.QuestionKind, id session.ID) (list []mailbox.Fate, found bool, err error) {
	if !c.homes.knows(id.Node) {
		return nil, false, nil
	}
	done := make(chan struct{})
	c.pool.Ask(id.Node, &wire.LinkQuestion{Kind: kind, Body: []byte(id.Text())}, questionTimeout, func(a *wire.LinkAnswer, failed error) {
		defer close(done)
		if err = failed; err == nil && a.Error != "" {
			err = errors.New(a.Error)
		}
		if found = err == nil && a.Held; found {
			err = json.Unmarshal(a.Body, &list)
		}
	})
	<-done
	if err != nil {
		return nil, false, fmt.Errorf("%w: %s keeps the message: %v", ErrUnreachable, id.Node, err)
	}
	return list, found, nil
}

// answerFates answers askKeeper of another node. It waits for the disk.
func (c *Cluster) answerFates(q *wire.LinkQuestion) *wire.LinkAnswer {
	id, ok := session.ParseMessageID(string(q.Body))
	if !ok {
		return &wire.LinkAnswer{Error: "that is no message's id"}
	}
	ask := c.mail.box.Fates
	if q.Kind == wire.QuestionCancel {
		ask = c.mail.box.Cancel
	}
	list, found, err := ask(id)
	if err != nil {
		return &wire.LinkAnswer{Error: err.Error()}
	}
	body, err := json.Marshal(list)
	if err != nil {
		return &wire.LinkAnswer{Error: err.Error()}
	}
	return &wire.LinkAnswer{Held: found, Body: body}
}

// MailStats is what became of messages that belong to another node, or came from one.
type MailStats struct {
	InFlight     int        `metric:"roost_mail_in_flight" doc:"messages that wait for the home of their account to say that it keeps them"`
	AcksHeld     int        `metric:"roost_mail_acks_held" doc:"acks that wait for a link to the keeper of their message"`
	Sent         uint64     `metric:"roost_mail_sent_total" doc:"messages sent to the homes of their accounts"`
	Received     uint64     `metric:"roost_mail_received_total" doc:"messages of other nodes, to be kept here"`
	StoodIn      ByStanding `metric:"roost_mail_stood_in_total" label:"reason" doc:"messages kept here in place of the home, by reason"`
	Unsure       uint64     `metric:"roost_mail_unsure_total" doc:"of those the ones that the home may keep as well, because its answer did not come: their devices may get them twice, with two ids"`
	LateAnswers  uint64     `metric:"roost_mail_late_answers_total" doc:"answers of homes that were stood in for meanwhile"`
	Overloaded   uint64     `metric:"roost_mail_overloaded_total" doc:"messages refused because too many waited for homes"`
	AnswersLost  uint64     `metric:"roost_mail_answers_lost_total" doc:"answers and outcomes for other nodes that no link took"`
	AcksSent     uint64     `metric:"roost_mail_acks_sent_total" doc:"acks of devices sent to the keepers of their messages"`
	AcksReceived uint64     `metric:"roost_mail_acks_received_total" doc:"acks that devices gave to other nodes"`
	AcksLost     uint64     `metric:"roost_mail_acks_lost_total" doc:"acks dropped because too many waited for a link: those devices get the message once more"`
}

type mailCounts struct {
	sent, received, unsure, lateAnswers, overloaded, answersLost, acksSent, acksReceived, acksLost atomic.Uint64

	stoodIn [standings]atomic.Uint64
}

func (m *Mail) stats() MailStats {
	n := &m.count
	m.mu.Lock()
	s := MailStats{InFlight: len(m.flights), AcksHeld: m.held}
	m.mu.Unlock()
	s.Sent, s.Received, s.Unsure, s.LateAnswers = n.sent.Load(), n.received.Load(), n.unsure.Load(), n.lateAnswers.Load()
	s.Overloaded, s.AnswersLost = n.overloaded.Load(), n.answersLost.Load()
	s.AcksSent, s.AcksReceived, s.AcksLost = n.acksSent.Load(), n.acksReceived.Load(), n.acksLost.Load()
	for i := range s.StoodIn {
		s.StoodIn[i] = n.stoodIn[i+1].Load()
	}
	return s
}
