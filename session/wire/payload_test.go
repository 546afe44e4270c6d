package wire

import (
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"
)

func TestCheckJSON(t *testing.T) {
	for _, c := range []struct {
		in, code string
		offset   int
	}{
		{`{"a":[1,2,{"b":null}]}`, "", 0},
		{` "text" `, "", 0},
		{`7`, "", 0},
		{``, CodeJSON, 0},
		{`  `, CodeJSON, 2},
		{`{"a":}`, CodeJSON, 5},
		{`{"a":1} x`, CodeJSON, 8},
		{"\"a\xff\"", CodeJSON, 2},
		{"\xc3", CodeJSON, 0},
	} {
		err := CheckJSON([]byte(c.in))
		var e *Error
		if c.code == "" && err != nil || c.code != "" && (!errors.As(err, &e) || e.Code != c.code || e.Offset != c.offset) {
			t.Errorf("%q: %v, want %q at byte %d", c.in, err, c.code, c.offset)
		}
	}
}

func FuzzCheckJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2]}`, `"\u00e4"`, `-0.5e+7`, "\xff", `[[[]]]`, `tru`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := CheckJSON(b)
		var e *Error
		if errors.As(err, &e) && e.Code == CodeDepth {
			return // encoding/json goes deeper
		}
		if want := utf8.Valid(b) && json.Valid(b); (err == nil) != want {
			t.Errorf("%q: %v, encoding/json says %v", b, err, want)
		}
	})
}
