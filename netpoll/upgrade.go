package netpoll

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/gobwas/ws"
)

// The walk of a request, in order:
//
//	readRequest   collects bytes until the empty line, bounded in size and time
//	serve         parses it; plain requests are answered, upgrades go on
//	upgrade       gobwas/ws checks it zero-copy and asks the handler last of all
//	decided       the 101 and the handler's first frames leave in one write
//
// A request whose verdict is pending is kept and walks from serve again when
// Reactor.Resume calls.

// readRequest consumes p on behalf of a connection that is reading a request.
func (l *loop) readRequest(c *Conn, p []byte) {
	if c.in == nil && c.flags&flagProxy == 0 {
		// The usual case: the whole request in one read, served from the read buffer.
		if n := requestEnd(p, 0); n > 0 && n <= l.cfg.RequestBytesMax {
			l.serve(c, p[:n], p[n:])
			return
		}
	}
	in := l.inboundOf(c)
	in.request = append(in.request, p...)
	if !l.countInbound(in) {
		l.stats.RefusedCollected++
		l.answer(c, &Answer{Status: 503, Header: "Retry-After: 5\r\n", Body: "too many requests are unfinished\n"}, false)
		return
	}
	if c.flags&flagProxy != 0 && !l.readProxy(c, in) {
		return
	}
	bare := bareLineFeed(in.request, in.scanned)
	n := requestEnd(in.request, in.scanned)
	in.scanned = len(in.request)
	switch {
	case bare && n == 0:
		l.answer(c, refusal(400, "a line ends with a bare line feed, CRLF is due (RFC 9112 section 2.2)"), false)
	case n > l.cfg.RequestBytesMax || n == 0 && len(in.request) > l.cfg.RequestBytesMax:
		l.answer(c, refusal(431, "the request's line and headers are above %d bytes", l.cfg.RequestBytesMax), false)
	case n == 0 && len(in.request) > 0 && !plausible(in.request):
		l.answer(c, refusal(400, "this is not an HTTP request"), false)
	case n > 0:
		c.in = nil
		l.serve(c, in.request[:n], in.request[n:])
		if c.in == nil {
			l.putInbound(in)
		}
	}
}

// bareLineFeed finds a line feed without its carriage return, so that a request made of
// such lines is not waited for in vain.
func bareLineFeed(p []byte, from int) bool {
	for i := from; ; i++ {
		at := bytes.IndexByte(p[i:], '\n')
		if at < 0 {
			return false
		}
		if i += at; i == 0 || p[i-1] != '\r' {
			return true
		}
	}
}

// plausible lets go of peers that speak another protocol (TLS, most of all) without
// waiting for the timeout: a method is of upper-case letters.
func plausible(p []byte) bool {
	for i, b := range p[:min(len(p), 8)] {
		if b == ' ' && i > 0 {
			return true
		}
		if (b < 'A' || b > 'Z') && b != '-' {
			return isToken(p[i:i+1]) && b < 0x80 && b != 0x16
		}
	}
	return true
}

// serve answers a whole request; behind is what came after it.
func (l *loop) serve(c *Conn, block, behind []byte) {
	req := &l.request
	head := bytes.HasPrefix(block, []byte("HEAD ")) // answers have no body then
	if bad := req.parse(block, l.cfg.RequestHeadersMax); bad != nil {
		l.answer(c, bad, head)
		return
	}
	req.Remote = c.remote()
	switch {
	case c.flags&flagOverCap != 0:
		l.stats.RefusedFull++
		l.answer(c, &Answer{Status: 503, Header: "Retry-After: 5\r\n", Body: "this node holds as many connections as it may\n"}, head)
	case !req.upgrade:
		if a := l.handler.Get(req); a.Events {
			l.stream(c, req, block, behind, head)
		} else {
			l.answer(c, &a, head)
		}
	case head:
		l.answer(c, &Answer{Status: 405, Header: "Allow: GET\r\n", Body: "an upgrade is a GET\n"}, head)
	default:
		l.upgrade(c, req, block, behind)
	}
}

var (
	errPending = errors.New("netpoll: verdict pending")
	errRefused = errors.New("netpoll: refused by the handler")
)

// upgrade runs gobwas/ws's Upgrader over the request. Its callback is the last gate:
// by then the request is known to be right.
func (l *loop) upgrade(c *Conn, req *Request, block, behind []byte) {
	if bad := req.checkUpgrade(); bad != nil {
		l.answer(c, bad, false)
		return
	}
	l.work += workOpen
	l.upgrading, l.verdict = c, Verdict{}
	l.handshake.in.Reset(req.plain(block))
	mark := len(l.reply)
	_, err := l.upgrader.Upgrade(&l.handshake)
	l.upgrading = nil
	switch {
	case err == nil:
		l.decided(c, behind)
		return
	case errors.Is(err, errPending):
		l.reply = l.reply[:mark]
		l.park(c, block, behind)
		return
	case errors.Is(err, errRefused):
		l.reply = l.reply[:mark]
		l.answer(c, l.verdict.Refuse, false)
		return
	}
	l.reply = l.reply[:mark] // gobwas has written an answer of its own
	l.answer(c, upgradeRefusal(err), false)
}

// handshakeIO is what the Upgrader reads the request from and writes the answer to.
type handshakeIO struct {
	in bytes.Reader
	l  *loop
}

func (h *handshakeIO) Read(p []byte) (int, error) { return h.in.Read(p) }

func (h *handshakeIO) Write(p []byte) (int, error) {
	h.l.reply = append(h.l.reply, p...)
	return len(p), nil
}

func (l *loop) newUpgrader() ws.Upgrader {
	protocol := ws.HandshakeHeaderFunc(l.writeProtocol)
	return ws.Upgrader{OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
		l.verdict = l.handler.Upgrade(l.upgrading, &l.request)
		switch {
		case l.verdict.Refuse != nil:
			return nil, errRefused
		case l.verdict.Pending:
			return nil, errPending
		}
		return protocol, nil
	}}
}

func (l *loop) writeProtocol(w io.Writer) (int64, error) {
	if l.verdict.Protocol == "" {
		return 0, nil
	}
	l.scratch = append(append(append(l.scratch[:0], "Sec-WebSocket-Protocol: "...), l.verdict.Protocol...), crlf...)
	n, err := w.Write(l.scratch)
	return int64(n), err
}

// checkUpgrade refuses what gobwas/ws lets pass.
func (r *Request) checkUpgrade() *Answer {
	switch {
	case r.keys > 1:
		return refusal(400, "Sec-WebSocket-Key header appears %d times", r.keys)
	case r.versions > 1:
		return refusal(400, "Sec-WebSocket-Version header appears %d times", r.versions)
	case r.keys == 1:
		var key [18]byte
		if n, err := base64.StdEncoding.Strict().Decode(key[:], r.key[:min(len(r.key), 24)]); err != nil || n != 16 || len(r.key) != 24 {
			return refusal(400, "Sec-WebSocket-Key is not 16 bytes in base64")
		}
	}
	if r.connections > 0 && !r.named { // gobwas/ws takes a blank for a comma
		return refusal(400, "Connection header must name upgrade")
	}
	return nil
}

// plain returns the request as gobwas/ws understands it: it takes each Connection line
// for the only one and Upgrade for a single word, where RFC 9110 sections 5.3 and 7.8
// allow lists. Hardly any client needs this.
func (r *Request) plain(block []byte) []byte {
	if r.connections < 2 && !r.upgradeList {
		return block
	}
	line, rest := cutLine(block)
	out := append(append([]byte(nil), line...), crlf...)
	var options, protocols [][]byte
	for {
		line, rest = cutLine(rest)
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case equalFold(name, "connection"):
			options = append(options, value)
		case equalFold(name, "upgrade"):
			protocols = append(protocols, bytes.Split(value, []byte(","))...)
		default:
			out = append(append(out, line...), crlf...)
		}
	}
	upgrade := []byte("none") // refused
	for _, p := range protocols {
		if p = bytes.TrimSpace(p); equalFold(p, "websocket") {
			upgrade = p
		}
	}
	out = append(append(append(out, "Connection:"...), bytes.Join(options, []byte(","))...), crlf...)
	out = append(append(append(out, "Upgrade: "...), upgrade...), crlf...)
	return append(out, crlf...)
}

// upgradeRefusal turns gobwas/ws's verdict into our answer.
func upgradeRefusal(err error) *Answer {
	switch {
	case errors.Is(err, ws.ErrHandshakeUpgradeRequired):
		return &Answer{Status: 426, Header: "Sec-WebSocket-Version: 13\r\n", Body: "Sec-WebSocket-Version must be 13\n"}
	case errors.Is(err, ws.ErrHandshakeBadUpgrade):
		return refusal(400, "Upgrade header must be websocket")
	case errors.Is(err, ws.ErrHandshakeBadConnection):
		return refusal(400, "Connection header must name upgrade")
	case errors.Is(err, ws.ErrHandshakeBadSecVersion):
		return refusal(400, "Sec-WebSocket-Version is missing, it must be 13")
	case errors.Is(err, ws.ErrHandshakeBadSecKey):
		return refusal(400, "Sec-WebSocket-Key is missing or not 24 characters of base64")
	case errors.Is(err, ws.ErrHandshakeBadHost):
		return refusal(400, "Host header is missing")
	}
	return refusal(400, "malformed upgrade: %v", err)
}

// decided opens the WebSocket: the 101 is in the reply already.
func (l *loop) decided(c *Conn, behind []byte) {
	l.stats.Upgrades++
	l.stats.Upgraded++
	l.opened(c)
	if len(behind) > 0 {
		l.readFrames(c, behind)
	}
}

// opened lets messages through on a connection whose answer is in the reply.
func (l *loop) opened(c *Conn) {
	c.state = stateOpen
	c.flags |= flagUpgraded
	c.missed = 0
	c.pingTick = l.firstPing()
	l.schedule(c, l.nextDue(c))
	l.handler.Open(c)
}

// park keeps the request until the handler has decided.
func (l *loop) park(c *Conn, block, behind []byte) {
	in := l.inboundOf(c)
	in.scanned = len(block)
	in.request = append(append(in.request[:0], block...), behind...)
	l.countInbound(in)
	c.state = stateVerifying
	l.schedule(c, l.tickAfter(l.cfg.VerifyTimeout))
}

// readBehind keeps what a peer sends while its request is being verified.
func (l *loop) readBehind(c *Conn, p []byte) {
	if len(c.in.request)+len(p) > l.cfg.RequestBytesMax+l.cfg.ReadBufferBytes {
		l.answer(c, refusal(400, "too much was sent before the upgrade was answered"), false)
		return
	}
	c.in.request = append(c.in.request, p...)
	l.countInbound(c.in) // bounded above; the budget is asked where requests begin
}

// resumeUpgrade asks the handler again.
func (l *loop) resumeUpgrade(c *Conn) {
	if c.state != stateVerifying {
		return
	}
	in := c.in
	c.in = nil
	c.state = stateRequest
	l.serve(c, in.request[:in.scanned], in.request[in.scanned:])
	if c.in == nil {
		l.putInbound(in)
	}
}

// problem is a refusal's sentence as a problem document (RFC 9457).
func problem(status int, code, sentence string) string {
	text, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Code   string `json:"code,omitempty"`
		Detail string `json:"detail"`
	}{http.StatusText(status), status, code, strings.TrimSuffix(sentence, "\n")})
	if err != nil {
		panic(err) // a string and a number
	}
	return string(text) + "\n"
}

// answer writes a plain HTTP answer and ends the connection behind it.
func (l *loop) answer(c *Conn, a *Answer, head bool) {
	l.stats.countAnswer(a.Status)
	kind, body := a.ContentType, a.Body
	switch {
	case kind == "" && a.Status >= 400:
		kind, body = "application/problem+json", problem(a.Status, a.Code, body)
	case kind == "":
		kind = "text/plain; charset=utf-8"
	}
	b := append(l.reply, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(a.Status), 10)
	b = append(append(append(b, ' '), http.StatusText(a.Status)...), "\r\nContent-Type: "...)
	b = append(append(b, kind...), "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(append(b, "\r\nConnection: close\r\n"...), a.Header...)
	b = append(b, "\r\n"...)
	if !head {
		b = append(b, body...)
	}
	l.reply = b
	l.linger(c)
}
