package api

// HOT PATH

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"
)

// read pushes every line of the request. It returns why it stopped early, or nil.
func (st *stream) read() *Problem {
	buf := make([]byte, 0, st.cfg.ReadBytes)
	for {
		if len(buf) == cap(buf) {
			buf = st.makeRoom(buf)
		}
		now := st.s.now()
		st.extend(now)
		n, err := st.r.Body.Read(buf[len(buf):cap(buf)])
		if n > 0 {
			rest, p := st.lines(buf[:len(buf)+n], len(buf), st.s.now())
			if p != nil {
				return st.discard(p)
			}
			buf = buf[:copy(buf[:cap(buf)], rest)]
		}
		switch {
		case err == io.EOF:
			return st.lastLine(buf)
		case err != nil:
			return st.readProblem(err)
		case st.stopped.Load():
			return st.readProblem(nil)
		}
		signal(st.wake) // the input pauses: answer what there is
	}
}

// lines pushes the whole lines of b, of which those before from hold no line end. It
// returns the rest.
func (st *stream) lines(b []byte, from int, now time.Time) ([]byte, *Problem) {
	for {
		end := bytes.IndexByte(b[from:], '\n')
		if end < 0 {
			return st.overlong(b), nil
		}
		line := b[:from+end]
		b, from = b[from+end+1:], 0
		if p := st.one(line, now); p != nil {
			return nil, p
		}
	}
}

// lastLine pushes what follows the last line end.
func (st *stream) lastLine(b []byte) *Problem {
	if len(b) == 0 && !st.skipping {
		return nil
	}
	return st.one(b, st.s.now())
}

// overlong drops the beginning of a line that is too long already, so that the buffer
// never holds more than one that is allowed.
func (st *stream) overlong(b []byte) []byte {
	if len(b) > st.cfg.LineBytesMax || st.skipping {
		st.skipping = true
		return b[:0]
	}
	return b
}

// A reader that has begun so many pushes, while as many are on their way, lets those go first:
// what they are made of is in the processor's cache still when they are written and answered,
// which makes a push a tenth cheaper (one core, 1,000 under way). The rest bounds a stream to
// a million a second.
const (
	burst     = 64
	burstRest = 50 * time.Microsecond
)

// one begins the push of one line. Blank lines count and have no result.
func (st *stream) one(line []byte, now time.Time) *Problem {
	st.line++
	st.s.metrics.lines.Inc()
	tooLong := st.skipping || len(line) > st.cfg.LineBytesMax
	st.skipping = false
	if !tooLong && len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	sl, p := st.acquire(len(line))
	if p != nil {
		st.line-- // it was not looked at
		return p
	}
	sl.line, sl.size = st.line, len(line)
	st.bytes.Add(int64(len(line)))
	if tooLong {
		sl.reset(st, now)
		sl.refuse(problem(http.StatusRequestEntityTooLarge, codeLineTooLong, fmt.Sprintf("the line is longer than %d bytes (api.stream.line_bytes_max)", st.cfg.LineBytesMax)))
	} else {
		st.pending.Add(1)
		st.s.begin(sl, &st.frame, st, line, "", st.trace, false, now)
		if sl.refused || sl.repeats() {
			st.pending.Add(-1) // no delivery that settles
		}
	}
	if st.tail.Add(1)%burst == 0 && st.pending.Load() >= burst {
		time.Sleep(burstRest)
	}
	return nil
}

// acquire returns the next slot of the ring, once there is room for one more push of
// that size.
func (st *stream) acquire(size int) (*slot, *Problem) {
	for !st.hasRoom(size) {
		if st.answer(false); st.hasRoom(size) {
			break
		}
		signal(st.wake)
		st.s.metrics.waits.Inc()
		st.awaitOldest(st.room, st.readerWait)
		st.rest()
	}
	if st.full.Load() {
		return nil, problem(http.StatusInsufficientStorage, codeResultBufferFull,
			fmt.Sprintf("%d bytes of results wait for you to read them (api.stream.result_buffer_bytes): the lines after this one were not pushed", st.cfg.ResultBufferBytes))
	}
	sl := st.s.slots.Get().(*slot)
	st.slots[st.tail.Load()%uint64(len(st.slots))] = sl
	return sl, nil
}

// restWindowMin is the window from which the reader rests; a smaller one has no time for it.
const restWindowMin = 256

// rest lets more pushes settle before a reader goes on that found the window full. A disk
// or a loop settles many in a row, and one woken for each of them would cost more than the
// push.
func (st *stream) rest() {
	if len(st.slots) < restWindowMin || st.pending.Load() == 0 || st.stopped.Load() {
		return
	}
	st.readerWait.Reset(st.cfg.GatherTime)
	select {
	case <-st.readerWait.C:
	case <-st.s.stopping:
	}
	st.readerWait.Stop()
}

// hasRoom says whether a push of that size may begin, or must be refused now.
func (st *stream) hasRoom(size int) bool {
	waiting := st.tail.Load() - st.head.Load()
	return waiting == 0 || st.full.Load() ||
		waiting < uint64(len(st.slots)) && st.bytes.Load()+int64(size) <= int64(st.cfg.WindowBytes)
}

// makeRoom doubles a buffer that one unfinished line fills. It may become a little
// longer than a line may be, so that a longer one is noticed.
func (st *stream) makeRoom(buf []byte) []byte {
	grown := make([]byte, len(buf), min(2*cap(buf), max(cap(buf), st.cfg.LineBytesMax)+st.cfg.ReadBytes))
	copy(grown, buf)
	return grown
}

// extend moves the read deadline on, not with every read: on HTTP/2 it is a message
// to another goroutine.
func (st *stream) extend(now time.Time) {
	if st.readUntil.Sub(now) < st.cfg.IdleTimeout*3/4 {
		st.readUntil = now.Add(st.cfg.IdleTimeout)
		_ = st.rc.SetReadDeadline(st.readUntil)
	}
	if st.stopped.Load() || st.dead.Load() {
		st.abort() // it may have come just before
	}
}

// discard reads what still comes and throws it away, so that a client that reads only
// at the end gets to its end and to the last line.
func (st *stream) discard(p *Problem) *Problem {
	_ = st.rc.SetReadDeadline(time.Now().Add(st.cfg.DiscardTimeout))
	if st.stopped.Load() || st.dead.Load() {
		st.abort()
	}
	_, _ = io.Copy(io.Discard, st.r.Body)
	return p
}
