package netpolltest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/roostpush/roost/netpoll"
)

// handshakeGroup names the requests in a tally.
var handshakeGroup = Group{Number: "H", Name: "handshakes"}

func handshakes() []HandshakeCase {
	cfg := netpoll.Default()
	return Handshakes(cfg.RequestBytesMax, cfg.RequestHeadersMax)
}

// TestHandshakesMemory delivers every request whole, byte by byte and cut in
// two at every place.
func TestHandshakesMemory(t *testing.T) {
	var score tally
	for _, c := range handshakes() {
		failures := 0
		try := func(how string, pieces ...[]byte) {
			if failures >= 3 {
				return
			}
			if err := PlayHandshake(c, memory(t), pieces); err != nil {
				failures++
				t.Errorf("%s %s (RFC %s), %s: %v", c.ID, c.Name, c.RFC, how, err)
			}
		}
		try("whole", c.Request)
		if len(c.Request) <= exhaustiveBytes {
			try("byte by byte", Chop(c.Request, 1)...)
		}
		for _, cut := range cuts(len(c.Request), nil) {
			try(fmt.Sprintf("cut at %d of %d", cut, len(c.Request)), Pieces(c.Request, cut)...)
		}
		score.add(handshakeGroup, failures == 0)
	}
	score.print("handshakes in memory, every split")
}

func judgeHandshakeOverSocket(t *testing.T, address string, c HandshakeCase) bool {
	ok := true
	for i, pieces := range [][][]byte{{c.Request}, Chop(c.Request, 1)} {
		if len(pieces) > 1000 {
			continue
		}
		s, err := DialSocket(address, socketWait)
		if err != nil {
			t.Fatal(err)
		}
		if err := PlayHandshake(c, s, pieces); err != nil {
			ok = false
			t.Errorf("%s %s (RFC %s), %s: %v", c.ID, c.Name, c.RFC, []string{"whole", "byte by byte"}[i], err)
		}
		s.Close()
	}
	return ok
}

// TestUnfinishedRequestTimesOut: a request that never becomes whole gets 408.
func TestUnfinishedRequestTimesOut(t *testing.T) {
	whole := good().ending("\r\n")
	for _, in := range [][]byte{nil, whole[:1], whole[:40], whole[:len(whole)-1]} {
		m := memory(t)
		if len(in) > 0 {
			m.Feed(in)
		}
		if out, ended := m.Await(0); len(out) > 0 || ended {
			t.Fatalf("after %d bytes: %q, ended %v", len(in), out, ended)
		}
		m.Advance(Config(testLimitBytes).HandshakeTimeout * 2)
		c := HandshakeCase{Request: in, Status: []int{http.StatusRequestTimeout}}
		if out, ended := m.Await(0); !(len(in) == 0 && len(out) == 0 && ended) {
			if err := c.Check(out, ended); err != nil {
				t.Errorf("after %d bytes and the timeout: %v", len(in), err)
			}
		}
	}
}

// TestBareLineFeedsNeverUpgrade: a request whose last lines end with LF has no
// CRLF CRLF; a server may refuse it at once or when time is up.
func TestBareLineFeedsNeverUpgrade(t *testing.T) {
	crlf := good().ending("\r\n")
	for _, in := range [][]byte{good().ending("\n"), append(crlf[:len(crlf)-4:len(crlf)-4], "\n\r\n"...), append(crlf[:len(crlf)-2:len(crlf)-2], '\n')} {
		m := memory(t)
		m.Feed(in)
		m.Advance(Config(testLimitBytes).HandshakeTimeout * 2)
		out, ended := m.Await(0)
		c := HandshakeCase{Request: in, Status: []int{http.StatusBadRequest, http.StatusRequestTimeout}}
		if err := c.Check(out, ended); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// chooser is an echo server that takes one subprotocol.
type chooser struct {
	netpoll.Echo
	takes string
}

func (h chooser) Upgrade(_ *netpoll.Conn, r *netpoll.Request) netpoll.Verdict {
	offered := strings.Split(string(r.Protocols), ",")
	for i := range offered {
		offered[i] = strings.TrimSpace(offered[i])
	}
	if slices.Contains(offered, h.takes) {
		return netpoll.Verdict{Protocol: h.takes}
	}
	return netpoll.Verdict{Refuse: &netpoll.Answer{Status: 400, Body: "no\n"}}
}

// TestSubprotocol: the handler sees every offer, however it is spelled, and
// its choice is in the 101.
func TestSubprotocol(t *testing.T) {
	for name, headers := range map[string][]string{
		"alone":        {"Sec-WebSocket-Protocol: roost.v1"},
		"in a list":    {"Sec-WebSocket-Protocol: a, roost.v1 ,b"},
		"second line":  {"Sec-WebSocket-Protocol: a,b", "Sec-WebSocket-Protocol: roost.v1"},
		"third line":   {"Sec-WebSocket-Protocol: a", "sec-websocket-protocol: b", "SEC-WEBSOCKET-PROTOCOL: c, roost.v1"},
		"refused":      {"Sec-WebSocket-Protocol: roost.v2, roost"},
		"none offered": nil,
	} {
		c := HandshakeCase{Request: good().with(headers...).ending("\r\n"), Key: rfcKey, Status: []int{101},
			Header: map[string]string{"Sec-Websocket-Protocol": "roost.v1"}}
		if name == "refused" || name == "none offered" {
			c.Status, c.Header = []int{400}, nil
		}
		for _, cut := range cuts(len(c.Request), nil) {
			m, err := NewMemory(Config(1<<10), chooser{takes: "roost.v1"})
			if err != nil {
				t.Fatal(err)
			}
			if err := PlayHandshake(c, m, Pieces(c.Request, cut)); err != nil {
				t.Fatalf("%s, cut at %d: %v", name, cut, err)
			}
		}
	}
}
