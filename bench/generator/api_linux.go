package generator

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostpush/roost/bench/tally"
)

// HOT PATH

// apiConnectTimeout bounds the wait for the API's socket, once for each stream.
const apiConnectTimeout = 5 * time.Second

// apiStream is one POST /v1/messages of NDJSON, on a socket of the loop's own epoll
// set. What a turn gathers goes out as one chunk.
type apiStream struct {
	slot   int32 // in the epoll set, below wakeSlot
	fd     int
	paced  bool   // its pushes have intended starts: the open-loop figures are recorded
	lines  []byte // gathered in this turn
	unsent []byte // what the kernel did not take
	answer answerStream
	sent   int64 // lines given to the kernel, or about to be
	queue  []pushed
	head   int
	owner  apiOwner
	failed bool

	each        func(line []byte)          // takeResult, made once
	outcome     func(word []byte, n int64) // takeOutcome, made once
	undelivered int64                      // of the result being read
	concluded   bool                       // it names an outcome
}

// pushed is a push whose result is awaited; results come in order.
type pushed struct {
	to         int64 // number of the device; of a fan-out: nobody
	intendedNS int64
	sentNS     int64
}

// apiOwner is the phase that pushes; it is called on the loop.
type apiOwner interface {
	// result hears what became of a push; undelivered is how many devices did not get it.
	result(l *loop, s *apiStream, p pushed, undelivered int64)
	// streamEnded hears that no more results will come.
	streamEnded(l *loop, s *apiStream, why error)
}

// openStream connects and sends the head of the request. It blocks for as long as the
// connection takes, which is before the phase's time 0 matters.
func (l *loop) openStream(owner apiOwner, to APINode, paced bool) (*apiStream, error) {
	addr, err := netip.ParseAddrPort(to.Addr)
	if err != nil {
		return nil, fmt.Errorf("the API's address %q was not resolved: %w", to.Addr, err)
	}
	family := unix.AF_INET
	if !addr.Addr().Unmap().Is4() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("a socket for the API: %w", err)
	}
	timeout := unix.NsecToTimeval(int64(apiConnectTimeout))
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout) // connect(2) obeys it too
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err := unix.Connect(fd, sockaddr(addr)); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("connect to the API at %s: %w", addr, err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	l.streamsMade++
	s := &apiStream{fd: fd, owner: owner, paced: paced, slot: wakeSlot - l.streamsMade}
	s.each = func(line []byte) { l.takeResult(s, line) }
	s.outcome = func(word []byte, n int64) { l.takeOutcome(s, word, n) }
	if err := l.poll.add(fd, s.slot, 0); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	if l.streams == nil {
		l.streams = map[int32]*apiStream{}
	}
	l.streams[s.slot] = s
	l.writeStream(s, []byte(apiHead(to.Host, l.plan.API.Token)))
	return s, nil
}

func apiHead(host, token string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "POST /v1/messages HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n", host)
	if token != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", token)
	}
	return b.String() + "\r\n"
}

// streamEvent does what epoll reports about a stream.
func (l *loop) streamEvent(e *unix.EpollEvent) {
	s := l.streams[e.Fd]
	if s == nil || s.failed {
		return
	}
	if e.Events&unix.EPOLLOUT != 0 && len(s.unsent) > 0 {
		data := s.unsent
		s.unsent = nil
		l.writeStream(s, data)
	}
	for !s.failed && e.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		n, errno := rawRead(s.fd, l.buffer)
		switch {
		case errno == unix.EAGAIN:
			return
		case errno != 0:
			l.failStream(s, fmt.Errorf("the API's connection: %w", errno))
			return
		case n == 0:
			l.failStream(s, errors.New("the API closed the connection"))
			return
		}
		l.since.Add(tally.BytesIn, int64(n))
		if err := s.answer.feed(l.buffer[:n], s.each); err != nil {
			l.failStream(s, err)
			return
		}
	}
}

// push gathers one line; false means that the stream is behind or has ended, and
// nothing was taken.
func (l *loop) push(s *apiStream, line []byte, p pushed) bool {
	if s.failed || len(s.unsent) > l.plan.Config.OutBytesMax {
		return false
	}
	s.lines = append(s.lines, line...)
	s.sent++
	s.queue = append(s.queue, p)
	l.since.Add(tally.Pushed, 1)
	return true
}

// flushStream sends what was gathered, as one chunk.
func (l *loop) flushStream(s *apiStream) {
	if len(s.lines) == 0 || s.failed {
		return
	}
	l.scratch = appendChunk(l.scratch[:0], s.lines)
	s.lines = s.lines[:0]
	l.writeStream(s, l.scratch)
}

func appendChunk(dst, data []byte) []byte {
	const digits = 8 // leading zeros are allowed (RFC 9112 section 7.1: 1*HEXDIG)
	dst = appendHex(dst, uint64(len(data)), digits)
	dst = append(dst, "\r\n"...)
	dst = append(dst, data...)
	return append(dst, "\r\n"...)
}

func (l *loop) writeStream(s *apiStream, data []byte) {
	if len(s.unsent) > 0 {
		s.unsent = append(s.unsent, data...)
		return
	}
	n, errno := rawWrite(s.fd, data)
	if errno != 0 {
		if errno != unix.EAGAIN {
			return // broken: the read will say so
		}
		n = 0
	}
	l.since.Add(tally.BytesOut, int64(n))
	if n < len(data) {
		s.unsent = append([]byte(nil), data[n:]...)
	}
}

// awaited returns how many results are still to come.
func (s *apiStream) awaited() int { return len(s.queue) - s.head }

// takeResult matches a result with its push.
func (l *loop) takeResult(s *apiStream, line []byte) {
	s.undelivered, s.concluded = 0, false
	r := readResult(line, s.outcome)
	if r.line == 0 {
		l.failStream(s, fmt.Errorf("the API ended the stream: %q", line[:min(len(line), answerBodyShown)]))
		return
	}
	if s.awaited() == 0 || r.line != s.sent-int64(s.awaited())+1 {
		l.since.Error("result out of order")
		return
	}
	p := s.queue[s.head]
	if s.head++; s.head > 1024 && s.head*2 > len(s.queue) {
		s.queue = s.queue[:copy(s.queue, s.queue[s.head:])]
		s.head = 0
	}
	switch {
	case r.errorCode != nil && !s.concluded: // refused: it has no addressee
		l.takeOutcome(s, r.errorCode, 1)
	case r.status == 202 && !s.concluded:
		l.since.Outcome([]byte("accepted"), 1)
	}
	l.since.Add(tally.Answered, 1)
	l.since.Add(tally.Undelivered, s.undelivered)
	now := l.clock.Now()
	if s.paced {
		l.since.Record(tally.Outcome, now-p.intendedNS)
	}
	l.since.Record(tally.OutcomeClosed, now-p.sentNS)
	s.owner.result(l, s, p, s.undelivered)
}

// takeOutcome counts what became of a push at n devices.
func (l *loop) takeOutcome(s *apiStream, word []byte, n int64) {
	s.concluded = true
	l.since.Outcome(word, n)
	if !delivered(word) {
		s.undelivered += n
	}
}

// failStream ends a stream whose results will not come.
func (l *loop) failStream(s *apiStream, why error) {
	if s.failed {
		return
	}
	s.failed = true
	l.since.Error("push stream ended")
	s.owner.streamEnded(l, s, why)
}

// closeStreams ends all streams properly, counting what was not answered.
func (l *loop) closeStreams(owner apiOwner) {
	for slot, s := range l.streams {
		if s.owner != owner {
			continue
		}
		l.since.Add(tally.Unanswered, int64(s.awaited()))
		if !s.failed {
			s.failed = true
			_, _ = rawWrite(s.fd, []byte("0\r\n\r\n"))
		}
		_ = unix.Close(s.fd)
		delete(l.streams, slot)
	}
}
