package wire

import (
	"encoding/binary"
	"math/bits"
)

// DepthMax bounds how deep a payload may nest. The scanner keeps one bit a level
// on its stack; nothing that people write comes near 512.
const DepthMax = 512

// scanner reads one JSON text (RFC 8259) without building anything. Whether the
// bytes are UTF-8 its callers have checked. The first error stays; every method
// that finds or has found one returns false.
type scanner struct {
	b         []byte // borrowed
	i         int    // the next byte
	code, why string // of the first error
}

func (s *scanner) fail(code, why string) bool {
	if s.code == "" {
		s.code, s.why = code, why
	}
	return false
}

// peek skips white space and returns the next byte; 0, which JSON nowhere allows,
// stands for the end.
func (s *scanner) peek() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\n', '\t', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// expect takes one byte that must come next.
func (s *scanner) expect(c byte, why string) bool {
	if s.peek() != c {
		return s.fail(CodeJSON, why)
	}
	s.i++
	return true
}

// end reports whether nothing but white space follows.
func (s *scanner) end() bool {
	s.peek()
	if s.i < len(s.b) {
		return s.fail(CodeJSON, "there is something behind the JSON text")
	}
	return true
}

// value takes one whole value of any kind. It does not recurse: a bit for each
// level says whether that is an object.
func (s *scanner) value() bool {
	var objects [DepthMax / 64]uint64
	depth := 0
	for {
		c := s.peek()
		switch {
		case c == '"':
			if !s.str() {
				return false
			}
		case c == '{' || c == '[':
			if depth == DepthMax {
				return s.fail(CodeDepth, "nested too deeply")
			}
			s.i++
			if s.peek() == c+2 { // '}' or ']'
				s.i++
				break
			}
			objects[depth/64] &^= 1 << (depth % 64)
			if c == '{' {
				objects[depth/64] |= 1 << (depth % 64)
				if !s.name() {
					return false
				}
			}
			depth++
			continue
		case c == '-' || c >= '0' && c <= '9':
			if !s.number() {
				return false
			}
		default:
			if !s.literal(c) {
				return false
			}
		}
		// A value has ended; so may the levels around it.
		for more := false; !more; {
			if depth == 0 {
				return true
			}
			object := objects[(depth-1)/64]>>((depth-1)%64)&1 == 1
			switch c := s.peek(); {
			case c == ',':
				s.i++
				if object && !s.name() {
					return false
				}
				more = true
			case c == '}' && object, c == ']' && !object:
				s.i++
				depth--
			case object:
				return s.fail(CodeJSON, "expected ',' or '}' in an object")
			default:
				return s.fail(CodeJSON, "expected ',' or ']' in an array")
			}
		}
	}
}

// name takes a member's name and its colon.
func (s *scanner) name() bool {
	if s.peek() != '"' {
		return s.fail(CodeJSON, "expected a member's name in an object")
	}
	return s.str() && s.expect(':', "expected ':' behind a member's name")
}

// str takes a string, from quote to quote.
func (s *scanner) str() bool {
	b, i := s.b, s.i+1
	for {
		// Eight bytes at a time while none of them is a quote, a backslash or a
		// control character.
		for i+8 <= len(b) {
			if n := special(binary.LittleEndian.Uint64(b[i:])); n < 8 {
				i += n
				break
			}
			i += 8
		}
		if i >= len(b) {
			s.i = len(b)
			return s.fail(CodeJSON, "a string does not end")
		}
		switch c := b[i]; {
		case c == '"':
			s.i = i + 1
			return true
		case c == '\\':
			n := escapeLength(b[i:])
			if n == 0 {
				s.i = i
				return s.fail(CodeJSON, "an escape in a string that JSON does not have")
			}
			i += n
		case c < ' ':
			s.i = i
			return s.fail(CodeJSON, "a control character in a string must be escaped")
		default:
			i++
		}
	}
}

// special returns the index of the first byte of w, lowest first, that ends a run
// of plain string bytes, 8 if there is none. It is exact for the lowest such byte:
// borrows only travel upwards (Hacker's Delight, section 6-1).
func special(w uint64) int {
	const lows, highs = 0x0101010101010101, 0x8080808080808080
	quote, slash := w^lows*'"', w^lows*'\\'
	hits := (w-lows*0x20)&^w | (quote-lows)&^quote | (slash-lows)&^slash
	return bits.TrailingZeros64(hits&highs) / 8
}

// escapeLength returns the length of the escape at the beginning of b, 0 if it is
// not one.
func escapeLength(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b[2:]); ok {
			return 6
		}
	}
	return 0
}

// hex4 reads four hexadecimal digits.
func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number takes a number.
func (s *scanner) number() bool {
	if s.b[s.i] == '-' {
		s.i++
	}
	whole := s.i
	if !s.digits() {
		return s.fail(CodeJSON, "a number lacks digits")
	}
	if s.b[whole] == '0' && s.i > whole+1 {
		s.i = whole
		return s.fail(CodeJSON, "a number begins with a needless 0")
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if !s.digits() {
			return s.fail(CodeJSON, "a number lacks digits behind its point")
		}
	}
	if s.i < len(s.b) && s.b[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if !s.digits() {
			return s.fail(CodeJSON, "a number lacks digits in its exponent")
		}
	}
	return true
}

// digits takes a run of digits; false if there is none.
func (s *scanner) digits() bool {
	from := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > from
}

// literal takes true, false or null, whose first byte is c.
func (s *scanner) literal(c byte) bool {
	word := "null"
	switch c {
	case 't':
		word = "true"
	case 'f':
		word = "false"
	case 'n':
	case 0:
		if s.i == len(s.b) {
			return s.fail(CodeJSON, "it ends before a value does")
		}
		fallthrough
	default:
		return s.fail(CodeJSON, "expected a value")
	}
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return s.fail(CodeJSON, "expected a value")
	}
	s.i += len(word)
	return true
}
