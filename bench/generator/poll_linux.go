package generator

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller is one epoll instance and the eventfd that wakes it.
type poller struct {
	epoll  int
	wakeFD int
	events []unix.EpollEvent
	coarse bool // the kernel has no epoll_pwait2 (before 5.11): waits are whole milliseconds
}

// wakeSlot marks the eventfd among the events.
const wakeSlot = -1

// connectionEvents: edge-triggered, so that one epoll_ctl serves a connection for life.
const connectionEvents = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

func newPoller(eventsMax int) (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("generator: epoll: %w", err)
	}
	wakeFD, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(epoll)
		return nil, fmt.Errorf("generator: eventfd: %w", err)
	}
	p := &poller{epoll: epoll, wakeFD: wakeFD, events: make([]unix.EpollEvent, eventsMax)}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeSlot}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, wakeFD, &event); err != nil {
		p.close()
		return nil, fmt.Errorf("generator: epoll_ctl: %w", err)
	}
	return p, nil
}

func (p *poller) close() {
	_ = unix.Close(p.wakeFD)
	_ = unix.Close(p.epoll)
}

// wake ends a wait. It may be called from any goroutine while the poller is open.
func (p *poller) wake() {
	one := [8]byte{1}
	_, _ = unix.Write(p.wakeFD, one[:])
}

func (p *poller) add(fd int, slot, generation int32) error {
	event := unix.EpollEvent{Events: connectionEvents, Fd: slot, Pad: generation}
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &event)
}

// wait returns the events that there are, after at most timeout; a timeout of 0 or
// less only looks. The slice is borrowed until the next wait.
func (p *poller) wait(timeout time.Duration) ([]unix.EpollEvent, error) {
	timeout = max(timeout, 0)
	var n int
	var err error
	if p.coarse {
		n, err = unix.EpollWait(p.epoll, p.events, int((timeout+time.Millisecond-1)/time.Millisecond))
	} else {
		n, err = p.waitFine(timeout)
	}
	switch {
	case errors.Is(err, unix.EINTR):
		return nil, nil
	case errors.Is(err, unix.ENOSYS) && !p.coarse:
		p.coarse = true
		return p.wait(timeout)
	case err != nil:
		return nil, fmt.Errorf("generator: epoll_wait: %w", err)
	}
	for i := range p.events[:n] {
		if p.events[i].Fd == wakeSlot {
			var drain [8]byte
			_, _ = unix.Read(p.wakeFD, drain[:])
		}
	}
	return p.events[:n], nil
}

// waitFine is epoll_pwait2(2), which x/sys does not wrap: its timeout is in
// nanoseconds, and a start 300 µs away should not come a millisecond late.
func (p *poller) waitFine(timeout time.Duration) (int, error) {
	ts := unix.NsecToTimespec(int64(timeout))
	trap := unix.Syscall6
	if timeout == 0 {
		trap = unix.RawSyscall6 // it does not block: no need to tell Go's scheduler
	}
	n, _, errno := trap(unix.SYS_EPOLL_PWAIT2, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events[0])),
		uintptr(len(p.events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
