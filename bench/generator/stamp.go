package generator

import (
	"bytes"
	"math"
)

// stampBytesMin is the least payload of a pushed or relayed message. Its bookkeeping
// is in the payload, as an echo's is, but as a JSON string of fixed form, which a
// server passes on byte for byte inside whatever it wraps around it:
//
//	"rb1.  mark
//	k      kind: push, fan-out or relay
//	2      tag of the phase, hexadecimal as all that follow
//	8      connection's number, low 32 bits: the receiver's, of a relay the sender's
//	8      number of the message on this connection, of a fan-out its own
//	16     intended start, nanoseconds of Clock
//	8      microseconds that the send was later than intended
//	...    filler, and a quote
const stampBytesMin = stampHeadBytes + 1

const (
	stampMark      = `"rb1.`
	stampHeadBytes = len(stampMark) + 1 + 2 + 8 + 8 + 16 + 8
)

// stampKind is what a message was sent by.
type stampKind byte

const (
	stampPush   stampKind = 'p'
	stampFanout stampKind = 'f'
	stampRelay  stampKind = 'r'
)

// stamp is what a message says about itself.
type stamp struct {
	kind       stampKind
	tag        uint8 // of the phase, so that a straggler of the one before is recognised
	connection uint32
	number     uint32
	intendedNS int64
	delayUS    uint32
}

// sentNS returns when the message was really handed over.
func (s stamp) sentNS() int64 { return s.intendedNS + int64(s.delayUS)*1000 }

// appendPayload appends the whole payload; filler is newStampFiller's.
func (s stamp) appendPayload(dst, filler []byte) []byte {
	dst = append(dst, stampMark...)
	dst = append(dst, byte(s.kind))
	dst = appendHex(dst, uint64(s.tag), 2)
	dst = appendHex(dst, uint64(s.connection), 8)
	dst = appendHex(dst, uint64(s.number), 8)
	dst = appendHex(dst, uint64(s.intendedNS), 16)
	dst = appendHex(dst, uint64(s.delayUS), 8)
	dst = append(dst, filler...)
	return append(dst, '"')
}

// newStampFiller returns what fills a payload up to size.
func newStampFiller(size int) []byte { return newEchoPayload(max(size-stampBytesMin, 0)) }

// readStamp looks for a payload of ours in a message, whatever is around it. found
// says that there is one; intact that it is what was sent.
func readStamp(message, filler []byte) (s stamp, found, intact bool) {
	at := bytes.Index(message, []byte(stampMark))
	if at < 0 {
		return s, false, false
	}
	rest := message[at+len(stampMark):]
	if len(rest) < stampBytesMin-len(stampMark)+len(filler) {
		return s, true, false
	}
	s.kind = stampKind(rest[0])
	var bad uint64
	field := func(from, digits int) uint64 {
		n, wrong := readHex(rest[from : from+digits])
		bad |= wrong
		return n
	}
	s.tag = uint8(field(1, 2))
	s.connection, s.number = uint32(field(3, 8)), uint32(field(11, 8))
	s.intendedNS, s.delayUS = int64(field(19, 16)), uint32(field(35, 8))
	rest = rest[stampHeadBytes-len(stampMark):]
	intact = bad == 0 && bytes.Equal(rest[:len(filler)], filler) && rest[len(filler)] == '"'
	return s, true, intact
}

const hexDigits = "0123456789abcdef"

// appendHex appends the low digits of n.
func appendHex(dst []byte, n uint64, digits int) []byte {
	for shift := (digits - 1) * 4; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[n>>shift&15])
	}
	return dst
}

// readHex reads digits; wrong is not 0 when one of them is none.
func readHex(digits []byte) (n, wrong uint64) {
	for _, d := range digits {
		v := hexValues[d]
		wrong |= uint64(v & 0xf0)
		n = n<<4 | uint64(v&15)
	}
	return n, wrong
}

// hexValues maps a digit to its value and everything else to 0xff.
var hexValues = func() (values [256]uint8) {
	for i := range values {
		values[i] = math.MaxUint8
	}
	for i := range len(hexDigits) {
		values[hexDigits[i]] = uint8(i)
	}
	return values
}()
