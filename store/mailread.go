package store

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/roostpush/roost/session"
)

// Mail appends to dst the messages that wait for a device, in the order of their ids
// after the given one (zero: from the first): at most n, and none that brings their payloads
// above bytesMax, unless it is the first. What is appended owns its bytes.
// It sees what is committed, and not what is settled, on disk or not. It waits for the
// disk; not for event loops.
func (s *Store) Mail(dst []session.Kept, a session.Address, after session.ID, n, bytesMax int) ([]session.Kept, error) {
	if err := s.beginMailRead(); err != nil {
		return dst, err
	}
	defer s.endRead()
	mailbox := appendMailboxKey(nil, a)
	low, high := mailbox, bytes.Clone(mailbox)
	high[len(high)-1]++
	var above []byte
	if after != (session.ID{}) {
		above = appendID(nil, after)
		low = append(append(bytes.Clone(mailbox), above...), 0)
	}
	// What memory knows first: when it gets to the disk meanwhile it is seen twice, not
	// never.
	young, settled := s.mail.mailOf(mailbox, above)
	it, err := s.mail.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return dst, fmt.Errorf("store: read in %s: %w", s.cfg.Directory, err)
	}
	a = session.Address{Account: strings.Clone(a.Account), Device: strings.Clone(a.Device)}
	node := s.node // most often one string for all
	begun := len(dst)
	it.First()
	for n > 0 && (it.Valid() || len(young) > 0) {
		var key, value []byte
		order := 1
		if it.Valid() {
			key = it.Key()[len(mailbox):]
			if order = -1; len(young) > 0 {
				order = bytes.Compare(key, young[0].id)
			}
		}
		if order <= 0 {
			value = it.Value() // borrowed
		} else {
			key, value = young[0].id, young[0].value
		}
		if !slices.ContainsFunc(settled, func(id []byte) bool { return bytes.Equal(id, key) }) {
			id, ok := parseID(key)
			k, err := parseMail(value)
			if ok && err == nil {
				if bytesMax -= len(k.Payload); bytesMax < 0 && len(dst) > begun {
					break
				}
				if order <= 0 {
					k, _ = parseMail(bytes.Clone(value))
				}
				if id.Node != node {
					node = strings.Clone(id.Node)
				}
				id.Node = node
				k.ID, k.Address = id, a
				dst = append(dst, k)
				n--
			} else {
				s.counts.unreadable.Add(1)
			}
		}
		if order >= 0 {
			young = young[1:]
		}
		if order <= 0 {
			it.Next()
		}
	}
	if err := it.Close(); err != nil {
		return dst, fmt.Errorf("store: read in %s: %w", s.cfg.Directory, err)
	}
	return dst, nil
}

// youngMail is one young message, with bytes of its own.
type youngMail struct{ id, value []byte }

// mailOf returns what memory knows of a mailbox: the young messages behind an id, in
// order, and the ids of those that are settled and may still be on the disk.
func (m *mail) mailOf(mailbox, above []byte) (young []youngMail, settled [][]byte) {
	hash := maphash.Bytes(addressSeed, mailbox)
	m.mu.Lock()
	m.eachYoungLocked(func(e *youngEntry, data []byte) {
		if e.address == hash && bytes.Equal(data[e.key:e.id], mailbox) && bytes.Compare(data[e.id:e.end], above) > 0 {
			young = append(young, youngMail{bytes.Clone(data[e.id:e.end]), bytes.Clone(data[e.value:e.valueEnd])})
		}
	})
	settled = m.settledOfLocked(hash, mailbox)
	m.mu.Unlock()
	slices.SortFunc(young, func(a, b youngMail) int { return bytes.Compare(a.id, b.id) })
	return young, settled
}

// mailboxesPortion is after how many messages Mailboxes looks whether the store closes, and
// lets others run: a tenth of a millisecond or less.
const mailboxesPortion = 64

// Mailboxes calls emit for every message that waits when it is called, in the order of
// accounts, devices and ids, without its payload; a start goes through it once, in the
// background. collapse is borrowed until emit returns; the rest may be kept. It ends when
// emit says false, and with ErrClosed when the store closes. When it has gone through all
// of them it sets right how many wait, which a message that was settled twice may have
// made wrong. It waits for the disk; not for event loops.
func (s *Store) Mailboxes(emit func(a session.Address, id session.ID, expiresMS int64, collapse string) bool) error {
	if err := s.beginMailRead(); err != nil {
		return err
	}
	defer s.endRead()
	m := &s.mail
	if err := s.fileYoungNow(); err != nil {
		return err
	}
	m.commitMu.Lock() // the count is of the moment of the iterator
	it, err := m.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyMail}, UpperBound: []byte{keyMail + 1}})
	counted := m.filed
	m.commitMu.Unlock()
	if err != nil {
		return fmt.Errorf("store: read in %s: %w", s.cfg.Directory, err)
	}
	var a session.Address
	var node string
	seen := int64(0)
	for it.First(); it.Valid(); it.Next() {
		if seen++; seen%mailboxesPortion == 0 {
			if s.isClosing() {
				_ = it.Close()
				return ErrClosed
			}
			s.disk.breathe()
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
	m.filed += by
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

// fileYoungNow has the writer file every young message, and waits for it.
func (s *Store) fileYoungNow() error {
	answer := make(chan struct{})
	for _, step := range [...]func() bool{
		func() bool {
			select {
			case s.mail.spills <- answer:
				return true
			case <-s.health.failedC:
			case <-s.closing:
			}
			return false
		},
		func() bool {
			select {
			case <-answer:
				return true
			case <-s.health.failedC:
			case <-s.mail.ended:
			}
			return false
		},
	} {
		if !step() {
			if err := s.health.failure(); err != nil {
				return err
			}
			return ErrClosed
		}
	}
	return nil
}
