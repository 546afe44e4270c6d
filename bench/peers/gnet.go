package main

import (
	"fmt"
	"net"
	"os"

	"github.com/panjf2000/gnet/v2"
)

// serveGnet is gnet's engine with an event loop for each processor.
func serveGnet(o options) error {
	return gnet.Run(&gnetEcho{options: o}, "tcp://"+o.listen, gnet.WithOptions(gnet.Options{
		Multicore: true, ReuseAddr: true, Logger: complaints{},
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

// boundAddr asks which port the kernel chose, and closes the descriptor.
func boundAddr(fd int) (net.Addr, error) {
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close()
	l, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return l.Addr(), nil
}

// complaints is the engine's logger: its own writes to standard output, where callers
// look for the address.
type complaints struct{}

func (complaints) Debugf(string, ...any)             {}
func (complaints) Infof(string, ...any)              {}
func (complaints) Warnf(string, ...any)              {} // one for each stale event
func (complaints) Errorf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (complaints) Fatalf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
