package netpolltest

import "fmt"

// framing is Autobahn's group 1: every class of payload length, and the mask.
func framing() (cases []Case) {
	for i, op := range []byte{OpText, OpBinary} {
		kind := []string{"text", "binary"}[i]
		for j, n := range []int{0, 125, 126, 127, 128, 65535, 65536} {
			c := whole(fmt.Sprintf("1.%d.%d", i+1, j+1), fmt.Sprintf("%s of %d bytes", kind, n), op, letters(n))
			c.RFC = "5.2"
			cases = append(cases, c)
		}
		c := whole(fmt.Sprintf("1.%d.8", i+1), kind+" of 65536 bytes in pieces of 997", op, letters(65536))
		c.RFC, c.Chop = "5.2", 997
		cases = append(cases, c)
	}
	return append(cases, append(masking(), lengths()...)...)
}

// masking is our own: a server must take every key and must fail a frame
// without one at its header.
func masking() []Case {
	zero := NewFrame(OpText, letters(40)).Masked([4]byte{})
	asym := NewFrame(OpBinary, letters(39)).Masked([4]byte{0xFF, 0, 0, 1})
	return []Case{
		{ID: "1.R1", Name: "mask of zeros", RFC: "5.3", In: []Part{zero}, Want: []Reply{{OpText, letters(40)}}},
		{ID: "1.R2", Name: "mask of unlike bytes", RFC: "5.3", In: []Part{asym}, Want: []Reply{{OpBinary, letters(39)}}},
		{ID: "1.R3", Name: "each length 0-40 under its own mask", RFC: "5.3", In: lengthsUpTo(40), Want: repliesUpTo(40)},
		{ID: "1.R4", Name: "unmasked text", RFC: "5.1", In: []Part{Text("Hello").NoMask()}, End: ProtocolError},
		{ID: "1.R5", Name: "unmasked empty text", RFC: "5.1", In: []Part{Text("").NoMask()}, End: ProtocolError},
		{ID: "1.R6", Name: "unmasked ping", RFC: "5.1", In: []Part{Ping("p").NoMask()}, End: ProtocolError},
		{ID: "1.R7", Name: "unmasked close", RFC: "5.1", In: []Part{Close(1000, "").NoMask()}, End: ProtocolError},
		{ID: "1.R8", Name: "unmasked header alone fails at once", RFC: "5.1",
			In: []Part{NewFrame(OpBinary, nil).NoMask().Claim(100)}, End: ProtocolError},
		{ID: "1.R9", Name: "text, then unmasked continuation", RFC: "5.1",
			In: []Part{Text("a").More(), Continue("b").NoMask()}, End: ProtocolError},
	}
}

func lengthsUpTo(n int) (parts []Part) {
	for i := range n + 1 {
		parts = append(parts, Binary(letters(i)))
	}
	return parts
}

func repliesUpTo(n int) (replies []Reply) {
	for i := range n + 1 {
		replies = append(replies, Reply{OpBinary, letters(i)})
	}
	return replies
}

// lengths is our own: the shortest form is the only one, and the top bit of a
// 64-bit length is zero.
func lengths() (cases []Case) {
	add := func(name string, end End, in ...Part) {
		cases = append(cases, Case{ID: fmt.Sprintf("1.R%d", 10+len(cases)), Name: name, RFC: "5.2", In: in, End: end})
	}
	for _, n := range []int{0, 1, 125} {
		add(fmt.Sprintf("%d bytes spelled in 16 bits", n), ProtocolError, Binary(letters(n)).As(Bits16))
	}
	for _, n := range []int{0, 125, 126, 65535} {
		add(fmt.Sprintf("%d bytes spelled in 64 bits", n), ProtocolError, Binary(letters(n)).As(Bits64))
	}
	add("ping spelled in 16 bits", ProtocolError, Ping("p").As(Bits16))
	add("close spelled in 64 bits", ProtocolError, Close(1000, "").As(Bits64))
	add("64-bit length with the top bit set", ProtocolError, Binary(nil).Claim(1<<63))
	add("64-bit length of all ones", ProtocolError, Text("").Claim(1<<64-1))
	add("header cut after its first byte", Unfinished, Raw{0x82})
	add("header cut inside a 16-bit length", Unfinished, Raw{0x82, 0xFE, 0x01})
	add("header cut inside a 64-bit length", Unfinished, Raw{0x82, 0xFF, 0, 0, 0, 0, 0, 1})
	add("header cut inside the mask", Unfinished, Raw{0x82, 0x85, 1, 2, 3})
	add("payload cut before its last byte", Unfinished, Binary(letters(9)).Claim(10))
	return cases
}
