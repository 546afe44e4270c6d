package api

// HOT PATH

import (
	"runtime/debug"
	"time"
)

// write is the writer's goroutine: it gathers results and writes them until the
// reader is through and every push is answered.
func (st *stream) write() {
	defer close(st.done)
	defer st.recovered()
	timer := stoppedTimer()
	var spare []byte
	for {
		ended := st.ended.Load()
		results := st.take(spare)
		if len(results) > 0 {
			st.put(results, ended)
		}
		spare = keptBuffer(results)
		if ended && st.head.Load() == st.tail.Load() && st.empty() {
			if st.cause != nil {
				st.put(st.appendLast(nil), true)
			}
			return
		}
		st.awaitOldest(st.wake, timer)
		st.gather(timer)
	}
}

// take answers what is done and returns all results that wait to be written. What was
// taken before has been written; spare is its buffer.
func (st *stream) take(spare []byte) []byte {
	st.answer(true)
	st.mu.Lock()
	defer st.mu.Unlock()
	results := st.out
	st.out, st.writing = spare[:0], len(results)
	return results
}

// empty says that no result waits to be written.
func (st *stream) empty() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.out) == 0
}

// answer turns slots into results, oldest first, as long as they are done.
// written says that the writer has nothing in its hands.
func (st *stream) answer(written bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if written {
		st.writing = 0
	}
	head, tail := st.head.Load(), st.tail.Load()
	if head == tail {
		return
	}
	now, before := st.s.now(), head
	for ; head != tail; head++ {
		at := head % uint64(len(st.slots))
		sl := st.slots[at]
		if !st.isDone(sl, now) {
			break
		}
		st.answerOneLocked(sl, now)
		st.slots[at] = nil
		st.head.Store(head + 1)
		st.s.putSlot(sl) // the next push takes it while it is in the processor's cache
	}
	if head != before { // or a reader that looks would wake itself, for as long as nothing is done
		signal(st.room)
	}
}

// isDone says whether a slot can be answered. One whose deadline has passed is told
// so; it is done then, or a moment later.
func (st *stream) isDone(sl *slot, now time.Time) bool {
	switch {
	case sl.state.Load() == slotDone:
		return true
	case sl.repeats():
		if _, ok := st.s.memory.look(sl.entry); !ok && now.Before(sl.deadline) {
			return false
		}
		sl.state.Store(slotDone)
		return true
	case !sl.expired && !now.Before(sl.deadline):
		sl.expired = true
		sl.expire()
	}
	return sl.state.Load() == slotDone
}

// answerOneLocked appends one result. When the buffer is full no more is read; the
// pushes on their way still get their results, in brief.
func (st *stream) answerOneLocked(sl *slot, now time.Time) {
	full := len(st.out)+st.writing >= st.cfg.ResultBufferBytes
	a := st.s.finish(sl, full)
	if a.code != "" {
		st.s.metrics.lineErrs.Inc()
		st.s.metrics.problem(a.code)
	}
	if !sl.refused && !sl.repeats() {
		st.s.metrics.push.Update(now.Sub(sl.began).Seconds())
	}
	st.bytes.Add(-int64(sl.size))
	if st.dead.Load() {
		return
	}
	st.out = a.appendLine(st.out, sl.line)
	if full || len(st.out)+st.writing >= st.cfg.ResultBufferBytes {
		st.full.Store(true)
	}
}

// awaitOldest returns when something may have changed: the oldest push has settled or
// its time is over, or somebody left a token.
func (st *stream) awaitOldest(token chan struct{}, timer *time.Timer) {
	var other <-chan struct{}
	var deadline <-chan time.Time
	if head := st.head.Load(); head != st.tail.Load() {
		// The slot may be answered and begun anew meanwhile, by the other goroutine:
		// then it leaves a token as well, or this one is woken once too often.
		st.mu.Lock()
		if st.head.Load() != head { // then the reader may be writing that place
			st.mu.Unlock()
			return
		}
		sl := st.slots[head%uint64(len(st.slots))]
		if !sl.watch() {
			st.mu.Unlock()
			return
		}
		if sl.repeats() {
			other = st.s.memory.wait(sl.entry)
		}
		if !sl.expired {
			timer.Reset(sl.deadline.Sub(st.s.now()))
			deadline = timer.C
		}
		st.mu.Unlock()
	}
	stopping := st.s.stopping
	if st.stopped.Load() {
		stopping = nil
	}
	select {
	case <-token:
	case <-other:
	case <-deadline:
	case <-stopping:
		st.stopped.Store(true)
		st.abort()
	}
	timer.Stop()
}

// gather waits a moment for the pushes that are still on their way, so that a write
// carries many results; not when all have settled.
func (st *stream) gather(timer *time.Timer) {
	if st.pending.Load() == 0 {
		return
	}
	timer.Reset(st.cfg.GatherTime)
	select {
	case <-st.wake:
	case <-timer.C:
	}
	timer.Stop()
}

// put writes results and passes them on at once. A client that takes none is cut, but
// its pushes are answered to the end, for those who repeat their keys.
func (st *stream) put(results []byte, ended bool) {
	if st.dead.Load() {
		return
	}
	if ended {
		_ = st.rc.SetWriteDeadline(time.Now().Add(st.cfg.WriteTimeout))
	}
	_, err := st.w.Write(results)
	if err == nil {
		err = st.rc.Flush()
	}
	if err != nil {
		st.dead.Store(true)
		st.abort()
	}
}

// recovered keeps a defect in the writer from ending the process: net/http guards the
// handler's goroutine only.
func (st *stream) recovered() {
	cause := recover()
	if cause == nil {
		return
	}
	st.s.metrics.panics.Inc()
	st.s.log.Error("api: a stream's writer panicked", "panic", cause, "stack", string(debug.Stack()))
	st.dead.Store(true)
	st.abort()
}

// keptBuffer is a buffer to be used again, unless it grew out of proportion.
func keptBuffer(b []byte) []byte {
	if cap(b) > 1<<20 {
		return nil
	}
	return b[:0]
}
