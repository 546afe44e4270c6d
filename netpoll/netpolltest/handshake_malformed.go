package netpolltest

import (
	"fmt"
	"strings"
)

// malformed is what RFC 9112 forbids, and requests that are not whole.
func malformed() (cases []HandshakeCase) {
	raw := func(name, rfc string, in []byte, status ...int) {
		cases = append(cases, HandshakeCase{Name: name, RFC: rfc, Request: in, Key: rfcKey, Status: status})
	}
	add := func(name, rfc string, r request, status ...int) { raw(name, rfc, r.ending("\r\n"), status...) }
	line := func(name, line string, status ...int) { add(name, "9112 3", good().first(line), status...) }

	line("HTTP/1.0", "GET /echo HTTP/1.0", 400, 426, 505)
	line("HTTP/0.9 with a version", "GET /echo HTTP/0.9", 400, 505)
	line("HTTP/2.0", "GET /echo HTTP/2.0", 400, 505)
	line("no version", "GET /echo", 400)
	line("version in lower case", "GET /echo http/1.1", 400)
	line("version of three digits", "GET /echo HTTP/1.1.1", 400)
	line("version without digits", "GET /echo HTTP/x.y", 400)
	line("four words", "GET /echo more HTTP/1.1", 400)
	line("two spaces", "GET  /echo HTTP/1.1", 400)
	line("no target", "GET HTTP/1.1", 400)
	line("target without a slash", "GET echo HTTP/1.1", 400)
	line("target with a fragment", "GET /echo#here HTTP/1.1", 400)
	line("target with a control character", "GET /ec\x01ho HTTP/1.1", 400)
	line("target with a byte above ASCII", "GET /\xc3\xa4 HTTP/1.1", 400)
	line("path with a percent sign and no digits", "GET /ec%.1ho HTTP/1.1", 400)
	line("path with a percent sign and one digit", "GET /echo%4 HTTP/1.1", 400)
	line("path that ends in a percent sign", "GET /echo%?token=x HTTP/1.1", 400)
	line("NUL in the method", "G\x00T /echo HTTP/1.1", 400, 405)
	line("space in front", " GET /echo HTTP/1.1", 400)
	line("carriage return inside", "GET /echo\r HTTP/1.1", 400)

	add("no Host", "9112 3.2", good().without("Host"), 400)
	add("two Hosts", "9112 3.2", good().with("Host: other.example.com"), 400)
	add("folded header", "9112 5.2", good().with("X-Long: one", " two"), 400)
	add("header folded by a tab", "9112 5.2", good().with("X-Long: one", "\ttwo"), 400)
	add("folded line in front of the headers", "9112 2.2", request{good().line, append([]string{" X: y"}, good().headers...)}, 400)
	add("space in front of the colon", "9112 5.1", good().with("X-Space : y"), 400)
	add("header without a colon", "9112 5.1", good().with("X-NoColon"), 400)
	add("header without a name", "9112 5.1", good().with(": value"), 400)
	add("header name with a space", "9110 5.1", good().with("X Name: y"), 400)
	add("header name above ASCII", "9110 5.1", good().with("X-N\xe4me: y"), 400)
	add("NUL in a value", "9110 5.5", good().with("X-Nul: a\x00b"), 400)
	add("control character in a value", "9110 5.5", good().with("X-Ctl: a\x07b"), 400)
	add("carriage return in a value", "9112 2.2", good().with("X-Cr: a\rb"), 400)
	add("bare LF inside a header", "9112 2.2", good().with("X-Lf: a\nX-Other: b"), 400)
	add("body announced by length", "9112 6", good().with("Content-Length: 5"), 400)
	add("length that is no number", "9112 6.2", good().with("Content-Length: five"), 400)
	add("two lengths that differ", "9112 6.3", good().with("Content-Length: 0", "Content-Length: 5"), 400)
	add("body announced by chunks", "9112 6", good().with("Transfer-Encoding: chunked"), 400, 501)
	raw("first line ends with a bare LF", "9112 2.2", []byte(strings.Replace(string(good().ending("\r\n")), "\r\n", "\n", 1)), 400)
	raw("bare CR for line ends", "9112 2.2", []byte("GET /echo HTTP/1.1\rHost: x\r\r\n\r\n"), 400)

	raw("TLS instead of HTTP", "9112 2", []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400)
	raw("frames instead of HTTP", "4.1", Text("Hello, world, this is long enough").AppendTo(nil), 400)
	raw("binary nonsense", "9112 2", []byte("\x00\x01\x02\x03\xff\xfe\xfd"), 400)
	raw("empty lines, then nothing", "9112 2.2", []byte("\r\n\r\n"), 400)

	whole := good().ending("\r\n")
	for _, cut := range []int{1, 3, 17, 20, len(whole) - 2, len(whole) - 1} {
		raw(fmt.Sprintf("cut after %d bytes", cut), "9112 2", whole[:cut])
	}
	cases = append(cases, HandshakeCase{Name: "cut and ended", RFC: "9112 8", Request: whole[:30], EOF: true})
	return cases
}

// oversized is around the server's limits on a request.
func oversized(bytesMax, headersMax int) (cases []HandshakeCase) {
	add := func(name string, in []byte, status ...int) {
		cases = append(cases, HandshakeCase{Name: name, RFC: "6585 5", Request: in, Key: rfcKey, Status: status})
	}
	padded := func(n int) []byte {
		r := good().with("X-Pad: ")
		return good().with("X-Pad: " + strings.Repeat("p", n-len(r.ending("\r\n")))).ending("\r\n")
	}
	add("as large as is allowed", padded(bytesMax), 101)
	add("one byte larger", padded(bytesMax+1), 431)
	add("twice as large", padded(2*bytesMax), 431)
	add("too large and never whole", padded(bytesMax + 100)[:bytesMax+1], 431)
	add("as large as is allowed and not whole", padded(bytesMax + 100)[:bytesMax])
	many := good()
	for i := len(many.headers); i <= headersMax; i++ {
		many = many.with(fmt.Sprintf("X-%d: %d", i, i))
	}
	add("one header too many", many.ending("\r\n"), 431)
	return cases
}
