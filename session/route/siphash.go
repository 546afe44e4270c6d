package route

import (
	"encoding/binary"
	"math/bits"
)

// sip is the state of SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast
// short-input PRF", 2012, section 2.1), fed in whole words.
type sip struct {
	v0, v1, v2, v3 uint64
	words          uint64
}

func (k Key) start() sip {
	k0, k1 := binary.LittleEndian.Uint64(k[:8]), binary.LittleEndian.Uint64(k[8:])
	return sip{v0: k0 ^ 0x736f6d6570736575, v1: k1 ^ 0x646f72616e646f6d, v2: k0 ^ 0x6c7967656e657261, v3: k1 ^ 0x7465646279746573}
}

func (s *sip) round() {
	s.v0 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 13) ^ s.v0
	s.v0 = bits.RotateLeft64(s.v0, 32)
	s.v2 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 16) ^ s.v2
	s.v0 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 21) ^ s.v0
	s.v2 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 17) ^ s.v2
	s.v2 = bits.RotateLeft64(s.v2, 32)
}

func (s *sip) compress(m uint64) {
	s.v3 ^= m
	s.round()
	s.round()
	s.v0 ^= m
}

// word feeds 8 bytes of the message.
func (s *sip) word(m uint64) {
	s.words++
	s.compress(m)
}

// text feeds the length of a string and the string, padded with zeros.
func (s *sip) text(t string) {
	s.word(uint64(len(t)))
	for ; len(t) >= 8; t = t[8:] {
		s.word(uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 |
			uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56)
	}
	if len(t) > 0 {
		s.word(tail(t))
	}
}

// tail returns the bytes of a string shorter than 8 as the low bytes of a word.
func tail(t string) (m uint64) {
	for i := range len(t) {
		m |= uint64(t[i]) << (8 * i)
	}
	return m
}

// finish ends a message of whole words.
func (s *sip) finish() uint64 { return s.finishWith(s.words * 8 << 56) }

// finishWith ends a message with the block that holds its last bytes and, highest,
// the lowest byte of its length.
func (s *sip) finishWith(last uint64) uint64 {
	s.compress(last)
	s.v2 ^= 0xff
	for range 4 {
		s.round()
	}
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}
