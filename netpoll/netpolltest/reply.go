package netpolltest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Reply is one frame of the server. Payload is borrowed from the bytes it was
// read from.
type Reply struct {
	Op      byte
	Payload []byte
}

// String names the opcode, the length and the start of the payload.
func (r Reply) String() string {
	if r.Op == OpClose && len(r.Payload) >= 2 {
		return fmt.Sprintf("close %d %q", r.Code(), r.Payload[2:])
	}
	return fmt.Sprintf("opcode %d, %d bytes %.40q", r.Op, len(r.Payload), r.Payload)
}

// Code is the status code of a close frame, 0 when it has no body.
func (r Reply) Code() uint16 {
	if len(r.Payload) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(r.Payload)
}

// WireBytes is the length of the reply as a server must send it.
func (r Reply) WireBytes() int {
	switch n := len(r.Payload); {
	case n > 0xFFFF:
		return n + 10
	case n > 125:
		return n + 4
	default:
		return n + 2
	}
}

// errShort says that the bytes end inside a frame.
var errShort = errors.New("netpolltest: the server's bytes end inside a frame")

// ParseReply reads one frame from the start of p and returns what follows it.
// It refuses whatever a server without extensions must not send: fragments,
// reserved bits and opcodes, a mask, a length that is not the shortest, a
// control frame over 125 bytes, text or a close reason that is not UTF-8, a
// close code that must not appear on the wire.
func ParseReply(p []byte) (r Reply, rest []byte, err error) {
	if len(p) < 2 {
		return r, p, errShort
	}
	if p[0]&0xF0 != 0x80 {
		return r, p, fmt.Errorf("netpolltest: first byte %#02x: want FIN and no reserved bit", p[0])
	}
	if p[1]&0x80 != 0 {
		return r, p, errors.New("netpolltest: the server masked a frame")
	}
	n, head := uint64(p[1]), 2
	switch {
	case n == 126 && len(p) >= 4:
		n, head = uint64(binary.BigEndian.Uint16(p[2:])), 4
	case n == 127 && len(p) >= 10:
		n, head = binary.BigEndian.Uint64(p[2:]), 10
	case n > 125:
		return r, p, errShort
	}
	if head == 4 && n < 126 || head == 10 && n < 65536 {
		return r, p, fmt.Errorf("netpolltest: length %d in %d header bytes is not the shortest form", n, head)
	}
	if n > uint64(len(p)-head) {
		return r, p, errShort
	}
	r = Reply{Op: p[0] & 0x0F, Payload: p[head : head+int(n)]}
	return r, p[head+int(n):], r.check()
}

// check refuses contents that a server must not send.
func (r Reply) check() error {
	switch r.Op {
	case OpText:
		if !utf8.Valid(r.Payload) {
			return fmt.Errorf("netpolltest: the server sent text that is not UTF-8: %v", r)
		}
	case OpBinary:
	case OpPing, OpPong, OpClose:
		if len(r.Payload) > 125 {
			return fmt.Errorf("netpolltest: control frame of %d bytes", len(r.Payload))
		}
		if r.Op == OpClose && len(r.Payload) > 0 && (!ValidCloseCode(r.Code()) || !utf8.Valid(r.Payload[2:])) {
			return fmt.Errorf("netpolltest: close frame with a wrong body: % x", r.Payload)
		}
	default:
		return fmt.Errorf("netpolltest: the server sent opcode %d", r.Op)
	}
	return nil
}

// ParseReplies reads all frames of p; a truncated last one is an error.
func ParseReplies(p []byte) ([]Reply, error) {
	var replies []Reply
	for len(p) > 0 {
		r, rest, err := ParseReply(p)
		if err != nil {
			return replies, err
		}
		replies, p = append(replies, r), rest
	}
	return replies, nil
}

// ValidCloseCode says whether a peer may put the code on the wire: RFC 6455
// section 7.4 and IANA's registry, in which 1012, 1013 and 1014 were added.
func ValidCloseCode(code uint16) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
		return true
	default:
		return code >= 3000 && code <= 4999
	}
}
