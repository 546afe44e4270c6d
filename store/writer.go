package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/roostpush/roost/session"
)

// write is the writer: the one goroutine that takes the journal and commits it.
//
//	journal no longer empty -> wait LossWindow/2 (less when much waits) -> take
//	  -> one NoSync batch for each chunk, the last one synced -> give chunks back
//
// One sync covers the batch, since NoSync data lives in Pebble's own buffers and
// dies even with the process. The rest of the loop are the heartbeat, Flush, and
// giving memory back after a quiet time.
func (s *Store) write() {
	defer s.done.Done()
	heartbeat := time.NewTicker(s.cfg.HeartbeatInterval)
	defer heartbeat.Stop()
	commit, quiet := stoppedTimer(), stoppedTimer()
	defer commit.Stop()
	defer quiet.Stop()
	var since time.Time // of the first event that waits; zero: none is known
	var answers []chan struct{}

	for {
		now := false
		select {
		case <-s.journal.wake:
			if since.IsZero() {
				since = time.Now()
				commit.Reset(s.cfg.LossWindow / 2)
			}
		case <-s.journal.full:
			now = true
		case <-commit.C:
			now = true
		case answer := <-s.flushes:
			answers = append(answers, answer)
			now = true
		case <-heartbeat.C:
			if s.guard("heartbeat", func() error { return s.beat(pebble.Sync) }) != nil {
				return
			}
		case <-quiet.C:
			if s.guard("flush", s.rest) != nil {
				return
			}
		case <-s.closing:
			_ = s.guard("last commit", func() error {
				if err := s.commit(time.Time{}); err != nil {
					return err
				}
				return s.beat(pebble.Sync)
			})
			return
		}
		if !now {
			continue
		}
		commit.Stop()
		if s.guard("commit", func() error { return s.commit(since) }) != nil {
			return // whoever waits in Flush hears of the failure
		}
		since = time.Time{}
		for _, answer := range answers {
			close(answer)
		}
		answers = answers[:0]
		quiet.Reset(s.cfg.QuietFlushAfter)
		s.resyncIfDue()
	}
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// guard runs a step that uses Pebble. What Pebble panics with or returns means
// that its commit pipeline is beyond repair: the store fails, the process lives.
func (s *Store) guard(what string, step func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("pebble panicked: %v", r)
		}
		if err != nil {
			s.fail(fmt.Sprintf("%s: %v", what, err))
		}
	}()
	return step()
}

// commit takes all events that wait and puts them on disk. since is when the
// first of them was noticed.
func (s *Store) commit(since time.Time) error {
	chunks, told := s.journal.take(nil)
	if len(chunks) == 0 {
		tell(told)
		return nil
	}
	begin := time.Now()
	s.health.note(func(h *health) { h.busySince = begin })
	events, err := s.apply(chunks)
	s.health.note(func(h *health) { h.busySince = time.Time{} })
	if err != nil {
		return err
	}
	s.journal.give(chunks, s.journal.heldMax)
	s.commitTime.UpdateDuration(begin)
	s.counts.commits.Add(1)
	s.counts.committed.Add(uint64(events))
	tell(told)
	if !since.IsZero() && time.Since(since) > s.cfg.LossWindow {
		s.counts.lateCommits.Add(1)
	}
	return nil
}

// tell calls those who wait for a commit.
func tell(told []func()) {
	for _, f := range told {
		f()
	}
}

// opBytesInMemTable is about what Pebble adds to an operation's own bytes in the
// write buffer: a skip list node and its alignment.
const opBytesInMemTable = 128

// apply commits chunks in order, in batches of a quarter of a write buffer (from
// half of one on, Pebble would rotate the buffer for each batch), with one sync at
// the end.
func (s *Store) apply(chunks [][]byte) (events int, err error) {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	for i, chunk := range chunks {
		for len(chunk) > 0 {
			b := s.db.NewBatch()
			n, rest, err := s.fill(b, chunk)
			if err != nil {
				return events, err
			}
			chunk = rest
			events += n
			s.unrested += b.Len()
			sync := pebble.NoSync
			if i == len(chunks)-1 && len(chunk) == 0 {
				sync = pebble.Sync
			}
			if err := s.db.Apply(b, sync); err != nil {
				return events, err
			}
			if err := b.Close(); err != nil {
				return events, err
			}
			runtime.Gosched() // see disk.breathe
		}
	}
	return events, nil
}

// fill turns events of a chunk into operations, until the batch is full, and
// returns what is left: the facts, and for an opening its entry in the expiry
// index. A close needs none, since its opening has one,
// unless that opening may have been dropped, or be on another node's disk.
func (s *Store) fill(b *pebble.Batch, chunk []byte) (events int, rest []byte, err error) {
	var entry [expiryPrefixBytes + 2*128 + 1]byte
	lossy := s.lossy.Load() || s.shared.Load()
	for ; len(chunk) > 0 && b.Len()+int(b.Count())*opBytesInMemTable < s.cfg.MemTableBytes/4; events++ {
		kind := chunk[0]
		keyEnd := eventHeadBytes + int(binary.LittleEndian.Uint16(chunk[1:]))
		end := keyEnd + int(binary.LittleEndian.Uint16(chunk[3:]))
		key, value := chunk[eventHeadBytes:keyEnd], chunk[keyEnd:end]
		if err := b.Merge(key, value, nil); err != nil {
			return events, nil, err
		}
		if kind != eventClosed || lossy {
			f, err := parseFacts(value)
			if err != nil {
				return events, nil, err
			}
			minute := s.expiryMinuteLocked(max(f.openedMS, f.closedMS))
			if err := b.Set(appendExpiryKey(entry[:0], minute, key), nil, nil); err != nil {
				return events, nil, err
			}
		}
		chunk = chunk[end:]
	}
	return events, chunk, nil
}

// beat writes the heartbeats: of this epoch, and of the processes of other nodes that
// live or were heard of.
func (s *Store) beat(sync *pebble.WriteOptions) error {
	b := s.db.NewBatch()
	defer b.Close()
	err := s.epochs.beat(s.now().UnixMilli(), func(o session.Origin, info epochInfo) error {
		key := appendForeignKey(nil, o)
		if o.Node == s.node {
			key = appendHeartbeatKey(nil, o.Epoch)
		}
		info.node = o.Node
		return b.Set(key, appendEpochInfo(nil, info), nil)
	})
	if err != nil {
		return err
	}
	s.counts.heartbeats.Add(1)
	return s.db.Apply(b, sync)
}

// rest gives memory back after a quiet time: the write buffer goes to disk, spare
// chunks to the collector.
func (s *Store) rest() error {
	s.journal.give(nil, 2)
	s.applyMu.Lock()
	enough := s.unrested >= s.cfg.QuietFlushBytes
	if enough {
		s.unrested = 0
	}
	s.applyMu.Unlock()
	if !enough {
		return nil
	}
	s.counts.quietFlushes.Add(1)
	_, err := s.db.AsyncFlush()
	return err
}

// Flush returns when every event that was noted before the call is committed and
// synced, so that reads see it and a crash cannot lose it. It ends early with
// the context's error, or with the reason when the store failed. Not for event
// loops.
func (s *Store) Flush(ctx context.Context) error {
	answer := make(chan struct{})
	select {
	case s.flushes <- answer:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.health.failedC:
		return s.health.failure()
	case <-s.closing:
		return ErrClosed
	}
	select {
	case <-answer:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.health.failedC:
		return s.health.failure()
	}
}
