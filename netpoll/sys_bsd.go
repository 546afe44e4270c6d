//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package netpoll

import (
	"net/netip"
	"runtime"
	"sync"
	"time"

	gio "github.com/panjf2000/gnet/v2/pkg/io"
	"golang.org/x/sys/unix"
)

// listenerEdge is true on kqueue: gnet's poller cannot take a descriptor out of it, so
// the listener is watched edge-triggered and a paused one is simply not read.
const listenerEdge = true

// bell wakes a loop: a pipe, level-triggered, holding at most one byte.
type bell struct{ r, w int }

func newBell() (*bell, error) {
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		return nil, err
	}
	for _, fd := range p {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, err
		}
	}
	b := &bell{r: p[0], w: p[1]}
	runtime.SetFinalizer(b, (*bell).close)
	return b, nil
}

func (b *bell) fd() int { return b.r }

// ring may be called from any goroutine.
func (b *bell) ring() {
	for {
		if _, err := unix.Write(b.w, []byte{1}); err != unix.EINTR {
			return
		}
	}
}

func (b *bell) silence() {
	var bytes [8]byte
	_, _ = unix.Read(b.r, bytes[:])
}

func (b *bell) close() {
	_ = unix.Close(b.r)
	_ = unix.Close(b.w)
}

// ticker wakes a loop periodically: a bell rung by a goroutine.
type ticker struct {
	bell *bell
	stop chan struct{}
	done sync.WaitGroup
}

func newTicker(every time.Duration) (*ticker, error) {
	b, err := newBell()
	if err != nil {
		return nil, err
	}
	t := &ticker{bell: b, stop: make(chan struct{})}
	t.done.Add(1)
	go func() {
		defer t.done.Done()
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				t.bell.ring()
			case <-t.stop:
				return
			}
		}
	}()
	return t, nil
}

func (t *ticker) fd() int  { return t.bell.fd() }
func (t *ticker) silence() { t.bell.silence() }

func (t *ticker) close() {
	close(t.stop)
	t.done.Wait()
}

func readSocket(fd int32, p []byte) (int, error) { return unix.Read(int(fd), p) }

func writeSocket(fd int32, p []byte) (int, error) { return unix.Write(int(fd), p) }

// writeSocketAll writes several pieces, at most piecesMax.
func writeSocketAll(fd int32, pieces [][]byte) (int, error) { return gio.Writev(int(fd), pieces) }

// limitUnacked leaves it to the kernel when a peer that acknowledges nothing is given up:
// the BSDs have no option in common for that.
func limitUnacked(int32, time.Duration) {}

// acceptConn takes one connection. The BSDs inherit O_NONBLOCK from the listener but
// not close-on-exec.
func acceptConn(listener int) (int, netip.AddrPort, error) {
	fd, sa, err := unix.Accept(listener)
	if err != nil {
		return -1, netip.AddrPort{}, err
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return -1, netip.AddrPort{}, err
	}
	return fd, addrPort(sa), nil
}

func closeSocket(fd int32) { _ = unix.Close(int(fd)) }

// deferAccept leaves it at telling of every connection: what the BSDs have for this
// (accept filters) is a module of the kernel that need not be there.
func deferAccept(int) {}

// listenSocket opens one share of the listener.
func listenSocket(addr netip.AddrPort, cfg *Config, share bool) (int, error) {
	fd, err := unix.Socket(family(addr), unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, err
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, prepareListener(fd, addr, cfg, share)
}
