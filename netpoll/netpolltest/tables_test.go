package netpolltest

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// groups is made once: group 9 holds large payloads.
var groups = Groups(testLimitBytes)

// TestTablesAgreeWithModel judges the tables by the model and the model by the
// tables: the two were written from the RFC independently of netpoll.
func TestTablesAgreeWithModel(t *testing.T) {
	for _, g := range groups {
		for _, c := range g.Cases {
			in, _ := c.Bytes()
			if len(c.In)*len(in) > 256<<20 || testing.Short() && len(in) > 1<<20 {
				continue // the model looks at a whole message again for each fragment
			}
			if err := Play(c, &modelStream{limitBytes: testLimitBytes}, [][]byte{in}); err != nil {
				t.Errorf("%s %s: %v", c.ID, c.Name, err)
			}
		}
	}
}

// TestIDsAreUnique: an id in a report must name one case.
func TestIDsAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range groups {
		for _, c := range g.Cases {
			if seen[c.ID] {
				t.Errorf("%s names two cases", c.ID)
			}
			seen[c.ID] = true
			if !strings.HasPrefix(c.ID, g.Number+".") || c.Name == "" || c.RFC == "" {
				t.Errorf("%s in group %s: name %q, RFC %q", c.ID, g.Number, c.Name, c.RFC)
			}
		}
	}
}

// TestSequencesFollowRFC3629 judges which sequences are valid by the ABNF of
// RFC 3629 section 4, and which group of the table they stand in.
func TestSequencesFollowRFC3629(t *testing.T) {
	valid := map[int]bool{5: true, 7: true, 9: true, 22: true, 23: true}
	mixed := map[int]bool{6: true, 11: true}
	for _, g := range utf8Sequences {
		for i, s := range g.sequences {
			want := rfc3629(s)
			if got := utf8.ValidString(s); got != want {
				t.Errorf("6.%d.%d % x: utf8 says %v, the ABNF %v", g.number, i+1, s, got, want)
			}
			if !mixed[g.number] && want != valid[g.number] {
				t.Errorf("6.%d.%d % x stands in the wrong group", g.number, i+1, s)
			}
		}
	}
}

// rfc3629 is the ABNF, row by row.
func rfc3629(s string) bool {
	rows := [][][2]byte{
		{{0x00, 0x7F}},
		{{0xC2, 0xDF}, {0x80, 0xBF}},
		{{0xE0, 0xE0}, {0xA0, 0xBF}, {0x80, 0xBF}},
		{{0xE1, 0xEC}, {0x80, 0xBF}, {0x80, 0xBF}},
		{{0xED, 0xED}, {0x80, 0x9F}, {0x80, 0xBF}},
		{{0xEE, 0xEF}, {0x80, 0xBF}, {0x80, 0xBF}},
		{{0xF0, 0xF0}, {0x90, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}},
		{{0xF1, 0xF3}, {0x80, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}},
		{{0xF4, 0xF4}, {0x80, 0x8F}, {0x80, 0xBF}, {0x80, 0xBF}},
	}
next:
	for len(s) > 0 {
	row:
		for _, row := range rows {
			if len(s) < len(row) {
				continue
			}
			for i, r := range row {
				if s[i] < r[0] || s[i] > r[1] {
					continue row
				}
			}
			s = s[len(row):]
			continue next
		}
		return false
	}
	return true
}

// TestCheckSeesMistakes: a checker that accepts everything would make every
// other test here worthless.
func TestCheckSeesMistakes(t *testing.T) {
	frame := func(f Frame) []byte { return f.NoMask().AppendTo(nil) }
	hello := frame(Text("Hello"))
	c := Case{Want: []Reply{text("Hello")}}
	closing := Case{End: ProtocolError}
	for _, bad := range []struct {
		name  string
		c     Case
		out   []byte
		ended bool
	}{
		{"no answer", c, nil, false},
		{"half an answer", c, hello[:3], false},
		{"another text", c, frame(Text("hello")), false},
		{"another opcode", c, frame(Binary([]byte("Hello"))), false},
		{"a frame too many", c, append(hello[:len(hello):len(hello)], frame(Pong(""))...), false},
		{"fragmented", c, append(frame(Text("Hel").More()), frame(Continue("lo"))...), false},
		{"masked", c, Text("Hello").AppendTo(nil), false},
		{"reserved bit", c, frame(Text("Hello").Reserved(4)), false},
		{"long form", c, frame(Text("Hello").As(Bits16)), false},
		{"ended", c, hello, true},
		{"close frame", c, append(hello[:len(hello):len(hello)], frame(Close(1000, ""))...), false},
		{"text that is not UTF-8", Case{Want: []Reply{text("\xff")}}, frame(Text("\xff")), false},
		{"no close frame", closing, nil, true},
		{"close frame, stream left open", closing, frame(Close(1002, "")), false},
		{"another code", closing, frame(Close(1007, "")), true},
		{"no code", closing, frame(CloseEmpty()), true},
		{"code that must not be sent", closedWithCase(1005), frame(Close(1005, "")), true},
		{"reason that is not UTF-8", closing, frame(Close(1002, "\xff")), true},
		{"reason too long", closing, frame(Close(1002, strings.Repeat("x", 124))), true},
		{"frame after the close frame", closing, append(frame(Close(1002, "")), hello...), true},
		{"two close frames", closing, append(frame(Close(1002, "")), frame(Close(1002, ""))...), true},
		{"not dropped", Case{End: Dropped}, nil, false},
	} {
		if bad.c.Check(bad.out, bad.ended) == nil {
			t.Errorf("%s: not seen", bad.name)
		}
	}
	if err := c.Check(hello, false); err != nil {
		t.Errorf("the right answer: %v", err)
	}
	if err := closing.Check(frame(Close(1002, "why")), true); err != nil {
		t.Errorf("the right end: %v", err)
	}
}

// closedWithCase is a case without frames that ends with the code.
func closedWithCase(code uint16) Case { return Case{End: ClosedWith(code)} }

// TestServerPingsAreNotReplies: they may come anywhere and count for nothing.
func TestServerPingsAreNotReplies(t *testing.T) {
	frame := func(f Frame) []byte { return f.NoMask().AppendTo(nil) }
	hello, ping := frame(Text("Hello")), frame(Ping("beat"))
	for _, in := range [][]byte{concatBytes(hello), concatBytes(ping, hello), concatBytes(ping, hello, ping), concatBytes(hello, ping)} {
		if got, pings := withoutPings(in); string(got) != string(hello) || pings != len(in)-len(hello) {
			t.Errorf("%q: kept %q, %d bytes of pings", in, got, pings)
		}
	}
	if got, _ := withoutPings(concatBytes(ping, hello[:3])); string(got) != string(hello[:3]) {
		t.Errorf("a cut frame behind a ping: kept %q", got)
	}
}

func concatBytes(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
