package netpoll

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A turn of the poller is up to 1,024 events (eventsMax). When they are
// handshakes and ends, as after a reconnect storm, one turn takes tens of milliseconds,
// and messages for everybody else would wait for its end. So a loop breathes within a
// turn: it looks at its outbox, and lets other goroutines of its processor run.

const (
	// breathWork is the work between two breaths: about half a millisecond of whatever
	// it is made of.
	breathWork = 64
	// Units of work, by what each takes: some 5 µs.
	workEvent = 1
	workOpen  = 7 // accept, the socket into the poller; an upgrade; an end
	// yieldAfter is how long a loop works before others have a turn at its processor.
	yieldAfter = time.Millisecond
)

// breathe is called between two events. HOT PATH.
func (l *loop) breathe() {
	l.work = 0
	if l.take(false) {
		l.drain(l.cfg.OutboxBatch)
	}
	l.yieldIfDue()
}

// yieldIfDue lets other goroutines run when the loop has worked long enough. What they send
// meanwhile comes into the outbox that is being filled.
func (l *loop) yieldIfDue() {
	if now := time.Since(l.reactor.started); now-l.yielded >= yieldAfter {
		l.yield.now()
		l.yielded = time.Since(l.reactor.started)
	}
}

// yielder lets the other goroutines of a loop's processor run. It belongs to the loop.
//
// Go looks at its own poller, where the sockets of the internal listener are, when a
// processor has nothing to run; while a loop has work, only the monitor thread looks,
// each 10 ms. runtime.Gosched alone would hand the processor back at once. So the loop
// waits for a bell of its own through Go's poller: whatever else is ready there is found
// in the same look, and runs before or soon after it.
type yielder struct {
	file *os.File
	conn syscall.RawConn
	bell *bell
	rung bool
	try  func(uintptr) bool
}

func newYielder() (*yielder, error) {
	b, err := newBell()
	if err != nil {
		return nil, err
	}
	// A descriptor of the file's own, since both close theirs.
	fd, err := unix.FcntlInt(uintptr(b.fd()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	y := &yielder{file: os.NewFile(uintptr(fd), "yielder"), bell: b}
	if y.conn, err = y.file.SyscallConn(); err != nil {
		_ = y.file.Close()
		return nil, err
	}
	y.try = func(uintptr) bool {
		if y.rung {
			y.bell.silence()
		} else {
			y.bell.ring()
		}
		y.rung = !y.rung
		return !y.rung
	}
	return y, nil
}

func (y *yielder) now() { _ = y.conn.Read(y.try) }

func (y *yielder) close() { _ = y.file.Close() }
