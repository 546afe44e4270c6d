// HOT PATH

package deliver

import (
	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// attemptHere is an attempt on the very session that the keeper means, connected to this
// node. Nearly all are. Nothing is looked for when its connection turns out to be gone,
// because the keeper asks who is online then, so nothing of the message need be remembered: a
// Delivery would take twice as long. It is used again and again.
type attemptHere struct {
	router *Router
	heard  func(session.Outcome)
	to     *session.Session
	number session.MessageID
}

// meant returns the session that mark names, if it is connected here and an attempt is nothing
// but a frame of roost.v1 for it: neither a traced message, nor one that another node made.
func (r *Router) meant(m *session.Kept, mark uint64) *session.Session {
	if mark == 0 || m.Trace != "" || m.Origin != r.origin || len(m.Payload) > r.cfg.PayloadBytesMax {
		return nil
	}
	s, version := r.reg.LookupVersion(m.Account, m.Device)
	if s == nil || session.MarkHere(version) != mark || s.Version != version || s.Permissions&(session.Raw|session.SSE) != 0 {
		return nil
	}
	return s
}

// attemptHere sends the message to that session.
func (r *Router) attemptHere(m *session.Kept, to *session.Session, heard func(session.Outcome)) {
	a := r.attemptsHere.Get().(*attemptHere)
	a.heard, a.to, a.number = heard, to, m.Number
	frame := r.scratch.Get().(*[]byte)
	*frame = wire.AppendMessage((*frame)[:0], r.origin, &session.Message{
		ID: m.Number, Kind: m.Kind, Payload: m.Payload, From: m.From, SentMS: m.SentMS, Ack: true,
	})
	a.note(session.StepAttempted, session.Pending)
	a.note(session.StepSent, session.Pending)
	r.sockets.Send(netpoll.ConnID(to.Conn), netpoll.OpText, *frame, a, 0)
	r.keepScratch(frame)
}

// Sent is the reactor's answer (netpoll.Receipt).
func (a *attemptHere) Sent(_ uint64, result netpoll.Result) {
	r, heard, o := a.router, a.heard, session.Offline
	switch result {
	case netpoll.ResultWritten:
		o = session.Written
	case netpoll.ResultCut:
		o = session.Lost
	case netpoll.ResultFull:
		o = session.Overloaded
	}
	a.note(session.StepBecame, o)
	a.heard, a.to = nil, nil
	r.attemptsHere.Put(a)
	r.count.outcomes[o].Add(1)
	heard(o)
}

func (a *attemptHere) note(step session.Step, o session.Outcome) {
	if t := a.router.tracer; t != nil {
		t.Note(session.Event{ID: session.ID{Origin: a.router.origin, Number: a.number}, Step: step, Outcome: o, Device: a.to.Device})
	}
}
