package netpoll

import "encoding/binary"

// controlBytesMax bounds the payload of a control frame (RFC 6455 section 5.5).
const controlBytesMax = 125

// frameHeaderBytesMax is the longest header: 2 + 8 bytes of length + 4 of mask.
const frameHeaderBytesMax = 14

// header is a frame's header as it came.
type header struct {
	op     Op
	fin    bool
	rsv    byte
	masked bool
	key    [4]byte
	length int64
}

// headerError is a violation that can be seen in the header alone.
type headerError string

const (
	errHeaderLength     headerError = "length not in its shortest form"
	errHeaderLengthSign headerError = "length with its top bit set"
)

// parseHeader reads a frame's header (RFC 6455 section 5.2). n is its size, 0 while p
// is too short to tell.
func parseHeader(p []byte) (h header, n int, err headerError) {
	if len(p) < 2 {
		return h, 0, ""
	}
	h.fin = p[0]&0x80 != 0
	h.rsv = p[0] & 0x70
	h.op = Op(p[0] & 0x0f)
	h.masked = p[1]&0x80 != 0
	n = 2
	switch short := p[1] & 0x7f; short {
	case 126:
		if len(p) < 4 {
			return h, 0, ""
		}
		h.length = int64(binary.BigEndian.Uint16(p[2:]))
		n = 4
		if h.length < 126 {
			return h, n, errHeaderLength
		}
	case 127:
		if len(p) < 10 {
			return h, 0, ""
		}
		length := binary.BigEndian.Uint64(p[2:])
		n = 10
		if length>>63 != 0 {
			return h, n, errHeaderLengthSign
		}
		if length < 1<<16 {
			return h, n, errHeaderLength
		}
		h.length = int64(length)
	default:
		h.length = int64(short)
	}
	if h.masked {
		if len(p) < n+4 {
			return h, 0, ""
		}
		copy(h.key[:], p[n:])
		n += 4
	}
	return h, n, ""
}

// appendFrameHeader appends the header of a whole, unmasked frame: what a server
// sends.
func appendFrameHeader(dst []byte, op Op, length int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case length < 126:
		return append(dst, byte(length))
	case length < 1<<16:
		return append(dst, 126, byte(length>>8), byte(length))
	default:
		dst = append(dst, 127)
		return binary.BigEndian.AppendUint64(dst, uint64(length))
	}
}
