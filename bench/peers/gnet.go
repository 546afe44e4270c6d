package main

import (
	"net"
	"os"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// serveGnet is gnet's engine with an event loop for each processor.
func serveGnet(o options) error {
	return gnet.Run(&gnetEcho{options: o}, "tcp://"+o.listen, gnet.WithOptions(gnet.Options{
		Multicore: true, ReuseAddr: true, Logger: silence{},
		SocketSendBuffer: sendBufferBytes, SocketRecvBuffer: receiveBufferBytes,
	}))
}

type gnetEcho struct {
	gnet.BuiltinEventEngine
	options options
}

// OnBoot tells the address, which the engine knows by its descriptor only.
func (g *gnetEcho) OnBoot(engine gnet.Engine) gnet.Action {
	fd, err := engine.Dup()
	if err != nil {
		return gnet.Shutdown
	}
	addr, err := boundAddr(fd)
	_ = unix.Close(fd)
	if err != nil {
		return gnet.Shutdown
	}
	g.options.ready("gnet echo server", addr)
	return gnet.None
}

// OnTraffic looks at what has come, answers what is whole, and leaves the rest.
func (g *gnetEcho) OnTraffic(c gnet.Conn) gnet.Action {
	data, err := c.Peek(-1)
	if err != nil {
		return gnet.Close
	}
	done := 0
	if c.Context() == nil {
		var h handshake
		if done, err = h.upgrade(data); err != nil {
			return gnet.Close
		}
		if done == 0 {
			return gnet.None
		}
		c.SetContext(upgraded)
		if _, err := c.Write(h.out); err != nil {
			return gnet.Close
		}
	}
	e, err := echoFrames(data[done:])
	if err != nil {
		return gnet.Close
	}
	if e.end > e.begin {
		if _, err := c.Write(data[done:][e.begin:e.end]); err != nil {
			return gnet.Close
		}
	}
	if e.closing {
		return gnet.Close
	}
	if done += e.done; done > 0 { // Discard(0) would discard everything
		_, _ = c.Discard(done)
	}
	return gnet.None
}

// upgraded marks a connection; the same pointer for all, so that it costs nothing.
var upgraded = new(struct{ _ byte })

func boundAddr(fd int) (net.Addr, error) {
	file := os.NewFile(uintptr(fd), "listener")
	l, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return l.Addr(), nil
}

// silence is the engine's logger: its own writes to standard output, where callers
// look for the address. What goes wrong comes back from gnet.Run.
type silence struct{}

func (silence) Debugf(string, ...any) {}
func (silence) Infof(string, ...any)  {}
func (silence) Warnf(string, ...any)  {}
func (silence) Errorf(string, ...any) {}
func (silence) Fatalf(string, ...any) {}
