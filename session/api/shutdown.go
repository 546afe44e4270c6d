package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/roostpush/roost/netpoll"
)

// Serve answers what arrives on the listener until Shutdown, then returns nil. It
// closes the listener. A listener that other machines reach is refused when no
// service token is set, whatever Config.Listen says.
func (s *Server) Serve(l net.Listener) error {
	if len(s.tokens) == 0 && !loopback(l.Addr().String()) {
		l.Close()
		return fmt.Errorf("api: listener %s is reachable from other machines and no service token is set: set tokens or tokens_file", l.Addr())
	}
	s.conns.listen(l)
	err := s.http.Serve(netpoll.DirectListener(l))
	select {
	case <-s.stopping: // closed the listener
		return nil
	default:
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("api: serve %s: %w", l.Addr(), err)
}

// Drain says that Shutdown is near: from now on each answer ends its connection, so that
// clients open the next one elsewhere, or once more here, and none has a request on its
// way on a kept one when that is closed.
func (s *Server) Drain() { s.draining.Store(true) }

// newWait is how long a connection that was accepted may take to say something once
// nobody is accepted any more.
const newWait = 500 * time.Millisecond

// Shutdown stops listening, ends streams with a last line that says so, and waits for
// requests to be answered; when ctx ends first, what is left is cut and its error
// returned.
//
// net/http's own Shutdown closes a connection whose request it reads from then on without
// an answer. So the listener goes first, and it is called when what was accepted before
// is answered.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopOnce.Do(func() { close(s.stopping) })
	s.conns.stop()
	s.conns.await(ctx)
	// It closes the listener once more when Serve has not noticed yet, and says so at the end.
	if err := s.http.Shutdown(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
		s.http.Close()
		return fmt.Errorf("api: requests were cut at shutdown: %w", err)
	}
	return nil
}

// conns are the listener and the connections that it accepted and that are not idle.
type conns struct {
	newWait time.Duration // the constant, but in tests

	mu       sync.Mutex
	listener net.Listener
	busy     map[net.Conn]http.ConnState // new or active
}

func (c *conns) listen(l net.Listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listener = l
}

// stop accepts nobody any more.
func (c *conns) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listener != nil {
		c.listener.Close()
	}
}

// changed is told by net/http of each change of a connection.
func (c *conns) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew, http.StateActive:
		if c.busy == nil {
			c.busy = map[net.Conn]http.ConnState{}
		}
		c.busy[conn] = state
	default:
		delete(c.busy, conn)
	}
}

// await returns when no request is under way and those who were accepted and said
// nothing have had newWait to begin, or when ctx ends.
func (c *conns) await(ctx context.Context) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); c.isBusy(time.Since(begun) < c.newWait); {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (c *conns) isBusy(fresh bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, state := range c.busy {
		if state == http.StateActive || fresh {
			return true
		}
	}
	return false
}
