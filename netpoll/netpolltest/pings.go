package netpolltest

import (
	"fmt"
	"strings"
)

// pings is Autobahn's group 2.
func pings() []Case {
	binary := "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
	long := strings.Repeat("\xfe", 125)
	var ten []Part
	var tenWant []Reply
	for i := range 10 {
		s := fmt.Sprintf("payload-%d", i)
		ten, tenWant = append(ten, Ping(s)), append(tenWant, pong(s))
	}
	return []Case{
		{ID: "2.1", Name: "ping without payload", RFC: "5.5.2", In: []Part{Ping("")}, Want: []Reply{pong("")}},
		{ID: "2.2", Name: "ping with text", RFC: "5.5.2", In: []Part{Ping("Hello, world!")}, Want: []Reply{pong("Hello, world!")}},
		{ID: "2.3", Name: "ping with bytes that are not UTF-8", RFC: "5.5.2", In: []Part{Ping(binary)}, Want: []Reply{pong(binary)}},
		{ID: "2.4", Name: "ping of 125 bytes", RFC: "5.5", In: []Part{Ping(long)}, Want: []Reply{pong(long)}},
		{ID: "2.5", Name: "ping of 126 bytes", RFC: "5.5", In: []Part{Ping(long + "\xfe")}, End: ProtocolError},
		{ID: "2.6", Name: "ping of 125 bytes, byte by byte", RFC: "5.5", Chop: 1, In: []Part{Ping(long)}, Want: []Reply{pong(long)}},
		{ID: "2.7", Name: "unsolicited pong without payload", RFC: "5.5.3", In: []Part{Pong("")}},
		{ID: "2.8", Name: "unsolicited pong with payload", RFC: "5.5.3", In: []Part{Pong("unsolicited pong payload")}},
		{ID: "2.9", Name: "unsolicited pong, then a ping", RFC: "5.5.3",
			In: []Part{Pong("unsolicited"), Ping("ping payload")}, Want: []Reply{pong("ping payload")}},
		{ID: "2.10", Name: "ten pings", RFC: "5.5.2", In: ten, Want: tenWant},
		{ID: "2.11", Name: "ten pings, byte by byte", RFC: "5.5.2", Chop: 1, In: ten, Want: tenWant},
		{ID: "2.R1", Name: "header of a ping of 126 bytes fails at once", RFC: "5.5", In: []Part{Ping("").Claim(126)}, End: ProtocolError},
		{ID: "2.R2", Name: "header of a pong of 126 bytes fails at once", RFC: "5.5", In: []Part{Pong("").Claim(126)}, End: ProtocolError},
		{ID: "2.R3", Name: "pong of 125 bytes that are not UTF-8", RFC: "5.5", In: []Part{Pong(long)}},
		{ID: "2.R4", Name: "ping whose payload is cut", RFC: "5.5.2", In: []Part{Ping("pin").Claim(4)}, End: Unfinished},
	}
}

// miscellaneous is Autobahn's group 10, and clients that vanish.
func miscellaneous() []Case {
	big := letters(65536)
	return []Case{
		{ID: "10.1.1", Name: "message of 65536 bytes in fragments of 1300", RFC: "5.4",
			In: Fragments(OpText, big, 1300), Want: []Reply{{OpText, big}}},
		{ID: "10.R1", Name: "client vanishes between messages", RFC: "7.1.5",
			In: []Part{Text("last words")}, EOF: true, Want: []Reply{text("last words")}, End: Dropped},
		{ID: "10.R2", Name: "client vanishes inside a header", RFC: "7.1.5", In: []Part{Raw{0x81}}, EOF: true, End: Dropped},
		{ID: "10.R3", Name: "client vanishes inside a payload", RFC: "7.1.5", In: []Part{Text("hel").Claim(5)}, EOF: true, End: Dropped},
		{ID: "10.R4", Name: "client vanishes inside a fragmented message", RFC: "7.1.5",
			In: []Part{Text("hel").More()}, EOF: true, End: Dropped},
		{ID: "10.R5", Name: "client vanishes at once", RFC: "7.1.5", EOF: true, End: Dropped},
		{ID: "10.R6", Name: "close and end of stream together", RFC: "7.1.2",
			In: []Part{Close(1001, "bye")}, EOF: true, End: ClosedWith(1001)},
		{ID: "10.R7", Name: "a second request instead of a frame", RFC: "5.2", In: []Part{Raw(Upgrade)}, End: ProtocolError},
	}
}
