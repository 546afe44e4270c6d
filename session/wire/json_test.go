package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// whole reports what the scanner says of a text.
func whole(b []byte) (code string, at int) {
	s := scanner{b: b}
	if s.value() {
		s.end()
	}
	return s.code, s.i
}

// texts are JSON and what is nearly JSON, with where it goes wrong; -1: nowhere.
var texts = []struct {
	in string
	at int
}{
	{`{}`, -1}, {`[]`, -1}, {` [ ] `, -1}, {`{"a":{"b":[1,{"c":null}]},"d":[]}`, -1}, {"\t\n\r 1", -1},
	{`0`, -1}, {`-0`, -1}, {`-0.0e-0`, -1}, {`1E+400`, -1}, {`10`, -1}, {`true`, -1}, {`false`, -1}, {`null`, -1},
	{`""`, -1}, {`"\"\\\/\b\f\n\r\t\u0000\uD800\uffFF"`, -1}, {"\"\x7f\"", -1}, {`"12345678"`, -1}, {`"1234567890123456\n"`, -1},
	{``, 0}, {` `, 1}, {`{`, 1}, {`[`, 1}, {`"`, 1}, {`"a`, 2}, {`{"a"`, 4}, {`{"a":`, 5}, {`{"a":1`, 6}, {`[1`, 2}, {`[1,`, 3},
	{`[1,]`, 3}, {`[,1]`, 1}, {`{,}`, 1}, {`{"a":1,}`, 7}, {`{"a" 1}`, 5}, {`{a:1}`, 1}, {`{"a":1]`, 6}, {`[1}`, 2}, {`[1 2]`, 3},
	{`01`, 0}, {`-`, 1}, {`-a`, 1}, {`1.`, 2}, {`.1`, 0}, {`1e`, 2}, {`1e+`, 3}, {`+1`, 0}, {`1 2`, 2}, {`0x1`, 1}, {`NaN`, 0},
	{`tru`, 0}, {`truE`, 0}, {`nul`, 0}, {`True`, 0}, {`{}}`, 2}, {`]`, 0}, {"\x00", 0}, {"1\x00", 1}, {"\ufeff{}", 0},
	{"\"a\nb\"", 2}, {"\"12345678\x1f\"", 9}, {`"\x"`, 1}, {`"\u12"`, 1}, {`"\u12G4"`, 1}, {`"\`, 1}, {`"12345678\`, 9},
	{"// c\n1", 0}, {`'a'`, 0},
}

func TestScanner(t *testing.T) {
	for _, tc := range texts {
		code, at := whole([]byte(tc.in))
		if code == "" {
			at = -1
		}
		if at != tc.at {
			t.Errorf("%q: wrong at %d, want %d", tc.in, at, tc.at)
		}
		if (tc.at < 0) != json.Valid([]byte(tc.in)) {
			t.Errorf("%q: the table is wrong", tc.in)
		}
	}
}

// TestScannerPrefixes cuts every text short everywhere: the scanner must neither
// read past the end nor find sense where encoding/json finds none.
func TestScannerPrefixes(t *testing.T) {
	for _, tc := range texts {
		for n := range len(tc.in) {
			b := []byte(tc.in)[:n:n]
			if code, _ := whole(b); (code == "") != json.Valid(b) {
				t.Errorf("%q: %q", b, code)
			}
		}
	}
}

func TestScannerDepth(t *testing.T) {
	for _, nest := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
		for _, n := range []int{1, 63, 64, 65, DepthMax} {
			b := []byte(strings.Repeat(nest[0], n) + "1" + strings.Repeat(nest[1], n))
			if code, _ := whole(b); code != "" {
				t.Errorf("%d levels of %s: %s", n, nest[0], code)
			}
		}
		b := []byte(strings.Repeat(nest[0], DepthMax+1))
		if code, at := whole(b); code != CodeDepth || at != DepthMax*len(nest[0]) {
			t.Errorf("%d levels of %s: %q at %d", DepthMax+1, nest[0], code, at)
		}
	}
}

// TestSpecial tries every byte at every place among plain ones and among bytes that
// a borrow could mistake.
func TestSpecial(t *testing.T) {
	for _, around := range []byte{'a', ' ', '!', '#', '[', ']', 0x7f, 0x80, 0xff} {
		for c := range 256 {
			for at := range 9 {
				b := bytes.Repeat([]byte{around}, 17)
				b[at] = byte(c)
				b = append([]byte{'"'}, append(b, '"')...)
				code, _ := whole(b)
				want := c >= ' ' && c != '"' && c != '\\'
				if (code == "") != want {
					t.Fatalf("%q is %q", b, code)
				}
			}
		}
	}
}

// FuzzJSON holds the scanner against encoding/json: what is JSON, and what its
// strings mean.
func FuzzJSON(f *testing.F) {
	for _, tc := range texts {
		f.Add([]byte(tc.in))
	}
	f.Add([]byte(`{"a":"\ud83d\ude00 \ud83d \ude00\ud83d","a":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		code, at := whole(b)
		if at < 0 || at > len(b) {
			t.Fatalf("%q: at %d", b, at)
		}
		if code == CodeDepth {
			return
		}
		if (code == "") != json.Valid(b) {
			t.Fatalf("%q: %q, but encoding/json says %v", b, code, json.Valid(b))
		}
		if code != "" || !utf8.Valid(b) {
			return
		}
		var v any
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			return // a number that nobody can hold
		}
		if s, ok := v.(string); ok {
			trimmed := bytes.Trim(b, " \t\r\n")
			var r reader
			if got := r.decode(trimmed); string(got) != s {
				t.Fatalf("%q means %q, want %q", b, got, s)
			}
		}
		if m, ok := v.(map[string]any); ok {
			var r reader
			if r.read(b); r.err.Code != "" {
				t.Fatalf("%q: %v", b, r.err)
			}
			for n := memberUnknown + 1; n < memberCount; n++ {
				want, there := m[names[n]]
				if got := r.at[n].to != 0; got != there {
					t.Fatalf("%q: member %s is there: %v, want %v", b, names[n], got, there)
				}
				if !there {
					continue
				}
				var got any
				dd := json.NewDecoder(bytes.NewReader(b[r.at[n].from:r.at[n].to]))
				dd.UseNumber()
				if err := dd.Decode(&got); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
					t.Fatalf("%q: member %s is %v, want %v", b, names[n], got, want)
				}
			}
		}
	})
}

func TestMemberNames(t *testing.T) {
	for m := memberUnknown + 1; m < memberCount; m++ {
		if memberNamed([]byte(names[m])) != m || names[m] == "" {
			t.Errorf("member %d, %q, is read as %d", m, names[m], memberNamed([]byte(names[m])))
		}
		if len(names[m]) > 16 {
			t.Errorf("%q is longer than memberAt looks", names[m])
		}
	}
	if memberNamed([]byte("typ")) != memberUnknown || memberNamed(nil) != memberUnknown {
		t.Error("a name of no frame has a member")
	}
}

func BenchmarkScanner(b *testing.B) {
	for name, text := range map[string][]byte{
		"text":    []byte(`"` + strings.Repeat("lorem ipsum ", 1000) + `"`),
		"objects": []byte("[" + strings.Repeat(`{"id":12345,"name":"some name","ok":true},`, 300) + "null]"),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if code, _ := whole(text); code != "" {
					b.Fatal(code)
				}
			}
		})
	}
}
