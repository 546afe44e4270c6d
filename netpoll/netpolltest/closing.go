package netpolltest

import (
	"fmt"
	"strings"
)

// closing is Autobahn's group 7.
func closing() []Case {
	hello, echo := Text("Hello World!"), []Reply{text("Hello World!")}
	big := letters(256 << 10)
	reason := strings.Repeat("*", 123)
	normal := ClosedWith(1000)
	cases := []Case{
		{ID: "7.1.1", Name: "text, then close", RFC: "5.5.1", In: []Part{hello, Close(1000, "")}, Want: echo, End: normal},
		{ID: "7.1.2", Name: "two closes", RFC: "5.5.1", In: []Part{Close(1000, ""), Close(1000, "")}, End: normal},
		{ID: "7.1.3", Name: "ping after close", RFC: "5.5.1", In: []Part{Close(1000, ""), Ping("")}, End: normal},
		{ID: "7.1.4", Name: "text after close", RFC: "5.5.1", In: []Part{Close(1000, ""), hello}, End: normal},
		{ID: "7.1.5", Name: "close between two fragments", RFC: "5.5.1", In: []Part{Text("fragment1").More(), Close(1000, ""), Continue("fragment2")}, End: normal},
		{ID: "7.1.6", Name: "256 KiB, close, ping", RFC: "5.5.1", In: []Part{NewFrame(OpText, big), Close(1000, ""), Ping("")},
			Want: []Reply{{OpText, big}}, End: normal},
		{ID: "7.3.1", Name: "close without body", RFC: "5.5.1", In: []Part{CloseEmpty()}, End: ClosedWith(0)},
		{ID: "7.3.2", Name: "close with half a code", RFC: "5.5.1", In: []Part{NewFrame(OpClose, []byte("a"))}, End: ProtocolError},
		{ID: "7.3.3", Name: "close with a code", RFC: "5.5.1", In: []Part{Close(1000, "")}, End: normal},
		{ID: "7.3.4", Name: "close with a reason", RFC: "5.5.1", In: []Part{Close(1000, "Hello World!")}, End: normal},
		{ID: "7.3.5", Name: "close with a reason of 123 bytes", RFC: "5.5", In: []Part{Close(1000, reason)}, End: normal},
		{ID: "7.3.6", Name: "close with a reason of 124 bytes", RFC: "5.5", In: []Part{Close(1000, reason+"*")}, End: ProtocolError},
		{ID: "7.5.1", Name: "close with a reason that is not UTF-8", RFC: "5.5.1",
			In: []Part{Close(1000, greek+"\xed\xa0\x80"+ascii)}, End: InvalidData},
	}
	return append(append(cases, closingOwn()...), closeCodes()...)
}

// closingOwn goes beyond Autobahn: what follows a close or a failure is dead.
func closingOwn() []Case {
	return []Case{
		{ID: "7.R1", Name: "garbage after close", RFC: "5.5.1", In: []Part{Close(1000, ""), Raw("\xff\xff\xff\xff not a frame")}, End: ClosedWith(1000)},
		{ID: "7.R2", Name: "text after a failure", RFC: "7.1.7", In: []Part{Text("x").Reserved(1), Text("y"), Ping("z")}, End: ProtocolError},
		{ID: "7.R3", Name: "close after a failure", RFC: "7.1.7", In: []Part{NewFrame(3, nil), Close(1000, "")}, End: ProtocolError},
		{ID: "7.R4", Name: "close header with 126 bytes fails at once", RFC: "5.5", In: []Part{CloseEmpty().Claim(126)}, End: ProtocolError},
		{ID: "7.R5", Name: "close whose body is cut", RFC: "5.5.1", In: []Part{NewFrame(OpClose, []byte{3}).Claim(2)}, End: Unfinished},
		{ID: "7.R6", Name: "reason in several scripts", RFC: "5.5.1", In: []Part{Close(4000, greek+" \U0001F600")}, End: ClosedWith(4000)},
		{ID: "7.R7", Name: "reason that ends inside a code point", RFC: "5.5.1", In: []Part{Close(1000, "\xe2\x82")}, End: InvalidData},
		{ID: "7.R8", Name: "invalid code with an invalid reason", RFC: "7.4.1", In: []Part{Close(1005, "\xff")}, End: ClosedWith(1002, 1007)},
		{ID: "7.R9", Name: "close inside a half code point of text", RFC: "5.5.1", In: []Part{Text("\xe2\x82").More(), Close(1001, "")}, End: ClosedWith(1001)},
		{ID: "7.R10", Name: "a thousand texts, then close", RFC: "5.5.1", In: append(repeat[Part](Text("x"), 1000), Close(1000, "")),
			Want: repeat[Reply](text("x"), 1000), End: ClosedWith(1000)},
	}
}

// closeCodes is 7.7 (valid), 7.9 (invalid) and 7.13 (past 4999), with both
// sides of every border between the classes of RFC 6455 section 7.4.2.
func closeCodes() (cases []Case) {
	add := func(group int, codes ...uint16) {
		for i, code := range codes {
			c := Case{ID: fmt.Sprintf("7.%d.%d", group, i+1), Name: fmt.Sprintf("close code %d", code), RFC: "7.4",
				In: []Part{Close(code, "")}, End: ClosedWith(code)}
			if group != 7 {
				c.End = ProtocolError
			}
			cases = append(cases, c)
		}
	}
	// The last three were registered with IANA after the RFC.
	add(7, 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999, 1012, 1013, 1014)
	add(9, 0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 1, 255, 256, 998)
	add(13, 5000, 65535, 5001, 32768, 65534)
	return cases
}

// repeat returns n times v as a slice whose element type the caller chooses.
func repeat[T any, V any](v V, n int) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = any(v).(T)
	}
	return all
}
