package wire

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/roostpush/roost/session"
)

// VersionMax is the highest version of a Change: the table keeps 48 bits.
const VersionMax = 1<<48 - 1

// HeadsMax bounds the heads of one frame; there are not more nodes in a cluster.
const HeadsMax = 1 << 16

// A change is address and account hash, 8 bytes each, and its version shifted left
// once, 7 bytes, whose lowest bit says closed. In a snapshot, where all are open, the
// bit is 0.
const changeBytes = 8 + 8 + 7

// DeltaBytes is the size of a delta's body with that many changes, at most.
func DeltaBytes(changes int) int {
	return 1 + session.NodeBytesMax + 10 + 10 + 10 + changes*changeBytes
}

// SnapshotBytes is the size of a snapshot chunk's body with that many changes, at most.
func SnapshotBytes(changes int) int { return DeltaBytes(changes) + 1 + 5 }

func appendChanges(dst []byte, changes []Change) []byte {
	dst = slices.Grow(dst, len(changes)*changeBytes)
	for i := range changes {
		c := &changes[i]
		v := c.Version << 1
		if c.Closed {
			v |= 1
		}
		dst = binary.BigEndian.AppendUint64(dst, c.Address)
		dst = binary.BigEndian.AppendUint64(dst, c.Account)
		dst = append(dst, byte(v>>48), byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
	return dst
}

// changes reads changes to the end of the body into dst, whose memory is used again.
func (r *linkBody) changes(dst []Change) []Change {
	dst = dst[:0]
	if r.left()%changeBytes != 0 {
		r.fail(CodeTruncated, "changes")
	}
	if r.err != nil {
		return dst
	}
	n := r.left() / changeBytes
	b := r.take(n*changeBytes, "changes")
	dst = slices.Grow(dst, n)[:n]
	for i := range dst {
		e := b[i*changeBytes:][:changeBytes]
		v := binary.BigEndian.Uint64(e[15:]) & (1<<56 - 1) // e[15] is of the account
		dst[i] = Change{
			Address: binary.BigEndian.Uint64(e),
			Account: binary.BigEndian.Uint64(e[8:]),
			Version: v >> 1,
			Closed:  v&1 != 0,
		}
		if v>>1 > VersionMax {
			r.fail(CodeValue, fmt.Sprintf("version %d of change %d is longer than 48 bits", v>>1, i))
			return dst[:0]
		}
	}
	return dst
}

// AppendDelta appends the body of a log delta.
func AppendDelta(dst []byte, d *Delta) []byte {
	dst = appendOrigin(dst, d.Author)
	dst = binary.AppendUvarint(dst, d.First)
	dst = binary.AppendUvarint(dst, d.AtMS)
	return appendChanges(dst, d.Changes)
}

// ParseDelta reads the body of a log delta; Changes is filled again, Author may be
// kept. An error is an *Error.
func ParseDelta(b []byte, d *Delta) error {
	r := linkBody{b: b}
	r.origin(&d.Author)
	d.First = r.uvarint("first")
	d.AtMS = r.uvarint("at_ms")
	d.Changes = r.changes(d.Changes)
	switch {
	case r.err != nil:
	case d.First == 0:
		r.fail(CodeValue, "sequence numbers start at 1")
	case len(d.Changes) == 0:
		r.fail(CodeValue, "a delta without changes")
	case d.First+uint64(len(d.Changes))-1 < d.First:
		r.fail(CodeValue, "sequence numbers beyond 64 bits")
	}
	return r.result()
}

// AppendHeads appends the body of a heads frame.
func AppendHeads(dst []byte, h *Heads) []byte {
	dst = append(dst, boolByte(h.Answer))
	dst = binary.AppendUvarint(dst, uint64(h.SentMS))
	dst = binary.AppendUvarint(dst, uint64(len(h.Heads)))
	for i := range h.Heads {
		dst = appendOrigin(dst, h.Heads[i].Author)
		dst = binary.AppendUvarint(dst, h.Heads[i].Seq)
	}
	return dst
}

// sentMax bounds a time: it must be possible to reckon with it.
const sentMax = 1 << 56

// headBytesMin is the least that a head takes: a node of one byte, epoch, sequence.
const headBytesMin = 4

// ParseHeads reads the body of a heads frame; Heads is filled again, but authors may be
// kept. An error is an *Error.
func ParseHeads(b []byte, h *Heads) error {
	r := linkBody{b: b}
	h.Answer = r.bool("answer")
	h.SentMS = int64(r.bounded("sent", sentMax))
	n := int(r.bounded("heads", HeadsMax))
	if n*headBytesMin > r.left() {
		r.fail(CodeTruncated, "heads")
		n = 0
	}
	h.Heads = slices.Grow(h.Heads[:0], n)[:n] // what was there is compared, see origin
	for i := range h.Heads {
		r.origin(&h.Heads[i].Author)
		h.Heads[i].Seq = r.uvarint("seq")
	}
	return r.end()
}

// AppendLogRequest appends the body of a log request.
func AppendLogRequest(dst []byte, q *LogRequest) []byte {
	return binary.AppendUvarint(appendOrigin(dst, q.Author), q.From)
}

// ParseLogRequest reads the body of a log request. An error is an *Error.
func ParseLogRequest(b []byte, q *LogRequest) error {
	r := linkBody{b: b}
	r.origin(&q.Author)
	q.From = r.uvarint("from")
	return r.end()
}

// AppendSnapshotChunk appends the body of a snapshot chunk.
func AppendSnapshotChunk(dst []byte, s *SnapshotChunk) []byte {
	dst = appendOrigin(dst, s.Author)
	dst = binary.AppendUvarint(dst, s.Seq)
	dst = binary.AppendUvarint(dst, uint64(s.Index))
	return appendChanges(append(dst, boolByte(s.Last)), s.Changes)
}

// ParseSnapshotChunk reads the body of a snapshot chunk; Changes is filled again,
// Author may be kept. An error is an *Error.
func ParseSnapshotChunk(b []byte, s *SnapshotChunk) error {
	r := linkBody{b: b}
	r.origin(&s.Author)
	s.Seq = r.uvarint("seq")
	s.Index = uint32(r.bounded("index", 1<<32-1))
	s.Last = r.bool("last")
	s.Changes = r.changes(s.Changes)
	for i := range s.Changes {
		if s.Changes[i].Closed {
			r.fail(CodeValue, fmt.Sprintf("change %d of a snapshot is a closing", i))
			break
		}
	}
	return r.result()
}
