package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"github.com/roostpush/roost/session"
)

// facts is what is known of a device's newest session, on whatever node. Its byte
// slices alias the value that it was parsed from.
//
// Facts form a join semilattice: join takes the newer session of two, and of one
// session everything that either knows. So the events of a device may be
// applied in any order, twice, or with some missing, and all orders agree, on every
// node that has some of them. That is what lets Opened and Closed write blindly, lets
// two event loops race, lets a resync repeat what was said before, and lets nodes hand
// each other what they hold.
//
// The newer session is the one with the higher version, since nodes agree on that
// whatever their clocks say; node, epoch and number decide between equal ones. A
// session's version never changes, and within a node later epochs and numbers of an
// address have higher ones.
type facts struct {
	version  uint64 // of the session's opening; 0: written before there were versions
	node     []byte // that holds or held the session; empty: this one, before there were versions
	epoch    uint64 // of the node
	number   uint64 // of the session
	openedMS int64

	detailed  bool // the session's opening was seen, not only its close
	userAgent []byte
	remote    []byte
	attrs     []byte

	closed   bool
	closedMS int64
	code     uint16
}

// A value is: one byte of version and flags, uvarint epoch, uvarint number,
// varint openedMS; when sourced varint version-openedMS and the node, a byte string
// after its uvarint length; when detailed three byte strings; when closed varint
// closedMS-openedMS and uvarint code.
//
// Releases before version and node read a sourced value as unreadable, count it and
// leave it out: going back to one forgets devices until they connect again. Values of
// those releases are read as they are, and are older than all sourced ones.
const (
	valueVersion  = 0x10
	flagDetailed  = 0x01
	flagClosed    = 0x02
	flagSourced   = 0x04
	valueHeadsMax = 1 + 6*binary.MaxVarintLen64 + 4*3 + 1 + session.NodeBytesMax // all but the other byte strings
)

var errBadValue = errors.New("store: a record's value does not parse")

// appendFacts appends the value of f. It allocates nothing when dst has room.
func appendFacts(dst []byte, f *facts) []byte {
	head := byte(valueVersion)
	if f.detailed {
		head |= flagDetailed
	}
	if f.closed {
		head |= flagClosed
	}
	sourced := f.version != 0 || len(f.node) > 0
	if sourced {
		head |= flagSourced
	}
	dst = append(dst, head)
	dst = binary.AppendUvarint(dst, f.epoch)
	dst = binary.AppendUvarint(dst, f.number)
	dst = binary.AppendVarint(dst, f.openedMS)
	if sourced {
		dst = binary.AppendVarint(dst, int64(f.version)-f.openedMS)
		dst = appendString(dst, f.node)
	}
	if f.detailed {
		dst = appendString(dst, f.userAgent)
		dst = appendString(dst, f.remote)
		dst = appendString(dst, f.attrs)
	}
	if f.closed {
		dst = binary.AppendVarint(dst, f.closedMS-f.openedMS)
		dst = binary.AppendUvarint(dst, uint64(f.code))
	}
	return dst
}

func appendString[S string | []byte](dst []byte, s S) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// parseFacts reads a value. The result borrows from it.
func parseFacts(value []byte) (f facts, err error) {
	r := reader{rest: value}
	head := r.byte()
	if head&^(flagDetailed|flagClosed|flagSourced) != valueVersion {
		return f, errBadValue
	}
	f.epoch, f.number, f.openedMS = r.uvarint(), r.uvarint(), r.varint()
	if head&flagSourced != 0 {
		f.version, f.node = uint64(f.openedMS+r.varint()), r.string()
		r.bad = r.bad || f.version == 0 && len(f.node) == 0 || len(f.node) > session.NodeBytesMax
	}
	if f.detailed = head&flagDetailed != 0; f.detailed {
		f.userAgent, f.remote, f.attrs = r.string(), r.string(), r.string()
	}
	if f.closed = head&flagClosed != 0; f.closed {
		f.closedMS = f.openedMS + r.varint()
		code := r.uvarint()
		r.bad = r.bad || code > 0xffff
		f.code = uint16(code)
	}
	if r.bad || len(r.rest) > 0 {
		return facts{}, errBadValue
	}
	return f, nil
}

// reader takes fields off the front of a value; bad is set by the first that is
// missing, and everything after reads as zero.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if n <= 0 || n > len(r.rest) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.take(n)
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	r.take(n)
	return v
}

func (r *reader) string() []byte {
	n := r.uvarint()
	switch {
	case r.bad || n == 0:
		return nil
	case n > uint64(len(r.rest)):
		r.bad = true
		return nil
	}
	return r.take(int(n))
}

// join adds what g knows to f. It is commutative, associative and idempotent.
func (f *facts) join(g *facts) {
	switch f.compare(g) {
	case -1:
		*f = *g
		return
	case 1:
		return
	}
	f.openedMS = max(f.openedMS, g.openedMS)
	f.detailed = f.detailed || g.detailed
	f.userAgent = larger(f.userAgent, g.userAgent)
	f.remote = larger(f.remote, g.remote)
	f.attrs = larger(f.attrs, g.attrs)
	// The earlier close is the true one: a resync closes what it finds gone, at
	// the time of its look, and knows no code.
	if g.closed && (!f.closed || g.closedMS < f.closedMS || g.closedMS == f.closedMS && g.code < f.code) {
		f.closed, f.closedMS, f.code = true, g.closedMS, g.code
	}
}

// compare says which session is the newer one; 0: it is the same.
func (f *facts) compare(g *facts) int {
	return cmp.Or(cmp.Compare(f.version, g.version), bytes.Compare(f.node, g.node),
		cmp.Compare(f.epoch, g.epoch), cmp.Compare(f.number, g.number))
}

// larger orders byte strings so that anything beats nothing.
func larger(a, b []byte) []byte {
	if bytes.Compare(a, b) >= 0 {
		return a
	}
	return b
}

// mergerName is written into the directory; Pebble refuses to open a directory
// with another. It stays as it was before facts had a source: Pebble has no way to
// rename a merger, and all that older releases wrote is joined as they would.
const mergerName = "roost.facts.1"

var merger = &pebble.Merger{
	Name: mergerName,
	Merge: func(_, value []byte) (pebble.ValueMerger, error) {
		m := &factsMerger{}
		m.add(value)
		return m, nil
	},
}

// factsMerger joins the operands of one key. It never reports an error, since an
// error stops compactions for good: an operand that does not parse is left out.
type factsMerger struct {
	sum   facts
	valid bool
	held  []byte // backs sum
}

func (m *factsMerger) add(value []byte) {
	f, err := parseFacts(value)
	if err != nil {
		return
	}
	if m.valid {
		m.sum.join(&f)
	} else {
		m.sum, m.valid = f, true
	}
	// The caller keeps value, so what sum borrows from it is copied.
	m.held = appendFacts(nil, &m.sum)
	m.sum, _ = parseFacts(m.held)
}

func (m *factsMerger) MergeNewer(value []byte) error { m.add(value); return nil }
func (m *factsMerger) MergeOlder(value []byte) error { m.add(value); return nil }

func (m *factsMerger) Finish(bool) ([]byte, io.Closer, error) { return m.held, nil, nil }
