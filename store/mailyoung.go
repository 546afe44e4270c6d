// HOT PATH: most messages never leave here.

package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/roostpush/roost/session"
)

// Most messages are settled within a second of being kept, and to file each under two keys
// and take it out again would be most of what it costs. So a message is young at first: it
// is on disk in one value with all of its group (keyYoung), and in memory, with an index.
// A settlement takes it off the index and is on disk as two small numbers in one value
// with all of its own group (keyYoungEnds). When nothing of a group is left, its value
// goes; and so does, after MailYoungAge or beyond MailYoungBytesMax, what is left: those
// messages are filed under their devices, in one batch with the end of the value. The
// value of a group's ends goes when all groups are gone that it can speak of, which are
// that one and earlier ones.
//
// Every one of these keys names the process and the group, so it is set once, and
// SingleDelete is right. Whatever young messages the last process left are filed right behind
// a start, before anybody reads.

const (
	// youngPayloadBytesMax is the largest payload that is worth having in memory.
	youngPayloadBytesMax = 4 << 10
	youngEntriesMax      = 1 << 16 // of a group
)

// youngGroup is what a group has of young messages.
type youngGroup struct {
	young   []byte // as on disk: for each message its key and its value, each after its uvarint length
	entries []youngEntry
	live    int       // of the entries, without settled ones
	since   time.Time // on disk since
}

// youngEntry is one message. The offsets are those of the key, of the id in it, of the
// key's end, and of the value.
type youngEntry struct {
	address         uint64 // hash of the mailbox
	hash            uint64 // of the key
	number          session.MessageID
	key, id, end    uint32
	value, valueEnd uint32
	settled         bool
}

// postYoungLocked adds a message to a group; false: it has to be filed, since another has
// the hash of its key.
func (m *mail) postYoungLocked(g *mailGroup, k *session.Kept) bool {
	start := len(g.young)
	mailbox := mailboxKeyBytes(k.Address)
	b := binary.AppendUvarint(g.young, uint64(mailbox+idHeadBytes+len(k.Node)))
	key := len(b)
	b = appendID(appendMailboxKey(b, k.Address), k.ID)
	end := len(b)
	hash := maphash.Bytes(addressSeed, b[key:end]) & m.hashMask
	if !m.index.add(k.Number, hash, youngRef{g, len(g.entries)}) {
		g.young = b[:start]
		return false
	}
	var room [mailHeadBytesMax + 512]byte
	head := appendMailHead(room[:0], k)
	b = binary.AppendUvarint(b, uint64(len(head)+len(k.Payload)))
	value := len(b)
	g.young = append(append(b, head...), k.Payload...)
	g.entries = append(g.entries, youngEntry{
		address: maphash.Bytes(addressSeed, g.young[key:key+mailbox]), hash: hash, number: k.Number,
		key: uint32(key), id: uint32(key + mailbox), end: uint32(end), value: uint32(value), valueEnd: uint32(len(g.young)),
	})
	g.live++
	g.posted++
	return true
}

// settleYoungLocked takes the message with a key off the index and notes in g that it
// ended; false: it is not young.
func (m *mail) settleYoungLocked(g *mailGroup, n session.MessageID, key []byte) bool {
	hash := maphash.Bytes(addressSeed, key) & m.hashMask
	ref, ok := m.index.find(n, hash)
	if !ok {
		return false
	}
	e := ref.entry()
	if !bytes.Equal(ref.group.young[e.key:e.end], key) {
		return false
	}
	m.index.remove(n, hash)
	e.settled = true
	ref.group.live--
	g.ends = binary.AppendUvarint(g.ends, g.seq-ref.group.seq)
	g.ends = binary.AppendUvarint(g.ends, uint64(ref.at))
	return true
}

// eachYoungLocked finds the young messages that are on disk. Of groups that are leaving
// some may be settled.
func (m *mail) eachYoungLocked(emit func(e *youngEntry, data []byte)) {
	for _, groups := range [...][]*mailGroup{m.leaving, m.young} {
		for _, g := range groups {
			for i := range g.entries {
				if !g.entries[i].settled {
					emit(&g.entries[i], g.young)
				}
			}
		}
	}
}

// ageLocked sorts the young groups: it returns of which nothing is left, and takes those
// out of the index, to leaving, that are older than age or more than bytesMax.
func (m *mail) ageLocked(now time.Time, age time.Duration, bytesMax int, gone []uint64) []uint64 {
	stay := m.young[:0]
	for _, g := range m.young {
		switch {
		case g.live == 0:
			gone = append(gone, g.seq)
			m.youngBytes -= len(g.young)
			m.freeLocked(g)
		case now.Sub(g.since) >= age || m.youngBytes > bytesMax:
			m.youngBytes -= len(g.young)
			m.leaving = append(m.leaving, g)
			for i := range g.entries {
				if e := &g.entries[i]; !e.settled {
					m.index.remove(e.number, e.hash)
				}
			}
		default:
			stay = append(stay, g)
		}
	}
	clear(m.young[len(stay):])
	m.young = stay
	return gone
}

// frontLocked returns the oldest group that anything can be young in.
func (m *mail) frontLocked() uint64 {
	switch {
	case len(m.young) > 0:
		return m.young[0].seq
	case len(m.writing) > 0:
		return m.writing[0].seq
	}
	return m.seq + 1
}

// file adds to a batch what files the rest of a group.
func (g *mailGroup) file(b *pebble.Batch, epoch uint64) error {
	for i := range g.entries {
		if e := &g.entries[i]; !e.settled {
			if err := fileYoung(b, g.young[e.key:e.end], g.young[e.value:e.valueEnd]); err != nil {
				return err
			}
		}
	}
	return b.SingleDelete(appendGroupKey(nil, keyYoung, epoch, g.seq), nil)
}

// fileYoung files one message.
func fileYoung(b *pebble.Batch, key, value []byte) error {
	a, id, ok := parseMailKey(key)
	k, err := parseMail(value)
	if !ok || err != nil {
		return errBadMail
	}
	setWaiting(b, a, id, k.SentMS)
	return b.Set(key, value, nil)
}

// appendGroupKey appends the key of what a group has of one kind.
func appendGroupKey(dst []byte, kind byte, epoch, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(append(dst, kind), epoch), seq)
}

// groupName is a group of any process.
type groupName struct{ epoch, seq uint64 }

func parseGroupKey(key []byte) (n groupName, ok bool) {
	if len(key) != 1+8+8 {
		return n, false
	}
	return groupName{binary.BigEndian.Uint64(key[1:]), binary.BigEndian.Uint64(key[9:])}, true
}

// parseYoung calls emit for each message of a group's value; both slices alias it.
func parseYoung(value []byte, emit func(key, value []byte) error) error {
	for r := (reader{rest: value}); len(r.rest) > 0; {
		key, value := r.string(), r.string()
		if r.bad {
			return errBadMail
		}
		if err := emit(key, value); err != nil {
			return err
		}
	}
	return nil
}

// parseEnds calls emit for each young message that ended: how many groups before, and
// which one there.
func parseEnds(value []byte, emit func(before, at uint64)) error {
	for r := (reader{rest: value}); len(r.rest) > 0; {
		before, at := r.uvarint(), r.uvarint()
		if r.bad {
			return errBadMail
		}
		emit(before, at)
	}
	return nil
}

// inherit files the young messages that earlier processes left, on a goroutine of its own:
// a start does not wait for it, but everybody who reads messages does (beginMailRead). Nobody can
// settle one of them before it is read. When the store closes meanwhile the next start does the
// rest, and who waits hears of the closing.
func (s *Store) inherit() {
	defer s.done.Done()
	whole := false
	if s.guard("filing of the messages of before the start", func() (err error) {
		whole, err = s.fileInherited()
		return err
	}) == nil && whole {
		close(s.mail.inherited)
	}
}

// fileInherited reports whether all of them are filed; if not, the store closes.
func (s *Store) fileInherited() (whole bool, err error) {
	type end struct {
		groupName
		at uint64
	}
	ended := map[end]struct{}{}
	last := s.mail.db.NewBatch()
	defer last.Close()
	err = s.eachInherited(keyYoungEnds, func(key, value []byte, n groupName) error {
		if parseEnds(value, func(before, at uint64) { ended[end{groupName{n.epoch, n.seq - before}, at}] = struct{}{} }) != nil {
			s.counts.unreadable.Add(1)
		}
		return last.SingleDelete(key, nil)
	})
	if err != nil {
		return false, err
	}
	err = s.eachInherited(keyYoung, func(key, value []byte, n groupName) error {
		if s.isClosing() {
			return ErrClosed
		}
		b := s.mail.db.NewBatch()
		defer b.Close()
		at := uint64(0)
		err := parseYoung(value, func(key, value []byte) error {
			at++
			if _, is := ended[end{n, at - 1}]; is {
				return nil
			}
			return fileYoung(b, key, value)
		})
		if errors.Is(err, errBadMail) {
			s.counts.unreadable.Add(1)
		} else if err != nil {
			return err
		}
		if err := b.SingleDelete(key, nil); err != nil {
			return err
		}
		s.disk.breathe()
		return s.mail.db.Apply(b, pebble.NoSync)
	})
	if errors.Is(err, ErrClosed) {
		return false, nil
	}
	if err != nil || last.Empty() {
		return err == nil, err
	}
	return true, s.mail.db.Apply(last, pebble.NoSync)
}

// eachInherited goes through the values of one kind that earlier processes left.
func (s *Store) eachInherited(kind byte, emit func(key, value []byte, n groupName) error) error {
	it, err := s.mail.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: appendGroupKey(nil, kind, s.epoch, 0)})
	if err != nil {
		return err
	}
	for it.First(); it.Valid(); it.Next() {
		n, ok := parseGroupKey(it.Key())
		if !ok {
			s.counts.unreadable.Add(1)
			continue
		}
		if err := emit(it.Key(), it.Value(), n); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	return it.Close()
}
