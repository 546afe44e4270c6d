package auth

import "strconv"

// scanner reads one JSON text (RFC 8259) in place, member by member, without
// building a tree. It is stricter than encoding/json where that guesses: invalid
// UTF-8 (checked by the caller), lone surrogates and numbers beyond float64 are
// errors. The first error stays in why; every method returns false from then on.
type scanner struct {
	b     []byte // borrowed
	i     int
	depth int    // levels still allowed
	why   string // what is wrong; empty: nothing yet
	first bool   // the object begun last has no member yet
}

func (s *scanner) fail(why string) bool {
	if s.why == "" {
		s.why = why
	}
	return false
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) expect(c byte, why string) bool {
	if s.peek() != c {
		return s.fail(why)
	}
	s.i++
	return true
}

// begin enters the object that is to be read member by member; there is one level of
// this, members are then taken whole.
func (s *scanner) begin() bool {
	s.first = true
	s.depth--
	return s.expect('{', "it is not a JSON object")
}

// member returns the next member's name, decoded; more is false after the last one
// and after an error. The caller then takes the value with one of the methods below.
func (s *scanner) member() (name []byte, more bool) {
	if s.why != "" {
		return nil, false
	}
	if s.peek() == '}' {
		s.i++
		return nil, false
	}
	if !s.first && !s.expect(',', "',' or '}' is missing in an object") {
		return nil, false
	}
	s.first = false
	if name, more = s.text("a member name is not a string"); !more {
		return nil, false
	}
	return name, s.expect(':', "':' is missing after a member name")
}

// end reports whether nothing follows.
func (s *scanner) end() bool {
	if s.why == "" && (s.peek() != 0 || s.i < len(s.b)) {
		s.fail("data follows the JSON object")
	}
	return s.why == ""
}

// value takes any value and returns its bytes as they stand.
func (s *scanner) value() (raw []byte, ok bool) {
	c := s.peek()
	from := s.i
	switch {
	case s.why != "":
		return nil, false
	case c == '{' || c == '[':
		ok = s.nested(c)
	case c == '"':
		_, _, ok = s.quoted()
	case c == '-' || '0' <= c && c <= '9':
		_, ok = s.number("")
	case c == 't':
		ok = s.literal("true")
	case c == 'f':
		ok = s.literal("false")
	case c == 'n':
		ok = s.literal("null")
	default:
		ok = s.fail("a JSON value is missing")
	}
	return s.b[from:s.i], ok
}

// nested takes an object or an array; it recurses to the depth allowed.
func (s *scanner) nested(open byte) bool {
	if s.depth--; s.depth < 0 {
		return s.fail("it is nested too deeply")
	}
	shut := open + 2 // '}' and ']' stand two after their partners in ASCII
	s.i++
	if s.peek() == shut {
		s.i++
		s.depth++
		return true
	}
	for {
		if open == '{' {
			if s.peek() != '"' {
				return s.fail("a member name is not a string")
			}
			if _, _, ok := s.quoted(); !ok {
				return false
			}
			if !s.expect(':', "':' is missing after a member name") {
				return false
			}
		}
		if _, ok := s.value(); !ok {
			return false
		}
		if s.peek() == shut {
			s.i++
			s.depth++
			return true
		}
		if !s.expect(',', "',' is missing in an object or array") {
			return false
		}
	}
}

func (s *scanner) literal(word string) bool {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return s.fail("a JSON value is missing")
	}
	s.i += len(word)
	return true
}

// boolean takes true or false; why is the error otherwise.
func (s *scanner) boolean(why string) (v, ok bool) {
	switch s.peek() {
	case 't':
		return true, s.literal("true")
	case 'f':
		return false, s.literal("false")
	}
	return false, s.fail(why)
}

// null takes null if it stands next.
func (s *scanner) null() bool { return s.peek() == 'n' && s.literal("null") }

// number takes a number and returns its bytes; why is the error if something else
// stands there.
func (s *scanner) number(why string) (raw []byte, ok bool) {
	s.peek()
	from := s.i
	s.skip('-')
	switch whole := s.i; {
	case s.digits() == 0:
		if why != "" && s.i == from {
			return nil, s.fail(why)
		}
		return nil, s.fail("a number has no digits")
	case s.b[whole] == '0' && s.i-whole > 1:
		return nil, s.fail("a number begins with 0")
	}
	if s.skip('.') && s.digits() == 0 {
		return nil, s.fail("a number has no digits after its '.'")
	}
	exponent := s.skip('e') || s.skip('E')
	if exponent {
		_ = s.skip('+') || s.skip('-')
		if s.digits() == 0 {
			return nil, s.fail("a number has no digits in its exponent")
		}
	}
	raw = s.b[from:s.i]
	// Only an exponent or some 300 digits lead out of float64.
	if exponent || len(raw) > 300 {
		if _, err := strconv.ParseFloat(string(raw), 64); err != nil {
			return nil, s.fail("a number is too large")
		}
	}
	return raw, true
}

func (s *scanner) skip(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) digits() (n int) {
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
		n++
	}
	return n
}

// text takes a string and returns it decoded: borrowed from the input unless it
// holds escapes. why is the error if something else stands there.
func (s *scanner) text(why string) (v []byte, ok bool) {
	if s.why != "" {
		return nil, false
	}
	if s.peek() != '"' {
		return nil, s.fail(why)
	}
	raw, escaped, ok := s.quoted()
	if ok && escaped {
		raw = unescape(raw)
	}
	return raw, ok
}

// quoted takes a string and returns what stands between its quotes, as it stands.
func (s *scanner) quoted() (raw []byte, escaped, ok bool) {
	s.i++
	from := s.i
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return s.b[from : s.i-1], escaped, true
		case c < 0x20:
			return nil, false, s.fail("a string holds a control character")
		case c == '\\':
			escaped = true
			if !s.escape() {
				return nil, false, false
			}
		default:
			s.i++
		}
	}
	return nil, false, s.fail("a string does not end")
}
