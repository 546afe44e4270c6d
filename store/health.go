package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"
)

// ErrFailed is in the chain of every error that a store returns after it failed
// for good; Health says why. Only a new process can open the directory again.
var ErrFailed = errors.New("failed for good")

// ErrClosed is returned by reads after Close.
var ErrClosed = errors.New("store: closed")

// health gathers what Pebble, the disk and the writer say about themselves. Its
// methods are called from Pebble's event hooks, some with Pebble's mutex held,
// so they do nothing but note.
type health struct {
	mu         sync.Mutex
	failed     error         // for good
	failedC    chan struct{} // closed when failed is set
	records    trouble       // of the database of records
	messages   trouble       // of that of messages
	stall      string        // why Pebble holds writes back; "": it does not
	stallSince time.Time
	busySince  time.Time // begin of the commit that is in progress; zero: none
}

// trouble is what one of the two databases has said about its files.
type trouble struct {
	damaged    string // a file that does not read
	background string // the newest error of a flush or compaction, until one works
}

// in says what is wrong in a directory; nil: nothing is.
func (t *trouble) in(directory string) error {
	switch {
	case t.damaged != "":
		return fmt.Errorf("store: damaged file in %s: %s", directory, t.damaged)
	case t.background != "":
		return fmt.Errorf("store: writing tables in %s fails: %s", directory, t.background)
	}
	return nil
}

func (h *health) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failed == nil {
		h.failed = err
		close(h.failedC)
	}
}

func (h *health) failure() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failed
}

func (h *health) note(f func(*health)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h)
}

// Health returns nil, or the reason why this node should take no new traffic, as
// /readyz shows it: the store failed, the disk is full or slow, commits stall, a
// file is damaged. Any goroutine may call it; it never waits for the disk.
func (s *Store) Health() error {
	if err := s.MailHealth(); err != nil {
		return err
	}
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.records.damaged != "":
	case h.stall != "" && time.Since(h.stallSince) > s.cfg.StallAfter:
		return fmt.Errorf("store: writes stalled for %v: %s", time.Since(h.stallSince).Round(time.Second), h.stall)
	case !h.busySince.IsZero() && time.Since(h.busySince) > s.cfg.StallAfter:
		return fmt.Errorf("store: stalled: one commit takes %v", time.Since(h.busySince).Round(time.Second))
	}
	return h.records.in(s.cfg.Directory)
}

// MailHealth is Health as far as it concerns messages that are to be kept: what is wrong
// with the files of records, which are soft state, is none of their business. Any goroutine
// may call it; it never waits for the disk.
func (s *Store) MailHealth() error {
	if err := s.health.failure(); err != nil {
		return err
	}
	if op := s.disk.slowest(s.cfg.StallAfter); op != "" {
		return fmt.Errorf("store: %s (%d bytes of events wait in memory, at most %d)", op, s.journalBytes(), s.cfg.JournalBytesMax)
	}
	s.mail.mu.Lock()
	since := s.mail.since
	s.mail.mu.Unlock()
	if !since.IsZero() && time.Since(since) > s.cfg.StallAfter {
		return fmt.Errorf("store: stalled: one commit of messages takes %v", time.Since(since).Round(time.Second))
	}
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	return s.health.messages.in(filepath.Join(s.cfg.Directory, mailDirectory))
}
