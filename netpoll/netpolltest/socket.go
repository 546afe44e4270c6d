package netpolltest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Socket is a Stream over TCP. A goroutine reads all the time, so that a
// server which stops reading until its echo is taken does not stop the test.
type Socket struct {
	conn    *net.TCPConn
	limit   time.Duration
	arrived chan struct{} // holds one token when something has changed
	done    chan struct{} // closed when the reader has ended

	mu    sync.Mutex
	out   []byte
	ended error // why reading ended: io.EOF, a reset, our own Close
}

// DialSocket connects to a server. No call takes longer than limit, and none
// waits for it unless the server fails to do what is waited for.
func DialSocket(address string, limit time.Duration) (*Socket, error) {
	conn, err := net.DialTimeout("tcp", address, limit)
	if err != nil {
		return nil, fmt.Errorf("netpolltest: dial %s: %w", address, err)
	}
	s := &Socket{conn: conn.(*net.TCPConn), limit: limit, arrived: make(chan struct{}, 1), done: make(chan struct{})}
	go s.read()
	return s, nil
}

func (s *Socket) read() {
	defer close(s.done)
	buf := make([]byte, 64<<10)
	for {
		n, err := s.conn.Read(buf)
		s.mu.Lock()
		s.out = append(s.out, buf[:n]...)
		s.ended = err
		s.mu.Unlock()
		select {
		case s.arrived <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// Feed writes p at once; Go sets TCP_NODELAY, so a piece is usually a segment.
// A server that has ended the stream may refuse it, which is no mistake.
func (s *Socket) Feed(p []byte) {
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.limit))
	_, _ = s.conn.Write(p)
}

// EOF shuts down the sending side.
func (s *Socket) EOF() { _ = s.conn.CloseWrite() }

// Await waits for bytes or for the end of the stream, whichever comes first.
func (s *Socket) Await(n int) ([]byte, bool) {
	deadline := time.NewTimer(s.limit)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		out, ended := s.out, s.ended
		s.mu.Unlock()
		if len(out) >= n || ended != nil {
			return out, ended != nil
		}
		select {
		case <-s.arrived:
		case <-deadline.C:
			return out, false
		}
	}
}

// Reset says that the stream ended other than by the server's orderly
// shutdown: bytes that were on their way may be lost.
func (s *Socket) Reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil || errors.Is(s.ended, io.EOF) {
		return nil
	}
	return s.ended
}

// Close ends the connection and waits for the reader.
func (s *Socket) Close() {
	_ = s.conn.Close()
	<-s.done
}
