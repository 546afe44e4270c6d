package generator

import "bytes"

// pushResult is one line of a push stream's answer (PROTOCOL.md section 2). Its slices
// are borrowed.
type pushResult struct {
	line      int64 // number of the push, from 1; 0: the line is about the stream
	status    int64
	errorCode []byte // nil: none
}

// readResult reads a result and calls outcome for what became of the push: once for
// each device, or once for each word of the counts. The line is ours to trust only so
// far: what cannot be read stays 0. It is hand-made because encoding/json would cost
// more than the rest of the generator.
func readResult(line []byte, outcome func(word []byte, n int64)) (r pushResult) {
	const lineMember, statusMember = `{"line":`, `"status":`
	if bytes.HasPrefix(line, []byte(lineMember)) {
		var n int
		r.line, n = leadingNumber(line[len(lineMember):])
		line = line[len(lineMember)+n:]
		if at := bytes.Index(line, []byte(statusMember)); at >= 0 {
			r.status, _ = leadingNumber(line[at+len(statusMember):])
		}
	}
	rest := line
	if at := bytes.Index(line, []byte(`"error":{"code":"`)); at >= 0 {
		r.errorCode, _, _ = bytes.Cut(line[at+len(`"error":{"code":"`):], []byte(`"`))
		rest = line[:at]
	}
	if _, counts, ok := bytes.Cut(rest, []byte(`"counts":{`)); ok {
		readCounts(counts, outcome)
		return r
	}
	for {
		var ok bool
		if _, rest, ok = bytes.Cut(rest, []byte(`"outcome":"`)); !ok {
			return r
		}
		end := bytes.IndexByte(rest, '"')
		if end < 0 {
			return r
		}
		outcome(rest[:end], 1)
		rest = rest[end:]
	}
}

// readCounts reads "written":10,"offline":2}.
func readCounts(text []byte, outcome func(word []byte, n int64)) {
	for len(text) > 0 && text[0] != '}' {
		_, after, ok := bytes.Cut(text, []byte(`"`))
		word, after, ok2 := bytes.Cut(after, []byte(`":`))
		if !ok || !ok2 {
			return
		}
		n, digits := leadingNumber(after)
		if digits == 0 {
			return
		}
		outcome(word, n)
		text = after[digits:]
	}
}

// leadingNumber reads the digits at the start.
func leadingNumber(text []byte) (n int64, digits int) {
	for digits < len(text) && digits < 18 && text[digits] >= '0' && text[digits] <= '9' {
		n = n*10 + int64(text[digits]-'0')
		digits++
	}
	return n, digits
}

// delivered says whether an outcome means that the message went out to the device, or is
// kept until it does.
func delivered(word []byte) bool {
	switch string(word) {
	case "written", "acked", "queued":
		return true
	}
	return false
}
