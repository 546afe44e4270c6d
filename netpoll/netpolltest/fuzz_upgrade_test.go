package netpolltest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/roostpush/roost/netpoll"
)

// FuzzUpgrade sends arbitrary request bytes. The server must not panic, must
// answer the same however they are cut, must answer in well-formed HTTP, must
// not accept what net/http refuses, and must accept what is plainly right.
func FuzzUpgrade(f *testing.F) {
	for _, c := range handshakes() {
		if len(c.Request) < 2000 {
			f.Add(c.Request, uint64(len(c.Request)))
		}
	}
	f.Add(append(good().ending("\r\n"), Text("Hello").AppendTo(nil)...), uint64(1))
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		whole, wholeEnded := fuzzRequest(t, in)
		pieces := randomPieces(in, seed)
		cut, cutEnded := fuzzRequest(t, pieces...)
		if !sameAnswer(whole, cut) || wholeEnded != cutEnded {
			t.Fatalf("%q\nwhole:    %q, ended %v\nin %d pieces: %q, ended %v", in, whole, wholeEnded, len(pieces), cut, cutEnded)
		}
		for _, out := range [][]byte{whole, cut} {
			if err := judgeAnswer(in, out, wholeEnded); err != nil {
				t.Fatalf("%q: %v", in, err)
			}
		}
	})
}

// sameAnswer compares byte for byte, except that a request with several faults
// may be refused for another one of them when it comes in pieces.
func sameAnswer(a, b []byte) bool {
	refused := func(p []byte) bool {
		return bytes.HasPrefix(p, []byte("HTTP/1.1 4")) || bytes.HasPrefix(p, []byte("HTTP/1.1 5"))
	}
	return bytes.Equal(a, b) || refused(a) && refused(b)
}

func fuzzRequest(t *testing.T, pieces ...[]byte) ([]byte, bool) {
	cfg := Config(fuzzLimitBytes)
	cfg.ReadBufferBytes = exhaustiveBytes
	m, err := NewMemory(cfg, netpoll.Echo{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pieces {
		m.Feed(p)
	}
	return m.Await(0)
}

// judgeAnswer is the oracle of FuzzUpgrade.
func judgeAnswer(in, out []byte, ended bool) error {
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
	right := err == nil && plainlyRight(in, request)
	if len(out) == 0 {
		if right || ended {
			return fmt.Errorf("no answer (plainly right: %v, stream ended: %v)", right, ended)
		}
		return nil
	}
	answer, rest, bad := ParseAnswer(out, bytes.HasPrefix(in, []byte("HEAD ")))
	if bad != nil {
		return bad
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		switch {
		case right:
			return fmt.Errorf("a plainly right request was answered with %.200q", out)
		case !ended:
			return fmt.Errorf("the stream is open after %.200q", out)
		case len(rest) > 0 && !bytes.HasPrefix(in, []byte("HEAD ")): // malformed, it may be no HEAD
			return fmt.Errorf("%q follows %.200q", rest, out)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("accepted, but net/http says: %w", err)
	}
	if err := fitForUpgrade(request); err != nil {
		return fmt.Errorf("accepted, but %w", err)
	}
	if _, err := ParseReplies(rest); err != nil {
		return err
	}
	return checkAccepted(answer, request.Header.Get("Sec-WebSocket-Key"), false)
}

// fitForUpgrade says why a request must not be accepted (RFC 6455 section
// 4.2.1), by net/http's reading of it.
func fitForUpgrade(r *http.Request) error {
	h := r.Header
	key, err := base64.StdEncoding.Strict().DecodeString(h.Get("Sec-WebSocket-Key"))
	switch {
	case r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1):
		return fmt.Errorf("it is %s %s", r.Method, r.Proto)
	case err != nil || len(key) != 16 || len(h.Values("Sec-WebSocket-Key")) != 1:
		return fmt.Errorf("its keys are %q", h.Values("Sec-WebSocket-Key"))
	case len(h.Values("Sec-WebSocket-Version")) != 1 || h.Get("Sec-WebSocket-Version") != "13":
		return fmt.Errorf("its versions are %q", h.Values("Sec-WebSocket-Version"))
	case !hasToken(h.Values("Upgrade"), "websocket"):
		return fmt.Errorf("its Upgrade is %q", h.Values("Upgrade"))
	case !hasToken(h.Values("Connection"), "upgrade"):
		return fmt.Errorf("its Connection is %q", h.Values("Connection"))
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return fmt.Errorf("it has a body: length %d, encoding %q", r.ContentLength, r.TransferEncoding)
	}
	return nil
}

func hasToken(values []string, token string) bool {
	for _, member := range strings.Split(strings.Join(values, ","), ",") {
		if strings.EqualFold(strings.Trim(member, " \t"), token) {
			return true
		}
	}
	return false
}

// plainlyRight says that a server has no reason left to refuse: nothing but
// printable ASCII, CRLF at each line's end, a target that needs no reading,
// everything within the limits, and nothing behind the request.
func plainlyRight(in []byte, r *http.Request) bool {
	limits := netpoll.Default()
	lines := strings.Split(string(in), "\r\n")
	if len(lines)-3 > limits.RequestHeadersMax || len(in) > limits.RequestBytesMax || bytes.Index(in, []byte("\r\n\r\n")) != len(in)-4 {
		return false
	}
	for i, line := range lines {
		name, _, colon := strings.Cut(line, ":")
		if i > 0 && i < len(lines)-2 && (!colon || !onlyIn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")) {
			return false
		}
		for _, b := range []byte(line) {
			if b < ' ' || b > '~' {
				return false
			}
		}
	}
	target := strings.TrimPrefix(r.RequestURI, "/")
	return strings.HasPrefix(lines[0], "GET /") && onlyIn(target, "abcdefghijklmnopqrstuvwxyz0123456789-./?=&") &&
		lines[0] == "GET /"+target+" HTTP/1.1" && fitForUpgrade(r) == nil &&
		len(r.Header.Values("Upgrade")) == 1 && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") &&
		len(r.Header.Values("Connection")) == 1 && strings.EqualFold(r.Header.Get("Connection"), "upgrade") &&
		strings.Count(strings.ToLower(string(in)), "\nhost:") == 1 && len(r.Header.Values("Authorization")) < 2 &&
		r.Header.Get("Transfer-Encoding") == "" && r.Header.Get("Content-Length") == ""
}

func onlyIn(s, set string) bool {
	return strings.Trim(strings.ToLower(s), set) == ""
}
