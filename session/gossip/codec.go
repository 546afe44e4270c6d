package gossip

import "encoding/binary"

// What is written here is read by other versions of ours, so every form ends in "what
// follows is ignored": a minor version may append.

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// scanner takes values off the front of what a stranger sent. The first that is not
// there makes it bad, and everything after it zero.
type scanner struct {
	rest []byte
	bad  bool
}

func (s *scanner) uvarint() uint64 {
	v, n := binary.Uvarint(s.rest)
	if n <= 0 {
		s.fail()
		return 0
	}
	s.rest = s.rest[n:]
	return v
}

func (s *scanner) byte() byte {
	b := s.bytes(1)
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

// bytes returns the next n bytes, borrowed.
func (s *scanner) bytes(n uint64) []byte {
	if n > uint64(len(s.rest)) {
		s.fail()
		return nil
	}
	b := s.rest[:n]
	s.rest = s.rest[n:]
	return b
}

// text returns a copy of a text of at most so many bytes.
func (s *scanner) text(most int) string {
	n := s.uvarint()
	if n > uint64(most) {
		s.fail()
		return ""
	}
	return string(s.bytes(n))
}

func (s *scanner) fail() { s.rest, s.bad = nil, true }
