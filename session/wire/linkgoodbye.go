package wire

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// GoodbyeReason says why a node parts from another. The set only ever grows.
type GoodbyeReason uint8

// The reasons.
const (
	GoodbyeClosing     GoodbyeReason = 1 + iota // the node stops
	GoodbyeDropped                              // the other is no member any more
	GoodbyeReplaced                             // a newer link took its place
	GoodbyeCluster                              // another cluster
	GoodbyeVersion                              // another major version
	GoodbyeKey                                  // another hash_key
	GoodbyeSameNode                             // the other has this node's own id
	GoodbyeWrongNode                            // not the node that was dialled
	GoodbyeStaleEpoch                           // a newer epoch of the same node is known
	GoodbyeUnknown                              // not a member
	GoodbyeCertificate                          // the certificate is of another node
	GoodbyeDuplicate                            // a hello that was said before
	GoodbyeFull                                 // a limit on links is reached
	GoodbyeBadFrame                             // it broke the rules of this file
	GoodbyeTooLarge                             // a frame above the limit
	GoodbyeSilent                               // nothing was heard for too long
	GoodbyeStalled                              // it takes nothing of what is sent
	GoodbyeAnswered                             // the question of an ask connection is answered
	GoodbyeLost                                 // said by nobody: the connection ended without a goodbye

	goodbyeReasons
)

// GoodbyeReasonCount is the number of reasons and the unused 0, for arrays.
const GoodbyeReasonCount = int(goodbyeReasons)

var goodbyeNames = [goodbyeReasons]string{
	"none", "closing", "dropped", "replaced", "cluster", "version", "hash_key", "same_node", "wrong_node",
	"stale_epoch", "unknown_member", "certificate", "duplicate", "full", "bad_frame", "too_large", "silent",
	"stalled", "answered", "lost",
}

// String returns the reason's name in logs and metrics.
func (g GoodbyeReason) String() string {
	if g >= goodbyeReasons {
		return fmt.Sprintf("reason %d", uint8(g))
	}
	return goodbyeNames[g]
}

// GoodbyeDetailBytesMax bounds Goodbye.Detail; longer ones are cut.
const GoodbyeDetailBytesMax = 512

// Goodbye is the last frame of its sender. Its strings are its own.
type Goodbye struct {
	Reason GoodbyeReason
	Detail string // for people
}

// AppendGoodbye appends the body of a goodbye.
func AppendGoodbye(dst []byte, g *Goodbye) []byte {
	detail := g.Detail[:min(len(g.Detail), GoodbyeDetailBytesMax)]
	dst = append(dst, byte(g.Reason))
	dst = binary.AppendUvarint(dst, uint64(len(detail)))
	return append(dst, detail...)
}

// ParseGoodbye reads the body of a goodbye. Reasons of newer versions are passed on as
// they are. An error is an *Error.
func ParseGoodbye(b []byte, g *Goodbye) error {
	r := linkBody{b: b}
	g.Reason = GoodbyeReason(r.byte("reason"))
	g.Detail = string(r.bytes("detail", GoodbyeDetailBytesMax))
	if r.err == nil && g.Reason == 0 {
		r.fail(CodeValue, "reason 0")
	}
	if r.err == nil && !utf8.ValidString(g.Detail) {
		r.fail(CodeValue, "detail is not UTF-8")
	}
	return r.result()
}
