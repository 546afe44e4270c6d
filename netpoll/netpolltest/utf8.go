package netpolltest

import (
	"fmt"
	"unicode/utf8"
)

// failFast is the sequence of Autobahn's 6.3 and 6.4: valid text, a code point
// past U+10FFFF, then ASCII.
const (
	greek = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5" // κόσμε
	past  = "\xf4\x90\x80\x80"
	ascii = "edited"
)

// utf8Cases is Autobahn's group 6: RFC 6455 section 8.1 with RFC 3629.
func utf8Cases() []Case {
	cases := utf8Messages()
	for _, group := range utf8Sequences {
		for i, seq := range group.sequences {
			cases = append(cases, utf8Sequence(fmt.Sprintf("6.%d.%d", group.number, i+1), group.name, seq)...)
		}
	}
	for i := range cases {
		cases[i].RFC = "8.1, RFC 3629"
	}
	return cases
}

// utf8Messages is 6.1 to 6.4: where text may be cut, and how early a server
// must notice. A case whose input stops at the first wrong byte and that must
// end with 1007 shows that the rest is not waited for.
func utf8Messages() []Case {
	hello := "Hello-\u00b5@\u00df\u00f6\u00e4\u00fc\u00e0\u00e1-UTF-8!!"
	bad := greek + "\xed\xa0\x80" + ascii // a surrogate
	return []Case{
		{ID: "6.1.1", Name: "empty text", In: []Part{Text("")}, Want: []Reply{text("")}},
		{ID: "6.1.2", Name: "three empty fragments", In: []Part{Text("").More(), Continue("").More(), Continue("")}, Want: []Reply{text("")}},
		{ID: "6.1.3", Name: "fragments: empty, text, empty", In: []Part{Text("").More(), Continue("middle frame payload").More(), Continue("")},
			Want: []Reply{text("middle frame payload")}},
		{ID: "6.2.1", Name: "valid text", In: []Part{Text(hello)}, Want: []Reply{text(hello)}},
		{ID: "6.2.2", Name: "valid text cut between code points", In: []Part{Text(hello[:13]).More(), Continue(hello[13:])}, Want: []Reply{text(hello)}},
		{ID: "6.2.3", Name: "valid text in fragments of a byte", In: Fragments(OpText, []byte(hello), 1), Want: []Reply{text(hello)}},
		{ID: "6.2.4", Name: "Greek in fragments of a byte", In: Fragments(OpText, []byte(greek), 1), Want: []Reply{text(greek)}},
		{ID: "6.3.1", Name: "invalid text", In: []Part{Text(bad)}, End: InvalidData},
		{ID: "6.3.2", Name: "invalid text in fragments of a byte", In: Fragments(OpText, []byte(bad), 1), End: InvalidData},
		{ID: "6.4.1", Name: "second of three fragments is invalid; the third never comes", In: []Part{Text(greek).More(), Continue(past).More()}, End: InvalidData},
		{ID: "6.4.2", Name: "fragment whose second byte is invalid; no more comes", In: []Part{Text(greek).More(), Continue(past[:2]).More()}, End: InvalidData},
		{ID: "6.4.3", Name: "one frame that stops behind an invalid sequence", In: []Part{Text(greek + past).Claim(21)}, End: InvalidData},
		{ID: "6.4.4", Name: "one frame that stops at the invalid byte", In: []Part{Text(greek + past[:2]).Claim(21)}, End: InvalidData},
		{ID: "6.4.R1", Name: "inside a fragment that stops at the invalid byte", In: []Part{Text(greek + past[:1]).More(), Continue(past[1:2]).Claim(9)}, End: InvalidData},
		{ID: "6.4.R2", Name: "ping between the halves of a code point", In: []Part{Text("\xe2\x82").More(), Ping("p"), Continue("\xac")},
			Want: []Reply{pong("p"), text("\u20ac")}},
		{ID: "6.4.R3", Name: "ping between, then the wrong half", In: []Part{Text("\xe2\x82").More(), Ping("p"), Continue("\x41")},
			Want: []Reply{pong("p")}, End: InvalidData},
		{ID: "6.4.R4", Name: "code point over three fragments, one empty", In: []Part{Text("\xf0\x9f").More(), Continue("").More(), Continue("\x98\x80")},
			Want: []Reply{text("\U0001F600")}},
		{ID: "6.4.R5", Name: "message ends inside a code point, in an empty fragment", In: []Part{Text("\xf0\x9f").More(), Continue("")}, End: InvalidData},
		{ID: "6.4.R6", Name: "valid start of a code point waits", In: []Part{Text("\xf0\x9f\x98").Claim(4)}, End: Unfinished},
		{ID: "6.4.R7", Name: "message cut inside a code point, next message is judged anew", In: []Part{Text("\xe2\x82\xac"), Text("\u20ac")},
			Want: []Reply{text("\u20ac"), text("\u20ac")}},
		{ID: "6.4.R8", Name: "binary is not judged", In: []Part{Binary([]byte(past)).More(), Continue("\xff")}, Want: []Reply{{OpBinary, []byte(past + "\xff")}}},
		{ID: "6.4.R9", Name: "invalid byte at each place of 40: last", In: []Part{Text(string(letters(39)) + "\xff")}, End: InvalidData},
		{ID: "6.4.R10", Name: "long ASCII, then the invalid byte, then waiting", In: []Part{Text(string(letters(3000)) + "\xc0").Claim(9000)}, End: InvalidData},
	}
}

// utf8Sequence makes three cases of a sequence: in one frame, in fragments of
// a byte, and, when it is wrong before its end, in a frame that stops right
// where no continuation could save it.
func utf8Sequence(id, name, seq string) []Case {
	one := Case{ID: id, Name: fmt.Sprintf("%s: % x", name, seq), In: []Part{Text(seq)}, Want: []Reply{text(seq)}}
	valid := utf8.ValidString(seq)
	if !valid {
		one.Want, one.End = nil, InvalidData
	}
	cut := one
	cut.ID, cut.In = id+"f", Fragments(OpText, []byte(seq), 1)
	cut.Name += ", fragments of a byte"
	if len(seq) < 2 {
		cut.In = []Part{Text(seq).More(), Continue("")}
	}
	stop, found := firstWrong(seq)
	if !found {
		return []Case{one, cut}
	}
	fast := one
	fast.ID, fast.In = id+"s", []Part{Text(seq[:stop]).Claim(uint64(len(seq) + 20))}
	fast.Name += ", stops at the wrong byte"
	return []Case{one, cut, fast}
}

// firstWrong returns the length of the shortest prefix of s that no further
// byte can make valid.
func firstWrong(s string) (int, bool) {
	for at := 0; at < len(s); {
		_, size := utf8.DecodeRuneInString(s[at:])
		if size > 1 || s[at] < utf8.RuneSelf {
			at += size
			continue
		}
		for end := at + 1; end <= len(s); end++ {
			if utf8.FullRuneInString(s[at:end]) {
				return end, true
			}
		}
		return 0, false // incomplete at the end of s
	}
	return 0, false
}
