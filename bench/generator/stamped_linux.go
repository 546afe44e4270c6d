package generator

import (
	"encoding/binary"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// HOT PATH

// stamps reads bytes together with the time at which the kernel got the last of them
// (SO_TIMESTAMPNS, Documentation/networking/timestamping.rst of the kernel): what the
// generator itself takes to come round and read them is then no part of a latency. It
// belongs to a loop.
type stamps struct {
	on       bool
	offsetNS int64 // of the loop's clock to CLOCK_REALTIME, which the kernel's stamps are of
	iov      unix.Iovec
	header   unix.Msghdr
	control  [64]byte
}

// holdStamps has the kernel stamp from now on until hold is closed: it begins some time
// after the first socket asks for it (net_enable_timestamp in net/core/dev.c leaves that to
// a work queue), and what arrives before has no time. A kernel that refuses gives -1.
func holdStamps() (hold int) {
	hold, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	if unix.SetsockoptInt(hold, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) != nil {
		_ = unix.Close(hold)
		return -1
	}
	return hold
}

// stampArrivals asks for the time of arrival on the given connections until the phase
// ends. A kernel that refuses leaves arrivedNS at 0.
func (l *loop) stampArrivals(connections []ref) {
	l.stamps.on, l.arrivedNS = true, 0
	for _, r := range connections {
		if c := l.slots.live(r); c != nil && unix.SetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) != nil {
			l.stamps.on = false
		}
	}
	l.syncStamps()
}

// syncStamps follows what is done to the wall clock. It is read between two looks at the
// other clock, and again if somebody took the processor away meanwhile.
func (l *loop) syncStamps() {
	for range 10 {
		var wall unix.Timespec
		before := l.clock.Now()
		if unix.ClockGettime(unix.CLOCK_REALTIME, &wall) != nil {
			return
		}
		after := l.clock.Now()
		l.stamps.offsetNS = before + (after-before)/2 - wall.Nano()
		if after-before < int64(5*time.Microsecond) {
			return
		}
	}
}

// read is rawRead with the time of arrival by the loop's clock, 0 when it is not known.
func (s *stamps) read(fd int, buffer []byte) (n int, arrivedNS int64, errno unix.Errno) {
	s.iov.Base = unsafe.SliceData(buffer)
	s.iov.SetLen(len(buffer))
	s.header = unix.Msghdr{Iov: &s.iov, Control: &s.control[0]}
	s.header.SetIovlen(1)
	s.header.SetControllen(len(s.control))
	got, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&s.header)), 0)
	if errno != 0 {
		return 0, 0, errno
	}
	if wall := stampOf(s.control[:s.header.Controllen]); wall != 0 {
		arrivedNS = wall + s.offsetNS
	}
	return int(got), arrivedNS, 0
}

// stampOf reads the one control message that a stream socket's read has.
func stampOf(control []byte) int64 {
	if len(control) < unix.CmsgLen(16) {
		return 0
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(unsafe.SliceData(control)))
	if h.Level != unix.SOL_SOCKET || h.Type != unix.SO_TIMESTAMPNS {
		return 0
	}
	at := control[unix.CmsgLen(0):]
	return int64(binary.NativeEndian.Uint64(at))*int64(time.Second) + int64(binary.NativeEndian.Uint64(at[8:]))
}
