package api

// HOT PATH: once for each push, also of streams. No allocation on the way of a push
// that reached its device.

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// answer is what a push came to, in a form that a JSON answer, a stream's line and
// the memory of idempotency keys share.
type answer struct {
	status  int        // HTTP status; 200 and 202 are no problems
	code    string     // of a problem
	detail  string     // of a problem
	members []byte     // "id":..,"ref":..,"outcomes":[..] without braces; borrowed or shared
	kept    session.ID // of a push that is kept; zero: it is not
}

// temporary says that the same push may fare better in a moment, so that its answer
// must not be repeated from memory.
func (a *answer) temporary() bool {
	return a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests
}

// problem returns the answer as a problem, nil when it is none. It is written when the
// slot whose bytes the members are has been given back, and so has a copy.
func (a *answer) problem() *Problem {
	if a.status < 400 {
		return nil
	}
	p := &Problem{Status: a.status, Code: a.code, Detail: a.detail, members: bytes.Clone(a.members)}
	if a.temporary() {
		p.RetryAfter = busy("", "").RetryAfter
	}
	return p
}

// appendLine writes the answer as one line of a stream's results.
func (a *answer) appendLine(dst []byte, line uint64) []byte {
	dst = append(dst, `{"line":`...)
	dst = strconv.AppendUint(dst, line, 10)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(a.status), 10)
	if len(a.members) > 0 {
		dst = append(dst, ',')
		dst = append(dst, a.members...)
	}
	if a.code != "" {
		dst = append(dst, `,"error":`...)
		dst = appendError(dst, a.code, a.detail)
	}
	return append(dst, '}', '\n')
}

// appendError writes {"code","detail"}.
func appendError(dst []byte, code, detail string) []byte {
	dst = append(dst, `{"code":`...)
	dst = wire.AppendJSONString(dst, code)
	dst = append(dst, `,"detail":`...)
	dst = wire.AppendJSONString(dst, detail)
	return append(dst, '}')
}

// conclude says what a settled push came to. The answer's members are in the slot's
// buffer. brief leaves the list of devices out, for a stream whose buffer is full.
//
// The statuses are PROTOCOL.md's: 200 when every addressee's outcome is final,
// whatever they are, except that a push whose only or every addressee is not there
// is 404 (no record of it) or 410 (known).
func (s *Server) conclude(sl *slot, brief bool) answer {
	sl.appendIDs(session.ID{Origin: s.node.Origin, Number: sl.id})
	counts, total := sl.delivery.Sum()
	all := sl.push.To.All || sl.push.To.Topic != ""
	switch {
	case total == 0 && !all:
		return s.concludeNobody(sl)
	case sl.device != "" && counts[session.Offline] == 1:
		sl.appendOutcomes(total)
		return s.concludeOffline(sl)
	case sl.push.Wait == session.WaitNone && (counts[session.Pending] > 0 || total == 0):
		// What becomes of it nobody will know.
		return answer{status: http.StatusAccepted, members: sl.out}
	case all || brief || !sl.appendOutcomes(total):
		sl.appendCounts(&counts, total)
	}
	return answer{status: http.StatusOK, members: sl.out}
}

// concludeOffline tells a device that is known (410) from one that is not (404).
func (s *Server) concludeOffline(sl *slot) answer {
	p := s.absent(session.Address{Account: sl.account, Device: sl.device}, !sl.isStreamed())
	return answer{status: p.Status, code: p.Code, detail: p.Detail, members: sl.out}
}

// isStreamed says that the push is a line of a stream. Its answer must not wait for other
// nodes: the results of all lines behind it would.
func (sl *slot) isStreamed() bool {
	_, ok := sl.waiter.(*stream)
	return ok
}

// concludeNobody is about a push to an account none of whose devices is connected:
// each remembered one is offline.
func (s *Server) concludeNobody(sl *slot) answer {
	records, err := s.node.Records.Account(sl.account, s.cfg.HTTP.DevicesMax)
	var known []device
	if err == nil {
		var others []Known
		if !sl.isStreamed() {
			others, _ = s.elsewhere(session.Address{Account: sl.account})
		}
		known = s.merge(records, nil, others)
	}
	switch {
	case err != nil:
		p := storeFailed(err)
		return answer{status: p.Status, code: p.Code, detail: p.Detail, members: sl.out}
	case len(known) == 0:
		return answer{status: http.StatusNotFound, code: codeDeviceUnknown, members: sl.out,
			detail: fmt.Sprintf("there is no record of any device of account %s", sl.account)}
	}
	sl.out = append(sl.out, `,"outcomes":[`...)
	for i := range known {
		if i > 0 {
			sl.out = append(sl.out, ',')
		}
		sl.out = appendOutcome(sl.out, known[i].Device, session.Offline, "")
	}
	sl.out = append(sl.out, ']')
	return answer{status: http.StatusGone, code: codeDeviceOffline, members: sl.out,
		detail: fmt.Sprintf("none of the %d known devices of account %s is connected", len(known), sl.account)}
}

// appendIDs begins the members: the node's id and, beside it, the caller's own.
func (sl *slot) appendIDs(id session.ID) {
	sl.out = append(sl.out[:0], `"id":"`...)
	sl.out = id.Append(sl.out, uint64(id.Number))
	sl.out = append(sl.out, '"')
	if sl.ref != "" {
		sl.out = append(sl.out, `,"ref":`...)
		sl.out = wire.AppendJSONString(sl.out, sl.ref)
	}
}

// appendOutcomes lists every device; false, and nothing is appended, when the
// delivery lists fewer than the total that there are.
func (sl *slot) appendOutcomes(total int) bool {
	out := append(sl.out, `,"outcomes":[`...)
	n := 0
	sl.delivery.Outcomes(func(device, node string, o session.Outcome) {
		if n > 0 {
			out = append(out, ',')
		}
		n++
		out = appendOutcome(out, device, o, node)
	})
	if n < total {
		return false
	}
	sl.out = append(out, ']')
	return true
}

// appendOutcome writes one device's entry. node is left out where no node held it.
func appendOutcome(dst []byte, device string, o session.Outcome, node string) []byte {
	dst = append(dst, '{')
	if device != "" { // else a node could not be asked, and only it knows their names
		dst = append(dst, `"device":`...)
		dst = wire.AppendJSONString(dst, device)
		dst = append(dst, ',')
	}
	dst = append(dst, `"outcome":"`...)
	dst = append(dst, o.String()...)
	dst = append(dst, '"')
	if o != session.Offline && node != "" {
		dst = append(dst, `,"node":"`...)
		dst = append(dst, node...)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// appendCounts writes how many devices have which outcome.
func (sl *slot) appendCounts(counts *[session.OutcomeCount]int, total int) {
	sl.out = append(sl.out, `,"total":`...)
	sl.out = strconv.AppendInt(sl.out, int64(total), 10)
	sl.out = append(sl.out, `,"counts":{`...)
	first := true
	for o, n := range counts {
		if n == 0 {
			continue
		}
		if !first {
			sl.out = append(sl.out, ',')
		}
		first = false
		sl.out = append(sl.out, '"')
		sl.out = append(sl.out, session.Outcome(o).String()...)
		sl.out = append(sl.out, `":`...)
		sl.out = strconv.AppendInt(sl.out, int64(n), 10)
	}
	sl.out = append(sl.out, '}')
}

// appendMember writes "name":"value".
func appendMember(dst []byte, name, value string) []byte {
	dst = wire.AppendJSONString(dst, name)
	dst = append(dst, ':')
	return wire.AppendJSONString(dst, value)
}
