package netpoll

import "encoding/binary"

// utf8State checks a text message piece by piece and fails at the first byte that
// cannot be right (RFC 6455 section 8.1; Björn Höhrmann, "Flexible and Economical
// UTF-8 Decoder"). 0 accepts: only there may a message end.
type utf8State uint8

const (
	utf8Accept utf8State = 0
	utf8Reject utf8State = 12
)

// advance returns the state after p. It stays at utf8Reject once there.
func (s utf8State) advance(p []byte) utf8State {
	for i := 0; i < len(p); i++ {
		// Most text is ASCII: skip it eight bytes at a time.
		for s == utf8Accept && len(p)-i >= 8 && binary.LittleEndian.Uint64(p[i:])&0x8080808080808080 == 0 {
			i += 8
		}
		if i == len(p) {
			break
		}
		if s = utf8State(utf8Next[s+utf8State(utf8Class[p[i]])]); s == utf8Reject {
			return s
		}
	}
	return s
}

// utf8Class maps bytes to character classes, utf8Next a state plus a class to the
// next state; both are built from RFC 3629 section 4 rather than typed in.
var (
	utf8Class [256]uint8
	utf8Next  [9 * 12]uint8
)

func init() {
	for b := range 256 {
		var class uint8
		switch {
		case b < 0x80:
			class = 0
		case b < 0x90:
			class = 1
		case b < 0xa0:
			class = 9
		case b < 0xc0:
			class = 7
		case b < 0xc2:
			class = 8
		case b < 0xe0:
			class = 2
		case b == 0xe0:
			class = 10
		case b == 0xed:
			class = 4
		case b < 0xf0:
			class = 3
		case b == 0xf0:
			class = 11
		case b < 0xf4:
			class = 6
		case b == 0xf4:
			class = 5
		default:
			class = 8
		}
		utf8Class[b] = class
	}
	for i := range utf8Next {
		utf8Next[i] = uint8(utf8Reject)
	}
	// The states: one, two or three more bytes are due, or two/three with a
	// restricted first one (E0, ED, F0, F4).
	const one, two, three, e0, ed, f0, f4 = 24, 36, 72, 48, 60, 84, 96
	set := func(state, next uint8, classes ...uint8) {
		for _, c := range classes {
			utf8Next[state+c] = next
		}
	}
	set(0, 0, 0)
	set(0, one, 2)
	set(0, two, 3)
	set(0, ed, 4)
	set(0, f4, 5)
	set(0, three, 6)
	set(0, e0, 10)
	set(0, f0, 11)
	set(one, 0, 1, 7, 9)     // any continuation
	set(two, one, 1, 7, 9)   //
	set(three, two, 1, 7, 9) //
	set(e0, one, 7)          // A0..BF
	set(ed, one, 1, 9)       // 80..9F
	set(f0, two, 7, 9)       // 90..BF
	set(f4, two, 1)          // 80..8F
}
