package peer

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/roostpush/roost/session/wire"
)

// TestDialEndsWithItsContext ends the context just before the answer comes: whatever is first, there is
// no connection, since its deadline passes a moment later.
func TestDialEndsWithItsContext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cfg := fast()
	for range 50 {
		ctx, cancel := context.WithCancel(context.Background())
		answered := make(chan error, 1)
		go func() {
			c, err := ln.Accept()
			if err != nil {
				answered <- err
				return
			}
			defer c.Close()
			in := newInbox()
			var mine wire.LinkHello
			err = readHello(c, &in, &mine)
			cancel()
			answered <- errors.Join(err, writeHello(c, Identity{Cluster: "test", Node: "b", Epoch: 1}.hello(&cfg, wire.ChannelControl, 1)))
			drain(c)
		}()
		c, _, _, err := dial(ctx, &cfg, nil, Identity{Cluster: "test", Node: "a", Epoch: 1}.hello(&cfg, wire.ChannelControl, 1), ln.Addr().String())
		if err == nil {
			_ = c.Close()
			t.Fatal("a connection whose deadline is about to pass")
		}
		<-answered
	}
}
