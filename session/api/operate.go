package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
)

// getHealth answers GET /healthz: the process is alive and serves.
func (s *Server) getHealth(w http.ResponseWriter, _ *http.Request) *Problem {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Write([]byte("ok\n"))
	return nil
}

// getReady answers GET /readyz: may the node get traffic, and if not, why not.
func (s *Server) getReady(w http.ResponseWriter, _ *http.Request) *Problem {
	var reasons []Reason
	if s.node.Ready != nil {
		reasons = s.node.Ready()
	}
	if len(reasons) == 0 {
		return writeJSON(w, map[string]any{"ready": true})
	}
	named := make([]string, len(reasons))
	for i, r := range reasons {
		named[i] = r.Code
	}
	members, err := json.Marshal(reasons)
	if err != nil {
		panic("api: reasons are strings: " + err.Error())
	}
	p := problem(http.StatusServiceUnavailable, codeNotReady, "not ready: "+strings.Join(named, ", "))
	p.members = append([]byte(`"ready":false,"reasons":`), members...)
	return p
}

// slowConnection is one entry of /v1/slow.
type slowConnection struct {
	Account     string `json:"account,omitempty"` // absent: the connection has no session (any more)
	Device      string `json:"device,omitempty"`
	Session     string `json:"session,omitempty"`
	OpenedMS    int64  `json:"opened_ms,omitempty"`
	QueuedBytes int    `json:"queued_bytes"`
}

// getSlow answers GET /v1/slow?n=20: the connections with most bytes waiting. Names
// stand here and never in metric labels.
func (s *Server) getSlow(w http.ResponseWriter, r *http.Request) *Problem {
	n, p := countParameter(r, "n", 20, s.cfg.HTTP.SlowMax)
	if p != nil {
		return p
	}
	slowest := s.node.Sockets.Slowest(n)
	list := make([]slowConnection, len(slowest))
	at := make(map[uint64]int, len(slowest))
	for i, c := range slowest {
		list[i].QueuedBytes = c.QueuedBytes
		at[uint64(c.ID)] = i
	}
	// A connection does not name its session, and an index that does would cost every
	// connection memory for a question asked by hand: visit the sessions instead.
	var batch []*session.Session
	for shard := 0; len(at) > 0 && shard < s.node.Sessions.Shards(); shard++ {
		batch = s.node.Sessions.AppendAll(batch[:0], shard)
		for _, sess := range batch {
			if i, ok := at[sess.Conn]; ok {
				list[i].Account, list[i].Device = sess.Account, sess.Device
				list[i].Session = s.node.Origin.Text(sess.Number)
				list[i].OpenedMS = sess.OpenedMS
				delete(at, sess.Conn)
			}
		}
	}
	return writeJSON(w, map[string]any{"slow": list})
}

// nodeEntry is this node's entry of /v1/nodes; those of the others are Members.
type nodeEntry struct {
	Node      string   `json:"node"`
	Epoch     uint64   `json:"epoch"`
	Self      bool     `json:"self"`
	Ready     bool     `json:"ready"`
	Reasons   []Reason `json:"reasons,omitempty"`
	Sessions  int      `json:"sessions"`
	StartedMS int64    `json:"started_ms"`
	Version   string   `json:"version,omitempty"`
	Public    string   `json:"public,omitempty"` // as the other nodes are told, like the next two
	Internal  string   `json:"internal,omitempty"`
	Links     string   `json:"links,omitempty"`
}

// getNodes answers GET /v1/nodes: the cluster as this node sees it, itself first.
func (s *Server) getNodes(w http.ResponseWriter, _ *http.Request) *Problem {
	var reasons []Reason
	if s.node.Ready != nil {
		reasons = s.node.Ready()
	}
	self := nodeEntry{
		Node: s.node.Origin.Node, Epoch: s.node.Origin.Epoch, Self: true,
		Ready: len(reasons) == 0, Reasons: reasons,
		Sessions: s.node.Sessions.Len(), StartedMS: s.started.UnixMilli(), Version: s.node.Version,
	}
	nodes := []any{&self}
	if s.node.Cluster != nil {
		if m, ok := s.node.Cluster.Self(); ok {
			self.Public, self.Internal, self.Links = m.Public, m.Internal, m.Links
		}
		for _, m := range s.node.Cluster.Members() {
			nodes = append(nodes, m)
		}
	}
	return writeJSON(w, map[string]any{"nodes": nodes})
}

// getProfile answers /debug/pprof/.
func (s *Server) getProfile(w http.ResponseWriter, r *http.Request) *Problem {
	if a, ok := w.(*answered); ok {
		a.untimed = true
	}
	switch strings.TrimPrefix(r.URL.Path, "/debug/pprof/") {
	case "cmdline":
		pprof.Cmdline(w, r)
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		pprof.Index(w, r)
	}
	return nil
}

// getProfiles sends who leaves the last slash out to where the links of the list work.
func (s *Server) getProfiles(w http.ResponseWriter, r *http.Request) *Problem {
	http.Redirect(w, r, "/debug/pprof/", http.StatusMovedPermanently)
	return nil
}

// getIndex answers GET /: where everything is.
func (s *Server) getIndex(w http.ResponseWriter, _ *http.Request) *Problem {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	fmt.Fprintf(w, "<!doctype html><title>roost %s</title><h1>roost node %s</h1>\n<p>%d sessions, epoch %d.</p>\n<ul>\n",
		s.node.Origin.Node, s.node.Origin.Node, s.node.Sessions.Len(), s.node.Origin.Epoch)
	for _, rt := range s.routes {
		switch path := strings.TrimSuffix(rt.pattern, "*"); {
		case rt.method == "GET" && !strings.Contains(path, "{"):
			fmt.Fprintf(w, "<li><a href=\"%s\">%s %s</a></li>\n", path, rt.method, path)
		default:
			fmt.Fprintf(w, "<li>%s %s</li>\n", rt.method, path)
		}
	}
	fmt.Fprint(w, "</ul>\n")
	return nil
}

// countParameter reads a query parameter that counts entries, 1 to limit.
func countParameter(r *http.Request, name string, otherwise, limit int) (int, *Problem) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return min(otherwise, limit), nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > limit {
		return 0, badRequest(codeQueryInvalid, fmt.Sprintf("%s is %.40q: 1 to %d are possible", name, v, limit))
	}
	return n, nil
}

// writeJSON answers 200 with a value as JSON. It returns nil, for handlers to return.
func writeJSON(w http.ResponseWriter, v any) *Problem {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		// The client went away: nobody is left to tell.
		return nil
	}
	return nil
}

// operatorClose ends a session by an operator's or service's wish.
func (s *Server) operatorClose(sess *session.Session) {
	s.node.Sockets.Close(netpoll.ConnID(sess.Conn), closeByOperator, closeReason)
}

// closeByOperator is the close code of PROTOCOL.md section 1. Its reason names no
// reconnect_ms: the device was sent away on purpose.
const (
	closeByOperator = 4007
	closeReason     = "disconnected by the operator"
)
