package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/roostpush/roost/session"
)

// The codes of an Error about a frame between nodes, beside CodeValue.
const (
	CodeTruncated = "truncated"  // it ends within a field
	CodeTrailing  = "trailing"   // it goes on behind its last field
	CodeLimit     = "over_limit" // longer, or more of something, than is allowed
)

// linkBody takes the fields of a frame's body off its front. After the first thing
// that is wrong every field is zero and the error stays, so that a parser checks once.
type linkBody struct {
	b   []byte
	at  int
	err *Error
}

func (r *linkBody) fail(code, detail string) {
	if r.err == nil {
		r.err = &Error{Code: code, Detail: detail, Offset: r.at}
		r.at = len(r.b)
	}
}

// result is nil, not a nil *Error, when nothing is wrong.
func (r *linkBody) result() error {
	if r.err != nil {
		return r.err
	}
	return nil
}

// end fails when something is left.
func (r *linkBody) end() error {
	if r.err == nil && r.at != len(r.b) {
		r.fail(CodeTrailing, "bytes behind the last field")
	}
	return r.result()
}

func (r *linkBody) left() int { return len(r.b) - r.at }

// take returns the next n bytes, borrowed.
func (r *linkBody) take(n int, what string) []byte {
	if n < 0 || n > r.left() {
		r.fail(CodeTruncated, what)
		return nil
	}
	b := r.b[r.at : r.at+n : r.at+n]
	r.at += n
	return b
}

func (r *linkBody) byte(what string) byte {
	if r.at >= len(r.b) {
		r.fail(CodeTruncated, what)
		return 0
	}
	c := r.b[r.at]
	r.at++
	return c
}

// bool reads what boolByte gives.
func (r *linkBody) bool(what string) bool {
	c := r.byte(what)
	if c > 1 {
		r.fail(CodeValue, fmt.Sprintf("%s is %d", what, c))
	}
	return c == 1
}

// boolByte is a bool in a body: 0 or 1, and nothing else.
func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func (r *linkBody) uint64(what string) uint64 {
	if b := r.take(8, what); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// uvarint accepts the shortest form only: parse and append must be each other's
// inverse.
func (r *linkBody) uvarint(what string) uint64 {
	if r.at < len(r.b) && r.b[r.at] < 0x80 {
		r.at++
		return uint64(r.b[r.at-1])
	}
	v, n := binary.Uvarint(r.b[r.at:])
	switch {
	case n == 0:
		r.fail(CodeTruncated, what)
		return 0
	case n < 0 || r.b[r.at+n-1] == 0:
		r.fail(CodeValue, what+": not a shortest uvarint of 64 bits")
		return 0
	}
	r.at += n
	return v
}

// bounded is a uvarint of at most max.
func (r *linkBody) bounded(what string, max uint64) uint64 {
	v := r.uvarint(what)
	if v > max {
		r.fail(CodeLimit, fmt.Sprintf("%s is %d, at most %d are allowed", what, v, max))
		return 0
	}
	return v
}

// bytes is a uvarint and as many bytes, borrowed; at most max.
func (r *linkBody) bytes(what string, max int) []byte {
	return r.take(int(r.bounded(what, uint64(max))), what)
}

// name is an account or device, borrowed; it may be empty.
func (r *linkBody) name(what string) string {
	s := Borrow(r.bytes(what, session.NameBytesMax))
	if !isName(s) {
		r.fail(CodeValue, session.CheckName(what, s).Error())
		return ""
	}
	return s
}

// topic is a topic, borrowed.
func (r *linkBody) topic(what string) string {
	s := Borrow(r.bytes(what, session.TopicBytesMax))
	if r.err != nil {
		return ""
	}
	if err := session.CheckTopic(s); err != nil {
		r.fail(CodeValue, err.Error())
		return ""
	}
	return s
}

// pattern is a topic or a pattern that ends in .*, borrowed.
func (r *linkBody) pattern(what string) string {
	b := r.bytes(what, session.TopicBytesMax)
	if r.err != nil {
		return ""
	}
	if err := checkPattern(b); err != nil {
		r.fail(CodeValue, err.Error())
		return ""
	}
	return Borrow(b)
}

// isName reports whether s is an account or device, or empty.
func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '/' || c >= 0x7f { // not plain ASCII: look closely
			return session.CheckName("", s) == nil
		}
	}
	return len(s) <= session.NameBytesMax
}

// origin reads a node and its epoch. The node is *known if that is its name already,
// else a new string: in steady state nothing is allocated, and it may be kept.
func (r *linkBody) origin(known *session.Origin) {
	b := r.take(int(r.byte("node")), "node")
	epoch := r.uvarint("epoch")
	if r.err != nil {
		return
	}
	if known.Node != string(b) {
		node := string(b)
		if err := session.CheckNode(node); err != nil {
			r.fail(CodeValue, err.Error())
			return
		}
		known.Node = node
	}
	known.Epoch = epoch
}

// borrowedOrigin reads a node and its epoch, the name borrowed.
func (r *linkBody) borrowedOrigin() (o session.Origin) {
	o.Node = Borrow(r.take(int(r.byte("node")), "node"))
	o.Epoch = r.uvarint("epoch")
	if r.err == nil && session.CheckNode(o.Node) != nil {
		r.fail(CodeValue, session.CheckNode(o.Node).Error())
		return session.Origin{}
	}
	return o
}
