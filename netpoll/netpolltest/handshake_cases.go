package netpolltest

import (
	"fmt"
	"strings"
)

// rfcKey is the key of RFC 6455 section 1.3.
const rfcKey = "dGhlIHNhbXBsZSBub25jZQ=="

// request is a request under construction, line by line.
type request struct {
	line    string
	headers []string
}

// good is a request that must be answered with 101.
func good() request {
	return request{"GET /echo HTTP/1.1", []string{
		"Host: server.example.com", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Key: " + rfcKey, "Sec-WebSocket-Version: 13",
	}}
}

// first returns the request with another request line.
func (r request) first(line string) request { r.line = line; return r }

// with returns the request with further header lines.
func (r request) with(lines ...string) request {
	r.headers = append(r.headers[:len(r.headers):len(r.headers)], lines...)
	return r
}

// without returns the request without the headers of a name.
func (r request) without(name string) request {
	var kept []string
	for _, h := range r.headers {
		if !strings.HasPrefix(h, name+":") {
			kept = append(kept, h)
		}
	}
	r.headers = kept
	return r
}

// having returns the request with one header's value replaced.
func (r request) having(name, value string) request {
	return r.without(name).with(name + ": " + value)
}

// ending returns the bytes with another line ending than CRLF.
func (r request) ending(eol string) []byte {
	return []byte(r.line + eol + strings.Join(append(r.headers, "", ""), eol))
}

// Handshakes returns the requests that a server must take, refuse or wait for.
// The server's limits on a request's bytes and header lines come from its
// configuration.
func Handshakes(bytesMax, headersMax int) []HandshakeCase {
	all := append(accepts(headersMax), refusals()...)
	all = append(all, malformed()...)
	all = append(all, oversized(bytesMax, headersMax)...)
	for i := range all {
		all[i].ID = fmt.Sprintf("H%d", i+1)
	}
	return all
}

// accepts is what RFC 6455 section 4.2.1 and RFC 9110 allow.
func accepts(headersMax int) (cases []HandshakeCase) {
	add := func(name, rfc string, r request) {
		cases = append(cases, HandshakeCase{Name: name, RFC: rfc, Request: r.ending("\r\n"), Key: rfcKey, Status: []int{101}})
	}
	add("plain", "4.2.1", good())
	add("other headers", "4.2.1", good().with("User-Agent: x/1 (y; z)", "Accept: */*", "Cookie: a=b", "X-Empty:"))
	add("lower-case names", "9110 5.1", lowerNames(good()))
	add("upper-case names", "9110 5.1", upperNames(good()))
	add("value WebSocket", "4.2.1", good().having("Upgrade", "WebSocket"))
	add("value WEBSOCKET", "4.2.1", good().having("Upgrade", "WEBSOCKET"))
	add("connection upgrade, lower case", "4.2.1", good().having("Connection", "upgrade"))
	add("connection list, Firefox's", "9110 7.6.1", good().having("Connection", "keep-alive, Upgrade"))
	add("connection list without spaces", "9110 7.6.1", good().having("Connection", "keep-alive,Upgrade,x"))
	add("connection list with empty members", "9110 5.6.1", good().having("Connection", ", Upgrade ,"))
	add("two connection headers", "9110 5.3", good().without("Connection").with("Connection: keep-alive", "Connection: Upgrade"))
	add("no space behind the colon", "9112 5.1", good().without("Host").with("Host:server.example.com"))
	add("spaces and tabs around values", "9112 5.1", good().having("Upgrade", " \t websocket \t "))
	add("empty Host", "9112 3.2", good().without("Host").with("Host:"))
	add("Host with port", "9112 3.2", good().having("Host", "[::1]:8080"))
	add("path /", "9112 3.2.1", good().first("GET / HTTP/1.1"))
	add("long path with query", "9112 3.2.1", good().first("GET /a/b%20c/"+strings.Repeat("d", 800)+"?token=x&y=%2F HTTP/1.1"))
	add("absolute form", "9112 3.2.2", good().first("GET http://server.example.com/echo HTTP/1.1"))
	add("one subprotocol", "4.2.2", good().with("Sec-WebSocket-Protocol: chat"))
	add("several subprotocols", "4.2.2", good().with("Sec-WebSocket-Protocol: chat, superchat", "Sec-WebSocket-Protocol: third"))
	add("permessage-deflate offered", "9.1", good().with("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"))
	add("several extensions offered", "9.1", good().with("Sec-WebSocket-Extensions: x-webkit-deflate-frame, foo; a=1; b=\"2\"", "Sec-WebSocket-Extensions: bar"))
	add("Content-Length of 0", "9112 6.2", good().with("Content-Length: 0"))
	add("header values in Latin-1", "9110 5.5", good().with("X-Name: J\xfcrgen"))
	many := good()
	for i := len(many.headers); i < headersMax; i++ {
		many = many.with(fmt.Sprintf("X-%d: %d", i, i))
	}
	add("as many headers as are allowed", "9110 5.4", many)
	return cases
}

// refusals is well-formed HTTP that cannot become a WebSocket.
func refusals() (cases []HandshakeCase) {
	add := func(name, rfc string, r request, header map[string]string, status ...int) {
		cases = append(cases, HandshakeCase{Name: name, RFC: rfc, Request: r.ending("\r\n"), Status: status, Header: header})
	}
	version := map[string]string{"Sec-WebSocket-Version": "13"}
	for _, v := range []string{"0", "7", "8", "12", "14", "130", "013", "x", "255"} {
		add("version "+v, "4.4", good().having("Sec-WebSocket-Version", v), version, 426)
	}
	add("no version", "4.2.1", good().without("Sec-WebSocket-Version"), nil, 400, 426)
	add("two versions", "4.2.1", good().with("Sec-WebSocket-Version: 13"), nil, 400)
	add("no key", "4.2.1", good().without("Sec-WebSocket-Key"), nil, 400)
	add("two keys", "4.2.1", good().with("Sec-WebSocket-Key: "+rfcKey), nil, 400)
	for name, key := range map[string]string{
		"empty": "", "short": "dGhlIHNhbXBsZQ==", "long": "dGhlIHNhbXBsZSBub25jZQAA", "not base64": "!!!!!!!!!!!!!!!!!!!!!!==",
		"not padded": "dGhlIHNhbXBsZSBub25jZQ", "URL alphabet": "dGhlIHNhbXBsZSBub25_-Q==", "space inside": "dGhlIHNhbXBs ZSBub25jZQ==",
		"stray bits": "dGhlIHNhbXBsZSBub25jZR==",
	} {
		add("key "+name, "4.2.1", good().having("Sec-WebSocket-Key", key), nil, 400)
	}
	add("no Connection", "4.2.1", good().without("Connection"), nil, 400, 426)
	add("Connection keep-alive", "4.2.1", good().having("Connection", "keep-alive"), nil, 400, 426)
	add("Connection Upgrades", "4.2.1", good().having("Connection", "Upgrades"), nil, 400, 426)
	add("Upgrade h2c", "4.2.1", good().having("Upgrade", "h2c"), nil, 400, 426)
	add("Upgrade web socket", "4.2.1", good().having("Upgrade", "web socket"), nil, 400, 426)
	for _, m := range []string{"POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "PATCH", "get", "GETT"} {
		add("method "+m, "4.2.1", good().first(m+" /echo HTTP/1.1"), nil, 405)
	}
	add("method HEAD", "4.2.1", good().first("HEAD /echo HTTP/1.1"), map[string]string{"Allow": "GET"}, 405)
	add("HEAD that is refused has no body", "9110 9.3.2", good().first("HEAD /echo HTTP/1.1").without("Host"), nil, 400)
	return cases
}

func lowerNames(r request) request { return mapNames(r, strings.ToLower) }
func upperNames(r request) request { return mapNames(r, strings.ToUpper) }

func mapNames(r request, f func(string) string) request {
	var headers []string
	for _, h := range r.headers {
		name, value, _ := strings.Cut(h, ":")
		headers = append(headers, f(name)+":"+value)
	}
	r.headers = headers
	return r
}
