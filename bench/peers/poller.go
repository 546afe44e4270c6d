package main

import (
	"errors"
	"io"
	"net"
	"runtime"

	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"golang.org/x/sys/unix"
)

// This is the floor: what an event loop that does nothing but echo costs on gnet's
// poller. There is one struct for each connection and one read buffer for each loop.
// There are no timers, no limits, no UTF-8 check, no outbox and no statistics. An
// answer that the kernel does not take at once ends the connection.

// readBufferBytes is the same as netpoll.Default's.
const readBufferBytes = 64 << 10

// acceptBatch is how many connections are taken in one event, as netpoll.Default does.
const acceptBatch = 64

// bareConn is one connection; it belongs to its loop.
type bareConn struct {
	fd   int
	open bool
	rest []byte // the first part of a request or frame
}

// bareLoop is one event loop and everything it owns.
type bareLoop struct {
	poller    *netpoll.Poller
	listener  int
	conns     []*bareConn // by descriptor
	buffer    []byte
	handshake handshake
	serve     func(c *bareConn, data []byte) error // what is done with input
	calls
}

func servePoller(o options) error  { return serveBare(o, "poller echo server", throughScheduler) }
func serveUpgrade(o options) error { return serveBare(o, "upgrade echo server", throughScheduler) }
func serveRaw(o options) error     { return serveBare(o, "raw echo server", pastScheduler) }

// serveBare runs a loop for each processor; they share the listener.
func serveBare(o options, name string, with calls) error {
	l, err := listen(o.listen)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for range runtime.GOMAXPROCS(0) {
		loop, err := newBareLoop(l, with)
		if err != nil {
			return err
		}
		go func() { failed <- loop.poller.Polling(loop.handle) }()
	}
	o.ready(name, l.Addr())
	return <-failed
}

func newBareLoop(l *net.TCPListener, with calls) (*bareLoop, error) {
	file, err := l.File() // a descriptor that Go's own poller leaves alone
	if err != nil {
		return nil, err
	}
	fd, err := unix.Dup(int(file.Fd()))
	if err != nil {
		return nil, err
	}
	_ = file.Close()
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	poller, err := netpoll.OpenPoller()
	if err != nil {
		return nil, err
	}
	loop := &bareLoop{poller: poller, listener: fd, buffer: make([]byte, readBufferBytes), calls: with}
	loop.serve = loop.take
	return loop, poller.AddRead(&netpoll.PollAttachment{FD: fd}, false)
}

// handle is called by the poller for each event.
func (l *bareLoop) handle(fd int, _ netpoll.IOEvent, _ netpoll.IOFlags) error {
	if fd == l.listener {
		l.accept()
		return nil
	}
	c := l.conns[fd]
	n, err := l.read(fd, l.buffer)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err == nil && n > 0:
		err = l.serve(c, l.buffer[:n])
	case n == 0:
		err = io.EOF
	}
	if err != nil {
		l.conns[fd] = nil
		_ = unix.Close(fd) // which takes it out of epoll
	}
	return nil
}

func (l *bareLoop) accept() {
	for range acceptBatch {
		fd, _, err := unix.Accept4(l.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		for len(l.conns) <= fd {
			l.conns = append(l.conns, nil)
		}
		l.conns[fd] = &bareConn{fd: fd}
		if err := l.poller.AddRead(&netpoll.PollAttachment{FD: fd}, false); err != nil {
			l.conns[fd] = nil
			_ = unix.Close(fd)
		}
	}
}

// take answers what is whole and keeps the rest.
func (l *bareLoop) take(c *bareConn, data []byte) error {
	if len(c.rest) > 0 {
		c.rest = append(c.rest, data...)
		data = c.rest
	}
	if !c.open {
		done, err := l.handshake.upgrade(data)
		if err != nil {
			return err
		}
		if done > 0 {
			c.open = true
			data = data[done:]
			if err := l.writeAll(c.fd, l.handshake.out); err != nil {
				return err
			}
		}
	}
	if c.open {
		e, err := echoFrames(data)
		if err != nil {
			return err
		}
		if e.end > e.begin {
			if err := l.writeAll(c.fd, data[e.begin:e.end]); err != nil {
				return err
			}
		}
		if e.closing {
			return io.EOF
		}
		data = data[e.done:]
	}
	c.keep(data)
	return nil
}

// keep keeps what is not whole yet.
func (c *bareConn) keep(data []byte) {
	if len(data) == 0 {
		c.rest = nil
	} else {
		c.rest = append(c.rest[:0], data...) // may overlap; append copies as copy does
	}
}

// writeAll hands all to the kernel or fails.
func (l *bareLoop) writeAll(fd int, p []byte) error {
	n, err := l.write(fd, p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}
