package wire

import (
	"fmt"
	"slices"

	"github.com/roostpush/roost/session"
)

// Interest says in which topics a node has subscribers: all of them, in one or more
// frames from Begin to Last, or what has changed since then. The frames of one link are in
// order. Patterns of a parsed one are borrowed.
type Interest struct {
	Begin   bool // what was said before is void once Last has come
	Last    bool // the whole has been said
	Changes []InterestChange
}

// InterestChange is a topic, or a pattern that ends in .*, which has its first subscriber
// or has lost its last.
type InterestChange struct {
	Pattern string
	Lost    bool
}

// The first byte of an interest frame.
const (
	interestBegin = 1
	interestLast  = 2
)

// InterestChangeBytesMax is what one change takes at most.
const InterestChangeBytesMax = 1 + 2 + session.TopicBytesMax

// AppendInterest appends the body of an Interest.
func AppendInterest(dst []byte, i *Interest) []byte {
	var first byte
	if i.Begin {
		first |= interestBegin
	}
	if i.Last {
		first |= interestLast
	}
	dst = append(dst, first)
	for _, c := range i.Changes {
		lost := byte(0)
		if c.Lost {
			lost = 1
		}
		dst = appendText(append(dst, lost), c.Pattern)
	}
	return dst
}

// ParseInterest reads the body of an interest frame; Changes is filled again. An error is
// an *Error.
func ParseInterest(b []byte, i *Interest) error {
	r := linkBody{b: b}
	first := r.byte("flags")
	if first&^(interestBegin|interestLast) != 0 {
		r.fail(CodeValue, fmt.Sprintf("flags %#02x", first))
	}
	i.Begin, i.Last = first&interestBegin != 0, first&interestLast != 0
	i.Changes = slices.Grow(i.Changes[:0], min(r.left()/3, 1024))
	for r.err == nil && r.left() > 0 {
		lost := r.byte("lost")
		if lost > 1 {
			r.fail(CodeValue, fmt.Sprintf("lost is %d", lost))
		}
		c := InterestChange{Lost: lost == 1, Pattern: r.pattern("pattern")}
		if r.err == nil {
			i.Changes = append(i.Changes, c)
		}
	}
	if r.err != nil {
		i.Changes = i.Changes[:0]
	}
	return r.result()
}
