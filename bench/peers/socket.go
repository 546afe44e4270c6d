package main

import (
	"context"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Kernel buffers of every connection, as netpoll.Default asks for them: 256 KiB to
// send and 32 KiB to receive, of which setsockopt gets half, because the kernel
// doubles it (socket(7)). TCP_NODELAY is on everywhere: Go and gnet set it by default.
const (
	sendBufferBytes    = 256 << 10 / 2
	receiveBufferBytes = 32 << 10 / 2
)

// listen opens a listener whose options accepted sockets inherit.
func listen(addr string) (*net.TCPListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		controlErr := c.Control(func(fd uintptr) {
			if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, sendBufferBytes); err != nil {
				return
			}
			if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBufferBytes); err != nil {
				return
			}
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		})
		if controlErr != nil {
			return controlErr
		}
		return err
	}}
	// Go asks for Multipath TCP, whose listener costs some microseconds more each time it
	// accepts a connection that speaks TCP only. None here speaks more.
	config.SetMultipathTCP(false)
	l, err := config.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}
