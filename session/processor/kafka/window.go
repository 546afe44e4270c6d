package kafka

import (
	"sync"
	"sync/atomic"
)

// window is the part of one partition that is in work: from the first record without a
// final result to the newest one that was fetched. It decides how far the partition may
// be committed: up to the first record that is not final yet, never beyond it, in
// whatever order the results come.
//
// A window lives from the assignment of its partition to its revocation; the next
// assignment makes a new one, so that a result that comes late finds its own window
// closed and moves nobody else's offset.
//
// Any goroutine may call its methods.
type window struct {
	topic     string
	partition int32
	waited    atomic.Bool // the poll waits until it is shorter
	paused    atomic.Bool // nothing more is fetched of it until it is shorter

	mu     sync.Mutex
	ring   []slot        // its length is a power of two
	first  uint64        // sequence of the oldest slot
	next   uint64        // sequence of the next slot
	taken  int           // records that the sink has and that are not final
	closed bool          // nothing more goes to the sink
	idle   chan struct{} // made by who waits for taken to be 0; closed then

	placed  bool  // begin is known
	begin   int64 // offset of the first record to be fetched; for the lag, until known
	known   bool  // something was fetched, so commit is a position
	commit  point // behind the last record of the finished prefix
	dirty   bool  // the broker has not acknowledged it
	end     int64 // offset behind the partition's last record, as far as is known
	rewinds uint64
}

// slot is one record of a window. Offsets are not dense: compaction and transactions
// leave holes, so each slot has its own.
type slot struct {
	offset int64
	epoch  int32
	final  bool
}

// point is an offset that can be committed, and the leader epoch of the record before it.
type point struct {
	offset int64
	epoch  int32
}

// windowSlotsMin is the size a ring begins with, and to which it returns when empty.
const windowSlotsMin = 64

func newWindow(topic string, partition int32) *window {
	return &window{topic: topic, partition: partition, ring: make([]slot, windowSlotsMin)}
}

// add opens a slot for a record and returns its sequence, by which finish finds it.
func (w *window) add(offset int64, epoch int32) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.known:
		w.known, w.commit = true, point{offset, epoch}
	case offset < w.following():
		// The broker's log was cut back, by an unclean election: other records have these
		// offsets now, and those that had them are gone, with whatever was to be committed.
		w.first, w.commit, w.dirty, w.end = w.next, point{offset, epoch}, true, offset
		w.rewinds++
	}
	if w.next-w.first == uint64(len(w.ring)) {
		w.grow()
	}
	sequence := w.next
	*w.at(sequence) = slot{offset: offset, epoch: epoch}
	w.next++
	w.end = max(w.end, offset+1)
	return sequence
}

// following returns the least offset that the next record can have.
func (w *window) following() int64 {
	if w.first == w.next {
		return w.commit.offset
	}
	return w.at(w.next-1).offset + 1
}

// take notes that the sink is about to be given a record of the window. It reports false
// when the window is closed: then the record belongs to whoever has the partition now.
func (w *window) take() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.taken++
	return true
}

// untake takes a take back: the sink had no room.
func (w *window) untake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.release()
}

// finish notes that a record that was taken is final, and returns how many the window holds
// now. late reports that it was closed: unless a last commit still covers it, the record
// comes again elsewhere.
func (w *window) finish(sequence uint64) (length int, late bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if sequence >= w.first {
		w.at(sequence).final = true
	}
	for w.first < w.next && w.at(w.first).final {
		s := w.at(w.first)
		w.commit, w.dirty = point{s.offset + 1, s.epoch}, true
		w.first++
	}
	if w.first == w.next && len(w.ring) > windowSlotsMin {
		w.ring = make([]slot, windowSlotsMin)
	}
	w.release()
	return int(w.next - w.first), w.closed
}

// release counts one taken record less, and wakes who waits for the last.
func (w *window) release() {
	w.taken--
	if w.taken == 0 && w.idle != nil {
		close(w.idle)
		w.idle = nil
	}
}

// close keeps further records from the sink and returns a channel that is closed once
// the sink has none of the window's left. It may be called again.
func (w *window) close() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.taken == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	if w.idle == nil {
		w.idle = make(chan struct{})
	}
	return w.idle
}

// due returns the point to be committed; ok is false when the broker has it already.
func (w *window) due() (p point, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.commit, w.dirty
}

// settled notes that the broker has acknowledged that point.
func (w *window) settled(p point) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.commit.offset == p.offset {
		w.dirty = false
	}
}

// reaches notes the end of the partition as the broker says it.
func (w *window) reaches(end int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end = max(w.end, end)
}

// begins notes from which offset on the partition is fetched.
func (w *window) begins(offset int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.placed {
		w.placed, w.begin = true, offset
	}
}

// unplaced reports whether the lag is not known, because nobody has said where the
// partition begins and nothing was fetched.
func (w *window) unplaced() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.placed && !w.known
}

// lag returns how many offsets there are from the first record that is not final to the
// end of the partition; 0 when that is not known.
func (w *window) lag() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.begin
	switch {
	case w.known:
		at = w.commit.offset
	case !w.placed:
		return 0
	}
	return uint64(max(w.end-at, 0))
}

// len returns how many records the window holds, the final ones behind an unfinished one
// included.
func (w *window) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int(w.next - w.first)
}

// left returns how many records the sink has now.
func (w *window) left() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.taken
}

// rewound returns how often offsets went back since it was asked last.
func (w *window) rewound() (n uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, w.rewinds = w.rewinds, 0
	return n
}

func (w *window) at(sequence uint64) *slot { return &w.ring[sequence&uint64(len(w.ring)-1)] }

func (w *window) grow() {
	bigger := make([]slot, 2*len(w.ring))
	for s := w.first; s < w.next; s++ {
		bigger[s&uint64(len(bigger)-1)] = *w.at(s)
	}
	w.ring = bigger
}
