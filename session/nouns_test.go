package session

import (
	"math"
	"strings"
	"testing"
	"unicode"
)

func TestCheckName(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want string // part of the error; empty: fine
	}{
		"plain":         {"alice", ""},
		"unicode":       {"ålice-電話", ""},
		"longest":       {strings.Repeat("x", NameBytesMax), ""},
		"empty":         {"", "missing"},
		"too long":      {strings.Repeat("x", NameBytesMax+1), "129 bytes"},
		"not UTF-8":     {"a\xff", "not UTF-8"},
		"slash":         {"a/b", "byte 1"},
		"space":         {"a b", "byte 1"},
		"no-break":      {"a\u00a0b", "byte 1"},
		"newline":       {"ab\n", "byte 2"},
		"control":       {"\x01", "byte 0"},
		"delete":        {"a\x7f", "byte 1"},
		"C1 control":    {"a\u0085", "byte 1"},
		"soft but fine": {"a\u200db", ""},
	} {
		t.Run(name, func(t *testing.T) { checkError(t, CheckName("account", tc.in), tc.want) })
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case err == nil && want != "":
		t.Errorf("no error, want one with %q", want)
	case err != nil && want == "":
		t.Errorf("error %v, want none", err)
	case err != nil && !strings.Contains(err.Error(), want):
		t.Errorf("error %v, want one with %q", err, want)
	}
}

func TestParseAddress(t *testing.T) {
	for name, tc := range map[string]struct{ in, account, device, want string }{
		"plain":        {"alice/phone", "alice", "phone", ""},
		"no slash":     {"alice", "", "", "no '/'"},
		"no device":    {"alice/", "alice", "", "device is missing"},
		"no account":   {"/phone", "", "phone", "account is missing"},
		"second slash": {"a/b/c", "a", "b/c", "device"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := ParseAddress(tc.in)
			checkError(t, err, tc.want)
			if a.Account != tc.account || a.Device != tc.device {
				t.Errorf("got %+v", a)
			}
			if err == nil && a.String() != tc.in {
				t.Errorf("written again it is %q", a)
			}
		})
	}
}

// TestCheckNameCharacters holds every character up to U+0800 to the rule in its own words.
func TestCheckNameCharacters(t *testing.T) {
	for r := range rune(0x800) {
		wrong := r == '/' || unicode.IsControl(r) || unicode.IsSpace(r)
		for _, name := range []string{string(r), "a" + string(r), string(r) + "z", "é" + string(r)} {
			if err := CheckName("device", name); (err != nil) != wrong {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	for b := 0x80; b < 0x100; b++ {
		if CheckName("device", "a"+string([]byte{byte(b)})) == nil {
			t.Errorf("byte %#x alone is no UTF-8, and is taken", b)
		}
	}
}

func BenchmarkCheckName(b *testing.B) {
	for b.Loop() {
		if CheckName("device", "device-123456") != nil {
			b.Fatal("a plain name is refused")
		}
	}
}

func TestCheckTopic(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"one segment":   {"news", ""},
		"segments":      {"news.eu-west.día_1", ""},
		"longest":       {strings.Repeat("x", TopicBytesMax), ""},
		"empty":         {"", "0 bytes"},
		"too long":      {strings.Repeat("x", TopicBytesMax+1), "257 bytes"},
		"empty segment": {"a..b", "empty segment"},
		"dot at end":    {"a.", "empty segment"},
		"pattern":       {"a.*", "'*'"},
		"space":         {"a b", "' '"},
	} {
		t.Run(name, func(t *testing.T) { checkError(t, CheckTopic(tc.in), tc.want) })
	}
}

func TestCheckNode(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"plain":    {"node-1", ""},
		"longest":  {strings.Repeat("n", NodeBytesMax), ""},
		"empty":    {"", "0 bytes"},
		"too long": {strings.Repeat("n", NodeBytesMax+1), "25 bytes"},
		"dot":      {"a.b", "'.'"},
		"capital":  {"Node", "'N'"},
	} {
		t.Run(name, func(t *testing.T) { checkError(t, CheckNode(tc.in), tc.want) })
	}
}

func TestID(t *testing.T) {
	for _, o := range []Origin{{"n", 0}, {"node-1", 36}, {strings.Repeat("n", NodeBytesMax), 1 << 46}} {
		for _, n := range []uint64{0, 1, 35, 36, math.MaxUint64} {
			text := o.Text(n)
			if len(text) > IDBytesMax {
				t.Errorf("%q is %d bytes long", text, len(text))
			}
			if got, number, ok := ParseID(text); !ok || got != o || number != n {
				t.Errorf("%q is read as %v %d %v", text, got, number, ok)
			}
		}
	}
	for name, in := range map[string]string{
		"empty": "", "node only": "n", "no number": "n.1", "empty number": "n.1.", "empty epoch": "n..1",
		"no node": ".1.1", "sign": "n.+1.1", "not base 36": "n.1.é", "too big": "n.1.zzzzzzzzzzzzzz",
		"fourth part": "n.1.1.1", "too long": strings.Repeat("n", IDBytesMax+1),
	} {
		if o, n, ok := ParseID(in); ok {
			t.Errorf("%s: %q is read as %v %d", name, in, o, n)
		}
	}
	room := make([]byte, 0, IDBytesMax)
	if n := testing.AllocsPerRun(100, func() { Origin{"node-1", 7}.Append(room, 1<<60) }); n != 0 {
		t.Errorf("Append: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { ParseID("node-1.7.abc") }); n != 0 {
		t.Errorf("ParseID: %v allocations", n)
	}
}

func TestWords(t *testing.T) {
	seen := map[string]bool{}
	for o := range Outcome(OutcomeCount) {
		word := o.String()
		if got, ok := ParseOutcome(word); word == "" || seen[word] || !ok || got != o {
			t.Errorf("outcome %d is written %q and read as %v", o, word, got)
		}
		seen[word] = true
	}
	if s := Outcome(OutcomeCount).String(); s != "invalid" {
		t.Errorf("an outcome that is none is written %q", s)
	}
	if _, ok := ParseOutcome("delivered"); ok {
		t.Error("read an outcome that is none")
	}
	for _, w := range []Wait{WaitWritten, WaitAcked, WaitNone} {
		if got, ok := ParseWait(w.String()); !ok || got != w {
			t.Errorf("wait %v is read as %v", w, got)
		}
	}
	if w, ok := ParseWait(""); !ok || w != WaitWritten {
		t.Errorf("the default wait is %v", w)
	}
	if _, ok := ParseWait("soon"); ok {
		t.Error("read a wait that is none")
	}
}

func TestRecordOnline(t *testing.T) {
	if r := (Record{}); !r.Online() {
		t.Error("a record without an end is not online")
	}
	if r := (Record{ClosedMS: 1}); r.Online() {
		t.Error("a record with an end is online")
	}
}
