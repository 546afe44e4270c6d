// HOT PATH: Opened and Closed run on event loops. They allocate nothing once the
// journal has its chunks, call no clock, and hold one mutex for a copy.

package store

import (
	"encoding/binary"
	"sync"
	"unicode/utf8"

	"github.com/roostpush/roost/session"
)

// journal holds the events that wait for the writer, encoded, in chunks: growing
// by a chunk costs microseconds under the mutex, where one growing arena would
// copy megabytes there. Any goroutine may append; the writer alone takes.
//
// An event is: one byte of kind, two of key length, two of value length, key,
// value; the last two as Pebble gets them.
type journal struct {
	wake chan struct{} // capacity 1: the journal is no longer empty
	full chan struct{} // capacity 1: commitBytes wait, do not wait for the timer

	mu        sync.Mutex
	chunks    [][]byte // waiting, in order; the last one is being filled
	free      [][]byte // empty, kept for the next storm
	held      int      // chunks outside free: waiting, or with the writer
	heldMax   int
	waiting   int // bytes
	events    uint64
	closed    bool // the store is closing: nothing is taken any more
	dropsFull uint64
	dropsLate uint64 // after failure or close
	resynced  uint64 // dropsFull at the beginning of the last finished resync
}

const (
	eventHeadBytes = 5
	eventOpened    = 1
	eventClosed    = 2

	// commitBytes is how much may wait before the writer is told not to wait for
	// its timer: four batches.
	commitBytes = 4 * journalChunkBytes
)

// roomLocked returns the chunk to append to, with space for n more bytes, or nil when
// the event is to be dropped.
func (j *journal) roomLocked(n int) *[]byte {
	if j.closed {
		j.dropsLate++
		return nil
	}
	if len(j.chunks) > 0 {
		if last := &j.chunks[len(j.chunks)-1]; cap(*last)-len(*last) >= n {
			return last
		}
	}
	var chunk []byte
	switch {
	case len(j.free) > 0:
		chunk = j.free[len(j.free)-1]
		j.free = j.free[:len(j.free)-1]
	case j.held < j.heldMax:
		chunk = make([]byte, 0, journalChunkBytes)
	default:
		j.dropsFull++
		return nil
	}
	j.held++
	j.chunks = append(j.chunks, chunk)
	return &j.chunks[len(j.chunks)-1]
}

// addLocked appends one event with the given value, whose size is at most valueMax.
func (j *journal) addLocked(kind byte, a *session.Address, f *facts, valueMax int) (added, first, kick bool) {
	chunk := j.roomLocked(eventHeadBytes + 2 + len(a.Account) + len(a.Device) + valueMax)
	if chunk == nil {
		return false, false, false
	}
	b, start := *chunk, len(*chunk)
	b = append(b, kind, 0, 0, 0, 0)
	b = appendRecordKey(b, a.Account, a.Device)
	keyEnd := len(b)
	b = appendFacts(b, f)
	binary.LittleEndian.PutUint16(b[start+1:], uint16(keyEnd-start-eventHeadBytes))
	binary.LittleEndian.PutUint16(b[start+3:], uint16(len(b)-keyEnd))
	*chunk = b
	before := j.waiting
	j.waiting += len(b) - start
	j.events++
	return true, before == 0, before < commitBytes && j.waiting >= commitBytes
}

func (j *journal) add(kind byte, a *session.Address, f *facts, valueMax int) bool {
	j.mu.Lock()
	added, first, kick := j.addLocked(kind, a, f, valueMax)
	j.mu.Unlock()
	// Each send is to a channel of capacity one that the writer empties before
	// it looks at the journal, so that a full channel means it will look.
	if first {
		signal(j.wake)
	}
	if kick {
		signal(j.full)
	}
	return added
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take hands over everything that waits. spare is an empty slice that the
// journal keeps for its next chunks.
func (j *journal) take(spare [][]byte) [][]byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	taken := j.chunks
	j.chunks, j.waiting = spare[:0], 0
	return taken
}

// give returns chunks whose events are committed. keep bounds how many stay for
// the next storm.
func (j *journal) give(chunks [][]byte, keep int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.held -= len(chunks)
	for _, c := range chunks {
		if len(j.free) < keep {
			j.free = append(j.free, c[:0])
		}
	}
	if len(j.free) > keep {
		clear(j.free[keep:])
		j.free = j.free[:keep]
	}
}

// stop makes every later event a drop.
func (j *journal) stop() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
}

// Opened notes that a session was opened. userAgent, remote (host:port) and
// attrs (a JSON object, or nil) are borrowed, and so is the session; of a too
// long user agent or remote address the beginning is kept, too large attributes
// are left out. Any goroutine may call it, event loops included: it never waits
// for the disk and, in a steady state, allocates nothing. When the journal is
// full the event is dropped and counted.
//
// Of two sessions of one address the newer must have the higher Number; the
// order in which their events arrive does not matter.
func (s *Store) Opened(sess *session.Session, userAgent, remote string, attrs []byte) {
	f := facts{epoch: s.epoch, number: sess.Number, openedMS: sess.OpenedMS, detailed: true}
	if len(attrs) > s.cfg.AttrsBytesMax {
		attrs = nil
		s.counts.attrsLeftOut.Add(1)
	}
	f.userAgent = borrow(cut(userAgent, s.cfg.UserAgentBytesMax))
	f.remote = borrow(cut(remote, s.cfg.RemoteBytesMax))
	f.attrs = attrs
	if !s.journal.add(eventOpened, &sess.Address, &f, valueHeadsMax+len(f.userAgent)+len(f.remote)+len(f.attrs)) {
		s.lossy.Store(true)
	}
}

// Closed notes that a session ended at closedMS (Unix milliseconds) with a
// WebSocket close code; 1006 says that it ended without one. The rules of Opened
// hold.
func (s *Store) Closed(sess *session.Session, closedMS int64, code uint16) {
	f := facts{epoch: s.epoch, number: sess.Number, openedMS: sess.OpenedMS, closed: true, closedMS: closedMS, code: code}
	if !s.journal.add(eventClosed, &sess.Address, &f, valueHeadsMax) {
		s.lossy.Store(true)
	}
}

// cut returns at most n bytes of s and never half a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
