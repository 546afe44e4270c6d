package wire

import "unicode/utf8"

// CheckJSON reports what is wrong with a payload that is to be one JSON text in UTF-8
// (RFC 8259), nested at most DepthMax deep, without building anything: it costs a
// fraction of encoding/json's Valid. An error is an *Error. Any goroutine may call it.
func CheckJSON(b []byte) error {
	if !utf8.Valid(b) {
		return &Error{Code: CodeJSON, Detail: "it is not UTF-8", Offset: validUpTo(b)}
	}
	s := scanner{b: b}
	if s.value() && s.end() {
		return nil
	}
	return &Error{Code: s.code, Detail: s.why, Offset: s.i}
}

// validUpTo returns the offset of the first byte that is not UTF-8.
func validUpTo(b []byte) (i int) {
	for i < len(b) {
		c, n := utf8.DecodeRune(b[i:])
		if c == utf8.RuneError && n <= 1 {
			break
		}
		i += n
	}
	return i
}
