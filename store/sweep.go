package store

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// The sweeper deletes records whose retention is over, without a look at the
// others. Each opening files its record in an expiry index, under the bucket in
// which the retention would end if the session closed at once: a blind write, and
// the same key again for every further opening of that time. When a bucket is
// due, its entries are looked at: a record that is over is deleted, any other is
// filed again, under the bucket that is right for it now. So every record always
// has an entry at or before its end, whatever order things happened in and even
// when the settings change. Then one range tombstone removes the bucket.

// minuteOf returns the minute since 1970 at which the bucket of a time begins.
func (s *Store) minuteOf(t time.Time) uint32 {
	width := int64(s.cfg.SweepBucket / time.Minute)
	minute := t.Unix() / 60
	return uint32(min(max(minute-minute%width, 0), 1<<32-1))
}

// expiryMinuteLocked returns the bucket under which a record is filed that was
// last alive at aliveMS; never one that is swept already. applyMu is held.
func (s *Store) expiryMinuteLocked(aliveMS int64) uint32 {
	return max(s.minuteOf(time.UnixMilli(aliveMS).Add(s.cfg.Retention)), s.swept)
}

// sweep is the sweeper's goroutine; resyncs run here too, since both go through
// records in small portions beside the writer.
func (s *Store) sweep() {
	defer s.done.Done()
	tick := time.NewTicker(s.cfg.SweepInterval)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-s.closing:
			return
		case <-s.health.failedC:
			return
		case <-tick.C:
			if err = s.guard("sweep", s.sweepDue); err == nil {
				err = s.guard("sweep of outcomes", s.sweepOutcomes)
			}
			if err == nil {
				err = s.guard("sweep of idempotency keys", s.sweepKeys)
			}
		case <-s.resyncC:
			err = s.guard("resync", s.resync)
		}
		if err != nil {
			return
		}
	}
}

// pause lets others have the disk; false when the store closes or fails.
func (s *Store) pause() bool {
	select {
	case <-s.closing:
		return false
	case <-s.health.failedC:
		return false
	case <-time.After(s.cfg.SweepPause):
		return true
	}
}

// sweepDue sweeps all buckets that ended before now.
func (s *Store) sweepDue() error {
	due := s.minuteOf(s.now())
	s.applyMu.Lock()
	from := s.swept
	s.applyMu.Unlock()
	if due <= from {
		return nil
	}
	s.counts.sweeps.Add(1)
	low, high := appendExpiryKey(nil, from, nil), appendExpiryKey(nil, due, nil)
	any := false
	for next := low; next != nil; {
		last, err := s.sweepPortion(next, high)
		if err != nil {
			return err
		}
		if next = nil; last != nil {
			any, next = true, append(last, 0)
			if !s.pause() {
				return nil // begun again at the next start: nothing of it is lost
			}
		}
	}
	return s.endSweep(low, high, due, any)
}

// sweepPortion handles at most SweepEntriesMax entries and returns the key of the
// last one, nil when none was left.
func (s *Store) sweepPortion(low, high []byte) (last []byte, err error) {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return nil, err
	}
	b := s.db.NewBatch()
	n := 0
	for it.First(); it.Valid() && n < s.cfg.SweepEntriesMax; it.Next() {
		last = append(last[:0], it.Key()...)
		if err := s.sweepEntry(b, last); err != nil {
			return nil, errors.Join(err, it.Close(), b.Close())
		}
		n++
	}
	if err := it.Close(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if n == 0 {
		return nil, b.Close()
	}
	if err := s.db.Apply(b, pebble.NoSync); err != nil {
		return nil, err
	}
	return last, b.Close()
}

// sweepEntry decides about one index entry.
func (s *Store) sweepEntry(b *pebble.Batch, entry []byte) error {
	record := append([]byte{keyRecord}, entry[expiryPrefixBytes:]...)
	f, closer, ok, err := s.get(record)
	if err != nil {
		return err
	}
	if !ok {
		// Gone already, or unreadable; both leave with their entry.
		return b.Delete(record, nil)
	}
	defer closer()
	endMS, _, open := s.end(&f)
	if open {
		endMS = max(endMS, s.now().UnixMilli())
	}
	if !open && !s.now().Before(time.UnixMilli(endMS).Add(s.cfg.Retention)) {
		s.counts.swept.Add(1)
		return b.Delete(record, nil)
	}
	s.counts.refiled.Add(1)
	return b.Set(appendExpiryKey(nil, s.expiryMinuteLocked(endMS), record), nil, nil)
}

// endSweep removes the swept buckets with one tombstone, and the heartbeats that
// no record can refer to any more: every record of such an epoch ended a
// retention before the buckets that are gone.
func (s *Store) endSweep(low, high []byte, due uint32, any bool) error {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	b := s.db.NewBatch()
	defer b.Close()
	if any {
		if err := b.DeleteRange(low, high, nil); err != nil {
			return err
		}
	}
	slack := s.cfg.Retention + s.cfg.SweepBucket + 2*s.cfg.HeartbeatInterval
	gone := s.epochs.dropBefore(time.Unix(int64(due)*60, 0).Add(-slack).UnixMilli())
	for _, o := range gone {
		key := appendForeignKey(nil, o)
		if o.Node == "" { // of this node's each is there under no name, too
			key = appendHeartbeatKey(nil, o.Epoch)
		}
		if err := b.Delete(key, nil); err != nil {
			return err
		}
	}
	if err := b.Set([]byte{keySwept}, binary.AppendUvarint(nil, uint64(due)), nil); err != nil {
		return err
	}
	if err := s.db.Apply(b, pebble.Sync); err != nil {
		return err
	}
	s.swept = due
	return nil
}
