package netpolltest

// Group is the cases of one subject, numbered as Autobahn numbers them.
type Group struct {
	Number string
	Name   string
	Cases  []Case
}

// Groups returns all groups for a server whose largest message is limitBytes.
// The cases of group 9 share large payloads: call it once and keep the result.
func Groups(limitBytes int) []Group {
	return []Group{
		{"1", "framing", framing()},
		{"2", "pings and pongs", pings()},
		{"3", "reserved bits", reservedBits()},
		{"4", "opcodes", opcodes()},
		{"5", "fragmentation", fragmentation()},
		{"6", "UTF-8", utf8Cases()},
		{"7", "close handling", closing()},
		{"9", "limits", limits(limitBytes)},
		{"10", "miscellaneous", miscellaneous()},
	}
}

// whole is a case of one message that comes back as it was sent.
func whole(id, name string, op byte, payload []byte) Case {
	return Case{
		ID: id, Name: name, RFC: "5.6",
		In:   []Part{NewFrame(op, payload)},
		Want: []Reply{{op, payload}},
	}
}

// letters returns n bytes in which neighbours differ, so that a mask or an
// offset that is off by one shows.
func letters(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = 'a' + byte(i%26+i/26*7%26)%26
	}
	return p
}

func text(s string) Reply { return Reply{OpText, []byte(s)} }
func pong(s string) Reply { return Reply{OpPong, []byte(s)} }
