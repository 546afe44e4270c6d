package netpoll

import (
	"golang.org/x/sys/unix"
)

// HOT PATH. A loop that has much to do gives the kernel many calls at once, for entering it is
// a third of what a small write takes (uring_linux.go):
//
//	flushTogether   the writes of many connections of a drained batch
//	readTogether    the reads of connections that have input, one event each; then
//	answerTogether  what those events have answered
//
// What comes of a call is dealt with as if it had been made by itself, connection by
// connection. Nobody but its own events ends a connection, so each is in its turn still what
// it was when its call was added.

const (
	// togetherMin is from how many calls on they are made together.
	togetherMin = 4
	// togetherMax is how many calls are made together. Of 16 each costs as much as of 256 (2
	// cores, EPYC: 7.1 µs for a write to one of 8,000 sockets, 10.4 by itself); more would only
	// delay what comes of the first.
	togetherMax = 32
)

// together is what a loop needs for that.
type together struct {
	uring   *uring
	conns   []*Conn  // of the events that are being handled
	input   [][]byte // a buffer for each
	answers [][]byte // of each
}

// newTogether returns an error where the kernel makes no calls together.
func newTogether(readBufferBytes int) (*together, error) {
	u, err := newURing(togetherMax)
	if err != nil {
		return nil, err
	}
	t := &together{uring: u, conns: make([]*Conn, 0, togetherMax), input: make([][]byte, togetherMax), answers: make([][]byte, togetherMax)}
	// A quarter of what one read takes by itself is enough for most, and what is left is read
	// in the next turn. The buffers begin at different places of a page, or their first bytes
	// would share few lines of the processor's cache.
	size := readBufferBytes / 4
	stride := size + 3*64
	all := make([]byte, togetherMax*stride)
	for i := range t.input {
		t.input[i] = all[i*stride:][:size:size]
	}
	return t, nil
}

// flushTogether gives some connections their sends of this batch.
func (l *loop) flushTogether(conns []*Conn, batch []send) {
	t := l.together
	var asked uint64 // by connection: its write is among those made together
	for i, c := range conns {
		if s := &batch[c.turnHead-1]; c.takes(s) {
			asked |= 1 << i
			t.uring.send(c.fd, l.draining.arena[s.from:s.to])
		}
	}
	results := l.callTogether()
	for i, c := range conns {
		if asked>>i&1 == 0 {
			l.flush(c, batch)
			continue
		}
		s := &batch[c.turnHead-1]
		c.turnHead, c.turnTail = 0, 0
		l.enter(c)
		frame := l.draining.arena[s.from:s.to]
		n, broken := l.took(c, frame, results[0])
		results = results[1:]
		l.wrote(c, s, frame, n, broken)
		l.leave(c)
	}
	l.checkTogether()
}

// callTogether makes the calls that were added.
func (l *loop) callTogether() []int {
	results := l.together.uring.run()
	l.stats.Together += uint64(len(results))
	return results
}

// took reads what became of a write that was made with others.
func (l *loop) took(c *Conn, p []byte, result int) (n int, broken bool) {
	switch {
	case result >= 0:
		l.stats.BytesOut += uint64(result)
		return result, false
	case result == -int(unix.EAGAIN):
		return 0, false
	case result == -int(unix.EINTR):
		return l.write(c, p)
	}
	return 0, true
}

// isReader says that reading is all that an event of the connection needs.
func (c *Conn) isReader() bool { return c != nil && c.state == stateOpen && c.flags&flagBroken == 0 }

// readTogether handles the events of l.together.conns, each of which is a reader with input.
func (l *loop) readTogether() {
	t := l.together
	for i, c := range t.conns {
		t.uring.recv(c.fd, t.input[i])
	}
	results := l.callTogether()
	for i, c := range t.conns {
		l.enter(c)
		if n := results[i]; n >= 0 {
			l.arrived(c, t.input[i], n, nil)
		} else {
			l.arrived(c, nil, -1, unix.Errno(-n))
		}
		l.reply, t.answers[i] = t.answers[i], l.reply
	}
	l.answerTogether()
	l.checkTogether()
	if l.work += len(t.conns) * workEvent; l.work >= breathWork {
		l.breathe()
	}
}

// answerTogether ends those events: what they answer is written.
func (l *loop) answerTogether() {
	t := l.together
	asked, count := uint64(0), 0
	for i, c := range t.conns {
		if len(t.answers[i]) > 0 && c.out == nil && c.flags&flagBroken == 0 {
			asked |= 1 << i
			count++
		}
	}
	if count < togetherMin {
		asked = 0
	}
	for i, c := range t.conns {
		if asked>>i&1 != 0 {
			t.uring.send(c.fd, t.answers[i])
		}
	}
	results := l.callTogether()
	for i, c := range t.conns {
		l.current = c
		l.reply, t.answers[i] = t.answers[i], l.reply
		if asked>>i&1 != 0 {
			n, broken := l.took(c, l.reply, results[0])
			results = results[1:]
			l.replied(c, n, broken)
			l.left(c)
		} else {
			l.leave(c)
		}
		l.reply, t.answers[i] = t.answers[i], l.reply[:0]
	}
}

// checkTogether goes back to single calls when the kernel makes no others any more.
func (l *loop) checkTogether() {
	if l.together.uring.failed {
		l.together.uring.close()
		l.together = nil
	}
}
