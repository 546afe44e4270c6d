package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/wire"
)

// postMessages answers POST /v1/messages: one push as JSON, or a stream of them.
func (s *Server) postMessages(w http.ResponseWriter, r *http.Request) *Problem {
	mt, p := mediaType(r)
	if p != nil {
		return p
	}
	switch mt {
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		return s.postStream(w, r)
	case "application/json", "":
	default:
		return problem(http.StatusUnsupportedMediaType, codeContentType,
			fmt.Sprintf("Content-Type is %.100q: send application/json for one push, application/x-ndjson for one a line", mt))
	}
	key, p := idempotencyKey(r)
	if p != nil {
		return p
	}
	b, p := s.readBody(r, s.cfg.HTTP.BodyBytesMax, codeBodyTooLarge, "body")
	if p != nil {
		return p
	}
	defer b.release()
	sl, done := s.newSlot()
	defer s.putSlot(sl)
	async := prefers(r, "respond-async")
	if async {
		w.Header().Set("Preference-Applied", "respond-async") // RFC 7240 section 3
	}
	f := s.frames.Get().(*wire.PushFrame)
	s.begin(sl, f, done, b.bytes, key, traceOf(r), async, s.now())
	s.frames.Put(f)
	b.release() // what is still needed was copied
	return s.respond(w, sl, done)
}

// respond waits for one push and answers with what it came to.
func (s *Server) respond(w http.ResponseWriter, sl *slot, done oneWaiter) *Problem {
	s.await(sl, done)
	a := s.finish(sl, false)
	s.answerIn(w, s.cfg.HTTP.WriteTimeout)
	if p := a.problem(); p != nil {
		return p
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if a.status == http.StatusAccepted && a.kept != (session.ID{}) {
		w.Header().Set("Location", "/v1/messages/"+a.kept.Text())
	}
	body := make([]byte, 0, len(a.members)+3)
	body = append(append(append(body, '{'), a.members...), '}', '\n')
	w.WriteHeader(a.status)
	w.Write(body) // a client that went away is no news
	return nil
}

// oneWaiter waits for one push.
type oneWaiter chan struct{}

// settled never blocks: one push settles once, and there is room for one.
func (c oneWaiter) settled(bool) { c <- struct{}{} }

// newSlot takes a slot for one push; give it back with putSlot.
func (s *Server) newSlot() (*slot, oneWaiter) {
	return s.slots.Get().(*slot), make(oneWaiter, 1)
}

// putSlot gives a slot back whose push has been answered.
func (s *Server) putSlot(sl *slot) {
	if sl.waiter = nil; sl.refused {
		sl.fixed = answer{}
	}
	if !sl.mail.lost && cap(sl.out) <= keptBytesMax && sl.size <= slotBytesMax {
		s.slots.Put(sl)
	}
}

// keptBytesMax is the size up to which buffers are used again.
const keptBytesMax = 64 << 10

// await returns when the push is done or its deadline has passed. It does not look
// at the request's context: the push is on its way, and who repeats its key shall get
// its true outcome although the first asker hung up.
func (s *Server) await(sl *slot, done oneWaiter) {
	if sl.refused {
		return
	}
	var other <-chan struct{}
	if sl.repeats() {
		other = s.memory.wait(sl.entry)
	}
	deadline := time.NewTimer(sl.deadline.Sub(s.now()))
	defer deadline.Stop()
	select {
	case <-done:
		s.metrics.push.Update(s.now().Sub(sl.began).Seconds())
	case <-other:
	case <-deadline.C:
		if !sl.repeats() {
			sl.expire()
			<-done // at once, or when the loop that is just sending is back
		}
	}
}

// pushOne delivers to one device, waits, and returns its outcome.
func (s *Server) pushOne(push *deliver.Push, timeout time.Duration) session.Outcome {
	sl, done := s.newSlot()
	defer s.putSlot(sl)
	sl.reset(done, s.now())
	sl.push, sl.timeout = *push, timeout
	s.launch(sl, "", nil)
	s.await(sl, done)
	outcome := session.Offline // of a device that Deliver did not find
	sl.delivery.Outcomes(func(_, _ string, o session.Outcome) { outcome = o })
	return outcome
}

// idempotencyKey reads the header of that name. The quotes that the IETF draft
// (draft-ietf-httpapi-idempotency-key-header) puts around the key are taken off; most
// clients send none.
func idempotencyKey(r *http.Request) (string, *Problem) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	if n := len(key); n >= 2 && key[0] == '"' && key[n-1] == '"' {
		key = key[1 : n-1]
	}
	bad := len(values) > 1 || key == "" || len(key) > wire.KeyBytesMax || !utf8.ValidString(key) ||
		strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c == 0x7f })
	if bad {
		return "", badRequest(codeKeyInvalid, fmt.Sprintf("Idempotency-Key is to be one header of 1 to %d printable bytes", wire.KeyBytesMax))
	}
	return key, nil
}

// kindOf decides by the Content-Type how a raw body travels, and checks that it is
// what it says: a text frame that is not UTF-8 would end the device's connection
// (RFC 6455 section 8.1).
func kindOf(r *http.Request, body []byte) (session.Kind, *Problem) {
	mt, p := mediaType(r)
	switch {
	case p != nil:
		return 0, p
	case mt == "application/json":
		if !utf8.Valid(body) || !json.Valid(body) {
			return 0, badRequest(codePayloadInvalid, "Content-Type is application/json and the body is not one JSON value in UTF-8")
		}
		return session.JSON, nil
	case strings.HasPrefix(mt, "text/"):
		if !utf8.Valid(body) {
			return 0, badRequest(codePayloadInvalid, fmt.Sprintf("Content-Type is %s and the body is not UTF-8", mt))
		}
		return session.Text, nil
	}
	return session.Binary, nil
}
