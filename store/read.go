package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/roostpush/roost/session"
)

// codeAbnormal is the close code of a session that ended without one (RFC 6455
// section 7.1.5).
const codeAbnormal = 1006

// Device returns the record of a device; ok is false when there is none or its
// retention is over. What Opened and Closed noted is seen once it is committed,
// that is LossWindow later in the ordinary case; Flush waits for it. Whoever
// needs to know whether the device is connected right now asks the registry. Not
// for event loops.
func (s *Store) Device(a session.Address) (rec session.Record, ok bool, err error) {
	if err := s.beginRead(); err != nil {
		return rec, false, err
	}
	defer s.endRead()
	f, closer, ok, err := s.get(appendRecordKey(nil, a.Account, a.Device))
	if err != nil || !ok {
		return rec, false, err
	}
	defer closer()
	rec, ok = s.view(a, &f)
	return rec, ok, nil
}

// get reads the facts under a key. They borrow from memory that is valid until
// closer is called; closer is nil unless ok.
func (s *Store) get(key []byte) (f facts, closer func() error, ok bool, err error) {
	value, c, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return f, nil, false, nil
	}
	if err != nil {
		return f, nil, false, fmt.Errorf("store: read in %s: %w", s.cfg.Directory, err)
	}
	if f, err = parseFacts(value); err != nil {
		s.counts.unreadable.Add(1)
		return f, nil, false, c.Close()
	}
	return f, c.Close, true, nil
}

// Account returns the records of an account's devices in the order of their
// names, at most limit and at most AccountDevicesMax. What is said of Device
// holds.
func (s *Store) Account(account string, limit int) ([]session.Record, error) {
	if err := s.beginRead(); err != nil {
		return nil, err
	}
	defer s.endRead()
	limit = min(limit, s.cfg.AccountDevicesMax)
	low := appendRecordKey(nil, account, "")
	high := append(bytes.Clone(low[:len(low)-1]), 1)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return nil, fmt.Errorf("store: read in %s: %w", s.cfg.Directory, err)
	}
	var records []session.Record
	for it.First(); it.Valid() && len(records) < limit; it.Next() {
		a, ok := parseRecordKey(it.Key())
		f, err := parseFacts(it.Value())
		if !ok || err != nil {
			s.counts.unreadable.Add(1)
			continue
		}
		a.Account = account // one string for all
		if rec, ok := s.view(a, &f); ok {
			records = append(records, rec)
		}
	}
	if err := it.Close(); err != nil {
		return nil, fmt.Errorf("store: read in %s: %w", s.cfg.Directory, err)
	}
	return records, nil
}

// view turns facts into a record; ok is false when its retention is over. The
// record keeps nothing of f.
func (s *Store) view(a session.Address, f *facts) (rec session.Record, ok bool) {
	origin := s.origin(f)
	rec = session.Record{
		Address:   a,
		Node:      origin.Node,
		Session:   origin.Text(f.number),
		OpenedMS:  f.openedMS,
		UserAgent: string(f.userAgent),
		Remote:    string(f.remote),
		Attrs:     bytes.Clone(f.attrs),
	}
	endMS, code, open := s.end(f)
	rec.SeenMS = endMS
	if open {
		return rec, true
	}
	rec.ClosedMS, rec.CloseCode = max(endMS, 1), code
	return rec, s.now().Before(time.UnixMilli(endMS).Add(s.cfg.Retention))
}

// origin returns the process that holds or held the session of f.
func (s *Store) origin(f *facts) session.Origin {
	o := session.Origin{Node: string(f.node), Epoch: f.epoch}
	if o.Node == "" {
		o.Node = cmp.Or(s.epochs.of(f).node, s.node)
	}
	return o
}

// end says when the session of f ended, or, when it is open, was last seen. One that
// was left open by a process that is gone ended with the last heartbeat of that.
func (s *Store) end(f *facts) (endMS int64, code uint16, open bool) {
	if f.closed {
		return f.closedMS, f.code, false
	}
	info := s.epochs.of(f)
	return max(f.openedMS, info.seenMS), codeAbnormal, info.lives
}
