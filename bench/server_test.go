package bench

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// server is an echo server on gobwas/ws with real sockets, which can be made to lie.
// Each lie is a function of its own; nil means honest.
type server struct {
	refuse  func(n int64, uri string) error                      // before the 101
	greet   func(c net.Conn)                                     // after the 101
	answer  func(c *session, op ws.OpCode, payload []byte) error // to a message
	pong    func(n int64) bool                                   // whether connection n answers pings
	url     string
	upgrade atomic.Int64
	ended   sync.WaitGroup

	mu    sync.Mutex
	uris  map[string]int
	pongs int
	conns map[net.Conn]bool
	close func()
}

// session is one connection of the server.
type session struct {
	net.Conn
	number   int64
	messages int64 // taken so far
	last     int64 // a lie's memory
	kept     []byte
}

func (s *session) write(op ws.OpCode, payload []byte) error {
	return ws.WriteFrame(s, ws.NewFrame(op, true, payload))
}

func (s *server) start(t testing.TB) *server {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "ws://" + listener.Addr().String() + "/"
	s.uris, s.conns = map[string]int{}, map[net.Conn]bool{}
	s.ended.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[c] = true
			s.mu.Unlock()
			s.ended.Go(func() { s.serve(c) })
		}
	})
	s.close = sync.OnceFunc(func() {
		listener.Close()
		s.mu.Lock()
		for c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.ended.Wait()
	})
	t.Cleanup(s.close)
	return s
}

// honest starts a server without a lie.
func honest(t testing.TB) *server { return (&server{}).start(t) }

func (s *server) serve(raw net.Conn) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, raw)
		s.mu.Unlock()
		raw.Close()
	}()
	c := &session{Conn: raw, number: s.upgrade.Add(1) - 2} // the probe is -1
	upgrader := ws.Upgrader{OnRequest: func(uri []byte) error {
		s.mu.Lock()
		s.uris[string(uri)]++
		s.mu.Unlock()
		if s.refuse != nil && c.number >= 0 {
			return s.refuse(c.number, string(uri))
		}
		return nil
	}}
	if _, err := upgrader.Upgrade(raw); err != nil {
		return
	}
	if s.greet != nil && c.number >= 0 {
		s.greet(raw)
	}
	for s.turn(c) == nil {
	}
}

// readFrame reads one frame of a size that tests send.
func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

func (s *server) turn(c *session) error {
	f, err := readFrame(c)
	if err != nil {
		return err
	}
	if !f.Header.Masked {
		return io.ErrUnexpectedEOF // RFC 6455 section 5.1
	}
	f = ws.UnmaskFrame(f)
	switch {
	case f.Header.OpCode == ws.OpClose:
		return io.EOF
	case f.Header.OpCode == ws.OpPong:
		s.mu.Lock()
		s.pongs++
		s.mu.Unlock()
		return nil
	case f.Header.OpCode == ws.OpPing:
		if s.pong != nil && !s.pong(c.number) {
			return nil
		}
		return c.write(ws.OpPong, f.Payload)
	}
	c.messages++
	if s.answer != nil {
		return s.answer(c, f.Header.OpCode, f.Payload)
	}
	return c.write(f.Header.OpCode, f.Payload)
}

// accounts returns how often each account connected, the probe's visit left out.
func (s *server) accounts(t testing.TB) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	accounts := map[string]int{}
	for uri, n := range s.uris {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		accounts[u.Query().Get("account")] += n
	}
	if accounts["acc-0"]--; accounts["acc-0"] == 0 {
		delete(accounts, "acc-0")
	}
	return accounts
}

// refusing is an HTTP refusal of the upgrade.
func refusing(status int) error {
	return ws.RejectConnectionError(ws.RejectionStatus(status), ws.RejectionReason(http.StatusText(status)))
}

// number reads a message's own number.
func number(payload []byte) uint32 { return binary.LittleEndian.Uint32(payload[4:]) }

// slowWriter hands bytes on one by one, so that they arrive in many pieces.
type slowWriter struct{ net.Conn }

func (w slowWriter) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := w.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
		time.Sleep(time.Microsecond) // lets the other side read: a mere yield is merged by TCP
	}
	return len(p), nil
}
