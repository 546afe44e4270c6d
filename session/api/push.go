package api

// HOT PATH: begin runs once for each push, also of streams.
//
// A push in order: parse (JSON to frame), check (what this node offers), launch (claim
// the idempotency key, deliver or, with a ttl, keep: keep.go); then somebody waits, and
// finish says what it came to, by conclude (answer.go).

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/wire"
)

// slot is one push from being read to being answered. It is used again and again, so
// that a push costs no memory. It belongs to the request it is part of; only settled
// is called from elsewhere.
type slot struct {
	delivery deliver.Delivery
	push     deliver.Push
	mail     promise // of a push with a ttl, instead of the delivery
	server   *Server

	state  atomic.Uint32           // slotPending, slotWatched or slotDone
	waiter waiter                  // hears that the push settled
	hook   func(*deliver.Delivery) // calls settle; made once

	id       session.MessageID
	names    []byte // what account, device, topic and ref are made of
	account  string // borrowed from names, as the others
	device   string // empty: the whole account
	topic    string // empty: it is to no topic
	ref      string // the caller's own id; empty: none
	timeout  time.Duration
	began    time.Time
	deadline time.Time

	entry *remembered // the push has an idempotency key: its place in memory
	mine  bool        // this push is the first of its key, and settles entry

	line    uint64 // of its stream
	size    int    // of its JSON or raw body, in bytes
	expired bool   // Expire was called
	refused bool
	fixed   answer // of a refused push
	out     []byte // members of the answer
}

// waiter is whoever waits for slots. settled is called once for each push that was
// delivered, on any goroutine, and must not block; watched says that somebody waits
// for this very slot.
type waiter interface {
	settled(watched bool)
}

// The states of a slot.
const (
	slotPending uint32 = iota // its push has not settled
	slotWatched               // neither, and somebody waits for it
	slotDone                  // it has
)

// begin reads one JSON push and sends it on its way. From then on the slot is
// pending or done; a push that is refused is done at once. f is room for what is read: it,
// raw and header (the Idempotency-Key; may be empty) are borrowed until begin returns. trace is the request's
// traceparent, for a push that has none of its own. async overrules wait.
func (s *Server) begin(sl *slot, f *wire.PushFrame, w waiter, raw []byte, header, trace string, async bool, now time.Time) {
	sl.reset(w, now)
	if err := wire.ParsePush(raw, f); err != nil {
		sl.refuse(malformed(err))
		return
	}
	if async {
		f.Wait = session.WaitNone
	}
	if p := s.check(f, header); p != nil {
		sl.refuse(p)
		return
	}
	sl.keepNames(f.Account, f.Device, f.Topic, f.ID, header)
	if sl.timeout = s.cfg.Push.Timeout; f.TimeoutMS > 0 {
		sl.timeout = time.Duration(f.TimeoutMS) * time.Millisecond
	}
	sl.push = deliver.Push{
		To:      deliver.To{Account: sl.account, Device: sl.device, Topic: sl.topic, All: f.All},
		Kind:    f.Kind,
		Payload: f.Payload,
		Wait:    f.Wait,
		SentMS:  now.UnixMilli(),

		AcksFirst: f.AcksFirst, Trace: trace,
	}
	if len(f.Trace) > 0 {
		sl.push.Trace = wire.Borrow(f.Trace)
	}
	sl.mail.ttlMS, sl.mail.priority, sl.mail.collapse = f.TTLMS, f.Priority, wire.Borrow(f.Collapse)
	s.launch(sl, "", raw)
}

// launch claims the push's key, if it has one, and delivers or keeps it. scope and raw are
// what must be the same when the key comes again.
func (s *Server) launch(sl *slot, scope string, raw []byte) {
	sl.deadline, sl.size = sl.began.Add(sl.timeout), len(raw)
	if sl.ref != "" {
		var same bool
		sl.entry, sl.mine, same = s.memory.claim(sl.ref, scope, raw, sl.began)
		if !same {
			sl.entry = nil
			sl.refuse(problem(http.StatusConflict, codeKeyReused, fmt.Sprintf("idempotency key %q came before with another body", sl.ref)))
			return
		}
		if !sl.mine {
			s.metrics.replays.Inc()
			return // pending until entry has its answer
		}
	}
	if sl.mail.ttlMS > 0 {
		s.keep(sl)
		return
	}
	sl.push.TimeoutMS = uint32(min(sl.timeout.Milliseconds(), wire.TimeoutMSMax))
	sl.delivery.Reset(sl.push.Wait, sl.hook)
	sl.id = s.node.Pusher.Deliver(&sl.push, &sl.delivery)
	sl.push.Payload, sl.push.Trace = nil, ""
	if sl.push.Wait == session.WaitNone {
		sl.settle() // deliver calls nobody then
	}
}

// check refuses what is well-formed and not possible here.
func (s *Server) check(f *wire.PushFrame, header string) *Problem {
	switch {
	case f.TTLMS > 0 && f.All:
		return unprocessable(codeTTLToAll, "ttl_ms with to.all: nothing is kept for everybody there is; leave it out or send 0, or push to each account")
	case f.TTLMS > 0 && f.Topic != nil:
		return unprocessable(codeTTLToTopic, "ttl_ms with to.topic: what a topic keeps is its window, for those who subscribe with since; leave it out or send 0")
	case f.TTLMS > s.cfg.Push.TTLMax.Milliseconds():
		return unprocessable(codeTTLRange, fmt.Sprintf("ttl_ms is %d, at most %d are possible (push.ttl_max)", f.TTLMS, s.cfg.Push.TTLMax.Milliseconds()))
	case f.AcksFirst && (f.All || f.Topic != nil):
		return unprocessable(codeAcksUnsupported, `acks is "first": that is for the devices of one account; leave it out or send "all"`)
	case f.AcksFirst && f.TTLMS == 0 && f.Wait != session.WaitAcked:
		return unprocessable(codeAcksUnused, fmt.Sprintf(`acks is "first" and no ack is waited for: wait is %q and ttl_ms 0; say wait "acked", or give it a ttl_ms`, f.Wait))
	case len(f.Payload) > s.cfg.Push.PayloadBytesMax:
		return s.payloadTooLarge(len(f.Payload))
	case f.TimeoutMS > s.cfg.Push.TimeoutMax.Milliseconds():
		return unprocessable(codeTimeoutRange, fmt.Sprintf("timeout_ms is %d, at most %d are possible (push.timeout_max)", f.TimeoutMS, s.cfg.Push.TimeoutMax.Milliseconds()))
	case header != "" && f.ID != nil && string(f.ID) != header:
		return badRequest(codeKeyMismatch, fmt.Sprintf("id is %q and the Idempotency-Key header %q: they are one thing, send one of them or the same twice", f.ID, header))
	}
	return nil
}

func (s *Server) payloadTooLarge(n int) *Problem {
	return problem(http.StatusRequestEntityTooLarge, codePayloadTooLarge,
		fmt.Sprintf("the payload is %d bytes long, at most %d are allowed (push.payload_bytes_max)", n, s.cfg.Push.PayloadBytesMax))
}

// malformed says what package wire found: 400 for what is not JSON, 422 for JSON that
// says nothing sensible.
func malformed(err error) *Problem {
	var e *wire.Error
	if !errors.As(err, &e) {
		panic("api: ParsePush returned an error of another kind: " + err.Error())
	}
	status := http.StatusUnprocessableEntity
	if e.Code == wire.CodeJSON || e.Code == wire.CodeDepth {
		status = http.StatusBadRequest
	}
	return problem(status, e.Code, fmt.Sprintf("at byte %d: %s", e.Offset, e.Detail))
}

// finish says what a push came to: one that is done, or that repeats another one's key
// and has the answer of that or waited in vain. It also gives the answer to who
// repeats this push.
func (s *Server) finish(sl *slot, brief bool) answer {
	switch {
	case sl.refused:
		return sl.fixed
	case sl.repeats():
		if a, ok := s.memory.look(sl.entry); ok {
			return a
		}
		return answer{status: http.StatusConflict, code: codeKeyInFlight,
			detail: fmt.Sprintf("the push with idempotency key %q came before and has no outcome after %v; ask again later", sl.ref, sl.timeout)}
	}
	var a answer
	if sl.mail.ttlMS > 0 {
		a = s.concludeKept(sl, brief)
	} else {
		a = s.conclude(sl, brief)
	}
	if sl.mine && !sl.mail.lost {
		s.memory.settle(sl.entry, a) // else Kept does
	}
	return a
}

// newSlot returns a slot that has not been used.
func newSlot(s *Server) *slot {
	sl := &slot{server: s}
	sl.hook = func(*deliver.Delivery) { sl.settle() }
	return sl
}

// repeats says that the slot waits for the answer of another push, with the same key.
func (sl *slot) repeats() bool { return sl.entry != nil && !sl.mine }

// reset makes the slot ready for another push. The mailbox may still be telling it what became
// of the last one, and reads what follows: not from mail.reset on.
func (sl *slot) reset(w waiter, now time.Time) {
	sl.mail.reset()
	sl.state.Store(slotPending)
	sl.waiter, sl.began, sl.deadline = w, now, now
	sl.id, sl.ref, sl.account, sl.device, sl.topic = 0, "", "", "", ""
	sl.entry, sl.mine, sl.refused, sl.expired = nil, false, false, false
	sl.out = sl.out[:0]
}

// keepNames copies what conclude needs, since the frame's slices are borrowed.
func (sl *slot) keepNames(account, device, topic, id []byte, header string) {
	a, d := len(account), len(account)+len(device)
	t := d + len(topic)
	sl.names = append(append(append(append(sl.names[:0], account...), device...), topic...), id...)
	if len(id) == 0 {
		sl.names = append(sl.names, header...)
	}
	sl.account = wire.Borrow(sl.names[:a])
	sl.device = wire.Borrow(sl.names[a:d])
	sl.topic = wire.Borrow(sl.names[d:t])
	sl.ref = wire.Borrow(sl.names[t:])
}

// refuse gives the slot an answer without a delivery.
func (sl *slot) refuse(p *Problem) {
	sl.refused = true
	sl.fixed = answer{status: p.Status, code: p.Code, detail: p.Detail}
	sl.state.Store(slotDone)
}

// expire ends the waiting: the deadline has passed. The push has settled then, or does in a
// moment.
func (sl *slot) expire() {
	if sl.mail.ttlMS == 0 {
		sl.delivery.Expire()
	} else if sl.mail.close() {
		sl.settle()
	}
}

// watch announces that somebody waits for this slot; false says that it is done.
func (sl *slot) watch() bool {
	return sl.state.CompareAndSwap(slotPending, slotWatched) || sl.state.Load() == slotWatched
}

// settle notes that the push has settled and tells the waiter. Any goroutine. After
// the swap the slot may already be another push's, so the waiter is read before.
func (sl *slot) settle() {
	w := sl.waiter
	w.settled(sl.state.Swap(slotDone) == slotWatched)
}
