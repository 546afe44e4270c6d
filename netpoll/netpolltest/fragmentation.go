package netpolltest

// fragmentation is Autobahn's group 5.
func fragmentation() []Case {
	f1, f2 := Text("fragment1").More(), Continue("fragment2")
	both := []Reply{text("fragment1fragment2")}
	pinged := []Reply{pong("ping payload"), both[0]}
	ping := Ping("ping payload")
	stray := Continue("non-continuation payload")
	hello := Text("Hello, world!")
	five := []Part{Text("fragment1").More(), Continue("fragment2").More(), Ping("pongme 1!"),
		Continue("fragment3").More(), Continue("fragment4").More(), Ping("pongme 2!"), Continue("fragment5")}
	fiveWant := []Reply{pong("pongme 1!"), pong("pongme 2!"), text("fragment1fragment2fragment3fragment4fragment5")}
	cases := []Case{
		{ID: "5.1", Name: "ping in two fragments", In: []Part{Ping("fragment1").More(), f2}, End: ProtocolError},
		{ID: "5.2", Name: "pong in two fragments", In: []Part{Pong("fragment1").More(), f2}, End: ProtocolError},
		{ID: "5.3", Name: "text in two fragments, at once", In: []Part{f1, f2}, Want: both},
		{ID: "5.4", Name: "text in two fragments, pieces of 7", Chop: 7, In: []Part{f1, f2}, Want: both},
		{ID: "5.5", Name: "text in two fragments, byte by byte", Chop: 1, In: []Part{f1, f2}, Want: both},
		{ID: "5.6", Name: "ping between two fragments", In: []Part{f1, ping, f2}, Want: pinged},
		{ID: "5.7", Name: "ping between two fragments, pieces of 9", Chop: 9, In: []Part{f1, ping, f2}, Want: pinged},
		{ID: "5.8", Name: "ping between two fragments, byte by byte", Chop: 1, In: []Part{f1, ping, f2}, Want: pinged},
		{ID: "5.9", Name: "final continuation of nothing, then text", In: []Part{stray, hello}, End: ProtocolError},
		{ID: "5.10", Name: "final continuation of nothing, pieces of 13", Chop: 13, In: []Part{stray, hello}, End: ProtocolError},
		{ID: "5.11", Name: "final continuation of nothing, byte by byte", Chop: 1, In: []Part{stray, hello}, End: ProtocolError},
		{ID: "5.12", Name: "continuation of nothing, then text", In: []Part{stray.More(), hello}, End: ProtocolError},
		{ID: "5.13", Name: "continuation of nothing, pieces of 13", Chop: 13, In: []Part{stray.More(), hello}, End: ProtocolError},
		{ID: "5.14", Name: "continuation of nothing, byte by byte", Chop: 1, In: []Part{stray.More(), hello}, End: ProtocolError},
		{ID: "5.15", Name: "whole message, continuation of nothing, text", In: []Part{f1, f2, Continue("fragment3").More(), Text("fragment4")},
			Want: both, End: ProtocolError},
		{ID: "5.16", Name: "continuation of nothing, message, twice", End: ProtocolError,
			In: []Part{Continue("fragment1").More(), Text("fragment2").More(), Continue("fragment3"),
				Continue("fragment4").More(), Text("fragment5").More(), Continue("fragment6")}},
		{ID: "5.17", Name: "final continuation of nothing, message, twice", End: ProtocolError,
			In: []Part{Continue("fragment1"), Text("fragment2").More(), Continue("fragment3"),
				Continue("fragment4"), Text("fragment5").More(), Continue("fragment6")}},
		{ID: "5.18", Name: "two text frames as fragments of one message", In: []Part{f1, Text("fragment2")}, End: ProtocolError},
		{ID: "5.19", Name: "five fragments with pings", In: five, Want: fiveWant},
		{ID: "5.20", Name: "five fragments with pings, pieces of 16", Chop: 16, In: five, Want: fiveWant},
	}
	cases = append(cases, fragmentationOwn()...)
	for i := range cases {
		cases[i].RFC = "5.4"
	}
	return cases
}

// fragmentationOwn goes beyond Autobahn: headers alone, empty fragments,
// messages one after another.
func fragmentationOwn() []Case {
	a, b := Text("a").More(), Continue("b")
	return []Case{
		{ID: "5.R1", Name: "binary in two fragments", In: []Part{Binary([]byte{0}).More(), Continue("\xff")}, Want: []Reply{{OpBinary, []byte{0, 0xFF}}}},
		{ID: "5.R2", Name: "text inside binary", In: []Part{Binary([]byte{0}).More(), Text("x"), Continue("y")}, End: ProtocolError},
		{ID: "5.R3", Name: "header of a second text fails at once", In: []Part{a, Text("").Claim(200)}, End: ProtocolError},
		{ID: "5.R4", Name: "header of a stray continuation fails at once", In: []Part{Continue("").Claim(200)}, End: ProtocolError},
		{ID: "5.R5", Name: "header of a fragmented ping fails at once", In: []Part{Ping("").More().Claim(20)}, End: ProtocolError},
		{ID: "5.R6", Name: "fragmented close", In: []Part{Close(1000, "").More()}, End: ProtocolError},
		{ID: "5.R7", Name: "two fragmented messages", In: []Part{a, b, Binary([]byte("c")).More(), Continue("d")},
			Want: []Reply{text("ab"), {OpBinary, []byte("cd")}}},
		{ID: "5.R8", Name: "empty fragments around one byte", In: []Part{Binary(nil).More(), Continue("").More(), Continue("x").More(), Continue("")},
			Want: []Reply{{OpBinary, []byte("x")}}},
		{ID: "5.R9", Name: "empty message in two fragments", In: []Part{Binary(nil).More(), Continue("")}, Want: []Reply{{OpBinary, nil}}},
		{ID: "5.R10", Name: "pong between fragments", In: []Part{a, Pong("late"), b}, Want: []Reply{text("ab")}},
		{ID: "5.R11", Name: "ten pings between fragments", In: []Part{a, Ping("0"), Ping("1"), Ping("2"), Ping("3"), Ping("4"), b},
			Want: []Reply{pong("0"), pong("1"), pong("2"), pong("3"), pong("4"), text("ab")}},
		{ID: "5.R12", Name: "message never finished", In: []Part{a, Continue("b").More()}, End: Unfinished},
		{ID: "5.R13", Name: "ping inside a message never finished", In: []Part{a, Ping("p")}, Want: []Reply{pong("p")}, End: Unfinished},
		{ID: "5.R14", Name: "300 fragments of one byte", In: Fragments(OpText, letters(300), 1), Want: []Reply{{OpText, letters(300)}}},
		{ID: "5.R15", Name: "stray continuation after a whole message", In: []Part{Text("a"), b}, Want: []Reply{text("a")}, End: ProtocolError},
	}
}
