package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/roostpush/roost/session"
)

// The errors with which Post refuses. Each is wrapped with the name of the limit.
var (
	// ErrFull says that a limit is reached: that of the queue, which a moment later may
	// have room, or that of what waits on the disk.
	ErrFull = errors.New("store: full")
	// ErrStalled says that the disk has no room or takes too long; Health says why.
	ErrStalled = errors.New("store: the disk is stalled")
)

// mail is the queue of kept messages on their way to the disk, and of the outcomes of
// those that are there. Any goroutine adds to it; the mail writer alone takes.
//
// A group that is taken stays in writing until it is on disk, so that Mail and Fates know
// of what was settled in it.
type mail struct {
	db       *pebble.DB
	promised chan struct{} // capacity 1: a promise waits
	noted    chan struct{} // capacity 1: a settlement waits, and nothing else did
	ended    chan struct{} // closed when the writer has ended

	inherited chan struct{} // closed when the young messages of earlier processes are filed

	commitMu sync.Mutex // held while groups are committed; before mu

	spills chan chan struct{} // Mailboxes asks the writer that nothing be young

	mu         sync.Mutex
	waiting    []*mailGroup // in order; the last one is being filled
	writing    []*mailGroup // with Pebble
	young      []*mailGroup // on disk, with messages that are young, in order
	leaving    []*mailGroup // of those the ones whose messages are being filed
	index      youngIndex   // where a young message is
	youngBytes int          // in young
	hashMask   uint64       // of the index: all ones, but in tests
	seq        uint64       // of the newest group
	free       []*mailGroup
	batches    []*pebble.Batch
	since      time.Time // begin of the commit that is in progress; zero: none
	queued     int       // bytes in waiting
	promises   int       // in waiting
	messages   int64     // that are on disk or on their way there, without settled ones
	beyond     error     // what waits is beyond a limit of the disk; nil: it is not
	refuse     error     // the store is closing, or has failed

	tooMany, tooMuch, tooSlow error // the answers of refusalLocked, made once

	committed int64 // messages on disk; guarded by commitMu, as is
	filed     int64 // how many of them are not young
	count     mailCounts
}

// groupsFree is how many empty groups are kept for the next rush.
const groupsFree = 16

// Post keeps messages: all of list or, as far as done is told, none. list and what it
// refers to are borrowed until Post returns. done is called exactly once, before Post
// returns or on a goroutine of the store: with nil once all of them are synced, or with
// the reason why they are not and never will be: ErrFull and ErrStalled with the name of
// the limit, ErrClosed, or what is wrong with a message. With ErrFailed nobody knows:
// the disk failed while it had them. done must not block; it may call Post and Settle.
//
// An idempotency key that list[0] has, with a time at which it goes, is written with them.
//
// Post never waits for the disk, so event loops may call it; a rush of them shares one
// sync. A message must be posted for an address once; only one whose id is of another
// keeper, which hands it over, may come again, and takes the place of the first.
func (s *Store) Post(list []session.Kept, done func(error)) {
	size := 0
	for i := range list {
		if err := s.checkKept(&list[i]); err != nil {
			done(err)
			return
		}
		size += keptBytes(&list[i])
	}
	m := &s.mail
	m.mu.Lock()
	if err := s.refusalLocked(len(list), size); err != nil {
		m.mu.Unlock()
		m.count.refused.Add(uint64(len(list)))
		done(s.explain(err))
		return
	}
	g := s.groupLocked()
	before := g.bytes()
	for i := range list {
		if k := &list[i]; !s.isOwn(k.ID) || len(k.Payload) > youngPayloadBytesMax || !m.postYoungLocked(g, k) {
			g.post(k)
		}
	}
	if len(list) > 0 && list[0].Key.GoneMS > 0 {
		g.setKey(&list[0].Key, list[0].ID, len(list))
	}
	g.told = append(g.told, done)
	m.queued += g.bytes() - before
	m.messages += int64(len(list))
	m.promises++
	first := m.promises == 1
	m.mu.Unlock()
	if first {
		signal(m.promised)
	}
}

// isOwn reports whether this process has made an id: such a message is posted once. Another
// node's comes when that hands it over, and maybe again, and this node's own of an earlier epoch
// when it was handed over to another one that leaves in its turn.
func (s *Store) isOwn(id session.ID) bool { return id.Node == s.node && id.Epoch == s.epoch }

// checkKept says what is wrong with a message that no key could hold.
func (s *Store) checkKept(m *session.Kept) error {
	wrong := func(what string) error {
		return fmt.Errorf("store: message %s for %s is not kept: %s", m.ID.Text(), m.Address, what)
	}
	for _, name := range [...]string{m.Account, m.Device} {
		if name == "" || len(name) > session.NameBytesMax || strings.IndexByte(name, 0) >= 0 {
			return wrong(fmt.Sprintf("account and device must be 1 to %d bytes without a zero byte", session.NameBytesMax))
		}
	}
	switch {
	case session.CheckNode(m.Node) != nil:
		return wrong(session.CheckNode(m.Node).Error())
	case m.Node == s.node && m.Epoch > s.epoch:
		return wrong(fmt.Sprintf("its id is of epoch %d of this node; now it is %d", m.Epoch, s.epoch))
	case m.Kind > session.Binary || int(m.Priority) >= session.PriorityCount:
		return wrong(fmt.Sprintf("kind %d or priority %d does not exist", m.Kind, m.Priority))
	}
	return nil
}

// keptBytes is about what a message takes in a batch.
func keptBytes(m *session.Kept) int {
	return mailboxKeyBytes(m.Address) + waitingKeyBytes(m.ID, m.Address) + 2*idHeadBytes +
		len(m.From) + len(m.Collapse) + len(m.Trace) + len(m.Payload)
}

// refusalLocked says why n more messages of so many bytes are not taken.
func (s *Store) refusalLocked(n, size int) error {
	m := &s.mail
	switch {
	case m.refuse != nil:
		return m.refuse
	case !m.since.IsZero() && time.Since(m.since) > s.cfg.StallAfter:
		return m.tooSlow
	case m.beyond != nil:
		return m.beyond
	case m.messages+int64(n) > int64(s.cfg.MailMessagesMax):
		return m.tooMany
	case m.queued+size > s.cfg.MailQueueBytesMax:
		return m.tooMuch
	}
	return nil
}

// explain says of a queue that is full whether that is the disk's fault.
func (s *Store) explain(err error) error {
	if err != s.mail.tooMuch {
		return err
	}
	if reason := s.disk.slowest(s.cfg.StallAfter); reason != "" {
		return fmt.Errorf("%w: %d bytes of messages wait for it, mail_queue_bytes_max: %s", ErrStalled, s.cfg.MailQueueBytesMax, reason)
	}
	return err
}

// groupLocked returns the group to add to.
func (s *Store) groupLocked() *mailGroup {
	m := &s.mail
	if n := len(m.waiting); n > 0 && m.waiting[n-1].memBytes() < s.cfg.MailMemTableBytes/4 && len(m.waiting[n-1].entries) < youngEntriesMax {
		return m.waiting[n-1]
	}
	g := &mailGroup{}
	if n := len(m.free); n > 0 {
		g, m.free = m.free[n-1], m.free[:n-1]
	}
	if n := len(m.batches); n > 0 {
		g.batch, m.batches = m.batches[n-1], m.batches[:n-1]
	} else {
		g.batch = m.db.NewBatchWithSize(8<<10, pebble.WithMaxRetainedSizeBytes(groupBytesRetained))
	}
	m.seq++
	g.seq = m.seq
	m.waiting = append(m.waiting, g)
	return g
}

// freeLocked keeps an empty group for the next rush.
func (m *mail) freeLocked(g *mailGroup) {
	if len(m.free) < groupsFree && cap(g.young)+cap(g.keys)+cap(g.ends) <= groupBytesRetained && cap(g.settled)+cap(g.entries) <= groupEntriesRetained {
		clear(g.told)
		*g = mailGroup{told: g.told[:0], keys: g.keys[:0], settled: g.settled[:0], ends: g.ends[:0],
			youngGroup: youngGroup{young: g.young[:0], entries: g.entries[:0]}}
		m.free = append(m.free, g)
	}
}

// Settle takes a message out and notes its final outcome, since atMS (Unix milliseconds).
// It is for a message whose Post is done, and once. Mail and Fates know of it at once; it
// is on disk at most LossWindow later, so a crash may bring the message back. It never
// waits and may be called from event loops. When twice MailQueueBytesMax wait for the
// disk it is dropped and counted, and the message comes back with the next start.
func (s *Store) Settle(a session.Address, id session.ID, o session.Outcome, atMS int64) {
	s.settle(a, id, o, atMS, true)
}

// Note notes the final outcome of a device that a message was not kept for, beside those of
// the devices that it was kept for. What Settle says of time and of drops holds for it too.
func (s *Store) Note(a session.Address, id session.ID, o session.Outcome, atMS int64) {
	s.settle(a, id, o, atMS, false)
}

// settle notes an outcome. kept says that there is a message to be taken out.
func (s *Store) settle(a session.Address, id session.ID, o session.Outcome, atMS int64, kept bool) {
	m := &s.mail
	m.mu.Lock()
	if m.refuse != nil || m.queued > 2*s.cfg.MailQueueBytesMax {
		m.mu.Unlock()
		m.count.dropped.Add(1)
		return
	}
	alone := len(m.waiting) == 0
	g := s.groupLocked()
	before := g.bytes()
	switch key := g.settle(a, id, o, atMS); {
	case !kept:
		g.noted++
	case !m.settleYoungLocked(g, id.Number, key):
		g.remove(a, id, s.isOwn(id))
	}
	m.queued += g.bytes() - before
	if kept {
		m.messages--
	}
	m.mu.Unlock()
	if alone {
		signal(m.noted)
	}
}

// settledOfLocked returns the ids of what was settled of a mailbox and is not on disk yet,
// as keys hold them.
func (m *mail) settledOfLocked(hash uint64, mailbox []byte) (ids [][]byte) {
	m.eachSettledLocked(func(s *settlement, keys []byte) {
		if s.address == hash && bytes.Equal(keys[s.key:s.id], mailbox) {
			ids = append(ids, bytes.Clone(keys[s.id:s.end]))
		}
	})
	return ids
}

// fatesOf returns what memory knows of a message: where it waits and is young, and its
// outcomes that are not on disk yet.
func (m *mail) fatesOf(id session.ID) (waiting, ended []Fate) {
	key := appendID(nil, id)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.eachYoungLocked(func(e *youngEntry, data []byte) {
		if e.number == id.Number && bytes.Equal(data[e.id:e.end], key) {
			a, _, _ := parseMailKey(bytes.Clone(data[e.key:e.end]))
			k, err := parseMail(data[e.value:e.valueEnd])
			if err == nil {
				waiting = append(waiting, Fate{Address: a, Outcome: session.Queued, AtMS: k.SentMS})
			}
		}
	})
	m.eachSettledLocked(func(s *settlement, keys []byte) {
		if s.number == id.Number && bytes.Equal(keys[s.id:s.end], key) {
			a, _, _ := parseMailKey(bytes.Clone(keys[s.key:s.end]))
			ended = append(ended, Fate{Address: a, Outcome: s.outcome, AtMS: s.atMS})
		}
	})
	return waiting, ended
}

func (m *mail) eachSettledLocked(emit func(s *settlement, keys []byte)) {
	for _, groups := range [...][]*mailGroup{m.writing, m.waiting} {
		for _, g := range groups {
			for i := range g.settled {
				emit(&g.settled[i], g.keys)
			}
		}
	}
}
