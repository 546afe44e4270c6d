package netpoll

import (
	"bytes"
	"fmt"
	"net/netip"
)

// Request is a complete request on the public listener. Its slices are borrowed: they
// point into the loop's read buffer.
type Request struct {
	Method        []byte
	Path          []byte // still percent-encoded
	Query         []byte // without the '?', still percent-encoded
	Host          []byte
	Origin        []byte
	Authorization []byte
	UserAgent     []byte
	Accept        []byte // nil: no such header; several are joined
	LastEventID   []byte // nil: no such header
	Protocols     []byte // the subprotocols offered, comma separated; several headers are joined
	Remote        netip.AddrPort
	Events        bool // it asks for an event stream; else, where it matters, for a WebSocket

	upgrade     bool // there is an Upgrade header
	upgradeList bool // it is a list
	keys        int  // Sec-WebSocket-Key headers
	key         []byte
	versions    int // Sec-WebSocket-Version headers
	hosts       int
	connections int  // Connection headers
	named       bool // one of them has the option upgrade
	hasBody     bool
	joined      []byte // backs Protocols when there were several headers
}

var (
	crlf     = []byte("\r\n")
	crlfcrlf = []byte("\r\n\r\n")
)

// requestEnd returns the size of the request at the start of p, 0 while it is not
// whole. scanned says how much of p was searched before.
func requestEnd(p []byte, scanned int) int {
	from := max(0, scanned-len(crlfcrlf)+1)
	if i := bytes.Index(p[from:], crlfcrlf); i >= 0 {
		return from + i + len(crlfcrlf)
	}
	return 0
}

// parse reads a whole request block, ending with its empty line, and refuses what
// RFC 9112 and a bounded server refuse; the rules for upgrades are gobwas/ws's and
// checkUpgrade's. It keeps no state of an earlier request.
func (r *Request) parse(block []byte, headersMax int) *Answer {
	*r = Request{joined: r.joined[:0]}
	line, rest := cutLine(block)
	if bad := r.parseLine(line); bad != nil {
		return bad
	}
	for n := 1; ; n++ {
		line, rest = cutLine(rest)
		if len(line) == 0 {
			break
		}
		if n > headersMax {
			return refusal(431, "the request has more than %d header lines", headersMax)
		}
		if bad := r.parseHeader(line, n); bad != nil {
			return bad
		}
	}
	switch {
	case r.hosts == 0:
		return refusal(400, "Host header is missing")
	case r.hosts > 1:
		return refusal(400, "Host header appears %d times", r.hosts)
	case r.hasBody:
		return refusal(400, "a request to this listener has no body")
	}
	return nil
}

// cutLine splits at the first CRLF; block always ends with one.
func cutLine(block []byte) (line, rest []byte) {
	i := bytes.Index(block, crlf)
	if i < 0 {
		return block, nil
	}
	return block[:i], block[i+2:]
}

func (r *Request) parseLine(line []byte) *Answer {
	method, rest, ok1 := bytes.Cut(line, []byte(" "))
	target, version, ok2 := bytes.Cut(rest, []byte(" "))
	switch {
	case !ok1 || !ok2 || len(method) == 0 || len(target) == 0 || bytes.IndexByte(version, ' ') >= 0:
		return refusal(400, "request line is not METHOD TARGET HTTP/1.1")
	case len(version) != 8 || !bytes.HasPrefix(version, []byte("HTTP/")) || !isDigit(version[5]) || version[6] != '.' || !isDigit(version[7]):
		return refusal(400, "request line names no HTTP version")
	case version[5] != '1' || version[7] == '0':
		return &Answer{Status: 505, Body: "this listener speaks HTTP/1.1\n"}
	case !isToken(method):
		return refusal(400, "method is not a token")
	case !isTarget(target):
		return refusal(400, "request target has a character that must be percent-encoded")
	}
	if !bytes.Equal(method, []byte("GET")) && !bytes.Equal(method, []byte("HEAD")) {
		return &Answer{Status: 405, Header: "Allow: GET, HEAD\r\n", Body: fmt.Sprintf("method %s is not allowed here, only GET and HEAD\n", method)}
	}
	r.Method = method
	if target[0] != '/' {
		// The absolute form names this server as well (RFC 9112 section 3.2.2).
		i := bytes.Index(target, []byte("://"))
		if i < 0 || !isScheme(target[:i]) {
			return refusal(400, "request target must begin with '/'")
		}
		target = target[i+3:]
		slash := bytes.IndexByte(target, '/')
		if slash < 0 {
			return refusal(400, "request target has no path")
		}
		if !isAuthority(target[:slash]) {
			return refusal(400, "request target names no host")
		}
		target = target[slash:]
	}
	r.Path, r.Query, _ = bytes.Cut(target, []byte("?"))
	if !isEscaped(r.Path) {
		return refusal(400, "request target has a '%%' in its path without two hexadecimal digits behind it")
	}
	return nil
}

func (r *Request) parseHeader(line []byte, n int) *Answer {
	if line[0] == ' ' || line[0] == '\t' {
		return refusal(400, "header line %d is folded, which RFC 9112 section 5.2 forbids", n)
	}
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || !isToken(name) {
		return refusal(400, "header line %d is not NAME: VALUE", n)
	}
	value = bytes.Trim(value, " \t")
	for _, b := range value {
		if b < ' ' && b != '\t' || b == 0x7f {
			return refusal(400, "header line %d has a control character", n)
		}
	}
	switch len(name) { // a switch on the length first: most headers match nothing
	case 4:
		if equalFold(name, "host") {
			r.hosts++
			r.Host = value
		}
	case 6:
		if equalFold(name, "origin") {
			r.Origin = value
		} else if equalFold(name, "accept") {
			r.accept(value)
		}
	case 7:
		if equalFold(name, "upgrade") {
			r.upgradeList = r.upgrade || bytes.IndexByte(value, ',') >= 0
			r.upgrade = true
		}
	case 10:
		if equalFold(name, "user-agent") {
			r.UserAgent = value
		} else if equalFold(name, "connection") {
			r.connections++
			r.named = r.named || hasOption(value, "upgrade")
		}
	case 13:
		if equalFold(name, "authorization") {
			if r.Authorization != nil {
				return refusal(400, "Authorization header appears twice")
			}
			r.Authorization = value
		} else if equalFold(name, "last-event-id") {
			if r.LastEventID != nil {
				return refusal(400, "Last-Event-ID header appears twice")
			}
			r.LastEventID = value
		}
	case 14:
		if equalFold(name, "content-length") && !bytes.Equal(value, []byte("0")) {
			r.hasBody = true
		}
	case 17:
		if equalFold(name, "transfer-encoding") {
			r.hasBody = true
		} else if equalFold(name, "sec-websocket-key") {
			r.keys++
			r.key = value
		}
	case 21:
		if equalFold(name, "sec-websocket-version") {
			r.versions++
		}
	case 22:
		if equalFold(name, "sec-websocket-protocol") {
			r.offer(value)
		}
	}
	return nil
}

// offer adds the subprotocols of one header line (RFC 6455 section 11.3.4: it may
// appear several times).
func (r *Request) offer(value []byte) {
	if r.Protocols == nil {
		r.Protocols = value
		return
	}
	if len(r.joined) == 0 {
		r.joined = append(r.joined, r.Protocols...)
	}
	r.joined = append(append(r.joined, ',', ' '), value...)
	r.Protocols = r.joined
}

// accept adds what one Accept line accepts; hardly any client sends two.
func (r *Request) accept(value []byte) {
	if r.Accept != nil {
		value = append(append(append([]byte(nil), r.Accept...), ','), value...)
	}
	r.Accept = value
}

func refusal(status int, format string, args ...any) *Answer {
	return &Answer{Status: status, Body: fmt.Sprintf(format, args...) + "\n"}
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// hasOption looks for an element of a comma-separated list (RFC 9110 sections 5.6.1 and
// 7.6.1), in whatever case.
func hasOption(list []byte, lower string) bool {
	for len(list) > 0 {
		var option []byte
		option, list, _ = bytes.Cut(list, []byte(","))
		if equalFold(bytes.TrimSpace(option), lower) {
			return true
		}
	}
	return false
}

// isToken checks for a token (RFC 9110 section 5.6.2).
func isToken(p []byte) bool {
	for _, b := range p {
		if b <= ' ' || b >= 0x7f || bytes.IndexByte([]byte(`"(),/:;<=>?@[\]{}`), b) >= 0 {
			return false
		}
	}
	return len(p) > 0
}

// isAuthority reports whether p is a host, and a port or none, as a target may name them (RFC
// 3986 section 3.2): a name of letters, digits and "-._", or an address of IPv6 in
// brackets. User information is an error (RFC 9110 section 4.2.4).
func isAuthority(p []byte) bool {
	host, port, _ := bytes.Cut(p, []byte(":"))
	if len(p) > 0 && p[0] == '[' {
		end := bytes.IndexByte(p, ']')
		if end < 0 {
			return false
		}
		addr, err := netip.ParseAddr(string(p[1:end]))
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return false
		}
		if port = p[end+1:]; len(port) > 0 {
			if port[0] != ':' {
				return false
			}
			port = port[1:]
		}
		host = nil
	} else if len(host) == 0 {
		return false
	}
	for _, b := range host {
		letter, digit := 'a' <= b|0x20 && b|0x20 <= 'z', '0' <= b && b <= '9'
		if !letter && !digit && b != '-' && b != '.' && b != '_' {
			return false
		}
	}
	for _, b := range port {
		if b < '0' || b > '9' {
			return false
		}
	}
	return true
}

// isScheme reports whether p is a scheme (RFC 3986 section 3.1).
func isScheme(p []byte) bool {
	for i, b := range p {
		letter := 'a' <= b|0x20 && b|0x20 <= 'z'
		if !letter && (i == 0 || !('0' <= b && b <= '9' || b == '+' || b == '-' || b == '.')) {
			return false
		}
	}
	return len(p) > 0
}

func isTarget(p []byte) bool {
	for _, b := range p {
		if b <= ' ' || b >= 0x7f || b == '#' {
			return false
		}
	}
	return true
}

// isEscaped reports whether each '%' in p begins a percent-encoding (RFC 3986 section 2.1).
func isEscaped(p []byte) bool {
	for {
		i := bytes.IndexByte(p, '%')
		if i < 0 {
			return true
		}
		if len(p) < i+3 || !isHex(p[i+1]) || !isHex(p[i+2]) {
			return false
		}
		p = p[i+3:]
	}
}

func isHex(b byte) bool { return isDigit(b) || 'a' <= b|0x20 && b|0x20 <= 'f' }

// equalFold compares with a lower-case ASCII word.
func equalFold(p []byte, lower string) bool {
	if len(p) != len(lower) {
		return false
	}
	for i, b := range p {
		if b >= 'A' && b <= 'Z' {
			b |= 0x20
		}
		if b != lower[i] {
			return false
		}
	}
	return true
}
