package api

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
)

// Amazon API Gateway's management calls, so that services written for its WebSocket
// APIs push through a node with the SDK they have, the endpoint changed.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
//
// A connection id is the session of hello. An SDK chooses the error class by the
// header x-amzn-errortype, so each problem carries Amazon's name beside our code.

// connectionBytesMax is Amazon's limit of a posted message: 128 KB.
const connectionBytesMax = 128 << 10

// postConnection answers POST /@connections/{id}: push to one session. Amazon's
// Content-Type is always octet-stream and its devices get text frames, so UTF-8 goes
// as text and everything else as binary; application/json from other clients goes as
// JSON.
func (s *Server) postConnection(w http.ResponseWriter, r *http.Request) *Problem {
	b, p := s.readBody(r, min(connectionBytesMax, s.cfg.Push.PayloadBytesMax), codePayloadTooLarge, "message")
	if p != nil {
		return amazon(w, p)
	}
	defer b.release()
	to, p := s.connection(r, b.bytes)
	if p != nil {
		return amazon(w, p)
	}
	kind, p := kindOf(r, b.bytes)
	if p != nil {
		return amazon(w, p)
	}
	if mt, _ := mediaType(r); mt != "application/json" && utf8.Valid(b.bytes) {
		kind = session.Text
	}
	push := deliver.Push{
		To:      deliver.To{Account: to.address.Account, Device: to.address.Device},
		Kind:    kind,
		Payload: b.bytes,
		SentMS:  s.now().UnixMilli(),
	}
	outcome := s.pushOne(&push, s.cfg.Push.Timeout)
	s.answerIn(w, s.cfg.HTTP.WriteTimeout)
	if p := connectionProblem(outcome, s.cfg.Push.Timeout); p != nil {
		return amazon(w, p)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// connectionProblem says what an outcome is in Amazon's terms; nil is 200.
func connectionProblem(o session.Outcome, waited time.Duration) *Problem {
	switch o {
	case session.Written, session.Acked, session.Queued:
		return nil
	case session.Overloaded:
		return &Problem{Status: http.StatusTooManyRequests, Code: codeOverloaded, RetryAfter: time.Second,
			Detail: "the connection has as many bytes waiting as it may"}
	case session.TooLarge:
		return problem(http.StatusRequestEntityTooLarge, codePayloadTooLarge, "the message is larger than the connection takes")
	case session.Timeout:
		return problem(http.StatusGatewayTimeout, codeDeliveryTimeout, fmt.Sprintf("the connection did not take the message within %v", waited))
	default:
		return connectionGone("the connection ended: outcome " + o.String())
	}
}

// getConnection answers GET /@connections/{id} with the members of Amazon's
// GetConnection. lastActiveAt is the last heartbeat that was stored.
func (s *Server) getConnection(w http.ResponseWriter, r *http.Request) *Problem {
	of, p := s.connection(r, nil)
	if p != nil {
		return amazon(w, p)
	}
	d := of.other.describe()
	if of.live != nil {
		d = s.online(of.live, nil)
	}
	if err := s.complete(&d, of.address); err != nil {
		return amazon(w, storeFailed(err))
	}
	ip := d.Remote
	if host, _, err := net.SplitHostPort(ip); err == nil {
		ip = host
	}
	return writeJSON(w, map[string]any{
		"connectedAt":  isoTime(d.SinceMS),
		"lastActiveAt": isoTime(d.LastSeenMS),
		"identity":     map[string]string{"sourceIp": ip, "userAgent": d.UserAgent},
	})
}

// isoTime writes Unix milliseconds as Amazon does (ISO 8601, UTC).
func isoTime(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

// deleteConnection answers DELETE /@connections/{id}.
func (s *Server) deleteConnection(w http.ResponseWriter, r *http.Request) *Problem {
	of, p := s.connection(r, nil)
	if p != nil {
		return amazon(w, p)
	}
	if of.live != nil {
		s.operatorClose(of.live)
	} else if held, err := s.node.Cluster.Disconnect(of.address, of.origin, of.number, closeByOperator, closeReason); err != nil {
		return amazon(w, unreachable(err))
	} else if !held {
		return amazon(w, connectionGone("connection "+r.PathValue("id")+" has ended"))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// connectionOf is the session that a path names, here or on another node.
type connectionOf struct {
	address session.Address
	origin  session.Origin
	number  uint64
	live    *session.Session // nil: it is on another node
	other   Known            // then
}

// connection checks who is asking and finds the session that the path names.
func (s *Server) connection(r *http.Request, body []byte) (of connectionOf, p *Problem) {
	auth := r.Header.Get("Authorization")
	signed := strings.HasPrefix(auth, sigV4Algorithm)
	switch {
	case len(s.sigV4.keys) > 0 && signed:
		if p := s.sigV4.verify(r, body); p != nil {
			return of, p
		}
	case len(s.sigV4.keys) > 0 && len(s.tokens) == 0:
		// With tokens checkAccess has seen a right one.
		return of, forbidden(codeSigV4Missing, "sign the request with SigV4: Authorization is missing or of another scheme")
	}
	id := r.PathValue("id")
	origin, number, ok := session.ParseID(id)
	of.origin, of.number = origin, number
	switch {
	case !ok:
		return of, connectionGone(fmt.Sprintf("%.60q is not the id of a connection", id))
	case origin == s.node.Origin:
		if of.live = s.node.Sessions.ByNumber(number); of.live == nil {
			return of, connectionGone("connection " + id + " has ended")
		}
		of.address = of.live.Address
		return of, nil
	case s.node.Cluster == nil:
		return of, connectionGone(fmt.Sprintf("%.60q is not the id of a connection of this node and epoch", id))
	}
	k, ok, err := s.node.Cluster.Session(origin, number)
	switch {
	case err != nil:
		return of, unreachable(err)
	case !ok:
		return of, connectionGone("connection " + id + " has ended")
	}
	of.address, of.other = session.Address{Account: k.Account, Device: k.Device}, k
	return of, nil
}

func connectionGone(detail string) *Problem {
	return problem(http.StatusGone, codeConnectionGone, detail)
}

// amazon adds the name by which Amazon's SDKs know the error, and the member
// "message" that they show.
func amazon(w http.ResponseWriter, p *Problem) *Problem {
	name := "InternalServerErrorException"
	switch p.Status {
	case http.StatusBadRequest, http.StatusUnsupportedMediaType:
		name = "BadRequestException"
	case http.StatusForbidden:
		name = "ForbiddenException"
	case http.StatusGone:
		name = "GoneException"
	case http.StatusRequestEntityTooLarge:
		name = "PayloadTooLargeException"
	case http.StatusTooManyRequests:
		name = "LimitExceededException"
	case http.StatusServiceUnavailable:
		name = "ServiceUnavailableException"
	}
	w.Header().Set("X-Amzn-Errortype", name)
	p.members = appendMember(nil, "message", p.Detail)
	return p
}
