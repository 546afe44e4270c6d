package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/roostpush/roost/session"
)

// Outcomes are filed under the second at which they go. Those of OutcomeRetention /
// outcomeBuckets go together, by one range tombstone, however many they are and however
// long others still wait: what waits stands elsewhere (keyWaiting). Whoever asks for an
// id looks into each bucket, of which there are few.
const outcomeBuckets = 8

// An entry's value is: one byte of version, varint of its first outcome's time, then for
// each outcome one byte of the id's number, one of outcome, varint of its time beyond the
// first one's, account and device, each after its uvarint length.
const outcomesVersion = 0x10

var errBadOutcomes = errors.New("store: an entry of outcomes does not parse")

func appendOutcomesHead(dst []byte, baseMS int64) []byte {
	return binary.AppendVarint(append(dst, outcomesVersion), baseMS)
}

func appendOutcome(dst []byte, n session.MessageID, o session.Outcome, afterMS int64, account, device []byte) []byte {
	dst = append(dst, byte(n&(1<<outcomeShareBits-1)), byte(o))
	dst = binary.AppendVarint(dst, afterMS)
	dst = appendString(dst, account)
	return appendString(dst, device)
}

// parseOutcomes calls emit for each outcome of an entry; the strings alias value.
func parseOutcomes(value []byte, emit func(share byte, f Fate)) error {
	r := reader{rest: value}
	version, baseMS := r.byte(), r.varint()
	if version != outcomesVersion {
		return errBadOutcomes
	}
	for len(r.rest) > 0 {
		share, o := r.byte(), session.Outcome(r.byte())
		f := Fate{Outcome: o, AtMS: baseMS + r.varint()}
		f.Account, f.Device = text(r.string()), text(r.string())
		if r.bad || share >= 1<<outcomeShareBits || int(o) >= session.OutcomeCount {
			return errBadOutcomes
		}
		emit(share, f)
	}
	if r.bad {
		return errBadOutcomes
	}
	return nil
}

// Fate is what became of a kept message for one device.
type Fate struct {
	session.Address
	Outcome session.Outcome // Queued while it waits
	AtMS    int64           // since when, Unix milliseconds
}

// Fates returns what became of a message for each of its devices, in the order of their
// names; found is false when the message was never kept, or each of its outcomes is older
// than OutcomeRetention. A message is found once its Post is done, and what Settle noted
// is seen at once. It waits for the disk; not for event loops.
func (s *Store) Fates(id session.ID) (list []Fate, found bool, err error) {
	if err := s.beginMailRead(); err != nil {
		return nil, false, err
	}
	defer s.endRead()
	byAddress := map[session.Address]Fate{}
	final := func(f Fate) {
		if now := s.now().UnixMilli(); now-f.AtMS > s.cfg.OutcomeRetention.Milliseconds() {
			delete(byAddress, f.Address) // it may wait on the disk still
			return
		}
		f.Address = session.Address{Account: strings.Clone(f.Account), Device: strings.Clone(f.Device)}
		byAddress[f.Address] = f
	}
	// What waits for the disk first: it cannot be missed when it gets there meanwhile.
	waiting, ended := s.mail.fatesOf(id)
	for _, f := range waiting {
		byAddress[f.Address] = f
	}
	it, err := s.mail.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyOutcome}, UpperBound: []byte{keyWaiting + 1}})
	if err != nil {
		return nil, false, fmt.Errorf("store: read in %s: %w", s.cfg.Directory, err)
	}
	s.eachWaiting(it, id, func(f Fate) { byAddress[f.Address] = f })
	s.eachOutcome(it, id, final)
	if err := it.Close(); err != nil {
		return nil, false, fmt.Errorf("store: read in %s: %w", s.cfg.Directory, err)
	}
	for _, f := range ended {
		final(f)
	}
	for _, f := range byAddress {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b Fate) int { return strings.Compare(a.String(), b.String()) })
	return list, len(list) > 0, nil
}

// eachWaiting finds the devices that a message waits for.
func (s *Store) eachWaiting(it *pebble.Iterator, id session.ID, emit func(Fate)) {
	prefix := appendWaitingPrefix(nil, id)
	for it.SeekGE(prefix); it.Valid() && hasPrefix(it.Key(), prefix); it.Next() {
		a, ok := parseWaitingKey(it.Key(), len(prefix))
		since, n := binary.Varint(it.Value())
		if !ok || n <= 0 {
			s.counts.unreadable.Add(1)
			continue
		}
		a = session.Address{Account: strings.Clone(a.Account), Device: strings.Clone(a.Device)}
		emit(Fate{Address: a, Outcome: session.Queued, AtMS: since})
	}
}

// eachOutcome finds the outcomes of a message in every bucket, the newest last. What emit
// gets is borrowed.
func (s *Store) eachOutcome(it *pebble.Iterator, id session.ID, emit func(Fate)) {
	share := byte(id.Number & (1<<outcomeShareBits - 1))
	var prefix []byte
	for it.SeekGE([]byte{keyOutcome}); it.Valid(); {
		due, ok := parseDue(it.Key())
		if !ok {
			return
		}
		prefix = appendOutcomePrefix(prefix[:0], due, id)
		for it.SeekGE(prefix); it.Valid() && hasPrefix(it.Key(), prefix); it.Next() {
			err := parseOutcomes(it.Value(), func(of byte, f Fate) {
				if of == share {
					emit(f)
				}
			})
			if err != nil {
				s.counts.unreadable.Add(1)
			}
		}
		if due++; due == 0 {
			return
		}
		it.SeekGE(appendDueKey(prefix[:0], due))
	}
}

func hasPrefix(key, prefix []byte) bool {
	return len(key) >= len(prefix) && string(key[:len(prefix)]) == string(prefix)
}

// outcomeDue returns the second at which outcomes go that are noted at a time.
func (s *Store) outcomeDue(nowMS int64) uint32 {
	width := max(int64(s.cfg.OutcomeRetention.Seconds())/outcomeBuckets, 1)
	due := nowMS/1000 + int64(s.cfg.OutcomeRetention.Seconds()) + 1
	return uint32(min(max((due+width-1)/width*width, 0), 1<<32-1))
}

// sweepOutcomes deletes the outcomes whose time is over, and the oldest ones beyond
// OutcomeBytesMax; the newest bucket stays. A crash may undo it until the next one.
func (s *Store) sweepOutcomes() error {
	cut := uint32(min(max(s.now().Unix(), 0), 1<<32-1))
	full, err := s.outcomesBeyond(cut)
	if err != nil {
		return err
	}
	if full > cut {
		s.mail.count.forgotten.Add(1)
		cut = full
	}
	low, high := []byte{keyOutcome}, appendDueKey(nil, cut)
	it, err := s.mail.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return err
	}
	any := it.First()
	if err := it.Close(); err != nil || !any {
		return err
	}
	s.mail.count.sweeps.Add(1)
	return s.mail.db.DeleteRange(low, high, pebble.NoSync)
}

// outcomesBeyond returns the second below which outcomes have to go so that the others
// are within OutcomeBytesMax.
func (s *Store) outcomesBeyond(cut uint32) (uint32, error) {
	it, err := s.mail.db.NewIter(&pebble.IterOptions{LowerBound: appendDueKey(nil, cut), UpperBound: []byte{keyOutcome + 1}})
	if err != nil {
		return 0, err
	}
	it.Last()
	for newest := true; it.Valid(); newest = false {
		due, ok := parseDue(it.Key())
		if !ok {
			break
		}
		bound := appendDueKey(nil, due)
		bytes, err := s.mail.db.EstimateDiskUsage(bound, []byte{keyOutcome + 1})
		if err != nil {
			return 0, errors.Join(err, it.Close())
		}
		if bytes > uint64(s.cfg.OutcomeBytesMax) && !newest {
			return due + 1, it.Close()
		}
		it.SeekLT(bound)
	}
	return 0, it.Close()
}
