package netpolltest

import "fmt"

// reservedBits is Autobahn's group 3: no extension was negotiated, so each of
// the three bits must fail the connection, whatever the frame.
func reservedBits() []Case {
	hello := Text("Hello, world!")
	echo := []Reply{text("Hello, world!")}
	cases := []Case{
		{ID: "3.1", Name: "text with RSV 1", In: []Part{hello.Reserved(1)}},
		{ID: "3.2", Name: "text, text with RSV 2, ping", In: []Part{hello, hello.Reserved(2), Ping("")}, Want: echo},
		{ID: "3.3", Name: "text, text with RSV 3, ping", In: []Part{hello, hello.Reserved(3), Ping("")}, Want: echo},
		{ID: "3.4", Name: "text, text with RSV 4, ping, byte by byte", Chop: 1, In: []Part{hello, hello.Reserved(4), Ping("")}, Want: echo},
		{ID: "3.5", Name: "binary with RSV 5", In: []Part{Binary([]byte("\x00\xff\xfe")).Reserved(5)}},
		{ID: "3.6", Name: "ping with RSV 6", In: []Part{Ping("Hello").Reserved(6)}},
		{ID: "3.7", Name: "close with RSV 7", In: []Part{Close(1000, "").Reserved(7)}},
		{ID: "3.R1", Name: "continuation with RSV 4", In: []Part{Text("a").More(), Continue("b").Reserved(4)}},
		{ID: "3.R2", Name: "pong with RSV 1", In: []Part{Pong("").Reserved(1)}},
	}
	for rsv := byte(1); rsv < 8; rsv++ {
		cases = append(cases, Case{ID: fmt.Sprintf("3.R%d", rsv+2), Name: fmt.Sprintf("header with RSV %d fails at once", rsv),
			In: []Part{Text("").Reserved(rsv).Claim(300)}})
	}
	for i := range cases {
		cases[i].RFC, cases[i].End = "5.2", ProtocolError
	}
	return cases
}

// opcodes is Autobahn's group 4: the reserved ones fail the connection.
func opcodes() (cases []Case) {
	for i, ops := range [][5]byte{{3, 4, 5, 6, 7}, {11, 12, 13, 14, 15}} {
		for j, op := range ops {
			c := Case{ID: fmt.Sprintf("4.%d.%d", i+1, j+1), RFC: "5.2", End: ProtocolError}
			bad := NewFrame(op, nil)
			if j%2 == 1 {
				bad = NewFrame(op, []byte("reserved opcode payload"))
			}
			c.Name = fmt.Sprintf("opcode %d, %d bytes", op, len(bad.Payload))
			c.In = []Part{bad}
			if j >= 2 {
				c.Name = "text, " + c.Name + ", ping"
				c.In = []Part{Text("Hello, world!"), bad, Ping("")}
				c.Want = []Reply{text("Hello, world!")}
			}
			if j == 4 {
				c.Name, c.Chop = c.Name+", byte by byte", 1
			}
			cases = append(cases, c)
		}
	}
	for i, op := range []byte{3, 7, 11, 15} {
		cases = append(cases,
			Case{ID: fmt.Sprintf("4.R%d", 2*i+1), Name: fmt.Sprintf("header of opcode %d fails at once", op), RFC: "5.2",
				In: []Part{NewFrame(op, nil).Claim(100)}, End: ProtocolError},
			Case{ID: fmt.Sprintf("4.R%d", 2*i+2), Name: fmt.Sprintf("opcode %d inside a fragmented message", op), RFC: "5.2",
				In: []Part{Text("a").More(), NewFrame(op, nil), Continue("b")}, End: ProtocolError})
	}
	return cases
}
