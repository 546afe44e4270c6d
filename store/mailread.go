package store

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/roostpush/roost/session"
)

// Mail appends to dst the messages that wait for a device, in the order of their ids
// after the given one (zero: from the first): at most n, and no more once they have
// bytesMax bytes, but at least one when there is one. What is appended owns its bytes.
// It sees what is committed, and not what is settled, on disk or not. It waits for the
// disk; not for event loops.
func (s *Store) Mail(dst []session.Kept, a session.Address, after session.ID, n, bytesMax int) ([]session.Kept, error) {
	if err := s.beginRead(); err != nil {
		return dst, err
	}
	defer s.endRead()
	mailbox := appendMailboxKey(nil, a)
	// First: what gets to the disk meanwhile is not there any more.
	settled := s.mail.settledOf(mailbox)
	low, high := mailbox, bytes.Clone(mailbox)
	high[len(high)-1]++
	if after != (session.ID{}) {
		low = append(appendID(bytes.Clone(mailbox), after), 0)
	}
	it, err := s.mail.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return dst, fmt.Errorf("store: read in %s: %w", s.cfg.Directory, err)
	}
	a = session.Address{Account: strings.Clone(a.Account), Device: strings.Clone(a.Device)}
	node := s.node // most often one string for all
	for it.First(); it.Valid() && n > 0 && bytesMax > 0; it.Next() {
		key := it.Key()[len(mailbox):]
		if slices.ContainsFunc(settled, func(id []byte) bool { return bytes.Equal(id, key) }) {
			continue
		}
		id, ok := parseID(key)
		value := bytes.Clone(it.Value())
		k, err := parseMail(value)
		if !ok || err != nil {
			s.counts.unreadable.Add(1)
			continue
		}
		if id.Node != node {
			node = strings.Clone(id.Node)
		}
		id.Node = node
		k.ID, k.Address = id, a
		dst = append(dst, k)
		n, bytesMax = n-1, bytesMax-len(value)
	}
	if err := it.Close(); err != nil {
		return dst, fmt.Errorf("store: read in %s: %w", s.cfg.Directory, err)
	}
	return dst, nil
}

// mailboxesPortion is after how many messages Mailboxes looks whether the store closes.
const mailboxesPortion = 256

// Mailboxes calls emit for every message that waits when it is called, in the order of
// accounts, devices and ids, without its payload; a start goes through it once, in the
// background. collapse is borrowed until emit returns; the rest may be kept. It ends when
// emit says false, and with ErrClosed when the store closes. When it has gone through all
// of them it sets right how many wait, which a message that was settled twice may have
// made wrong. It waits for the disk; not for event loops.
func (s *Store) Mailboxes(emit func(a session.Address, id session.ID, expiresMS int64, collapse string) bool) error {
	if err := s.beginRead(); err != nil {
		return err
	}
	defer s.endRead()
	m := &s.mail
	m.commitMu.Lock() // the count is of the moment of the iterator
	it, err := m.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyMail}, UpperBound: []byte{keyMail + 1}})
	counted := m.committed
	m.commitMu.Unlock()
	if err != nil {
		return fmt.Errorf("store: read in %s: %w", s.cfg.Directory, err)
	}
	var a session.Address
	var node string
	seen := int64(0)
	for it.First(); it.Valid(); it.Next() {
		if seen++; seen%mailboxesPortion == 0 && s.isClosing() {
			_ = it.Close()
			return ErrClosed
		}
		in, id, ok := parseMailKey(it.Key())
		k, err := parseMail(it.Value())
		if !ok || err != nil {
			s.counts.unreadable.Add(1)
			continue
		}
		if in.Account != a.Account {
			a.Account = strings.Clone(in.Account)
		}
		if in.Device != a.Device {
			a.Device = strings.Clone(in.Device)
		}
		if id.Node != node {
			node = strings.Clone(id.Node)
		}
		id.Node = node
		if !emit(a, id, k.ExpiresMS, k.Collapse) {
			return it.Close()
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("store: read in %s: %w", s.cfg.Directory, err)
	}
	m.correct(seen - counted)
	return nil
}

// correct changes how many messages wait.
func (m *mail) correct(by int64) {
	m.commitMu.Lock()
	defer m.commitMu.Unlock()
	m.committed += by
	m.mu.Lock()
	defer m.mu.Unlock()
	m.messages += by
}

func (s *Store) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}
