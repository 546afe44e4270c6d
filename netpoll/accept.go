package netpoll

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// accept takes what waits at the listener, a batch at a time, and breathes between two
// of it, since most have sent their request already. Being out of
// descriptors or memory is survived: accepting pauses, says so once, and is tried
// again every acceptPause until it works; those who are connected notice nothing.
func (l *loop) accept() {
	for n := 0; n < l.cfg.AcceptBatch || listenerEdge; n++ {
		if l.work >= breathWork {
			l.breathe()
		}
		if l.paused || l.listener < 0 { // a task of that breath may have closed it
			return
		}
		over, ok := l.reactor.admit()
		if !ok {
			l.pauseAccept(nil)
			return
		}
		fd, from, err := acceptConn(l.listener)
		if err != nil {
			l.reactor.left(over)
			if l.acceptFailed(err) {
				return
			}
			continue
		}
		l.welcome(fd, from, over)
	}
}

// acceptFailed sorts accept's errors and reports whether the batch is over.
func (l *loop) acceptFailed(err error) bool {
	switch err {
	case unix.EAGAIN:
		return true
	case unix.EINTR, unix.ECONNABORTED, unix.ECONNRESET, unix.EPROTO:
		// The peer was gone before we came (accept(2): treat as EAGAIN by retrying).
		l.stats.AcceptAborted++
		return false
	}
	// EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM (a firewall): nothing to do but wait.
	l.stats.AcceptErrors++
	l.pauseAccept(err)
	return true
}

// welcome makes a connection of a socket that was accepted, and reads what it has sent:
// a request as a rule (deferAccept), which the poller then need not tell of.
func (l *loop) welcome(fd int, from netip.AddrPort, over bool) {
	c := l.adopt(int32(fd))
	if c == nil {
		closeSocket(int32(fd))
		l.reactor.left(over)
		return
	}
	l.stats.Accepted++
	if over {
		c.flags |= flagOverCap
		l.schedule(c, l.tickAfter(refusalTimeout))
	}
	if l.reactor.fromProxy(from.Addr()) {
		c.flags |= flagProxy
	}
	l.enter(c)
	l.guest, l.guestFrom = c, from
	l.readable(c)
	l.guest = nil
	if c.ctx == nil && (c.state == stateRequest || c.state == stateVerifying) {
		c.ctx = from // the answer is yet to come
	}
	// Before the answer is written, which may have to wait for the socket.
	if c.flags&flagBroken == 0 {
		if err := l.poller.add(fd); err != nil {
			l.breakOff(c)
		}
	}
	l.leave(c)
}

const (
	// acceptPause is how long accepting rests after an error or at the cap.
	acceptPause = 100 * time.Millisecond
	// refusalTimeout bounds how long a connection above the cap may take a descriptor of
	// the reserve to send its request.
	refusalTimeout = time.Second
)

// pauseAccept stops looking at the listener; err is nil when the cap is the reason.
func (l *loop) pauseAccept(err error) {
	l.resumeAt = l.tickAfter(acceptPause)
	if l.paused {
		return
	}
	l.paused = true
	l.stats.AcceptPauses++
	if !listenerEdge {
		l.poller.remove(l.listener)
	}
	l.reactor.notePause(err)
}

// resumeAccept tries again.
func (l *loop) resumeAccept() {
	if l.listener < 0 {
		l.paused = false
		l.reactor.noteResume()
		return
	}
	if over, ok := l.reactor.admit(); !ok {
		l.resumeAt = l.tickAfter(acceptPause)
		return
	} else {
		l.reactor.left(over)
	}
	l.paused = false
	if !listenerEdge {
		if err := l.poller.addListener(l.listener); err != nil {
			l.paused, l.resumeAt = true, l.tickAfter(acceptPause)
			return
		}
	}
	l.accept()
	l.reactor.noteResume() // of the pause that ended here; accept may have begun another
}

// listen gives the loop its share of the listener. On the loop, or before it runs.
func (l *loop) listen(fd int) error {
	l.listener = fd
	return l.poller.addListener(fd)
}

// stopListening closes the loop's share of the listener. On the loop.
func (l *loop) stopListening() {
	if l.listener >= 0 {
		l.poller.remove(l.listener)
		_ = unix.Close(l.listener)
		l.listener = -1
	}
}
