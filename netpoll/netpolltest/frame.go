package netpolltest

import (
	"encoding/binary"
	"slices"
)

// The opcodes of RFC 6455 section 5.2; 3-7 and 11-15 are reserved.
const (
	OpContinuation byte = 0x0
	OpText         byte = 0x1
	OpBinary       byte = 0x2
	OpClose        byte = 0x8
	OpPing         byte = 0x9
	OpPong         byte = 0xA
)

// Part is something a client puts on the wire: a Frame or Raw bytes.
type Part interface {
	// AppendTo appends the wire bytes to dst and returns it.
	AppendTo(dst []byte) []byte
}

// Raw is bytes as they are, for what no Frame can express.
type Raw []byte

// AppendTo appends the bytes.
func (r Raw) AppendTo(dst []byte) []byte { return append(dst, r...) }

// LengthForm says how a frame spells its payload length (RFC 6455 section 5.2).
type LengthForm byte

// Shortest is the only form that the RFC allows; the others force one.
const (
	Shortest LengthForm = iota
	Bits16
	Bits64
)

// Frame is one frame of a client, right or deliberately wrong. It is a value:
// the methods return changed copies and share the payload, which is never
// modified.
type Frame struct {
	Op       byte
	Fin      bool
	RSV      byte // RSV1 = 4, RSV2 = 2, RSV3 = 1
	Unmasked bool // wrong from a client: RFC 6455 section 5.1
	Key      [4]byte
	Payload  []byte
	Form     LengthForm
	Claimed  *uint64 // the length the header claims, when it is not the payload's
}

// NewFrame returns a final, masked frame of the shortest form. The key differs
// from frame to frame but is the same in each run.
func NewFrame(op byte, payload []byte) Frame {
	n := uint32(len(payload))
	var key [4]byte
	binary.BigEndian.PutUint32(key[:], 0x37FA213D^n*2654435761^uint32(op)<<20)
	return Frame{Op: op, Fin: true, Key: key, Payload: payload}
}

// Text returns a whole text message.
func Text(s string) Frame { return NewFrame(OpText, []byte(s)) }

// Binary returns a whole binary message.
func Binary(p []byte) Frame { return NewFrame(OpBinary, p) }

// Continue returns the last continuation frame of a message.
func Continue(s string) Frame { return NewFrame(OpContinuation, []byte(s)) }

// Ping returns a ping with an application payload.
func Ping(s string) Frame { return NewFrame(OpPing, []byte(s)) }

// Pong returns a pong with an application payload.
func Pong(s string) Frame { return NewFrame(OpPong, []byte(s)) }

// Close returns a close frame with a code and a reason.
func Close(code uint16, reason string) Frame {
	return NewFrame(OpClose, append(binary.BigEndian.AppendUint16(nil, code), reason...))
}

// CloseEmpty returns a close frame without a body, which is valid.
func CloseEmpty() Frame { return NewFrame(OpClose, nil) }

// More returns the frame with FIN clear: more fragments follow.
func (f Frame) More() Frame { f.Fin = false; return f }

// Reserved returns the frame with the reserved bits set.
func (f Frame) Reserved(rsv byte) Frame { f.RSV = rsv; return f }

// NoMask returns the frame unmasked.
func (f Frame) NoMask() Frame { f.Unmasked = true; return f }

// Masked returns the frame masked with the key.
func (f Frame) Masked(key [4]byte) Frame { f.Key = key; return f }

// As returns the frame with its length spelled in the form.
func (f Frame) As(form LengthForm) Frame { f.Form = form; return f }

// Claim returns the frame with a header that claims n bytes of payload,
// whatever follows. It makes truncated and oversized frames.
func (f Frame) Claim(n uint64) Frame { f.Claimed = &n; return f }

// AppendTo appends the frame's wire bytes.
func (f Frame) AppendTo(dst []byte) []byte {
	first := f.RSV<<4 | f.Op
	if f.Fin {
		first |= 0x80
	}
	var mask byte = 0x80
	if f.Unmasked {
		mask = 0
	}
	n := uint64(len(f.Payload))
	if f.Claimed != nil {
		n = *f.Claimed
	}
	dst = append(dst, first)
	switch {
	case f.Form == Bits64 || n > 0xFFFF:
		dst = binary.BigEndian.AppendUint64(append(dst, mask|127), n)
	case f.Form == Bits16 || n > 125:
		dst = binary.BigEndian.AppendUint16(append(dst, mask|126), uint16(n))
	default:
		dst = append(dst, mask|byte(n))
	}
	if f.Unmasked {
		return append(dst, f.Payload...)
	}
	dst = slices.Grow(append(dst, f.Key[:]...), len(f.Payload))
	for i, b := range f.Payload {
		dst = append(dst, b^f.Key[i%4])
	}
	return dst
}

// Fragments cuts a message into frames of at most n bytes: the first carries
// the opcode, the last FIN.
func Fragments(op byte, payload []byte, n int) []Part {
	parts := make([]Part, 0, len(payload)/n+1)
	for {
		cut := min(n, len(payload))
		f := NewFrame(op, payload[:cut])
		payload = payload[cut:]
		if len(payload) == 0 {
			return append(parts, f)
		}
		parts = append(parts, f.More())
		op = OpContinuation
	}
}
