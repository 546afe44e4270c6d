package wire

import "fmt"

// The codes of an Error. They are part of the contract: clients branch on them.
const (
	CodeJSON        = "bad_json"     // not one JSON text (RFC 8259), or not UTF-8
	CodeDepth       = "too_deep"     // nested deeper than DepthMax
	CodeMissing     = "missing"      // a member that must be there is not
	CodeType        = "unknown_type" // a frame of a type that nobody here knows
	CodeValue       = "bad_value"    // a member has a value that it cannot have
	CodeUnsupported = "unsupported"  // well-formed, but not offered by this node
)

// Error says what is wrong with a frame. Its parts are safe to show to whoever
// sent the frame.
type Error struct {
	Code   string // one of the codes above
	Detail string // for people
	Offset int    // of the first byte that is wrong, in the bytes given to Parse
}

// Error returns code, place and detail.
func (e *Error) Error() string {
	return fmt.Sprintf("wire: %s at byte %d: %s", e.Code, e.Offset, e.Detail)
}
