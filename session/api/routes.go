package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/roostpush/roost/session"
)

// access says what a caller must show for a route.
type access uint8

const (
	byToken     access = iota // a service token, when any is configured
	bySignature               // SigV4 when key pairs are configured, or a service token
	byAnyone                  // load balancers can show nothing
)

// route is one call of the API. Its name is the label of its metrics.
type route struct {
	name    string
	method  string
	pattern string // {x} takes one segment, a last * the rest
	access  access
	always  bool // answered even when requests_max is reached: operators must see why
	serve   func(*Server, http.ResponseWriter, *http.Request) *Problem

	segments []string
}

// routes are all calls. PROTOCOL.md section 2 is the contract.
func routes() []*route {
	table := []*route{
		{name: "push", method: "POST", pattern: "/v1/messages", serve: (*Server).postMessages},
		{name: "message", method: "GET", pattern: "/v1/messages/{id}", serve: (*Server).getMessage},
		{name: "cancel", method: "DELETE", pattern: "/v1/messages/{id}", serve: (*Server).deleteMessage},
		{name: "trace", method: "GET", pattern: "/v1/trace/{id}", serve: (*Server).getTrace},
		{name: "put", method: "PUT", pattern: "/v1/accounts/{account}/devices/{device}/messages", serve: (*Server).putMessage},
		{name: "devices", method: "GET", pattern: "/v1/accounts/{account}/devices", serve: (*Server).getDevices},
		{name: "device", method: "GET", pattern: "/v1/accounts/{account}/devices/{device}", serve: (*Server).getDevice},
		{name: "disconnect", method: "DELETE", pattern: "/v1/accounts/{account}/devices/{device}/session", serve: (*Server).deleteSession},
		{name: "route", method: "GET", pattern: "/v1/accounts/{account}/devices/{device}/route", serve: (*Server).getRoute},
		{name: "connection_post", method: "POST", pattern: "/@connections/{id}", access: bySignature, serve: (*Server).postConnection},
		{name: "connection_get", method: "GET", pattern: "/@connections/{id}", access: bySignature, serve: (*Server).getConnection},
		{name: "connection_delete", method: "DELETE", pattern: "/@connections/{id}", access: bySignature, serve: (*Server).deleteConnection},
		{name: "slow", method: "GET", pattern: "/v1/slow", serve: (*Server).getSlow},
		{name: "nodes", method: "GET", pattern: "/v1/nodes", serve: (*Server).getNodes},
		{name: "healthz", method: "GET", pattern: "/healthz", access: byAnyone, always: true, serve: (*Server).getHealth},
		{name: "readyz", method: "GET", pattern: "/readyz", access: byAnyone, always: true, serve: (*Server).getReady},
		{name: "metrics", method: "GET", pattern: "/metrics", always: true, serve: (*Server).getMetrics},
		{name: "pprof", method: "GET", pattern: "/debug/pprof/*", always: true, serve: (*Server).getProfile},
		{name: "pprof", method: "GET", pattern: "/debug/pprof", always: true, serve: (*Server).getProfiles},
		{name: "pprof", method: "POST", pattern: "/debug/pprof/symbol", always: true, serve: (*Server).getProfile},
		{name: "index", method: "GET", pattern: "/", serve: (*Server).getIndex},
	}
	for _, rt := range table {
		rt.segments = strings.Split(rt.pattern, "/")[1:]
	}
	return table
}

// find returns the route for a request and sets its path values, or the 404 or 405
// that says what there is. Our own table rather than http.ServeMux: ServeMux answers
// those two in plain text, and cleans paths, which would make an account named ".."
// another path.
func (s *Server) find(r *http.Request) (*route, *Problem) {
	path := r.URL.EscapedPath()
	var allow []string
	for _, rt := range s.routes {
		if !rt.match(path, nil) {
			continue
		}
		if rt.method == r.Method || rt.method == "GET" && r.Method == "HEAD" {
			rt.match(path, r)
			return rt, nil
		}
		allow = append(allow, rt.method)
		if rt.method == "GET" {
			allow = append(allow, "HEAD")
		}
	}
	if allow == nil {
		return nil, problem(http.StatusNotFound, codeNotFound, "there is nothing at "+path+": GET / lists what there is")
	}
	p := problem(http.StatusMethodNotAllowed, codeMethodNotAllowed, r.Method+" is not possible here")
	p.Allow = strings.Join(allow, ", ")
	return nil, p
}

// match compares an escaped path segment by segment, each decoded by itself, so that
// %2F never separates and %40connections is @connections. With r it also sets r's
// path values.
func (rt *route) match(path string, r *http.Request) bool {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return false
	}
	for i, want := range rt.segments {
		if want == "*" {
			return true
		}
		raw, tail, more := strings.Cut(rest, "/")
		if more == (i == len(rt.segments)-1) {
			return false
		}
		got, err := url.PathUnescape(raw)
		if err != nil {
			return false
		}
		if strings.HasPrefix(want, "{") {
			if r != nil {
				r.SetPathValue(want[1:len(want)-1], got)
			}
		} else if got != want {
			return false
		}
		rest = tail
	}
	return true
}

// addressOf reads and checks the account and, when the route has one, the device of
// a request's path.
func addressOf(r *http.Request, withDevice bool) (session.Address, *Problem) {
	a := session.Address{Account: r.PathValue("account"), Device: r.PathValue("device")}
	err := session.CheckName("account", a.Account)
	if err == nil && withDevice {
		err = session.CheckName("device", a.Device)
	}
	if err != nil {
		return a, badRequest(codeNameInvalid, "in the path: "+err.Error())
	}
	return a, nil
}
