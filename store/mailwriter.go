package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// mailMeasureEvery is the time between two looks at how much of the disk is in use.
const mailMeasureEvery = time.Second

// writeMail is the mail writer: the one goroutine that takes what waits in the queue of
// messages and commits it.
//
//	a promise waits      -> at once, unless a group was begun within MailGroupInterval: then after it
//	settlements only     -> after LossWindow/2
//	-> take everything -> one batch for each group, the last one synced -> tell who waits
//
// While it syncs, the next group gathers. It shares nothing with the writer of records.
func (s *Store) writeMail() {
	defer s.done.Done()
	defer close(s.mail.ended)
	m := &s.mail
	timer := stoppedTimer()
	defer timer.Stop()
	w := mailWriter{Store: s}
	var due, begun time.Time
	by := func(t time.Time) {
		if due.IsZero() || t.Before(due) {
			due = t
			timer.Reset(time.Until(t))
		}
	}
	for {
		age := s.cfg.MailYoungAge
		var answer chan struct{}
		select {
		case <-m.promised:
			by(begun.Add(s.cfg.MailGroupInterval))
		case <-m.noted:
			by(time.Now().Add(s.cfg.LossWindow / 2))
		case <-timer.C:
		case answer = <-m.spills:
			by(time.Now())
			age = 0
		case <-s.health.failedC:
			return
		case <-s.closing:
			_ = s.guard("last messages", func() error { _, err := w.commit(s.cfg.MailYoungAge); return err })
			return
		}
		now := time.Now()
		if due.IsZero() || now.Before(due) {
			continue
		}
		timer.Stop()
		due, begun = time.Time{}, now
		if s.guard("commit of messages", func() error {
			oldest, err := w.commit(age)
			if !oldest.IsZero() {
				by(oldest.Add(s.cfg.MailYoungAge))
			}
			return err
		}) != nil {
			return // watchMail tells who waits
		}
		if answer != nil {
			close(answer)
		}
		if s.guard("measure", w.measure) != nil {
			return
		}
		if w.beyond {
			by(now.Add(mailMeasureEvery)) // nobody else may wake this up again
		}
	}
}

// mailWriter is what the mail writer keeps between two commits.
type mailWriter struct {
	*Store
	sorted   []settlement
	told     []func(error)
	gone     []uint64 // groups of which nothing is young any more
	ends     []uint64 // groups whose young ends are on disk
	measured time.Time
	beyond   bool
}

// commit takes everything that waits and puts it on disk, and files the young messages
// that are older than age. It returns when the next ones will be; zero: none are young.
func (w *mailWriter) commit(age time.Duration) (next time.Time, err error) {
	m := &w.mail
	begin := time.Now()
	front, oldest := w.take(begin, age)
	if len(m.writing)+len(m.leaving)+len(w.gone) == 0 {
		return oldest, nil
	}
	m.commitMu.Lock()
	err = w.apply(front)
	m.commitMu.Unlock()
	if err != nil {
		return next, err
	}
	if len(m.writing) > 0 {
		w.mailCommitTime.UpdateDuration(begin)
		m.count.commits.Add(1)
	}
	next = m.finish(w)
	for i, done := range w.told {
		done(nil)
		w.told[i] = nil
	}
	return next, nil
}

// take moves everything that waits to where it is written from, and sorts what is young.
// Of writing and leaving only the writer changes which groups are in there.
func (w *mailWriter) take(now time.Time, age time.Duration) (front uint64, oldest time.Time) {
	m := &w.mail
	m.mu.Lock()
	defer m.mu.Unlock()
	w.gone = m.ageLocked(now, age, w.cfg.MailYoungBytesMax, w.gone[:0])
	m.waiting, m.writing = m.writing, m.waiting
	m.queued, m.promises = 0, 0
	if len(m.writing) > 0 {
		m.since = now
	}
	if len(m.young) > 0 {
		oldest = m.young[0].since
	}
	return m.frontLocked(), oldest
}

// apply commits what was taken, in order, with one sync at the end: what leaves the young
// ones, then each group with what it changes beside its messages.
func (w *mailWriter) apply(front uint64) error {
	m := &w.mail
	for _, g := range m.leaving {
		if err := w.file(g); err != nil {
			return err
		}
	}
	due := w.outcomeDue(w.now().UnixMilli())
	for i, g := range m.writing {
		sync := pebble.NoSync
		err := w.complete(g, due)
		if i == len(m.writing)-1 {
			err = errors.Join(err, w.removeGone(g.batch, front))
			sync = pebble.Sync
		}
		if err != nil {
			return err
		}
		if err := m.db.Apply(g.batch, sync); err != nil {
			return err
		}
		m.filed += int64(g.filed)
		m.count.posted.Add(uint64(g.posted))
		m.count.settled.Add(uint64(len(g.settled) - g.noted))
		runtime.Gosched() // see disk.breathe
	}
	if len(m.writing) > 0 || len(w.gone) == 0 {
		return nil
	}
	b := m.db.NewBatch()
	defer b.Close()
	if err := w.removeGone(b, front); err != nil {
		return err
	}
	return m.db.Apply(b, pebble.NoSync)
}

// file files what is left of a young group, which is on disk, so it need not be synced.
func (w *mailWriter) file(g *mailGroup) error {
	b := w.mail.db.NewBatch()
	defer b.Close()
	if err := g.file(b, w.epoch); err != nil {
		return err
	}
	if err := w.mail.db.Apply(b, pebble.NoSync); err != nil {
		return err
	}
	w.mail.filed += int64(g.live)
	w.mail.count.filed.Add(uint64(g.live))
	runtime.Gosched() // see disk.breathe
	return nil
}

// complete adds to a group's batch its young messages, the outcomes, and how many messages
// wait.
func (w *mailWriter) complete(g *mailGroup, due uint32) error {
	var errs [2]error
	if len(g.young) > 0 {
		errs[0] = w.setGroup(g.batch, keyYoung, g.seq, g.young)
	}
	if len(g.ends) > 0 {
		errs[1] = w.setGroup(g.batch, keyYoungEnds, g.seq, g.ends)
		w.ends = append(w.ends, g.seq)
	}
	if len(g.settled) > 0 {
		w.sorted = g.addOutcomes(due, w.epoch, w.sorted)
	}
	m := &w.mail
	m.committed = max(m.committed+int64(g.posted-(len(g.settled)-g.noted)), 0)
	var room [1 + binary.MaxVarintLen64]byte
	count := binary.AppendUvarint(room[1:1], uint64(m.committed))
	op := g.batch.SetDeferred(1, len(count))
	op.Key[0] = keyMailCount
	copy(op.Value, count)
	return errors.Join(errs[:]...)
}

func (w *mailWriter) setGroup(b *pebble.Batch, kind byte, seq uint64, value []byte) error {
	op := b.SetDeferred(1+8+8, len(value))
	appendGroupKey(op.Key[:0], kind, w.epoch, seq)
	copy(op.Value, value)
	return op.Finish()
}

// removeGone adds to a batch the removal of the values that nothing needs any more. It is
// the last one of a commit: what made them so is before it.
func (w *mailWriter) removeGone(b *pebble.Batch, front uint64) error {
	remove := func(kind byte, seq uint64) {
		appendGroupKey(b.SingleDeleteDeferred(1 + 8 + 8).Key[:0], kind, w.epoch, seq)
	}
	for _, seq := range w.gone {
		remove(keyYoung, seq)
	}
	w.gone = w.gone[:0]
	n := 0
	for ; n < len(w.ends) && w.ends[n] < front; n++ {
		remove(keyYoungEnds, w.ends[n])
	}
	w.ends = append(w.ends[:0], w.ends[n:]...)
	return nil
}

// finish ends a commit that worked: what has young messages goes to the young groups, the
// rest is given back. It gathers who waits in told, in order, and returns since when the
// oldest young group is there.
func (m *mail) finish(w *mailWriter) (oldest time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.told = w.told[:0]
	now := time.Now()
	for i, g := range m.writing {
		w.told = append(w.told, g.told...)
		clear(g.told)
		if m.writing[i] = nil; len(m.batches) < groupsFree {
			g.batch.Reset()
			m.batches = append(m.batches, g.batch)
		}
		g.batch, g.told, g.keys, g.settled, g.ends, g.since = nil, g.told[:0], g.keys[:0], g.settled[:0], g.ends[:0], now
		if len(g.entries) == 0 {
			m.freeLocked(g)
			continue
		}
		m.young = append(m.young, g)
		m.youngBytes += len(g.young)
	}
	for i, g := range m.leaving {
		m.leaving[i] = nil
		m.freeLocked(g)
	}
	m.writing, m.leaving, m.since = m.writing[:0], m.leaving[:0], time.Time{}
	if len(m.young) > 0 {
		oldest = m.young[0].since
	}
	return oldest
}

// measure looks from time to time at what the disk has of messages and what room is left.
func (w *mailWriter) measure() error {
	if time.Since(w.measured) < mailMeasureEvery {
		return nil
	}
	w.measured = time.Now()
	m := &w.mail
	var used uint64
	for _, key := range []byte{keyMail, keyWaiting} {
		n, err := m.db.EstimateDiskUsage([]byte{key}, []byte{key + 1})
		if err != nil {
			return err
		}
		used += n
	}
	m.count.diskBytes.Store(used)
	var beyond error
	if used > uint64(w.cfg.MailBytesMax) {
		beyond = fmt.Errorf("%w: messages that wait take %d bytes of the disk, mail_bytes_max is %d", ErrFull, used, w.cfg.MailBytesMax)
	} else if disk, err := w.disk.GetDiskUsage(w.cfg.Directory); err == nil && disk.AvailBytes < uint64(w.cfg.MailFreeBytesMin) {
		beyond = fmt.Errorf("%w: %d bytes are free on the disk of %s, mail_free_bytes_min is %d", ErrFull, disk.AvailBytes, w.cfg.Directory, w.cfg.MailFreeBytesMin)
	}
	w.beyond = beyond != nil
	m.mu.Lock()
	m.beyond = beyond
	m.mu.Unlock()
	return nil
}

// watchMail tells whoever waits when the store fails: the mail writer may never return
// from the disk then.
func (s *Store) watchMail() {
	defer s.done.Done()
	select {
	case <-s.health.failedC:
	case <-s.mail.ended:
	}
	if err := s.health.failure(); err != nil {
		for _, done := range s.mail.stop(err) {
			done(err)
		}
	}
}

// stop refuses every later message with err. When the store has failed it returns who
// waits; else the writer still serves them.
func (m *mail) stop(err error) (told []func(error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == ErrClosed {
		if m.refuse == nil {
			m.refuse = err
		}
		return nil
	}
	m.refuse = err
	for _, groups := range [...][]*mailGroup{m.writing, m.waiting} {
		for _, g := range groups {
			told = append(told, g.told...)
			g.told = nil
		}
	}
	return told
}
