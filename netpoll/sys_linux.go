package netpoll

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// listenerEdge is false on Linux: a paused listener is taken out of epoll.
const listenerEdge = false

// bell wakes a loop: an eventfd (eventfd(2)), level-triggered, so that a loop that does
// not silence it is woken again after other input had its turn.
type bell struct{ efd int }

func newBell() (*bell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	b := &bell{efd: fd}
	runtime.SetFinalizer(b, (*bell).close)
	return b, nil
}

var bellOne = binary.NativeEndian.AppendUint64(nil, 1)

func (b *bell) fd() int { return b.efd }

// ring may be called from any goroutine. It is called at most once between two
// silences, so the counter never fills.
func (b *bell) ring() {
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(b.efd), uintptr(unsafe.Pointer(unsafe.SliceData(bellOne))), uintptr(len(bellOne)))
}

func (b *bell) silence() {
	var count [8]byte
	_, _, _ = unix.RawSyscall(unix.SYS_READ, uintptr(b.efd), uintptr(unsafe.Pointer(&count)), uintptr(len(count)))
}

func (b *bell) close() { _ = unix.Close(b.efd) }

// ticker wakes a loop periodically: a timerfd (timerfd_create(2)).
type ticker struct{ tfd int }

func newTicker(every time.Duration) (*ticker, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	// All loops tick at the same moments: each time an idle Go process wakes, its monitor
	// thread runs for some milliseconds, and it should do so for all loops at once.
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return nil, err
	}
	first := unix.NsecToTimespec((now.Nano()/int64(every) + 1) * int64(every))
	spec := unix.ItimerSpec{Interval: unix.NsecToTimespec(int64(every)), Value: first}
	return &ticker{tfd: fd}, unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, &spec, nil)
}

func (t *ticker) fd() int { return t.tfd }

func (t *ticker) silence() {
	var count [8]byte
	_, _, _ = unix.RawSyscall(unix.SYS_READ, uintptr(t.tfd), uintptr(unsafe.Pointer(&count)), uintptr(len(count)))
}

func (t *ticker) close() { _ = unix.Close(t.tfd) }

// What a loop does with sockets, the poller and the bell goes past Go's scheduler: the
// descriptors are non-blocking, so a call takes microseconds, and telling the scheduler
// before and after each would cost a tenth of the call. It would also wake the runtime's
// monitor thread whenever the process had been idle, which then looks each 20 µs whether
// the call is over, for some milliseconds. Collection waits for them no longer than for any
// loop of ours. recvfrom and sendto are read and write without the file layer between.
func readSocket(fd int32, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

func writeSocket(fd int32, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// writeSocketAll writes several pieces, at most piecesMax, none of them empty.
func writeSocketAll(fd int32, pieces [][]byte) (int, error) {
	var room [piecesMax]unix.Iovec
	for i, p := range pieces {
		room[i].Base = unsafe.SliceData(p)
		room[i].SetLen(len(p))
	}
	n, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&room)), uintptr(len(pieces)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// limitUnacked makes the kernel end a connection whose peer has acknowledged nothing for
// that long (tcp(7), TCP_USER_TIMEOUT); without it that takes a quarter of an hour. One
// that refuses the option is left to that.
func limitUnacked(fd int32, d time.Duration) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}

// closeSocket closes a connection's descriptor. The kernel does what is left to do behind
// it: no socket here lingers (SO_LINGER).
func closeSocket(fd int32) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// acceptConn takes one connection; its options are inherited from the listener.
func acceptConn(listener int) (int, netip.AddrPort, error) {
	var from unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	fd, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, netip.AddrPort{}, errno
	}
	return int(fd), rawAddrPort(&from), nil
}

// rawAddrPort reads a peer's address as the kernel has written it; the port is in network
// order (ip(7), ipv6(7)).
func rawAddrPort(from *unix.RawSockaddrAny) netip.AddrPort {
	switch from.Addr.Family {
	case unix.AF_INET:
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), networkOrder(sa.Port))
	case unix.AF_INET6:
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), networkOrder(sa.Port))
	}
	return netip.AddrPort{}
}

func networkOrder(port uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&port))[:])
}

// deferSeconds is how long the kernel keeps a connection that has sent nothing.
const deferSeconds = 1

// deferAccept has the kernel tell of a connection when its first bytes are there (tcp(7),
// TCP_DEFER_ACCEPT): accepting and reading are then one event of the loop, and who only
// connects costs it nothing. One that stays silent is told of a second late. A
// kernel that refuses the option tells at once.
func deferAccept(listener int) {
	_ = unix.SetsockoptInt(listener, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, deferSeconds)
}

// listenSocket opens one share of the listener. Several sockets share the address by
// SO_REUSEPORT, and the kernel deals connections out by their four-tuple (socket(7)).
func listenSocket(addr netip.AddrPort, cfg *Config, share bool) (int, error) {
	fd, err := unix.Socket(family(addr), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	return fd, prepareListener(fd, addr, cfg, share)
}
