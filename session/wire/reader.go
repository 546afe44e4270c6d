package wire

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"unicode/utf8"

	"github.com/roostpush/roost/session"
)

// scratchBytesMax is the scratch that a reader keeps from one frame to the next; a
// rare large one is given back to the collector.
const scratchBytesMax = 64 << 10

// span is the place of a value: b[from:to]; to is 0 where there is none.
type span struct{ from, to int }

// reader reads one JSON object into a table of where the values of the members
// are that the contract names, then takes those values as the types they should
// have. Of a member that is there twice the last one counts, as in encoding/json,
// and null means absent. The first error stays; every method returns a zero value
// from then on.
type reader struct {
	b       []byte // borrowed
	at      [memberCount]span
	scratch []byte // decoded strings
	err     Error  // Code is empty while all is well
}

// fail keeps the first error.
func (r *reader) fail(code string, offset int, detail string) {
	if r.err.Code == "" {
		r.err = Error{Code: code, Detail: detail, Offset: offset}
	}
}

// result returns what went wrong, if anything did.
func (r *reader) result() error {
	if r.err.Code == "" {
		return nil
	}
	e := r.err // a copy, so that only a faulty frame costs an allocation
	return &e
}

// read reads the whole of b, which must be one object.
func (r *reader) read(b []byte) {
	*r = reader{b: b, scratch: r.scratch[:0]}
	if cap(r.scratch) > scratchBytesMax {
		r.scratch = nil
	}
	if !utf8.Valid(b) {
		r.fail(CodeJSON, validUpTo(b), "it is not UTF-8")
		return
	}
	s := scanner{b: b}
	if r.members(&s) {
		s.end()
	}
	if s.code != "" {
		r.fail(s.code, s.i, s.why)
	}
}

// readMember reads the object that is another reader's member.
func (r *reader) readMember(outer *reader, m member) {
	*r = reader{b: outer.b, scratch: r.scratch[:0]}
	at := outer.at[m]
	s := scanner{b: outer.b[:at.to], i: at.from}
	if outer.err.Code == "" && !r.members(&s) {
		outer.fail(CodeValue, s.i, names[m]+" is not an object")
	}
}

// inherit takes over what a reader of one of its members found wrong.
func (r *reader) inherit(inner *reader) {
	if e := &inner.err; e.Code != "" {
		r.fail(e.Code, e.Offset, e.Detail)
	}
}

// members notes where the values of an object's members are.
func (r *reader) members(s *scanner) bool {
	if !s.expect('{', "expected a JSON object") {
		return false
	}
	if s.peek() == '}' {
		s.i++
		return true
	}
	for {
		s.peek()
		from := s.i
		if !s.name() {
			return false
		}
		m := r.memberAt(from)
		s.peek()
		v := span{from: s.i}
		if !s.value() {
			return false
		}
		if v.to = s.i; m != memberUnknown {
			r.at[m] = v
		}
		if s.peek() != ',' {
			return s.expect('}', "expected ',' or '}' in an object")
		}
		s.i++
	}
}

// memberAt returns the member whose name, in quotes, begins at from.
func (r *reader) memberAt(from int) member {
	// No name of the contract is longer than a dozen bytes; escaped, six times that.
	inside := r.b[from+1 : min(len(r.b), from+1+6*16)]
	for i, c := range inside {
		switch c {
		case '"':
			return memberNamed(inside[:i])
		case '\\':
			return r.memberEscaped(from)
		}
	}
	return memberUnknown
}

func (r *reader) memberEscaped(from int) member {
	s := scanner{b: r.b, i: from}
	s.str()
	var room [6 * 16]byte
	return memberNamed(appendUnescaped(room[:0], r.b[from+1:s.i-1]))
}

// value returns the bytes of a member; nil when it is absent or null.
func (r *reader) value(m member) []byte {
	at := r.at[m]
	if r.err.Code != "" || at.to == 0 || r.b[at.from] == 'n' {
		return nil
	}
	return r.b[at.from:at.to]
}

// has reports whether a member is there and not null.
func (r *reader) has(m member) bool { return r.value(m) != nil }

// bad notes that a member's value cannot be what it is.
func (r *reader) bad(m member, why string) {
	r.fail(CodeValue, r.at[m].from, names[m]+" "+why)
}

// decode returns what the JSON string v stands for, borrowed from the input where
// nothing is escaped.
func (r *reader) decode(v []byte) []byte {
	inside := v[1 : len(v)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return inside
	}
	from := len(r.scratch)
	r.scratch = appendUnescaped(r.scratch, inside)
	return r.scratch[from:len(r.scratch):len(r.scratch)]
}

// text takes a string of at most max bytes; nil when it is absent.
func (r *reader) text(m member, max int) []byte {
	v := r.value(m)
	if v == nil {
		return nil
	}
	if v[0] != '"' {
		r.bad(m, "is not a string")
		return nil
	}
	if v = r.decode(v); len(v) > max {
		r.bad(m, fmt.Sprintf("is longer than %d bytes", max))
		return nil
	}
	return v
}

// name takes a string that check must find right.
func (r *reader) name(m member, check func(string) error) []byte {
	v := r.text(m, session.TopicBytesMax)
	if v == nil {
		return nil
	}
	if err := check(Borrow(v)); err != nil {
		r.fail(CodeValue, r.at[m].from, err.Error())
		return nil
	}
	return v
}

func checkAccount(s string) error { return session.CheckName("account", s) }
func checkDevice(s string) error  { return session.CheckName("device", s) }

// integer takes an integer from lo to hi; otherwise is what an absent one means.
func (r *reader) integer(m member, lo, hi, otherwise int64) int64 {
	v := r.value(m)
	if v == nil {
		return otherwise
	}
	n, ok := int64(0), v[0] == '-' || v[0] >= '0' && v[0] <= '9'
	if ok {
		n, ok = parseInteger(v)
	}
	if !ok || n < lo || n > hi {
		r.bad(m, fmt.Sprintf("is not an integer from %d to %d", lo, hi))
		return otherwise
	}
	return n
}

// boolean takes true or false; absent means false.
func (r *reader) boolean(m member) bool {
	v := r.value(m)
	if v == nil {
		return false
	}
	if v[0] != 't' && v[0] != 'f' {
		r.bad(m, "is neither true nor false")
	}
	return v[0] == 't'
}

// scalar takes a string or number as it was written, to be given back as it was.
func (r *reader) scalar(m member, max int) []byte {
	v := r.value(m)
	switch {
	case v == nil:
		return nil
	case v[0] != '"' && v[0] != '-' && (v[0] < '0' || v[0] > '9'):
		r.bad(m, "is neither a string nor a number")
		return nil
	case len(v) > max:
		r.bad(m, fmt.Sprintf("is longer than %d bytes", max))
		return nil
	}
	return v
}

// list appends the strings of an array: 1 to max of them, each of 1 to bytesMax
// bytes.
func (r *reader) list(dst [][]byte, m member, max, bytesMax int) [][]byte {
	v := r.value(m)
	if v == nil {
		return dst
	}
	if v[0] != '[' {
		r.bad(m, "is not an array of strings")
		return dst
	}
	s := scanner{b: r.b[:r.at[m].to], i: r.at[m].from + 1}
	for s.peek() != ']' {
		from := s.i
		if r.b[from] != '"' {
			r.fail(CodeValue, from, names[m]+" is not an array of strings")
			return dst
		}
		s.str()
		text := r.decode(r.b[from:s.i])
		if len(text) == 0 || len(text) > bytesMax || len(dst) == max {
			r.fail(CodeValue, from, fmt.Sprintf("%s: at most %d strings of 1 to %d bytes each", names[m], max, bytesMax))
			return dst
		}
		dst = append(dst, text)
		if s.peek() == ',' {
			s.i++
			s.peek()
		}
	}
	if len(dst) == 0 {
		r.bad(m, "is empty")
	}
	return dst
}

// payload takes the one of payload, text and base64 that is there.
func (r *reader) payload() (b []byte, kind session.Kind) {
	asJSON, asText, asBase64 := r.at[memberPayload].to != 0, r.has(memberText), r.has(memberBase64)
	switch {
	case r.err.Code != "":
	case !asJSON && !asText && !asBase64:
		r.fail(CodeMissing, 0, "payload is missing: one of payload (any JSON), text or base64")
	case asJSON && (asText || asBase64) || asText && asBase64:
		r.fail(CodeValue, 0, "only one of payload, text and base64 may be there")
	case asJSON:
		at := r.at[memberPayload]
		return r.b[at.from:at.to], session.JSON
	case asText:
		return r.text(memberText, len(r.b)), session.Text
	default:
		v := r.text(memberBase64, len(r.b))
		from := len(r.scratch)
		out, err := base64.StdEncoding.AppendDecode(r.scratch, v)
		if err != nil {
			r.bad(memberBase64, "is not base64 (RFC 4648 section 4, with padding)")
			return nil, session.Binary
		}
		if out == nil {
			out = []byte{} // an empty payload is one, too
		}
		r.scratch = out
		return out[from:], session.Binary
	}
	return nil, session.JSON
}
