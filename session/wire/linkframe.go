package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/roostpush/roost/session"
)

// A frame between nodes is a length, 4 bytes big endian, of what follows it: a type,
// 1 byte, and a body. Integers in bodies are big endian or uvarints
// (encoding/binary); names are preceded by their length.
//
// Only hello and goodbye may be longer than this node understands: the rest is
// ignored, so that nodes of all versions can say why they part. Everything else is
// exact. What a minor version adds is sent only to nodes whose hello says that minor
// version or a newer one.

// LinkHeaderBytes is the size of a frame before its body.
const LinkHeaderBytes = 5

// The version of what links speak. Nodes of another major version are refused.
const (
	LinkMajor = 1
	LinkMinor = 5
)

// LinkType says what the body of a frame is.
type LinkType uint8

// The types. The body of forward and outcomes is one entry after another.
const (
	LinkTypeHello       LinkType = 1 + iota // LinkHello: the first frame of each side
	LinkTypeForward                         // Forward, one or more; some from version 1.2 on (Forward.Minor)
	LinkTypeOutcomes                        // Outcomes, one or more
	LinkTypeKeep                            // Keep; from version 1.1 on
	LinkTypeDelta                           // Delta
	LinkTypeHeads                           // Heads
	LinkTypeLogRequest                      // LogRequest
	LinkTypeSnapshot                        // SnapshotChunk
	LinkTypeQuestion                        // LinkQuestion
	LinkTypeAnswer                          // LinkAnswer
	LinkTypeGoodbye                         // Goodbye: the last frame of its sender
	LinkTypePing                            // no body: the path and the sender are alive
	LinkTypeKept                            // Kept; from version 1.1 on
	LinkTypeInterest                        // Interest; from version 1.2 on
	LinkTypeMail                            // Mail; from version 1.2 on, as the next three
	LinkTypeMailed                          // Mailed
	LinkTypeMailFate                        // MailFate
	LinkTypeMailAck                         // MailAck; of what was withdrawn from version 1.3 on
	LinkTypeMailMove                        // MailMove; from version 1.3 on, as the next two
	LinkTypeMailMoved                       // MailMoved
	LinkTypeMailUnwatch                     // MailUnwatch
	LinkTypeMailKeys                        // MailKeys; from version 1.4 on, as the next
	LinkTypeMailFiled                       // MailFiled
	LinkTypeMailSettled                     // MailSettled; from version 1.5 on, as the next two
	LinkTypeTopicMove                       // TopicMove
	LinkTypeTopicMoved                      // TopicMoved

	linkTypes
)

var linkTypeNames = [linkTypes]string{
	"invalid", "hello", "forward", "outcomes", "keep", "delta", "heads", "log_request",
	"snapshot", "question", "answer", "goodbye", "ping", "kept", "interest",
	"mail", "mailed", "mail_fate", "mail_ack", "mail_move", "mail_moved", "mail_unwatch",
	"mail_keys", "mail_filed", "mail_settled", "topic_move", "topic_moved",
}

// String returns the type's name in logs.
func (t LinkType) String() string {
	if t >= linkTypes {
		return fmt.Sprintf("type %d", uint8(t))
	}
	return linkTypeNames[t]
}

// Known reports whether this version has a meaning for the type.
func (t LinkType) Known() bool {
	return t > 0 && t < linkTypes
}

// Minor returns the minor version from which nodes know the type.
func (t LinkType) Minor() uint16 {
	switch t {
	case LinkTypeKeep, LinkTypeKept:
		return 1
	case LinkTypeInterest, LinkTypeMail, LinkTypeMailed, LinkTypeMailFate, LinkTypeMailAck:
		return 2
	case LinkTypeMailMove, LinkTypeMailMoved, LinkTypeMailUnwatch:
		return 3
	case LinkTypeMailKeys, LinkTypeMailFiled:
		return 4
	case LinkTypeMailSettled, LinkTypeTopicMove, LinkTypeTopicMoved:
		return 5
	}
	return 0
}

// BeginLinkFrame appends the header of a frame, whose body the caller appends next.
func BeginLinkFrame(dst []byte, t LinkType) []byte {
	return append(dst, 0, 0, 0, 0, byte(t))
}

// EndLinkFrame completes the header that stands at dst[start:]; the body is all that
// follows it. It may be called again when more has been appended to the body.
func EndLinkFrame(dst []byte, start int) {
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
}

// AppendLinkFrame appends a whole frame.
func AppendLinkFrame(dst []byte, t LinkType, body []byte) []byte {
	start := len(dst)
	dst = append(BeginLinkFrame(dst, t), body...)
	EndLinkFrame(dst, start)
	return dst
}

// ParseLinkFrame takes the first frame from b. size is the frame's whole size as soon
// as its length is known, else 0; body is nil, without an error, as long as b does not
// hold all of it. A frame larger than sizeMax, or without a type, is an error.
func ParseLinkFrame(b []byte, sizeMax int) (t LinkType, body []byte, size int, err error) {
	if len(b) < 4 {
		return 0, nil, 0, nil
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if n == 0 {
		return 0, nil, 0, &Error{CodeValue, "a frame without a type", 0}
	}
	if n+4 > uint64(sizeMax) {
		return 0, nil, 0, &Error{CodeLimit, fmt.Sprintf("a frame of %d bytes, at most %d are allowed", n+4, sizeMax), 0}
	}
	size = int(n) + 4
	if len(b) < size {
		return 0, nil, size, nil
	}
	return LinkType(b[4]), b[LinkHeaderBytes:size:size], size, nil
}

// appendName8 appends a name of at most 255 bytes.
func appendName8(dst []byte, s string) []byte {
	return append(append(dst, byte(len(s))), s...)
}

func appendOrigin(dst []byte, o session.Origin) []byte {
	return binary.AppendUvarint(appendName8(dst, o.Node), o.Epoch)
}
