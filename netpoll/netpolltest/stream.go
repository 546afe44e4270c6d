package netpolltest

import (
	"bytes"
	"fmt"
)

// Stream is one connection to a server under test, seen from the client. One
// goroutine uses it.
type Stream interface {
	// Feed sends p as one piece; it is borrowed. What a server that has ended
	// the stream no longer takes is lost silently, as on a real network.
	Feed(p []byte)
	// EOF ends the client's sending side.
	EOF()
	// Await returns everything the server has sent since the stream began, as
	// soon as that is n bytes or more or the server has ended the stream. It
	// gives up after the stream's time limit with whatever there is. The bytes
	// are borrowed until the next call.
	Await(n int) (out []byte, ended bool)
	// Close ends the connection without ceremony.
	Close()
}

// everything is an Await that only the server's end can satisfy.
const everything = int(^uint(0) >> 1)

// Upgrade is the request that precedes each case.
const Upgrade = "GET /echo HTTP/1.1\r\n" +
	"Host: localhost\r\n" +
	"Upgrade: websocket\r\n" +
	"Connection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Sec-WebSocket-Version: 13\r\n\r\n"

// accepted must be in the answer to Upgrade (RFC 6455 section 1.3).
const accepted = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

// Handshake sends Upgrade and returns the length of the server's 101.
func Handshake(s Stream) (int, error) {
	s.Feed([]byte(Upgrade))
	return awaitHandshake(s)
}

// awaitHandshake waits for the 101 to Upgrade and returns its length.
func awaitHandshake(s Stream) (int, error) {
	n, err := headerLength(s)
	if err != nil {
		return 0, err
	}
	out, _ := s.Await(n)
	if !bytes.HasPrefix(out, []byte("HTTP/1.1 101 ")) || !bytes.Contains(out[:n], []byte(accepted)) {
		return 0, fmt.Errorf("handshake answered with %q", out[:n])
	}
	return n, nil
}

// headerLength waits for a whole HTTP header and returns its length.
func headerLength(s Stream) (int, error) {
	for n := 1; ; {
		out, ended := s.Await(n)
		if end := bytes.Index(out, []byte("\r\n\r\n")); end >= 0 {
			return end + 4, nil
		}
		if ended || len(out) < n {
			return 0, fmt.Errorf("no whole HTTP answer, stream ended %v: %q", ended, out)
		}
		n = len(out) + 1
	}
}

// Pieces returns in cut at the given offsets, which ascend.
func Pieces(in []byte, cuts ...int) [][]byte {
	pieces := make([][]byte, 0, len(cuts)+1)
	from := 0
	for _, cut := range cuts {
		pieces = append(pieces, in[from:cut])
		from = cut
	}
	return append(pieces, in[from:])
}

// Chop returns in cut into pieces of n bytes.
func Chop(in []byte, n int) [][]byte {
	var pieces [][]byte
	for len(in) > n {
		pieces, in = append(pieces, in[:n]), in[n:]
	}
	return append(pieces, in)
}

// Play runs a case over a fresh stream, after a handshake, delivering the
// pieces one by one. It reports how the server's behaviour differs from what
// the case wants; nil says that it does not.
func Play(c Case, s Stream, pieces [][]byte) error {
	skip, err := Handshake(s)
	if err != nil {
		return err
	}
	for _, p := range pieces {
		s.Feed(p)
	}
	return finish(c, s, skip)
}

// finish checks the rest of a conversation after skip bytes of handshake.
func finish(c Case, s Stream, skip int) error {
	if c.EOF {
		s.EOF()
	}
	switch c.End.Kind {
	case Waits:
		return c.Check(await(s, skip, skip+c.WantBytes()))
	case StaysOpen:
		if err := c.Check(await(s, skip, skip+c.WantBytes())); err != nil {
			return err
		}
		return probe(c, s, skip)
	default:
		return c.Check(await(s, skip, everything))
	}
}

// await returns what came behind the handshake, without the server's own pings:
// a server may send them at any time. They do not count towards n.
func await(s Stream, skip, n int) ([]byte, bool) {
	for pings := 0; ; {
		wanted := n
		if n != everything {
			wanted += pings
		}
		out, ended := s.Await(wanted)
		rest, found := withoutPings(out[min(skip, len(out)):])
		if found == pings || n == everything || len(out) < wanted {
			return rest, ended
		}
		pings = found
	}
}

// withoutPings returns the frames of p that are not pings, and how many bytes
// the pings had. What cannot be parsed is kept for Check to see.
func withoutPings(p []byte) (kept []byte, pings int) {
	if !hasPing(p) {
		return p, 0 // the usual case is not copied
	}
	for rest := p; len(rest) > 0; {
		r, after, err := ParseReply(rest)
		if err != nil {
			return append(kept, rest...), pings
		}
		size := len(rest) - len(after)
		if r.Op == OpPing {
			pings += size
		} else {
			kept = append(kept, rest[:size]...)
		}
		rest = after
	}
	return kept, pings
}

func hasPing(p []byte) bool {
	for len(p) > 0 {
		r, rest, err := ParseReply(p)
		if err != nil || r.Op == OpPing {
			return err == nil
		}
		p = rest
	}
	return false
}

// probe shows that the connection still works: a ping is answered by its pong,
// which also flushes out any frame too many, and a close handshake ends it.
func probe(c Case, s Stream, skip int) error {
	const word = "are you there?"
	s.Feed(Ping(word).AppendTo(nil))
	s.Feed(Close(1000, "").AppendTo(nil))
	after := c
	after.Want = append(c.Want[:len(c.Want):len(c.Want)], Reply{OpPong, []byte(word)})
	after.End = ClosedWith(1000)
	out, ended := await(s, skip, everything)
	if err := after.Check(out, ended); err != nil {
		return fmt.Errorf("afterwards, at the ping and close that follow: %w", err)
	}
	return nil
}
