package api

// HOT PATH: once for each push with a ttl, also of streams.

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/mailbox"
	"github.com/roostpush/roost/session/wire"
)

// promise is what a slot knows of a push that is kept. A device that is away is answered
// queued as soon as that is known, whatever was asked for: the timeout is for devices that
// are there, with other messages before this one or slow to ack. Otherwise one device that
// is off would hold up a whole stream.
type promise struct {
	ttlMS    int64 // 0: the push is not to be kept, and the rest is unused
	priority session.Priority
	collapse string       // borrowed until the push has been posted
	post     mailbox.Push // memory for that

	// lost says that the mailbox has not said in time whether it keeps the push, and will
	// say so to this slot some time: the slot cannot be used again, and until then a push with
	// the same key waits, or it would be kept twice.
	lost bool

	mu      sync.Mutex
	closed  bool // the slot is settled
	heard   bool // the push is kept or refused
	refused session.Outcome
	why     string
	id      session.ID
	devices int
	became  []fate
}

// fate is what a device has come to.
type fate struct {
	device  string
	outcome session.Outcome
	away    bool // it is queued, and the device is not connected
}

func (m *promise) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ttlMS, m.priority, m.collapse = 0, 0, ""
	m.closed, m.heard, m.refused, m.why = false, false, session.Pending, ""
	m.id, m.devices = session.ID{}, 0
	clear(m.became)
	m.became = m.became[:0]
}

// close says that the slot is to be settled; false: it is already.
func (m *promise) close() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.closed
	m.closed = true
	return !was
}

// keep hands the push to the mailbox.
func (s *Server) keep(sl *slot) {
	m := &sl.mail
	m.post = mailbox.Push{
		Account: sl.account, Device: sl.device,
		Kind: sl.push.Kind, Payload: sl.push.Payload,
		SentMS: sl.push.SentMS, ExpiresMS: sl.push.SentMS + m.ttlMS,
		Priority: m.priority, Collapse: m.collapse, First: sl.push.AcksFirst, Trace: sl.push.Trace,
		// Who waits for nothing is answered with Kept. A home elsewhere would tell of the devices
		// for as long as the message waits: it does not hear that nobody listens any more.
		Brief: sl.push.Wait == session.WaitNone,
	}
	if sl.ref != "" {
		m.post.Key = session.NewKey("", sl.ref, &session.Kept{
			Address: session.Address{Account: m.post.Account, Device: m.post.Device}, Kind: m.post.Kind, Payload: m.post.Payload,
			SentMS: m.post.SentMS, ExpiresMS: m.post.ExpiresMS, Collapse: m.post.Collapse, First: m.post.First,
		})
	}
	s.node.Keeper.Post(&m.post, sl)
	m.post, m.collapse, sl.push.Payload = mailbox.Push{}, "", nil
	sl.push.Trace = ""
}

// Kept is the mailbox's word that the push is a promise, or why not (mailbox.Watcher).
func (sl *slot) Kept(id session.ID, devices int, refused session.Outcome, why string) {
	m := &sl.mail
	m.mu.Lock()
	m.heard, m.id, m.devices, m.refused, m.why = true, id, devices, refused, why
	settle := !m.closed && (refused != session.Pending || sl.push.Wait == session.WaitNone || devices == 0)
	m.closed = m.closed || settle
	if m.lost {
		sl.rememberLate()
	}
	m.mu.Unlock()
	if settle {
		sl.settle()
	}
}

// rememberLate gives whoever repeats the push what has become of it, after its own caller
// was told that nobody knew. The caller holds mu.
func (sl *slot) rememberLate() {
	a, watched := sl.answerKept(false)
	if sl.mine {
		sl.server.memory.settle(sl.entry, a)
	}
	if watched {
		go sl.server.node.Keeper.Unwatch(a.kept, sl) // the mailbox is calling, so it cannot be called
	}
}

// Became is what a device has come to (mailbox.Watcher). That of an earlier push of the
// slot is ignored.
func (sl *slot) Became(id session.ID, device string, o session.Outcome) {
	m := &sl.mail
	m.mu.Lock()
	if !m.heard || m.id != id {
		m.mu.Unlock()
		return
	}
	if o == session.Overloaded {
		m.devices++ // it has no room for the message, and was not among those that Kept counted
	}
	f := m.find(sl.device, device)
	f.outcome = o
	f.away = o == session.Queued && !sl.isOnline(device)
	settle := !m.closed && m.reached(sl.push.Wait, sl.push.AcksFirst)
	m.closed = m.closed || settle
	m.mu.Unlock()
	if settle {
		sl.settle()
	}
}

func (sl *slot) isOnline(device string) bool {
	_, ok := sl.server.node.Presence.Online(session.Address{Account: sl.account, Device: device})
	return ok
}

// find returns the place for a device's outcome; one is the only one there is, if it is
// said. The caller holds mu.
func (m *promise) find(one, device string) *fate {
	for i := range m.became {
		if m.became[i].device == device {
			return &m.became[i]
		}
	}
	if one == "" {
		one = strings.Clone(device)
	}
	m.became = append(m.became, fate{device: one}) // the slot's own bytes: nothing is allocated
	return &m.became[len(m.became)-1]
}

// reached says that every device has come to the level asked for, or is away, or will
// never. Once the first ack has taken the message from the others, those that are away are
// about to be cancelled. The caller holds mu.
func (m *promise) reached(wait session.Wait, first bool) bool {
	if len(m.became) < m.devices {
		return false
	}
	won := first && slices.ContainsFunc(m.became, func(f fate) bool { return f.outcome == session.Acked })
	for i := range m.became {
		if f := &m.became[i]; (!f.away || won) && !isAnswer(f.outcome, wait) {
			return false
		}
	}
	return true
}

// isAnswer says that an outcome is final, or the level asked for.
func isAnswer(o session.Outcome, wait session.Wait) bool {
	switch o {
	case session.Pending, session.Queued:
		return false
	case session.Written:
		return wait == session.WaitWritten
	}
	return true
}

// concludeKept says what a push that is kept has come to: 200 when every device has come to
// the level asked for or to a final outcome, else 202; from then on nobody is told more.
func (s *Server) concludeKept(sl *slot, brief bool) answer {
	m := &sl.mail
	m.mu.Lock()
	a, watched := sl.answerKept(brief)
	m.mu.Unlock()
	if watched {
		s.node.Keeper.Unwatch(a.kept, sl) // not under mu: it may be telling the slot something
	}
	return a
}

// answerKept makes the answer; watched says that more may be heard. The caller holds mu.
func (sl *slot) answerKept(brief bool) (a answer, watched bool) {
	m := &sl.mail
	switch {
	case !m.heard:
		m.lost = true
		return answer{status: http.StatusServiceUnavailable, code: codeKeepTimeout,
			detail: fmt.Sprintf("the disk has not said within %v that it has the push: it may be kept or not; push again with the same idempotency key: what came of this one is the answer then", sl.timeout)}, false
	case m.refused != session.Pending:
		return sl.notKept(), false
	}
	sl.appendIDs(m.id)
	a = answer{status: http.StatusOK, kept: m.id}
	if sl.push.Wait == session.WaitNone || len(m.became) < m.devices {
		a.status = http.StatusAccepted
	}
	watched = sl.push.Wait != session.WaitNone && len(m.became) < m.devices
	for i := range m.became {
		o := m.became[i].outcome
		if !isAnswer(o, sl.push.Wait) {
			a.status = http.StatusAccepted
		}
		watched = watched || !isAnswer(o, session.WaitAcked)
	}
	switch {
	case sl.device != "":
		o := session.Queued
		if len(m.became) > 0 {
			o = m.became[0].outcome
		}
		sl.out = append(appendOutcome(append(sl.out, `,"outcomes":[`...), sl.device, o, ""), ']')
	case brief || len(m.became) < m.devices:
		sl.appendKeptCounts()
	default:
		sl.out = append(sl.out, `,"outcomes":[`...)
		for i := range m.became {
			if i > 0 {
				sl.out = append(sl.out, ',')
			}
			sl.out = appendOutcome(sl.out, m.became[i].device, m.became[i].outcome, "")
		}
		if m.why != "" { // those that only a node that is gone remembers, and so their names
			sl.out = appendOutcome(append(sl.out, ','), "", session.Unreachable, "")
		}
		sl.out = append(sl.out, ']')
	}
	a.members = sl.out
	return a, watched
}

// appendKeptCounts counts outcomes; whoever has none yet is queued.
func (sl *slot) appendKeptCounts() {
	m := &sl.mail
	var counts [session.OutcomeCount]int
	for i := range m.became {
		counts[m.became[i].outcome]++
	}
	counts[session.Queued] += m.devices - len(m.became)
	total := m.devices
	if m.why != "" { // see answerKept
		counts[session.Unreachable]++
		total++
	}
	sl.appendCounts(&counts, total)
}

// notKept says why a push is refused by the mailbox.
func (sl *slot) notKept() answer {
	m := &sl.mail
	switch m.refused {
	case session.Offline:
		return answer{status: http.StatusNotFound, code: codeDeviceUnknown,
			detail: fmt.Sprintf("there is no record of any device of account %s", sl.account)}
	case session.TooLarge:
		return answer{status: http.StatusRequestEntityTooLarge, code: codePayloadTooLarge, detail: m.why}
	case session.Overloaded:
		return answer{status: http.StatusTooManyRequests, code: codeOverloaded, detail: m.why}
	case session.Forbidden:
		return answer{status: http.StatusConflict, code: codeKeyReused, detail: m.why}
	case session.Expired:
		sl.appendIDs(m.id)
		sl.out = append(sl.out, `,"outcomes":[`...)
		if sl.device != "" {
			sl.out = appendOutcome(sl.out, sl.device, session.Expired, "")
		}
		sl.out = append(sl.out, ']')
		return answer{status: http.StatusOK, members: sl.out}
	}
	return answer{status: http.StatusServiceUnavailable, code: codeNotKept, detail: m.why}
}

// getMessage answers GET /v1/messages/{id}: what has become of a push that is kept, for
// each device.
func (s *Server) getMessage(w http.ResponseWriter, r *http.Request) *Problem {
	return s.fates(w, r, s.node.Keeper.Fates)
}

// deleteMessage answers DELETE /v1/messages/{id}: whoever has not acked the message by now
// does not get it any more. The answer is what GET says then.
func (s *Server) deleteMessage(w http.ResponseWriter, r *http.Request) *Problem {
	return s.fates(w, r, s.node.Keeper.Cancel)
}

func (s *Server) fates(w http.ResponseWriter, r *http.Request, ask func(session.ID) ([]mailbox.Fate, bool, error)) *Problem {
	text := r.PathValue("id")
	if text == "" {
		return problem(http.StatusNotFound, codeNotFound, "a message's id is missing in the path: /v1/messages/{id}")
	}
	id, ok := session.ParseMessageID(text)
	if !ok {
		return problem(http.StatusNotFound, codeMessageUnknown, fmt.Sprintf("no node has made an id like %.60q", text))
	}
	list, found, err := ask(id)
	switch {
	case err != nil:
		return storeFailed(err)
	case !found:
		return problem(http.StatusNotFound, codeMessageUnknown,
			fmt.Sprintf("message %s is unknown: it was not kept (ttl_ms 0), or by a node that is none of this cluster, or its outcome is forgotten by now", text))
	}
	body := appendMember(append(make([]byte, 0, 128+64*len(list)), '{'), "id", text)
	body = append(body, `,"outcomes":[`...)
	for i, f := range list {
		if i > 0 {
			body = append(body, ',')
		}
		body = wire.AppendJSONString(append(body, `{"device":`...), f.Device)
		body = append(append(append(body, `,"outcome":"`...), f.Outcome.String()...), `","at_ms":`...)
		body = append(strconv.AppendInt(body, f.AtMS, 10), '}')
	}
	body = append(body, "]}\n"...)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(body) // a client that went away is no news
	return nil
}
