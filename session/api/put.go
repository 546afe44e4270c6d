package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/wire"
)

// putMessage answers PUT /v1/accounts/{account}/devices/{device}/messages: the body
// is the payload, the options are headers as RFC 8030 names them.
//
// Where RFC 8030 and PROTOCOL.md differ, PROTOCOL.md wins: a push answers 200 with its
// outcome, or 202 with a Location when it is queued, where RFC 8030 section 5 has 201.
// Prefer: respond-async is answered without waiting for the device. The answer's TTL is
// the one that counts, which may be lower than the one asked for (section 5.2).
func (s *Server) putMessage(w http.ResponseWriter, r *http.Request) *Problem {
	a, p := addressOf(r, true)
	if p != nil {
		return p
	}
	ttl, priority, p := s.pushHeaders(r)
	if p != nil {
		return p
	}
	key, p := idempotencyKey(r)
	if p != nil {
		return p
	}
	b, p := s.readBody(r, s.cfg.Push.PayloadBytesMax, codePayloadTooLarge, "payload")
	if p != nil {
		return p
	}
	defer b.release()
	kind, p := kindOf(r, b.bytes)
	if p != nil {
		return p
	}
	sl, done := s.newSlot()
	defer s.putSlot(sl)
	sl.reset(done, s.now())
	sl.keepNames([]byte(a.Account), []byte(a.Device), nil, nil, key)
	sl.timeout = s.cfg.Push.Timeout
	sl.push = deliver.Push{
		To:      deliver.To{Account: sl.account, Device: sl.device},
		Kind:    kind,
		Payload: b.bytes,
		SentMS:  sl.began.UnixMilli(),
		Trace:   traceOf(r),
	}
	if prefers(r, "respond-async") {
		sl.push.Wait = session.WaitNone
		w.Header().Set("Preference-Applied", "respond-async") // RFC 7240 section 3
	}
	sl.mail.ttlMS, sl.mail.priority, sl.mail.collapse = ttl.Milliseconds(), priority, r.Header.Get("Topic")
	s.launch(sl, "PUT "+r.URL.EscapedPath()+" "+r.Header.Get("Content-Type"), b.bytes)
	b.release() // what is still needed was copied
	w.Header().Set("TTL", strconv.FormatInt(int64(ttl/time.Second), 10))
	return s.respond(w, sl, done)
}

// pushHeaders reads TTL, Urgency and Topic as RFC 8030 has them. The TTL is cut to
// push.ttl_max; very-low and low are one priority.
func (s *Server) pushHeaders(r *http.Request) (ttl time.Duration, priority session.Priority, p *Problem) {
	text := r.Header.Get("TTL")
	if text == "" {
		return 0, 0, badRequest(codeTTLMissing, "the TTL header is missing (RFC 8030 section 5.2): send TTL: 0 for now or never")
	}
	// RFC 8030 asks for digits only; ParseUint takes no sign.
	seconds, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, 0, badRequest(codeHeaderInvalid, fmt.Sprintf("TTL is %.40q: whole seconds below 2^31 are possible (RFC 8030 section 5.2)", text))
	}
	switch u := r.Header.Get("Urgency"); u {
	case "very-low", "low":
		priority = session.PriorityLow
	case "", "normal":
	case "high":
		priority = session.PriorityHigh
	default:
		return 0, 0, badRequest(codeHeaderInvalid, fmt.Sprintf("Urgency is %.40q: very-low, low, normal and high are possible (RFC 8030 section 5.3)", u))
	}
	if topic, sent := r.Header["Topic"]; sent && !validCollapse(topic[0]) {
		return 0, 0, badRequest(codeHeaderInvalid, fmt.Sprintf("Topic is %.40q: 1 to %d characters of A-Z, a-z, 0-9, '-' and '_' are possible (RFC 8030 section 5.4)", topic[0], wire.CollapseBytesMax))
	}
	return min(time.Duration(seconds)*time.Second, s.cfg.Push.TTLMax.Truncate(time.Second)), priority, nil
}

// validCollapse checks a Topic header, which is JSON's collapse.
func validCollapse(t string) bool {
	return t != "" && len(t) <= wire.CollapseBytesMax && !strings.ContainsFunc(t, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	})
}

// prefers reports whether a Prefer header holds the preference (RFC 7240 section 2).
func prefers(r *http.Request, preference string) bool {
	for _, line := range r.Header.Values("Prefer") {
		for part := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(name), preference) {
				return true
			}
		}
	}
	return false
}
