package target

import (
	"fmt"
	"strconv"
	"strings"
)

// Template is a text with places for a connection's number. {i} is the number,
// {i/N} and {i%N} are its quotient and remainder by N (several devices on one
// account), {{ is a brace. It is immutable; any goroutine may use it.
type Template struct{ parts []part }

type part struct {
	literal string // before the number
	op      byte   // 0: none, 'i', '/' or '%'
	by      int64
}

// ParseTemplate reads a template. escape is applied to its literal text, once;
// nil leaves it as it is.
func ParseTemplate(text string, escape func(string) string) (Template, error) {
	if escape == nil {
		escape = func(s string) string { return s }
	}
	var t Template
	var literal strings.Builder
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		literal.WriteString(before)
		if !found {
			break
		}
		if strings.HasPrefix(after, "{") {
			literal.WriteByte('{')
			rest = after[1:]
			continue
		}
		inside, after, closed := strings.Cut(after, "}")
		op, by, ok := parsePlace(inside)
		if !closed || !ok {
			return Template{}, fmt.Errorf("template %q: {%s is not a place; write {i}, {i/N}, {i%%N}, or {{ for a brace", text, inside)
		}
		t.parts = append(t.parts, part{literal: escape(literal.String()), op: op, by: by})
		literal.Reset()
		rest = after
	}
	if literal.Len() > 0 {
		t.parts = append(t.parts, part{literal: escape(literal.String())})
	}
	return t, nil
}

func parsePlace(inside string) (op byte, by int64, ok bool) {
	if inside == "i" {
		return 'i', 1, true
	}
	if len(inside) < 3 || inside[0] != 'i' || (inside[1] != '/' && inside[1] != '%') {
		return 0, 0, false
	}
	n, err := strconv.ParseInt(inside[2:], 10, 64)
	return inside[1], n, err == nil && n > 0
}

// Append appends the text for connection i. It allocates nothing when dst has room.
func (t Template) Append(dst []byte, i int64) []byte {
	for _, p := range t.parts {
		dst = append(dst, p.literal...)
		switch p.op {
		case 'i':
			dst = strconv.AppendInt(dst, i, 10)
		case '/':
			dst = strconv.AppendInt(dst, i/p.by, 10)
		case '%':
			dst = strconv.AppendInt(dst, i%p.by, 10)
		}
	}
	return dst
}

// Text returns the text for connection i.
func (t Template) Text(i int64) string { return string(t.Append(nil, i)) }
