package main

import (
	"time"

	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"golang.org/x/sys/unix"
)

// What roost serve does for idle devices by default: a ping to each every 30 s, those of
// a quarter of a second together.
const (
	pingTick     = 250 * time.Millisecond
	ticksOfRound = int(30 * time.Second / pingTick)
)

// servePinger is the floor of idle devices: a write for each ping, a read for its pong,
// and a timer for all of them.
func servePinger(o options) error {
	l, err := listen(o.listen)
	if err != nil {
		return err
	}
	bare, err := newBareLoop(l, pastScheduler)
	if err != nil {
		return err
	}
	p := &pingLoop{bareLoop: bare}
	if p.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return err
	}
	every := unix.NsecToTimespec(int64(pingTick))
	if err := unix.TimerfdSettime(p.timer, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		return err
	}
	if err := p.poller.AddRead(&netpoll.PollAttachment{FD: p.timer}, false); err != nil {
		return err
	}
	o.ready("pinger server", l.Addr())
	return p.poller.Polling(p.handle)
}

type pingLoop struct {
	*bareLoop
	timer int
	tick  int
}

var pingFrame = []byte{0x89, 0} // RFC 6455 section 5.5.2, without a payload

func (l *pingLoop) handle(fd int, ev netpoll.IOEvent, flags netpoll.IOFlags) error {
	if fd != l.timer {
		return l.bareLoop.handle(fd, ev, flags)
	}
	var expired [8]byte
	if _, err := unix.Read(l.timer, expired[:]); err != nil {
		return nil
	}
	l.tick++
	for i := l.tick % ticksOfRound; i < len(l.conns); i += ticksOfRound {
		if c := l.conns[i]; c != nil && c.open && l.writeAll(c.fd, pingFrame) != nil {
			l.conns[i] = nil
			_ = unix.Close(c.fd)
		}
	}
	return nil
}
