package generator

import (
	"bytes"
	"encoding/binary"
	"math"
)

// EchoBytesMin is the least payload of an echo: it carries its own bookkeeping, so
// that a million messages under way cost the generator no memory.
//
//	0  connection's number, low 32 bits
//	4  number of the message on this connection
//	8  intended start, nanoseconds of Clock
//	16 microseconds that the send was later than intended
//	20 filler
const EchoBytesMin = 20

// echoHead is what an echo's payload says.
type echoHead struct {
	connection uint32
	number     uint32
	intendedNS int64
	delayUS    uint32
}

// sentNS returns when the message was really handed over.
func (h echoHead) sentNS() int64 { return h.intendedNS + int64(h.delayUS)*1000 }

// put writes the head over the start of a payload.
func (h echoHead) put(payload []byte) {
	binary.LittleEndian.PutUint32(payload[0:], h.connection)
	binary.LittleEndian.PutUint32(payload[4:], h.number)
	binary.LittleEndian.PutUint64(payload[8:], uint64(h.intendedNS))
	binary.LittleEndian.PutUint32(payload[16:], h.delayUS)
}

// newEchoPayload returns a payload whose filler is printable and not all alike, so
// that a server cannot compress it away by luck.
func newEchoPayload(size int) []byte {
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = 'A' + byte((i*7+i/26)%26)
	}
	return payload
}

// readEcho checks that a message is an echo of ours: its size, its filler, and that
// it came back on the connection it was sent on.
func readEcho(message, payload []byte, connection uint32) (h echoHead, ok bool) {
	if len(message) != len(payload) || !bytes.Equal(message[EchoBytesMin:], payload[EchoBytesMin:]) {
		return h, false
	}
	h = echoHead{
		connection: binary.LittleEndian.Uint32(message[0:]),
		number:     binary.LittleEndian.Uint32(message[4:]),
		intendedNS: int64(binary.LittleEndian.Uint64(message[8:])),
		delayUS:    binary.LittleEndian.Uint32(message[16:]),
	}
	return h, h.connection == connection
}

// delayUS rounds a send's delay for the head; longer than an hour counts as that.
func delayUS(ns int64) uint32 { return uint32(min(max(ns/1000, 0), math.MaxUint32)) }
