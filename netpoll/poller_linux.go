package netpoll

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller tells a loop what has happened to its descriptors: epoll(7), level-triggered.
// HOT PATH.
//
// It waits through Go's own poller, in which its epoll descriptor is one more: the loop's
// goroutine is parked as any other that waits for a socket. A loop that blocked in
// epoll_wait would keep its processor until Go's monitor thread takes that away, 20 µs to
// 10 ms later; until then nobody looks at the sockets that are Go's, which are the links
// to other nodes and the internal listener, and afterwards the loop and whoever it talks
// to wake each other across threads. It belongs to its loop.
type poller struct {
	fd     int
	file   *os.File // owns fd
	conn   syscall.RawConn
	events []unix.EpollEvent
	ready  int // of events
	look   func(uintptr) bool
}

// eventsMax is how many events one turn of a loop takes.
const eventsMax = 1024

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // what os.NewFile takes for pollable
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), events: make([]unix.EpollEvent, eventsMax)}
	if p.conn, err = p.file.SyscallConn(); err != nil {
		p.close()
		return nil, err
	}
	p.look = func(uintptr) bool {
		p.ready = p.poll()
		return p.ready != 0
	}
	return p, nil
}

// poll takes what has happened already: how many events, or an errno below 0.
func (p *poller) poll() int {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p.events))), eventsMax, 0, 0, 0)
		switch errno {
		case 0:
			return int(n)
		case unix.EINTR:
			continue
		}
		return -int(errno)
	}
}

// run is turns of the loop until that stops. A descriptor that failed is readable:
// reading it says how.
func (p *poller) run(l *loop) error {
	for more := false; !l.stopping; more = l.endTurn() {
		if more {
			p.ready = p.poll()
		} else if err := p.conn.Read(p.look); err != nil {
			// Read looks before it waits, and forgets before that what Go's poller has told: so
			// nothing is missed that comes between the look and the wait.
			return fmt.Errorf("netpoll: wait for events: %w", err)
		}
		if p.ready < 0 {
			return os.NewSyscallError("epoll_pwait", syscall.Errno(-p.ready))
		}
		l.beginTurn()
		for i := 0; i < p.ready && !l.stopping; {
			i += l.events(p.events[i:p.ready])
		}
	}
	return nil
}

// events handles the next events of a turn and returns how many: one, or, if they are all input
// of open connections, as many as are read together.
func (l *loop) events(list []unix.EpollEvent) int {
	if l.together != nil && len(list) >= togetherMin {
		conns := l.together.conns[:0]
		for i := range list[:min(len(list), togetherMax)] {
			c := l.table.owned(list[i].Fd, l)
			if list[i].Events != unix.EPOLLIN || !c.isReader() {
				break
			}
			conns = append(conns, c)
		}
		if l.together.conns = conns; len(conns) >= togetherMin {
			l.readTogether()
			return len(conns)
		}
	}
	e := &list[0]
	l.event(int(e.Fd), e.Events&(unix.EPOLLIN|unix.EPOLLERR|unix.EPOLLHUP) != 0, e.Events&unix.EPOLLOUT != 0)
	return 1
}

// add watches a descriptor for input.
func (p *poller) add(fd int) error { return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN) }

// addListener does the same for a listener.
func (p *poller) addListener(fd int) error { return p.add(fd) }

// watchWrites watches a descriptor for room as well, or no longer.
func (p *poller) watchWrites(fd int, yes bool) error {
	events := uint32(unix.EPOLLIN)
	if yes {
		events |= unix.EPOLLOUT
	}
	return p.control(unix.EPOLL_CTL_MOD, fd, events)
}

// remove stops watching; closing the descriptor does so, too.
func (p *poller) remove(fd int) { _ = p.control(unix.EPOLL_CTL_DEL, fd, 0) }

func (p *poller) control(op, fd int, events uint32) error {
	event := unix.EpollEvent{Fd: int32(fd), Events: events}
	if _, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.fd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&event)), 0, 0); errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

func (p *poller) close() { _ = p.file.Close() }
