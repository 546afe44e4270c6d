package netpoll

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// FuzzHeader compares parseHeader with gobwas/ws's reader, which does not know that
// lengths must be in their shortest form.
func FuzzHeader(f *testing.F) {
	for _, seed := range [][]byte{{0x81, 0x85, 1, 2, 3, 4}, {0x82, 126, 1, 0}, {0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}, {0x88, 0xfe, 0, 1, 1, 2, 3, 4}, {0xf1}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		h, n, herr := parseHeader(p)
		r := bytes.NewReader(p)
		want, err := ws.ReadHeader(r)
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			// A length that is wrong already may be refused before the mask has come.
			if n != 0 && herr == "" {
				t.Fatalf("%x: a header of %d bytes, but it is not whole", p, n)
			}
			return
		case errors.Is(err, ws.ErrHeaderLengthMSB):
			if herr != errHeaderLengthSign {
				t.Fatalf("%x: %q, want the sign refused", p, herr)
			}
			return
		case err != nil:
			if herr == "" {
				t.Fatalf("%x: accepted, gobwas says %v", p, err)
			}
			return
		}
		shortest := want.Length < 126 && p[1]&0x7f < 126 || want.Length >= 126 && want.Length < 1<<16 && p[1]&0x7f == 126 || want.Length >= 1<<16
		if shortest != (herr == "") {
			t.Fatalf("%x: %q for a length of %d", p, herr, want.Length)
		}
		if herr != "" {
			return
		}
		if size := len(p) - r.Len(); n != size || h.length != want.Length || h.fin != want.Fin || byte(h.op) != byte(want.OpCode) || h.masked != want.Masked || h.rsv>>4 != want.Rsv || want.Masked && h.key != want.Mask {
			t.Fatalf("%x: %+v of %d bytes, want %+v of %d", p, h, n, want, size)
		}
		// What we append ourselves parses to the same.
		own, m, herr := parseHeader(appendFrameHeader(nil, h.op, int(min(h.length, 1<<40))))
		if herr != "" || m == 0 || own.length != min(h.length, 1<<40) || own.op != h.op || !own.fin || own.masked {
			t.Fatalf("appended: %+v %q", own, herr)
		}
	})
}

// FuzzUTF8 compares the checker, fed in two pieces, with the standard library.
func FuzzUTF8(f *testing.F) {
	for _, seed := range []string{"plain", "κόσμε", "\xf4\x90\x80\x80", "\xed\xa0\x80", "\xc0\x80", "12345678\xe2\x82", "\xf0\x9f\x98\x80 12345678"} {
		f.Add([]byte(seed), 3)
	}
	f.Fuzz(func(t *testing.T, p []byte, split int) {
		split = max(0, min(split, len(p)))
		state := utf8State(utf8Accept).advance(p[:split])
		if state != utf8Reject {
			state = state.advance(p[split:])
		}
		if (state == utf8Accept) != utf8.Valid(p) {
			t.Fatalf("%x split at %d: accepted %v, the library says %v", p, split, state == utf8Accept, utf8.Valid(p))
		}
	})
}

// FuzzProxy checks that a PROXY header is the same in pieces as whole, and that what is
// taken is what was declared.
func FuzzProxy(f *testing.F) {
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\x0a\x00\x00\x01\x30\x39\x1f\x90GET"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, p []byte) {
		addr, n, ok := parseProxy(p)
		if n > len(p) || !ok && n != 0 || n == 0 && addr != (netip.AddrPort{}) {
			t.Fatalf("%x: %v, %d bytes, %v", p, addr, n, ok)
		}
		if n == 0 {
			return
		}
		for i := range n {
			if _, m, good := parseProxy(p[:i]); m != 0 || !good {
				t.Fatalf("%x: its first %d bytes are taken as %d, %v", p, i, m, good)
			}
		}
	})
}
