package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/auth"
	"github.com/roostpush/roost/session/wire"
)

// The subprotocols (PROTOCOL.md section 1).
const (
	protocolV1    = "roost.v1"
	protocolRaw   = "roost.raw"
	protocolToken = "roost.token."
)

// offer is what a client asks for beside its identity.
type offer struct {
	protocol  string              // to answer with; empty: none was offered
	speaks    session.Permissions // Raw, SSE or none
	token     []byte              // borrowed
	subscribe []byte              // the frame that the topics of the query stand for; empty: none
	last      session.ID          // the message it has seen last; zero: it does not say
}

// readOffer returns what the request asks to speak: events, which have no subprotocols, or
// one of those.
func readOffer(req *netpoll.Request) (o offer, err error) {
	if req.Events {
		return offer{speaks: session.SSE}, nil
	}
	return readProtocols(req.Protocols)
}

// readProtocols takes the first subprotocol that is spoken here, and the token that a
// browser hides among them.
func readProtocols(list []byte) (o offer, err error) {
	for item := range bytes.SplitSeq(list, []byte(",")) {
		switch item = bytes.TrimSpace(item); {
		case bytes.HasPrefix(item, []byte(protocolToken)):
			if o.token != nil {
				return o, fmt.Errorf("two %s... subprotocols are offered, one token is enough", protocolToken)
			}
			o.token = item[len(protocolToken):]
		case o.protocol != "":
		case string(item) == protocolV1:
			o.protocol = protocolV1
		case string(item) == protocolRaw:
			o.protocol, o.speaks = protocolRaw, session.Raw
		}
	}
	if o.protocol == "" && len(bytes.TrimSpace(list)) > 0 {
		if o.token != nil {
			return o, fmt.Errorf("offer %s or %s beside %s...: the token itself is never answered with, and a browser fails without an answer", protocolV1, protocolRaw, protocolToken)
		}
		return o, fmt.Errorf("none of the subprotocols offered is spoken here: %s and %s are", protocolV1, protocolRaw)
	}
	return o, nil
}

// lastEvent reads the id of the message that the client of an event stream has seen last.
// The header is the browser's own and newer than the query, which stays as it was when
// the page wrote it.
func lastEvent(req *netpoll.Request, q query) (id session.ID, err error) {
	text := string(req.LastEventID)
	if text == "" {
		text = q.lastEvent
	}
	if !req.Events || text == "" {
		return id, nil
	}
	id, ok := session.ParseMessageID(text)
	if !ok {
		return id, fmt.Errorf("%q is no message's id: give Last-Event-ID, or last_event_id in the query, as an event had it in its id field", text)
	}
	return id, nil
}

// query is what the upgrade's query names, borrowed from the request.
type query struct {
	account, device string
	token           []byte
	lastEvent       string
	topics          string // separated by commas
}

// readQuery reads the members that count; others are ignored.
func readQuery(raw []byte) (q query, err error) {
	for len(raw) > 0 {
		var pair []byte
		pair, raw, _ = bytes.Cut(raw, []byte("&"))
		name, value, _ := bytes.Cut(pair, []byte("="))
		switch string(name) {
		case "account", "device", "token", "last_event_id", "topics":
		default:
			continue
		}
		text := wire.Borrow(value)
		if strings.ContainsAny(text, "%+") {
			if text, err = url.QueryUnescape(text); err != nil {
				return q, fmt.Errorf("%s in the query is not percent-encoded: %w", name, err)
			}
			value = []byte(text)
		}
		switch string(name) {
		case "account":
			q.account = text
		case "device":
			q.device = text
		case "token":
			q.token = value
		case "last_event_id":
			q.lastEvent = text
		case "topics":
			q.topics = text
		}
	}
	return q, nil
}

// pickToken finds the token: the header first, since it is not logged by proxies.
func pickToken(authorization, subprotocol, query []byte) ([]byte, error) {
	if authorization != nil {
		scheme, token, ok := bytes.Cut(authorization, []byte(" "))
		if !ok || !strings.EqualFold(wire.Borrow(scheme), "bearer") {
			return nil, errors.New("header Authorization is not Bearer TOKEN")
		}
		return bytes.TrimSpace(token), nil
	}
	if subprotocol != nil {
		return subprotocol, nil
	}
	return query, nil
}

// takeDevice settles which device of the account is calling: the token's, else the
// query's. A query that contradicts the token is refused.
func takeDevice(claims *auth.Claims, q query) *netpoll.Verdict {
	switch {
	case q.account != "" && q.account != claims.Account:
		v := answer(403, "identity", "the query names another account than the token", "")
		return &v
	case claims.Device == "" && q.device == "":
		v := answer(400, "identity", "device is missing: neither the token nor the query names it", "")
		return &v
	case claims.Device == "":
		if err := session.CheckName("device", q.device); err != nil {
			v := answer(400, "identity", err.Error(), "")
			return &v
		}
		claims.Join(claims.Account, q.device)
	case q.device != "" && q.device != claims.Device:
		v := answer(403, "identity", "the query names another device than the token", "")
		return &v
	}
	return nil
}

// refuse counts and answers.
func (g *Gate) refuse(status int, code, detail, header string) netpoll.Verdict {
	g.counters.refused.Add(1)
	return answer(status, code, detail, header)
}

// answer is a refusal; netpoll makes a problem document of it (RFC 9457).
func answer(status int, code, detail, header string) netpoll.Verdict {
	return netpoll.Verdict{Refuse: &netpoll.Answer{Status: status, Code: code, Body: detail, Header: header}}
}

// originList decides which pages may connect (RFC 6455 section 10.2).
type originList struct {
	any      bool
	exact    map[string]bool
	suffixes []wildcard // scheme://*.host
}

type wildcard struct{ before, after string }

func newOriginList(list []string) originList {
	l := originList{exact: map[string]bool{}}
	for _, o := range list {
		o = strings.ToLower(o)
		if o == "*" {
			l.any = true
		} else if before, after, ok := strings.Cut(o, "*"); ok {
			l.suffixes = append(l.suffixes, wildcard{before, after})
		} else {
			l.exact[o] = true
		}
	}
	return l
}

// header lets a page of another origin read an event stream (Fetch standard, section
// 3.3, "CORS protocol"); pages that may connect because anyone may get no credentials,
// since a cookie of a proxy in front is not theirs to use.
func (l *originList) header(origin, host []byte) string {
	switch {
	case len(origin) == 0 || !l.allow(origin, host):
		return ""
	case l.any:
		return "Access-Control-Allow-Origin: *\r\n"
	}
	return "Access-Control-Allow-Origin: " + string(origin) + "\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n"
}

// allow passes clients without an Origin, pages of the same host when nothing is
// listed, and else what is listed.
func (l *originList) allow(origin, host []byte) bool {
	if len(origin) == 0 || l.any {
		return true
	}
	o := strings.ToLower(string(origin))
	if len(l.exact) == 0 && len(l.suffixes) == 0 {
		_, rest, ok := strings.Cut(o, "://")
		return ok && rest == strings.ToLower(string(host))
	}
	if l.exact[o] {
		return true
	}
	for _, w := range l.suffixes {
		if middle := len(o) - len(w.before) - len(w.after); middle > 0 && strings.HasPrefix(o, w.before) && strings.HasSuffix(o, w.after) &&
			!strings.ContainsAny(o[len(w.before):len(w.before)+middle], "/:@") {
			return true
		}
	}
	return false
}
