package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/roostpush/roost/session"
)

// Store keeps the device records of one node. cmd/roost owns it. Opened, Closed,
// Epoch, Health and Stats may be called from anywhere; Device, Account, Flush
// and Close wait for the disk and must not be called from an event loop.
type Store struct {
	cfg   Config
	node  string
	log   *slog.Logger
	now   func() time.Time
	epoch uint64
	above uint64 // of the versions of earlier epochs

	db   *pebble.DB
	lock *pebble.Lock
	disk *disk

	journal journal
	mail    mail
	lossy   atomic.Bool // an event was dropped in this epoch
	shared  atomic.Bool // there are other nodes: an end may be kept apart from its opening
	epochs  epochs
	health  health
	counts  counts
	set     *metrics.Set

	commitTime     *metrics.PrometheusHistogram
	mailCommitTime *metrics.PrometheusHistogram

	flushes chan chan struct{} // Flush asks the writer
	resyncC chan struct{}      // the writer asks the sweeper; capacity 1
	closing chan struct{}      // closed by Close
	done    sync.WaitGroup     // writers, sweeper, watchMail and inherit

	// applyMu is held by the writer while it commits and by the sweeper from
	// reading a record to deleting it, so that no opening falls in between.
	applyMu  sync.Mutex
	swept    uint32 // minute below which the index holds nothing; guarded by applyMu
	unrested int    // bytes applied since the last rest; guarded by applyMu

	liveMu sync.Mutex
	live   Live // nil: nobody was named

	readMu   sync.RWMutex // held for reading by whoever uses db
	closed   bool         // guarded by readMu
	close    sync.Once
	closeErr error

	compacting [2]*compacting // of records and of messages
	quiet      *time.Timer    // after which they begin
}

// Open opens the store in cfg.Directory, which it makes when missing, and takes
// the next epoch for the node; the epoch is on disk, synced, before Open returns.
// It does no work for each record. now gives wall-clock time; it is called on
// the store's own goroutines and by readers.
//
// Errors name the directory and what to do: it is in use by another process,
// may not be written, is not a directory, is full, or is damaged.
func Open(cfg Config, node string, log *slog.Logger, now func() time.Time) (*Store, error) {
	return open(cfg, node, log, now, vfs.Default)
}

// open is Open on any file system.
func open(cfg Config, node string, log *slog.Logger, now func() time.Time, fs vfs.FS) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := session.CheckNode(node); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s := &Store{
		cfg: cfg, node: node, log: log, now: now,
		flushes: make(chan chan struct{}),
		resyncC: make(chan struct{}, 1),
		closing: make(chan struct{}), compacting: [2]*compacting{newCompacting(), newCompacting()},
	}
	s.health.failedC = make(chan struct{})
	s.epochs.info = make(map[session.Origin]epochInfo)
	s.journal.wake = make(chan struct{}, 1)
	s.journal.full = make(chan struct{}, 1)
	s.journal.heldMax = cfg.JournalBytesMax / journalChunkBytes
	s.journal.free = [][]byte{make([]byte, 0, journalChunkBytes), make([]byte, 0, journalChunkBytes)}
	s.mail.promised, s.mail.noted = make(chan struct{}, 1), make(chan struct{}, 1)
	s.mail.inherited = make(chan struct{})
	s.mail.ended, s.mail.spills = make(chan struct{}), make(chan chan struct{})
	s.mail.hashMask = 1<<64 - 1
	s.mail.tooSlow = fmt.Errorf("%w: a commit takes longer than stall_after (%v)", ErrStalled, cfg.StallAfter)
	s.mail.tooMany = fmt.Errorf("%w: mail_messages_max (%d) messages wait for their devices", ErrFull, cfg.MailMessagesMax)
	s.mail.tooMuch = fmt.Errorf("%w: mail_queue_bytes_max (%d) bytes of messages wait for the disk", ErrFull, cfg.MailQueueBytesMax)
	s.disk = newDisk(fs, cfg.DiskRetryInterval, s.fail)
	s.newMetrics()

	// A disk that is full now makes the first write wait (see disk); whoever
	// starts a node wants to hear of it instead. So the opening runs beside, and
	// is left alone when it meets trouble.
	opened := make(chan error, 1)
	var leave sync.Mutex
	left := false
	go func() {
		err := s.openDirectory(fs)
		leave.Lock()
		defer leave.Unlock()
		if left && err == nil {
			_ = s.closeDirectory()
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		if err != nil {
			return nil, err
		}
	case <-s.disk.troubled:
		leave.Lock()
		defer leave.Unlock()
		select {
		case err := <-opened: // it got through after all
			if err != nil {
				return nil, err
			}
		default:
			left = true
			if err := s.health.failure(); err != nil {
				return nil, fmt.Errorf("store: opening %s: %w", cfg.Directory, err)
			}
			return nil, fmt.Errorf("store: opening %s: %s", cfg.Directory, s.disk.slowest(0))
		}
	}
	s.disk.opened.Store(true)
	s.disk.breath.Store(newBreath())
	s.quiet = time.AfterFunc(quietAfterOpen, s.compact)
	s.done.Add(5)
	go s.inherit()
	go s.write()
	go s.sweep()
	go s.writeMail()
	go s.watchMail()
	return s, nil
}

// quietAfterOpen is how long the databases do not compact unless writes wait for it: on one
// core it took two thirds of the time in which a node that was killed comes up again.
const quietAfterOpen = 2 * time.Second

// compact lets both databases compact from now on.
func (s *Store) compact() {
	for _, c := range s.compacting {
		c.begin()
	}
}

// Epoch returns the epoch that Open took: higher than any that this directory
// ever had. It names this node's set of sessions (DESIGN.md decision 3).
func (s *Store) Epoch() uint64 { return s.epoch }

// VersionsAbove returns what the versions of new sessions should be above, so that they
// are newer than whatever this directory has of earlier epochs.
func (s *Store) VersionsAbove() uint64 { return s.above }

// fail ends the store for good; the process goes on without records.
func (s *Store) fail(reason string) {
	err := fmt.Errorf("store: %w: %s; records of %s are not kept any more, restart the node when its disk is well", ErrFailed, reason, s.cfg.Directory)
	// First: whoever hears of it next may end the process.
	s.log.Error("store failed", "directory", s.cfg.Directory, "reason", reason)
	s.health.fail(err)
	s.journal.stop()
}

// Close commits what waits, writes a last heartbeat and closes the directory.
// It returns within CloseTimeout: when the disk has no room or hangs, with an
// error that says how many bytes of events are lost; the directory then stays
// locked until the process ends. Further calls return the same. Sessions that
// are open at Close read as closed at that moment afterwards.
func (s *Store) Close() error {
	s.close.Do(func() { s.closeErr = s.shut() })
	return s.closeErr
}

func (s *Store) shut() error {
	s.quiet.Stop()
	s.journal.stop()
	s.mail.stop(ErrClosed)
	close(s.closing)
	finished := make(chan error, 1)
	go func() {
		s.done.Wait()
		s.readMu.Lock()
		s.closed = true
		s.readMu.Unlock()
		s.disk.breath.Swap(nil).close()
		if err := s.health.failure(); err != nil {
			finished <- err // Pebble may hold its mutexes for ever: leave it
			return
		}
		finished <- s.closeDirectory()
	}()
	timeout := time.NewTimer(s.cfg.CloseTimeout)
	defer timeout.Stop()
	select {
	case err := <-finished:
		return err
	case <-s.health.failedC:
		return s.health.failure()
	case <-timeout.C:
		return fmt.Errorf("store: closing %s: not done after %v, %d bytes of events may be lost: %s",
			s.cfg.Directory, s.cfg.CloseTimeout, s.journalBytes(), s.disk.slowest(0))
	}
}

// closeDirectory closes Pebble and lets the directory go.
func (s *Store) closeDirectory() error {
	var err error
	for _, db := range [...]*pebble.DB{s.db, s.mail.db} {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	if err = errors.Join(err, s.lock.Close()); err != nil {
		return fmt.Errorf("store: close %s: %w", s.cfg.Directory, err)
	}
	return nil
}

// beginRead admits a user of db; endRead must follow when it returns nil.
func (s *Store) beginRead() error {
	if err := s.health.failure(); err != nil {
		return err
	}
	s.readMu.RLock()
	if s.closed {
		s.readMu.RUnlock()
		return ErrClosed
	}
	return nil
}

// beginMailRead is beginRead of messages: it waits until those of earlier processes are
// where they are read from.
func (s *Store) beginMailRead() error {
	select {
	case <-s.mail.inherited:
	case <-s.health.failedC:
	case <-s.closing:
		return ErrClosed
	}
	return s.beginRead()
}

func (s *Store) endRead() { s.readMu.RUnlock() }
