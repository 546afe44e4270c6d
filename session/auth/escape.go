package auth

import "unicode/utf8"

// escape takes one escape sequence, a pair of surrogates as one.
func (s *scanner) escape() bool {
	rest := s.b[s.i:]
	if len(rest) < 2 {
		return s.fail("a string does not end")
	}
	switch rest[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i += 2
		return true
	case 'u':
		if r, size := unicodeEscape(rest); r != utf8.RuneError || size > 0 {
			s.i += size
			return true
		}
	}
	return s.fail("a string holds an invalid escape")
}

// unicodeEscape decodes \uXXXX or a surrogate pair at the start of b; size is 0 if
// there is none, which includes half a pair.
func unicodeEscape(b []byte) (r rune, size int) {
	r = hex4(b)
	switch {
	case r < 0 || 0xDC00 <= r && r < 0xE000:
		return utf8.RuneError, 0
	case 0xD800 <= r && r < 0xDC00:
		if len(b) < 12 {
			return utf8.RuneError, 0
		}
		low := hex4(b[6:])
		if low < 0xDC00 || low >= 0xE000 {
			return utf8.RuneError, 0
		}
		return (r-0xD800)<<10 + (low - 0xDC00) + 0x10000, 12
	}
	return r, 6
}

// hex4 reads \uXXXX at the start of b, -1 if it does not stand there.
func hex4(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

var plainEscapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape decodes what quoted has found to be right.
func unescape(raw []byte) []byte {
	v := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		switch {
		case raw[i] != '\\':
			v = append(v, raw[i])
			i++
		case raw[i+1] == 'u':
			r, size := unicodeEscape(raw[i:])
			v = utf8.AppendRune(v, r)
			i += size
		default:
			v = append(v, plainEscapes[raw[i+1]])
			i += 2
		}
	}
	return v
}
