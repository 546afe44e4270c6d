package disruption

import (
	"context"
	"errors"
	"fmt"
	"time"

	socket "github.com/roostpush/roost/bench/device" // one connection; a device here has several
)

// session is one connection of a device, from its hello. The goroutine that holds it
// reads it; HangUp and Close may be called by any.
type session struct {
	*socket.Session
	node int
	told time.Duration // after which the node wants it back; 0: it did not say
}

// sessionBufferBytes is what a device reads at once: there are 20,000 of them.
const sessionBufferBytes = 512

// open connects a device to a node and reads its hello.
func open(ctx context.Context, node int, n Node, name string) (*session, error) {
	d, err := socket.Open(ctx, n.Public, name, name, sessionBufferBytes)
	if err != nil {
		return nil, err
	}
	if d.Hello.Node != n.Name {
		d.Close()
		return nil, fmt.Errorf("disruption: the hello from %s is of node %q", n.Name, d.Hello.Node)
	}
	return &session{Session: d, node: node}, nil
}

// next returns the next text frame, and notes what the node says about coming back.
func (s *session) next() (socket.Frame, error) {
	f, err := s.Next()
	var closed *socket.Closed
	switch {
	case errors.As(err, &closed) && closed.Reconnect > 0:
		s.told = closed.Reconnect
	case err == nil && f.Type == "goaway":
		s.told = time.Duration(f.ReconnectMS) * time.Millisecond
	}
	return f, err
}
