package store

import (
	"context"

	"github.com/cockroachdb/pebble/v2"

	"github.com/roostpush/roost/session"
)

// Live is who knows which sessions are open now: the registry. Its methods are
// called on a goroutine of the store.
type Live interface {
	// Each calls emit for every open session; emit keeps the pointer and does
	// not block, so the registry may hold a lock meanwhile.
	Each(emit func(*session.Session))
	// Number returns the number of the address's open session.
	Number(session.Address) (number uint64, open bool)
}

// ResyncWith names who knows the open sessions, so that records can be brought
// in line after events were dropped: when the disk has room again, every open
// session is noted again (without its user agent, remote address and attributes,
// which nobody keeps: join leaves those that are known), and every record of
// this epoch that claims an open session which is none is closed with 1006 at
// the time of the look. Without it such records are right again when the device
// connects next, or with the next epoch. Call it once, before traffic.
func (s *Store) ResyncWith(live Live) {
	s.liveMu.Lock()
	s.live = live
	s.liveMu.Unlock()
}

// Resyncs returns how often records were brought in line. In a cluster each may leave
// facts here that belong elsewhere.
func (s *Store) Resyncs() uint64 { return s.counts.resyncs.Load() }

// resyncIfDue is called by the writer after each commit that worked, which is
// the proof that the disk takes data again.
func (s *Store) resyncIfDue() {
	if s.lossy.Load() && s.dropsSince() {
		signal(s.resyncC)
	}
}

// dropsSince reports whether an event was dropped since the beginning of the
// last resync that was finished.
func (s *Store) dropsSince() bool {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	return s.journal.dropsFull > s.journal.resynced
}

// resync runs on the sweeper's goroutine. Drops that happen while it runs
// make the writer's next commit ask for another.
func (s *Store) resync() error {
	s.liveMu.Lock()
	live := s.live
	s.liveMu.Unlock()
	s.journal.mu.Lock()
	drops := s.journal.dropsFull
	due := drops > s.journal.resynced
	if live == nil {
		s.journal.resynced = drops
	}
	s.journal.mu.Unlock()
	if !due || live == nil {
		return nil
	}
	var sessions []*session.Session
	live.Each(func(sess *session.Session) { sessions = append(sessions, sess) })
	for i, sess := range sessions {
		s.Opened(sess, "", "", nil)
		if (i+1)%s.cfg.SweepEntriesMax == 0 && !s.drained() {
			return nil
		}
	}
	if !s.drained() {
		return nil
	}
	for next := []byte{keyRecord}; next != nil; {
		last, err := s.resyncPortion(next, live)
		if err != nil {
			return err
		}
		if next = nil; last != nil {
			next = append(last, 0)
			if !s.drained() || !s.pause() {
				return nil
			}
		}
	}
	if s.drained() {
		s.counts.resyncs.Add(1)
		s.journal.mu.Lock()
		s.journal.resynced = drops
		s.journal.mu.Unlock()
	}
	return nil
}

// drained waits until what the resync noted is on disk, so that a resync never
// fills the journal; false when the store closes or fails.
func (s *Store) drained() bool { return s.Flush(context.Background()) == nil }

// resyncPortion closes records whose session is gone, among at most
// SweepEntriesMax; it returns the last key it looked at, nil at the end.
func (s *Store) resyncPortion(low []byte, live Live) (last []byte, err error) {
	if err := s.beginRead(); err != nil {
		return nil, nil
	}
	defer s.endRead()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: []byte{keyRecord + 1}})
	if err != nil {
		return nil, err
	}
	n := 0
	for it.First(); it.Valid() && n < s.cfg.SweepEntriesMax; it.Next() {
		n++
		last = append(last[:0], it.Key()...)
		a, ok := parseRecordKey(it.Key())
		f, err := parseFacts(it.Value())
		if !ok || err != nil || f.closed || f.epoch != s.epoch || string(f.node) != s.node {
			continue
		}
		// The registry knows a session before the journal does, so one that has a
		// record and is not in the registry is gone.
		if number, open := live.Number(a); open && number == f.number {
			continue
		}
		gone := session.Session{Address: a, Number: f.number, Version: f.version, OpenedMS: f.openedMS}
		s.Closed(&gone, s.now().UnixMilli(), codeAbnormal)
		s.counts.resyncClosed.Add(1)
	}
	return last, it.Close()
}
