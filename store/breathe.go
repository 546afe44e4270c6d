package store

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// breathEvery is how long the store's background work holds a processor before whatever
// else is ready has a turn.
const breathEvery = 500 * time.Microsecond

// breath lets others run while the store works through much: flushes, compactions, and the
// pass over all messages, which take seconds after a start.
//
// runtime.Gosched is not enough. Go looks at its poller, where the sockets are, when a
// processor has nothing to run; a goroutine that yields is something to run, so on a node with
// few processors only the monitor thread looks, each 10 ms, and each hop of a message waits for
// that. Whoever breathes therefore waits for a byte of its own through that poller: then
// whatever else is ready is found in the same look. Package netpoll's loops do the same.
type breath struct {
	begun time.Time
	last  atomic.Int64 // when somebody breathed last, since begun

	mu   sync.Mutex // held while somebody breathes: who comes meanwhile has to wait as well
	r, w *os.File   // nil: closed, or the system had no descriptors
	conn syscall.RawConn
	rung bool // there is a byte in the pipe
}

// newBreath takes two descriptors. Without them it yields and no more.
func newBreath() *breath {
	b := &breath{begun: time.Now()}
	r, w, err := os.Pipe()
	if err != nil {
		return b
	}
	conn, err := r.SyscallConn()
	if err != nil {
		_, _ = r.Close(), w.Close()
		return b
	}
	b.r, b.w, b.conn = r, w, conn
	return b
}

// take is called by background work, each some ten microseconds.
func (b *breath) take() {
	if now := int64(time.Since(b.begun)); now-b.last.Load() >= int64(breathEvery) {
		b.mu.Lock()
		b.wait()
		b.mu.Unlock()
		b.last.Store(int64(time.Since(b.begun)))
		return
	}
	runtime.Gosched()
}

// wait comes back once Go has looked at its poller.
func (b *breath) wait() {
	if b.conn != nil {
		_ = b.conn.Read(b.try)
	}
}

// try rings first, and then reads what it has rung.
func (b *breath) try(fd uintptr) (done bool) {
	one := [1]byte{}
	if !b.rung {
		_, err := b.w.Write(one[:])
		b.rung = err == nil
		return err != nil
	}
	if _, err := syscall.Read(int(fd), one[:]); err == syscall.EAGAIN || err == syscall.EINTR {
		return false
	}
	b.rung = false
	return true
}

// close gives the descriptors back. Who breathes later yields and no more.
func (b *breath) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil {
		_, _ = b.r.Close(), b.w.Close()
		b.conn = nil
	}
}
