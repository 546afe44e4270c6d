package netpolltest

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// HandshakeCase is one request and the HTTP answer that it must get. It is a
// value that many goroutines may read.
type HandshakeCase struct {
	ID      string // H and a number
	Name    string
	RFC     string
	Request []byte
	Key     string            // the Sec-WebSocket-Key that a 101 must answer
	Status  []int             // any of these; none: no answer, the server waits for more
	Header  map[string]string // members that the answer must have
	EOF     bool              // the client ends its side after the request
}

// Check judges everything the server has sent and whether it ended the stream.
func (c HandshakeCase) Check(out []byte, ended bool) error {
	if len(c.Status) == 0 {
		if len(out) > 0 || ended != c.EOF {
			return fmt.Errorf("answered %.60q (stream ended: %v), want silence", out, ended)
		}
		return nil
	}
	answer, rest, err := ParseAnswer(out, bytes.HasPrefix(c.Request, []byte("HEAD ")))
	if err != nil {
		return err
	}
	if !slices.Contains(c.Status, answer.StatusCode) {
		return fmt.Errorf("status %d, want one of %v: %.200q", answer.StatusCode, c.Status, out)
	}
	for name, want := range c.Header {
		if got := answer.Header.Values(name); len(got) != 1 || got[0] != want {
			return fmt.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	if len(rest) > 0 {
		return fmt.Errorf("%.60q follows the answer", rest)
	}
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return checkAccepted(answer, c.Key, ended)
	}
	if !ended || !answer.Close {
		return fmt.Errorf("status %d: Connection: close is %v, stream ended %v, want both", answer.StatusCode, answer.Close, ended)
	}
	return nil
}

// checkAccepted judges a 101 (RFC 6455 sections 4.2.2 and 1.3).
func checkAccepted(answer *http.Response, key string, ended bool) error {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	want := base64.StdEncoding.EncodeToString(sum[:])
	h := answer.Header
	switch {
	case ended:
		return errors.New("the server ended the stream after 101")
	case h.Get("Sec-WebSocket-Accept") != want || len(h.Values("Sec-WebSocket-Accept")) != 1:
		return fmt.Errorf("header Sec-WebSocket-Accept is %q, want %q", h.Values("Sec-WebSocket-Accept"), want)
	case !strings.EqualFold(h.Get("Upgrade"), "websocket"):
		return fmt.Errorf("header Upgrade is %q", h.Values("Upgrade"))
	case !strings.EqualFold(h.Get("Connection"), "Upgrade"):
		return fmt.Errorf("header Connection is %q", h.Values("Connection"))
	case h.Values("Sec-WebSocket-Extensions") != nil:
		return fmt.Errorf("extensions %q were negotiated; there are none", h.Values("Sec-WebSocket-Extensions"))
	}
	return nil
}

// ParseAnswer reads one HTTP answer strictly: status line, headers, a length
// that is the body's. rest is what follows it.
func ParseAnswer(out []byte, toHead bool) (answer *http.Response, rest []byte, err error) {
	end := bytes.Index(out, []byte("\r\n\r\n"))
	if end < 0 {
		return nil, nil, fmt.Errorf("no whole answer: %.200q", out)
	}
	for i, b := range out[:end] {
		if b == '\n' && (i == 0 || out[i-1] != '\r') || b == 0 {
			return nil, nil, fmt.Errorf("byte %#02x at %d of the answer %.200q", b, i, out)
		}
	}
	if !bytes.HasPrefix(out, []byte("HTTP/1.1 ")) || len(out) < 13 || out[12] != ' ' {
		return nil, nil, fmt.Errorf("status line of %.60q", out)
	}
	method := http.MethodGet
	if toHead {
		method = http.MethodHead
	}
	r := bytes.NewReader(out)
	buffered := bufio.NewReader(r)
	answer, err = http.ReadResponse(buffered, &http.Request{Method: method})
	if err != nil {
		return nil, nil, fmt.Errorf("answer %.200q: %w", out, err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		if answer.ContentLength < 0 {
			return nil, nil, fmt.Errorf("answer without a length: %.200q", out)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return nil, nil, fmt.Errorf("body of %.200q: %w", out, err)
		}
	}
	rest, err = io.ReadAll(buffered)
	return answer, rest, err
}

// PlayHandshake sends the request in pieces over a fresh stream and judges the
// answer; a 101 is followed by an echo, to show that the connection works.
func PlayHandshake(c HandshakeCase, s Stream, pieces [][]byte) error {
	for _, p := range pieces {
		s.Feed(p)
	}
	if c.EOF {
		s.EOF()
	}
	if !slices.Contains(c.Status, http.StatusSwitchingProtocols) {
		n := everything
		if len(c.Status) == 0 && !c.EOF {
			n = 0
		}
		return c.Check(s.Await(n))
	}
	skip, err := headerLength(s)
	if err != nil {
		return err
	}
	out, ended := s.Await(skip)
	if !bytes.HasPrefix(out, []byte("HTTP/1.1 101 ")) {
		return c.Check(s.Await(everything))
	}
	if err := c.Check(out[:skip], ended); err != nil {
		return err
	}
	after := Case{In: []Part{Text("Hello")}, Want: []Reply{text("Hello")}, End: Open}
	in, _ := after.Bytes()
	s.Feed(in)
	return finish(after, s, skip)
}
