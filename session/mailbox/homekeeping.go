package mailbox

import (
	"slices"
	"sync/atomic"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// Take keeps a message of another node, which is borrowed.
func (m *Homes) Take(from string, f *wire.Mail) {
	m.count.received.Add(1)
	m.box.Post(&Push{
		Account: f.Account, Device: f.Device, Except: f.Except, Kind: f.Kind, Payload: f.Payload, From: f.From,
		SentMS: f.SentMS, ExpiresMS: m.ports.NowMS() + f.LeftMS, Priority: f.Priority, Collapse: f.Collapse, First: f.First,
		Trace: f.Trace, Key: f.Key, Brief: !f.Watch,
	}, &teller{mail: m, node: from, ref: f.Ref, traced: f.Trace != ""})
}

// teller tells another node what becomes of a message it gave this one (Watcher).
type teller struct {
	mail *Homes
	node string
	ref  uint64

	traced bool
	lost   bool // the node was not told that the message is kept: to it fates would be of another push, or of none
}

// Kept answers the node. If it cannot be told it stands in, and the message is kept twice.
func (t *teller) Kept(id session.ID, devices int, refused session.Outcome, why string) {
	if refused == session.Pending {
		t.mail.note(session.Event{ID: id, Step: session.StepTaken, Traced: t.traced, Peer: t.node})
	}
	var room [256]byte
	a := wire.Mailed{Ref: t.ref, ID: id, Devices: devices, Refused: refused, Why: why}
	if !t.mail.ports.Links.Send(t.node, wire.LinkTypeMailed, wire.AppendMailed(room[:0], &a)) {
		t.mail.count.answersLost.Add(1)
		t.lost = true
	}
}

// Became tells the node; if that is not possible its caller hears that the message is queued,
// which it was.
func (t *teller) Became(id session.ID, device string, o session.Outcome) {
	if t.lost {
		return
	}
	var room [256]byte
	f := wire.MailFate{ID: id, Device: device, Outcome: o}
	if !t.mail.ports.Links.Send(t.node, wire.LinkTypeMailFate, wire.AppendMailFate(room[:0], &f)) {
		t.mail.count.answersLost.Add(1)
	}
}

// Mailed is the answer of a home.
func (m *Homes) Mailed(a *wire.Mailed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.endLocked(a.Ref)
	if f == nil {
		m.count.lateAnswers.Add(1) // it is kept here as well
		return
	}
	if a.Refused == session.Pending {
		m.note(session.Event{ID: a.ID, Step: session.StepKept, Traced: f.push.Trace != "", Devices: uint32(a.Devices), Device: f.push.Device, Peer: f.node})
	}
	if f.watcher == nil {
		return
	}
	f.watcher.Kept(a.ID, a.Devices, a.Refused, string([]byte(a.Why)))
	if a.Refused == session.Pending && !f.push.Brief {
		left := max(f.push.ExpiresMS-m.ports.NowMS(), 0)
		m.watched[a.ID] = &watchedMail{watcher: f.watcher, node: f.node, left: a.Devices, unheedMS: m.ports.SteadyMS() + left + m.cfg.AnswerTimeout.Milliseconds(),
			before: m.watched[a.ID]}
	}
}

// Fate is what a home says of a device.
func (m *Homes) Fate(f *wire.MailFate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.watched[f.ID]
	if w == nil {
		return
	}
	if left := w.tell(f.ID, string([]byte(f.Device)), f.Outcome); left == nil {
		delete(m.watched, f.ID)
	} else if left != w {
		m.watched[f.ID] = left
	}
}

// Fates asks whoever keeps a message what has become of it. It waits for a disk.
func (m *Homes) Fates(id session.ID) ([]Fate, bool, error) {
	return m.everywhere(wire.QuestionFates, id, m.box.Fates)
}

// Cancel has whoever keeps a message withdraw it; see Mailbox's Cancel.
func (m *Homes) Cancel(id session.ID) ([]Fate, bool, error) {
	return m.everywhere(wire.QuestionCancel, id, m.box.Cancel)
}

// FatesHere is Fates as far as this node knows, CancelHere the same of Cancel: for who asks
// for another node.
func (m *Homes) FatesHere(id session.ID) ([]Fate, bool, error) { return m.box.Fates(id) }

// CancelHere withdraws what this node keeps of a message.
func (m *Homes) CancelHere(id session.ID) ([]Fate, bool, error) { return m.box.Cancel(id) }

// everywhere asks this node's mailbox, where that may know, and others, where they may. What was
// handed over is known to two, of which the one that let go of it says queued.
func (m *Homes) everywhere(kind wire.QuestionKind, id session.ID, own func(session.ID) ([]Fate, bool, error)) (list []Fate, found bool, err error) {
	if id.Node == m.ports.Self || m.box.foreign.Load() {
		list, found, err = own(id)
		left := id.Node != m.ports.Self || !m.box.ofThisRun(id) || m.departure.leaving.Load()
		if err != nil || !left || found && !slices.ContainsFunc(list, func(f Fate) bool { return !final(f.Outcome) }) {
			return list, found, err
		}
	}
	others, there, err := m.ports.Ask(kind, id)
	if !there && found {
		return list, true, nil
	}
	return MergeFates(list, others), found || there, err
}

// MergeFates adds what one node says of a message to what another one does. Of a device for
// which both say something what is final counts, then the newer.
func MergeFates(list, others []Fate) []Fate {
	for _, f := range others {
		i := slices.IndexFunc(list, func(g Fate) bool { return g.Device == f.Device })
		switch {
		case i < 0:
			list = append(list, f)
		case final(f.Outcome) && !final(list[i].Outcome), final(f.Outcome) == final(list[i].Outcome) && f.AtMS > list[i].AtMS:
			list[i] = f
		}
	}
	return list
}

// HomesStats is what became of messages that belong to another node, or came from one.
type HomesStats struct {
	InFlight      int        `metric:"roost_mail_in_flight" doc:"messages that wait for the home of their account to say that it keeps them"`
	AcksHeld      int        `metric:"roost_mail_acks_held" doc:"acks that wait for a link to the keeper of their message"`
	Sent          uint64     `metric:"roost_mail_sent_total" doc:"messages sent to the homes of their accounts"`
	Received      uint64     `metric:"roost_mail_received_total" doc:"messages of other nodes, to be kept here"`
	StoodIn       ByStanding `metric:"roost_mail_stood_in_total" label:"reason" doc:"messages kept here in place of the home, by reason"`
	Unsure        uint64     `metric:"roost_mail_unsure_total" doc:"of those the ones that the home may keep as well, because its answer did not come: their devices may get them twice, with two ids"`
	LateAnswers   uint64     `metric:"roost_mail_late_answers_total" doc:"answers of homes that were stood in for meanwhile"`
	Overloaded    uint64     `metric:"roost_mail_overloaded_total" doc:"messages refused because too many waited for homes"`
	AnswersLost   uint64     `metric:"roost_mail_answers_lost_total" doc:"answers and outcomes for other nodes that no link took"`
	AcksSent      uint64     `metric:"roost_mail_acks_sent_total" doc:"acks of devices sent to the keepers of their messages"`
	AcksReceived  uint64     `metric:"roost_mail_acks_received_total" doc:"acks that devices gave to other nodes"`
	MissedAsked   uint64     `metric:"roost_mail_missed_asked_total" doc:"devices that came here for which the home of their account was asked what they have missed"`
	MissedUnasked uint64     `metric:"roost_mail_missed_unasked_total" doc:"devices for which it was not, because cluster.mail.missed_max were being asked for: their hello says what this node knows"`
	MissedUnknown uint64     `metric:"roost_mail_missed_unknown_total" doc:"devices for which it did not say so within cluster.mail.missed_timeout: the same"`
	MovesSent     uint64     `metric:"roost_mail_moves_sent_total" doc:"messages sent to their new homes because this node leaves, also again"`
	Moved         uint64     `metric:"roost_mail_moved_total" doc:"of those the ones that a home has now, and this node not any more"`
	MovesRefused  uint64     `metric:"roost_mail_moves_refused_total" doc:"of those the ones that a home had no room for; they are sent again"`
	MovesUnsure   uint64     `metric:"roost_mail_moves_unsure_total" doc:"of those the ones that the home did not answer for in time: it may have them, and they are sent again"`
	MovesReceived uint64     `metric:"roost_mail_moves_received_total" doc:"messages that nodes which leave have sent here"`
	MovesTaken    uint64     `metric:"roost_mail_moves_taken_total" doc:"of those the ones that are kept here now"`
	KeysAsked     uint64     `metric:"roost_mail_keys_asked_total" doc:"pushes with an idempotency key that this node did not know, for which other nodes were asked, which may have kept it and had not given this one all their keys yet"`
	KeysFound     uint64     `metric:"roost_mail_keys_found_total" doc:"of those the ones that another node knew: they are not kept again"`
	KeysUnsure    uint64     `metric:"roost_mail_keys_unsure_total" doc:"pushes with an idempotency key that no node in reach knew, while one was silent that may: they are kept, maybe for the second time"`
	KeysStoring   uint64     `metric:"roost_mail_keys_storing_total" doc:"of those the ones refused as overloaded, because another node was storing a push with that key just then"`
	KeysFiled     uint64     `metric:"roost_mail_keys_filed_total" doc:"idempotency keys that the homes of their accounts have taken from this node, which was the home before, stood in for it, or leaves"`
	KeysUnfiled   uint64     `metric:"roost_mail_keys_unfiled_total" doc:"idempotency keys that a home did not take from this node, or not in time; they are offered again"`
	KeysReceived  uint64     `metric:"roost_mail_keys_received_total" doc:"idempotency keys that other nodes have sent here"`
	KeysTwice     uint64     `metric:"roost_mail_keys_twice_total" doc:"of those the ones that name another message here: that was kept twice, and a repeat gets the id that this node knows"`
	SettledUntold uint64     `metric:"roost_mail_settled_untold_total" doc:"times another node could not be told whether this one has given away all idempotency keys that belong elsewhere, because the link to it had no room; it is told again"`
	Strays        int        `metric:"roost_mail_strays" doc:"messages of which it is remembered that another node keeps them than their id names, because that has left"`
	Watched       int        `metric:"roost_mail_watched" doc:"messages kept at other nodes that somebody here waits for the outcome of"`
	Unwatched     uint64     `metric:"roost_mail_unwatched_total" doc:"messages kept for other nodes of which those are told no more: they said so, or the link has ended"`
	UnwatchesLost uint64     `metric:"roost_mail_unwatches_lost_total" doc:"times the keeper of a message could not be told that nobody here waits for its outcome any more; without a link it knows"`
	WatchesEnded  uint64     `metric:"roost_mail_watches_ended_total" doc:"messages kept at other nodes of which nothing more is heard: the link has ended, or their time was over and the last word was lost"`
	AcksLost      uint64     `metric:"roost_mail_acks_lost_total" doc:"acks dropped because too many waited for a link, or the keeper is no member any more: those devices get the message once more, if it comes back"`
}

// ByStanding is one counter for each reason to stand in.
type ByStanding [standings]uint64

// Label is the value of the label reason for the counter i.
func (ByStanding) Label(i int) string {
	return [standings]string{"unlinked", "queue_full", "late"}[i]
}

type homesCounts struct {
	sent, received, unsure, lateAnswers, overloaded, answersLost, acksSent, acksReceived, acksLost                 atomic.Uint64
	movesSent, moved, movesRefused, movesUnsure, movesReceived, movesTaken, unwatched, watchesEnded, unwatchesLost atomic.Uint64
	keysAsked, keysFound, keysUnsure, keysStoring, keysFiled, keysUnfiled, keysReceived, keysTwice, settledUntold  atomic.Uint64
	missedAsked, missedUnasked, missedUnknown                                                                      atomic.Uint64

	stoodIn [standings]atomic.Uint64
}

// Stats returns the counters.
func (m *Homes) Stats() HomesStats {
	n := &m.count
	m.mu.Lock()
	s := HomesStats{InFlight: len(m.flights), AcksHeld: m.held, Watched: len(m.watched)}
	m.mu.Unlock()
	m.strays.mu.Lock()
	s.Strays = len(m.strays.of)
	m.strays.mu.Unlock()
	s.MovesSent, s.Moved, s.MovesRefused, s.MovesUnsure = n.movesSent.Load(), n.moved.Load(), n.movesRefused.Load(), n.movesUnsure.Load()
	s.MovesReceived, s.MovesTaken = n.movesReceived.Load(), n.movesTaken.Load()
	s.Unwatched, s.WatchesEnded, s.UnwatchesLost = n.unwatched.Load(), n.watchesEnded.Load(), n.unwatchesLost.Load()
	s.Sent, s.Received, s.Unsure, s.LateAnswers = n.sent.Load(), n.received.Load(), n.unsure.Load(), n.lateAnswers.Load()
	s.Overloaded, s.AnswersLost = n.overloaded.Load(), n.answersLost.Load()
	s.AcksSent, s.AcksReceived, s.AcksLost = n.acksSent.Load(), n.acksReceived.Load(), n.acksLost.Load()
	s.MissedAsked, s.MissedUnasked, s.MissedUnknown = n.missedAsked.Load(), n.missedUnasked.Load(), n.missedUnknown.Load()
	s.KeysAsked, s.KeysFound, s.KeysUnsure, s.KeysStoring = n.keysAsked.Load(), n.keysFound.Load(), n.keysUnsure.Load(), n.keysStoring.Load()
	s.KeysFiled, s.KeysUnfiled, s.KeysReceived, s.KeysTwice = n.keysFiled.Load(), n.keysUnfiled.Load(), n.keysReceived.Load(), n.keysTwice.Load()
	s.SettledUntold = n.settledUntold.Load()
	for i := range s.StoodIn {
		s.StoodIn[i] = n.stoodIn[i].Load()
	}
	return s
}
