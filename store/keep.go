package store

import (
	"bytes"
	"errors"
	"fmt"
	"unsafe"

	"github.com/cockroachdb/pebble/v2"

	"github.com/roostpush/roost/session"
)

// This is what several nodes need of a store beside their own sessions: facts that
// others send because this node is the home of the account, and facts that are here
// and belong elsewhere (DESIGN.md decision 7).

// Keep notes a fact of any node; it is borrowed. The rules of Opened hold. False says
// that it was dropped, because the journal is full or the store has failed. A fact of
// this node is lost then, and counts as such; that of another is not, since that node
// keeps it when it hears so.
func (s *Store) Keep(f *session.Fact) bool {
	s.shared.Store(true)
	own := facts{version: f.Version, node: borrow(f.Node), epoch: f.Epoch, number: f.Number, openedMS: f.OpenedMS,
		closed: f.Closed, closedMS: f.ClosedMS, code: f.CloseCode}
	if f.Detailed {
		s.detail(&own, f)
	}
	if f.SeenMS > 0 {
		s.epochs.saw(f.Origin, f.SeenMS)
	}
	kind := byte(eventKept)
	if f.Node == s.node {
		kind = eventStoodIn
	}
	return s.add(kind, f.Account, f.Device, &own)
}

// text views bytes as a string; the rules of borrow hold.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Committed has f called once everything that was noted so far is on disk, by the
// writer, which waits for it. It is not called when the store fails or closes first.
func (s *Store) Committed(f func()) {
	j := &s.journal
	j.mu.Lock()
	j.told = append(j.told, f)
	first := j.waiting == 0
	j.mu.Unlock()
	if first {
		signal(j.wake)
	}
}

// Held is a fact that this store has on disk.
type Held struct {
	session.Fact
	key, value []byte
}

// Held looks at the next n records after a key, nil for the first ones, and returns
// those of accounts for which elsewhere is true, and the key to go on after; nil at the
// end. It waits for the disk. What was noted shortly before is seen after a Flush.
func (s *Store) Held(after []byte, n int, elsewhere func(account string) bool) (list []Held, next []byte, err error) {
	if err := s.beginRead(); err != nil {
		return nil, nil, err
	}
	defer s.endRead()
	low := []byte{keyRecord}
	if after != nil {
		low = append(bytes.Clone(after), 0)
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: []byte{keyRecord + 1}})
	if err != nil {
		return nil, nil, fmt.Errorf("store: read in %s: %w", s.cfg.Directory, err)
	}
	account, wanted, known := "", false, false
	for it.First(); it.Valid(); it.Next() {
		if n--; n < 0 {
			return list, next, it.Close()
		}
		next = append(next[:0], it.Key()...)
		a, ok := parseRecordKey(it.Key())
		if !ok || session.CheckName("account", a.Account) != nil || session.CheckName("device", a.Device) != nil {
			s.counts.unreadable.Add(1) // no node would take it
			continue
		}
		if !known || a.Account != account {
			account, wanted, known = a.Account, elsewhere(a.Account), true
		}
		if !wanted {
			continue
		}
		h := Held{key: bytes.Clone(it.Key()), value: bytes.Clone(it.Value())}
		f, err := parseFacts(h.value)
		if err != nil {
			s.counts.unreadable.Add(1)
			continue
		}
		h.Fact = s.fact(a, &f)
		list = append(list, h)
	}
	return list, nil, it.Close()
}

// fact turns facts into what other nodes understand. It aliases f.
func (s *Store) fact(a session.Address, f *facts) session.Fact {
	out := session.Fact{Address: a, Origin: s.origin(f), Number: f.number, Version: f.version, OpenedMS: f.openedMS,
		Detailed: f.detailed, UserAgent: text(f.userAgent), Remote: text(f.remote), Attrs: f.attrs,
		Closed: f.closed, ClosedMS: f.closedMS, CloseCode: f.code}
	if f.version == 0 {
		// Written before there were versions, which are times as well.
		out.Version = uint64(max(f.openedMS, 0))
	}
	if !f.closed {
		// Whoever keeps it may never have heard of that process.
		out.SeenMS = s.epochs.of(f).seenMS
	}
	return out
}

// Release deletes facts that are kept elsewhere now, except those that have become
// newer meanwhile, and returns how many are gone. It waits for the disk.
func (s *Store) Release(list []Held) (released int, err error) {
	if err := s.beginRead(); err != nil {
		return 0, err
	}
	defer s.endRead()
	err = s.guard("release", func() (err error) {
		released, err = s.release(list)
		return err
	})
	return released, err
}

func (s *Store) release(list []Held) (released int, err error) {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	b := s.db.NewBatch()
	defer b.Close()
	for _, h := range list {
		value, closer, err := s.db.Get(h.key)
		if errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err != nil {
			return 0, err
		}
		same := bytes.Equal(value, h.value)
		if err := closer.Close(); err != nil {
			return 0, err
		}
		if !same {
			continue
		}
		if err := b.Delete(h.key, nil); err != nil {
			return 0, err
		}
		released++
	}
	// The expiry index keeps its entries: the sweeper finds that their records are gone.
	return released, s.db.Apply(b, pebble.NoSync)
}
