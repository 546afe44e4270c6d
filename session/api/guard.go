package api

import (
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/roostpush/roost/session"
)

// ServeHTTP lets a request in and sees it out. In order: note the time, find the
// route, check where it comes from, take a place among requests_max, check who is
// asking, serve, answer a problem, count.
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := &answered{ResponseWriter: rw}
	start := s.now()
	rt, p := s.find(r)
	w.meter = s.metrics.route(rt)
	defer func() { w.meter.done(w.status, s.now().Sub(start), w.untimed) }()
	defer s.recovered(w, r)
	if s.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	if trace := traceOf(r); trace != "" {
		w.Header().Set("Traceparent", trace)
	}
	if p == nil {
		p = s.serve(rt, w, r)
	}
	if p != nil {
		if w.status == 0 && r.Body != http.NoBody {
			// net/http would first read what the client is still sending, of a stream for as
			// long as it lasts: the refusal goes out now and the connection ends.
			_ = http.NewResponseController(rw).EnableFullDuplex()
			w.Header().Set("Connection", "close")
		}
		s.metrics.problem(p.Code)
		p.write(w)
	}
}

// serve is what happens to a request that has a route.
func (s *Server) serve(rt *route, w http.ResponseWriter, r *http.Request) *Problem {
	if p := s.checkOrigin(rt, r); p != nil {
		return p
	}
	if !rt.always {
		if s.requests.Add(1) > int64(s.cfg.HTTP.RequestsMax) {
			s.requests.Add(-1)
			return busy(codeBusy, fmt.Sprintf("this node serves %d requests at a time (api.http.requests_max)", s.cfg.HTTP.RequestsMax))
		}
		defer s.requests.Add(-1)
	}
	if p := s.checkAccess(rt, r); p != nil {
		return p
	}
	return rt.serve(s, w, r)
}

// checkOrigin keeps web pages out. A page in an operator's browser can reach a
// loopback port: by a request across origins (the browser says so in Sec-Fetch-Site
// or Origin), or by a name of its own that resolves to 127.0.0.1, against which only
// the Host header helps when no token is asked for.
func (s *Server) checkOrigin(rt *route, r *http.Request) *Problem {
	if err := s.origins.Check(r); err != nil {
		return forbidden(codeCrossOrigin, "a web page of another origin may not call this API")
	}
	if len(s.tokens) > 0 || rt.access != byToken {
		return nil
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" || host == "" || net.ParseIP(host) != nil {
		return nil
	}
	return forbidden(codeHostNotAllowed, fmt.Sprintf("Host is %q: without a service token only IP addresses and localhost are answered; set api.tokens to use names", r.Host))
}

// checkAccess holds the caller to what the route asks for. Signatures cover the body
// and are checked by the handlers that read it.
func (s *Server) checkAccess(rt *route, r *http.Request) *Problem {
	if len(s.tokens) == 0 || rt.access == byAnyone {
		return nil
	}
	auth := r.Header.Get("Authorization")
	if rt.access == bySignature && len(s.sigV4.keys) > 0 && strings.HasPrefix(auth, sigV4Algorithm) {
		return nil
	}
	scheme, token, _ := strings.Cut(auth, " ")
	switch {
	case auth == "":
		return problem(http.StatusUnauthorized, codeUnauthorized, "send a service token: Authorization: Bearer ...")
	case strings.HasPrefix(auth, sigV4Algorithm) && rt.access == bySignature:
		return forbidden(codeSigV4UnknownKey, "the request is signed and this node has no key pairs (api.aws.keys)")
	case !strings.EqualFold(scheme, "Bearer"):
		return problem(http.StatusUnauthorized, codeUnauthorized, fmt.Sprintf("Authorization is of scheme %.32q: only Bearer is understood here", scheme))
	case !s.tokens.match(strings.TrimSpace(token)):
		return problem(http.StatusUnauthorized, codeUnauthorized, "the service token is not one of this node's")
	}
	return nil
}

// recovered turns a panic of a handler into a 500, or, when an answer has begun, into
// a cut connection: the client must not take half an answer for a whole one.
func (s *Server) recovered(w *answered, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler {
		panic(cause)
	}
	s.metrics.panics.Inc()
	s.log.Error("api: a handler panicked", "method", r.Method, "path", r.URL.Path, "panic", cause, "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	problem(http.StatusInternalServerError, codeInternal, "this is a defect of the node; its log has the details").write(w)
}

// answered remembers what was answered, for the metrics and for recovered.
type answered struct {
	http.ResponseWriter
	status  int // 0: nothing yet
	meter   *meter
	untimed bool // a stream or a profile: its duration is the client's wish
}

// WriteHeader notes the status.
func (w *answered) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write notes the implied status.
func (w *answered) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *answered) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// answerIn gives a handler that has waited a fresh write deadline.
func (s *Server) answerIn(w http.ResponseWriter, d time.Duration) {
	// Test recorders have no deadlines; a real connection always has.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d))
}

// traceOf returns the request's traceparent; empty: it has none, or one that is not
// well-formed and therefore ignored (W3C Trace Context section 3.2).
func traceOf(r *http.Request) string {
	if trace := r.Header.Get("Traceparent"); session.ValidTraceparent(trace) {
		return trace
	}
	return ""
}
