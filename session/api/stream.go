package api

// HOT PATH: pushes at full rate come through here.
//
// A stream is two goroutines and a ring of slots between them. In order: the handler's
// goroutine reads (stream_read.go), cuts lines, begins each as a push in the next slot;
// the writer's (stream_results.go) waits for the oldest slot, turns every slot that is
// done, in order, into a line of the result buffer, and writes what there is. When the
// ring is full and the writer stuck in a write to a client that does not read yet, the
// reader fills the result buffer itself.

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/session/wire"
)

// routeStream is the label of streams in the metrics, which share push's route.
const routeStream = "stream"

// slotBytesMax is the size of a line whose slot is used again. The buffers of larger
// ones would add up over the slots of a window.
const slotBytesMax = 4 << 10

// stream is one NDJSON request.
type stream struct {
	s   *Server
	cfg *StreamConfig
	w   http.ResponseWriter
	rc  *http.ResponseController
	r   *http.Request

	trace string // the request's traceparent; empty: none

	wake chan struct{} // to the writer: look again
	room chan struct{} // to the reader: look again
	done chan struct{} // the writer has returned

	slots   []*slot       // the ring: of pushes begun and not answered
	tail    atomic.Uint64 // pushes begun; the reader's
	head    atomic.Uint64 // pushes answered; changed under mu
	bytes   atomic.Int64  // lines begun and not answered
	pending atomic.Int64  // pushes delivered and not settled

	mu      sync.Mutex // guards answering
	out     []byte     // results the writer has not taken
	writing int        // bytes of results that the writer is writing

	full    atomic.Bool // the result buffer is
	dead    atomic.Bool // the client takes no more
	stopped atomic.Bool // Shutdown
	ended   atomic.Bool // the reader is through; cause is set
	cause   *Problem    // why the stream ends early; nil: it was whole

	// The reader's.
	frame      wire.PushFrame
	line       uint64
	skipping   bool      // in a line that is too long
	readUntil  time.Time // the read deadline as it is set
	readerWait *time.Timer
}

// postStream answers a stream of pushes.
func (s *Server) postStream(w http.ResponseWriter, r *http.Request) *Problem {
	if s.streams.Add(1) > int64(s.cfg.Stream.StreamsMax) {
		s.streams.Add(-1)
		return busy(codeBusy, fmt.Sprintf("this node serves %d streams at a time (stream.streams_max)", s.cfg.Stream.StreamsMax))
	}
	defer s.streams.Add(-1)
	if a, ok := w.(*answered); ok {
		a.meter, a.untimed = s.metrics.meters[routeStream], true
	}
	st := newStream(s, w, r)
	st.open()
	st.run()
	return nil
}

func newStream(s *Server, w http.ResponseWriter, r *http.Request) *stream {
	return &stream{
		s: s, cfg: &s.cfg.Stream, w: w, rc: http.NewResponseController(w), r: r, trace: traceOf(r),
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1), done: make(chan struct{}),
		slots:      make([]*slot, s.cfg.Stream.Window),
		readerWait: stoppedTimer(),
	}
}

// open begins the answer before the request is read. Failures are those of writers
// without the feature (HTTP/2 is always full duplex, tests record) or of a connection
// that is gone, which the first read or write reports.
func (st *stream) open() {
	_ = st.rc.EnableFullDuplex()
	_ = st.rc.SetWriteDeadline(time.Time{})
	if strings.EqualFold(st.r.Header.Get("Expect"), "100-continue") {
		// net/http sends it with the first read, unless a header was written before.
		st.w.WriteHeader(http.StatusContinue)
	}
	h := st.w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx: pass results on as they come
	st.w.WriteHeader(http.StatusOK)
	_ = st.rc.Flush()
}

// run serves the stream to its end.
func (st *stream) run() {
	go st.write()
	whole := false
	defer func() {
		// Also when the reader panics: the writer must not outlive the request, nor
		// net/http wait for the rest of it.
		if !whole {
			st.abort()
		}
		st.ended.Store(true)
		signal(st.wake)
		<-st.done
		for _, sl := range st.slots {
			if sl != nil && sl.state.Load() == slotDone {
				st.s.putSlot(sl)
			}
		}
	}()
	st.cause = st.read()
	whole = true
	if st.cause != nil {
		st.s.metrics.streamCut[st.cause.Code].Inc()
	}
	_ = st.rc.SetWriteDeadline(time.Now().Add(st.cfg.WriteTimeout))
}

// settled hears of each delivery's end, on any goroutine.
func (st *stream) settled(watched bool) {
	if st.pending.Add(-1) == 0 || watched {
		signal(st.wake)
		signal(st.room)
	}
}

// signal leaves a token, if there is none yet.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// abort ends reading from the writer's side.
func (st *stream) abort() { _ = st.rc.SetReadDeadline(time.Unix(1, 0)) }

// readProblem says why a read failed.
func (st *stream) readProblem(err error) *Problem {
	switch {
	case st.stopped.Load():
		return busy(codeDraining, "this node is going away: open a stream to another one")
	case errors.Is(err, os.ErrDeadlineExceeded) && !st.dead.Load():
		return problem(http.StatusRequestTimeout, codeStreamIdle, fmt.Sprintf("no input came for %v (api.stream.idle_timeout)", st.cfg.IdleTimeout))
	}
	return badRequest(codeStreamCut, fmt.Sprintf("the request's body ended early: %v", err))
}

// appendLast writes the last line of a stream that ended early. Its number is that of
// the last line that was looked at; what follows it was not pushed.
func (st *stream) appendLast(dst []byte) []byte {
	dst = append(dst, `{"error":{"code":`...)
	dst = wire.AppendJSONString(dst, st.cause.Code)
	dst = append(dst, `,"detail":`...)
	dst = wire.AppendJSONString(dst, st.cause.Detail)
	return fmt.Appendf(dst, `,"line":%d}}`+"\n", st.line)
}

// stoppedTimer returns a timer that is not running. Since Go 1.23 a Reset discards
// what it sent before.
func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}
