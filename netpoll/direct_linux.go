// HOT PATH

package netpoll

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// directConn is a TCP connection of package net whose calls go past Go's scheduler, as those
// of the loops do: they never block, and a call that the scheduler is told of wakes the
// runtime's monitor thread whenever the process had been idle, which then looks around each
// 20 µs for a while. That is before nearly every message of a quiet link, and cost a node that
// takes pushes and hands them to others an eighth of its time. It waits as any connection of
// Go's does.
type directConn struct {
	*net.TCPConn
	raw     syscall.RawConn
	in, out transfer
}

// transfer is one direction. Its mutex guards the rest during a call.
type transfer struct {
	mu    sync.Mutex
	b     []byte // borrowed from the caller; of a write what is left of it
	n     int    // bytes so far
	errno syscall.Errno
	try   func(fd uintptr) (over bool)
}

// Direct returns a TCP connection with such calls, which is used and closed like c and
// instead of it: any goroutine may call any method. Another kind of connection is returned as
// it is.
func Direct(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c // it is closed, and will say so
	}
	s := &directConn{TCPConn: tcp, raw: raw}
	s.in.try, s.out.try = s.in.read, s.out.write
	return s
}

// Read reads once, as net.Conn does.
func (c *directConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	t := &c.in
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begin(p)
	err := c.end(t, c.raw.Read(t.try), "read")
	if err == nil && t.n == 0 {
		err = io.EOF
	}
	return t.n, err
}

// Write writes all of p, as net.Conn does.
func (c *directConn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	t := &c.out
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begin(p)
	err := c.end(t, c.raw.Write(t.try), "write")
	return t.n, err
}

func (t *transfer) begin(p []byte) { t.b, t.n, t.errno = p, 0, 0 }

// end returns what went wrong: with the waiting, or with the call of that name. It is an
// error as package net's own, by which net/http knows what is no fault of the request's.
func (c *directConn) end(t *transfer, waiting error, call string) error {
	t.b = nil
	switch op, ok := waiting.(*net.OpError); {
	case ok:
		op.Op = call // not "raw-read"; it was made for this call
		return op
	case waiting != nil || t.errno == 0:
		return waiting
	}
	return &net.OpError{Op: call, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(call, t.errno)}
}

func (t *transfer) read(fd uintptr) (over bool) {
	n, errno := transferOnce(syscall.SYS_READ, fd, t.b)
	if errno == syscall.EAGAIN {
		return false
	}
	t.n, t.errno = n, errno
	return true
}

func (t *transfer) write(fd uintptr) (over bool) {
	for len(t.b) > 0 {
		n, errno := transferOnce(syscall.SYS_WRITE, fd, t.b)
		if errno == syscall.EAGAIN {
			return false
		}
		if t.errno = errno; errno != 0 {
			return true
		}
		t.n += n
		t.b = t.b[n:]
	}
	return true
}

func transferOnce(call, fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
			continue
		}
		return 0, errno
	}
}
