package store

import (
	"encoding/binary"
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
// While it syncs, the next group gathers. It shares nothing with the writer of records
// but Pebble, which takes the batches of both.
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
		select {
		case <-m.promised:
			by(begun.Add(s.cfg.MailGroupInterval))
		case <-m.noted:
			by(time.Now().Add(s.cfg.LossWindow / 2))
		case <-timer.C:
		case <-s.health.failedC:
			return
		case <-s.closing:
			_ = s.guard("last messages", w.commit)
			return
		}
		now := time.Now()
		if due.IsZero() || now.Before(due) {
			continue
		}
		timer.Stop()
		due, begun = time.Time{}, now
		if s.guard("commit of messages", w.commit) != nil {
			return // watchMail tells who waits
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
	groups   uint64 // that had outcomes
	measured time.Time
	beyond   bool
}

// commit takes everything that waits and puts it on disk.
func (w *mailWriter) commit() error {
	m := &w.mail
	groups := m.take()
	if len(groups) == 0 {
		return nil
	}
	begin := time.Now()
	m.commitMu.Lock()
	err := w.apply(groups)
	m.commitMu.Unlock()
	if err != nil {
		return err
	}
	w.mailCommitTime.UpdateDuration(begin)
	m.count.commits.Add(1)
	w.told = m.finish(w.told[:0])
	for i, done := range w.told {
		done(nil)
		w.told[i] = nil
	}
	return nil
}

// take moves everything that waits to where it is written from.
func (m *mail) take() []*mailGroup {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.waiting) == 0 {
		return nil
	}
	m.waiting, m.writing = m.writing, m.waiting
	for _, g := range m.writing {
		g.data = g.batch.Repr()
	}
	m.queued, m.promises, m.since = 0, 0, time.Now()
	return m.writing
}

// apply commits groups in order, with one sync at the end, each with what it changes
// beside its messages: the outcomes, and how many messages wait.
func (w *mailWriter) apply(groups []*mailGroup) error {
	m := &w.mail
	var entry [16]byte
	binary.BigEndian.PutUint64(entry[:], w.epoch)
	due := w.outcomeDue(w.now().UnixMilli())
	for i, g := range groups {
		posted, settled := g.posted, len(g.settled)
		if settled > 0 {
			w.groups++
			binary.BigEndian.PutUint64(entry[8:], w.groups)
			w.sorted = g.addOutcomes(due, entry, w.sorted)
		}
		messages := max(m.committed+int64(posted-settled), 0)
		var count [binary.MaxVarintLen64]byte
		if err := g.batch.Set([]byte{keyMailCount}, binary.AppendUvarint(count[:0], uint64(messages)), nil); err != nil {
			return err
		}
		sync := pebble.NoSync
		if i == len(groups)-1 {
			sync = pebble.Sync
		}
		if err := m.db.Apply(g.batch, sync); err != nil {
			return err
		}
		m.committed = messages
		m.count.posted.Add(uint64(posted))
		m.count.settled.Add(uint64(settled))
		runtime.Gosched() // see diskFile.Write
	}
	return nil
}

// finish ends a commit that worked: it gives the groups back and returns who waits for
// them, in order.
func (m *mail) finish(told []func(error)) []func(error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, g := range m.writing {
		told = append(told, g.told...)
		m.writing[i] = nil
		if len(m.free) < groupsFree && cap(g.settled) <= groupSettledRetained {
			g.reset()
			m.free = append(m.free, g)
		}
	}
	m.writing, m.since = m.writing[:0], time.Time{}
	return told
}

// groupSettledRetained is how many settlements a group has room for that is used again.
const groupSettledRetained = 4 << 10

func (g *mailGroup) reset() {
	g.batch.Reset()
	clear(g.told)
	g.data, g.posted, g.told, g.settled = nil, 0, g.told[:0], g.settled[:0]
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
