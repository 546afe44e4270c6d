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
	told      []func() // called once what waits is on disk
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
	eventKept      = 3 // Keep: facts of another node
	eventStoodIn   = 4 // Keep: facts of this one, for a home that cannot be reached

	// commitBytes is how much may wait before the writer is told not to wait for
	// its timer: four batches.
	commitBytes = 4 * journalChunkBytes
)

// roomLocked returns the chunk to append to, with space for n more bytes, or nil when
// the event is to be dropped.
func (j *journal) roomLocked(kind byte, n int) *[]byte {
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
		if kind != eventKept { // that is refused: the other node keeps it
			j.dropsFull++
		}
		return nil
	}
	j.held++
	j.chunks = append(j.chunks, chunk)
	return &j.chunks[len(j.chunks)-1]
}

// addLocked appends one event with the given value, whose size is at most valueMax.
func (j *journal) addLocked(kind byte, account, device string, f *facts, valueMax int) (added, first, kick bool) {
	chunk := j.roomLocked(kind, eventHeadBytes+2+len(account)+len(device)+valueMax)
	if chunk == nil {
		return false, false, false
	}
	b, start := *chunk, len(*chunk)
	b = append(b, kind, 0, 0, 0, 0)
	b = appendRecordKey(b, account, device)
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

func (j *journal) add(kind byte, account, device string, f *facts, valueMax int) bool {
	j.mu.Lock()
	added, first, kick := j.addLocked(kind, account, device, f, valueMax)
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

// take hands over everything that waits, and who waits for it. spare is an empty slice
// that the journal keeps for its next chunks.
func (j *journal) take(spare [][]byte) (taken [][]byte, told []func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	taken, told = j.chunks, j.told
	j.chunks, j.told, j.waiting = spare[:0], nil, 0
	return taken, told
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
	f := s.own(sess)
	s.detail(&f, &session.Fact{UserAgent: userAgent, Remote: remote, Attrs: attrs})
	s.add(eventOpened, sess.Account, sess.Device, &f)
}

// own begins the facts of a session of this node.
func (s *Store) own(sess *session.Session) facts {
	return facts{version: sess.Version, node: borrow(s.node), epoch: s.epoch, number: sess.Number, openedMS: sess.OpenedMS}
}

// detail adds what is known of an opening, within the limits.
func (s *Store) detail(f *facts, opening *session.Fact) {
	d := *opening
	s.Trim(&d)
	f.detailed, f.userAgent, f.remote, f.attrs = true, borrow(d.UserAgent), borrow(d.Remote), d.Attrs
}

// Trim takes off what is beyond the store's limits. The rules of Opened hold.
func (s *Store) Trim(f *session.Fact) {
	if len(f.Attrs) > s.cfg.AttrsBytesMax {
		f.Attrs = nil
		s.counts.attrsLeftOut.Add(1)
	}
	f.UserAgent, f.Remote = cut(f.UserAgent, s.cfg.UserAgentBytesMax), cut(f.Remote, s.cfg.RemoteBytesMax)
}

// add puts an event into the journal; false: it was dropped.
func (s *Store) add(kind byte, account, device string, f *facts) bool {
	added := s.journal.add(kind, account, device, f, valueHeadsMax+len(f.userAgent)+len(f.remote)+len(f.attrs))
	if !added && kind != eventKept {
		s.lossy.Store(true)
	}
	return added
}

// Closed notes that a session ended at closedMS (Unix milliseconds) with a
// WebSocket close code; 1006 says that it ended without one. The rules of Opened
// hold.
func (s *Store) Closed(sess *session.Session, closedMS int64, code uint16) {
	f := s.own(sess)
	f.closed, f.closedMS, f.code = true, closedMS, code
	s.add(eventClosed, sess.Account, sess.Device, &f)
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
