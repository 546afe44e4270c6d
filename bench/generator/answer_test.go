package generator

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// chunked writes an answer of the given chunks.
func chunked(chunks ...string) string {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
	for _, c := range chunks {
		fmt.Fprintf(&b, "%x;ext=1\r\n%s\r\n", len(c), c)
	}
	return b.String()
}

// Whatever pieces an answer comes in, its lines are the same.
func TestAnswerAtEverySplit(t *testing.T) {
	whole := "HTTP/1.1 100 Continue\r\n\r\n" + chunked("one\ntw", "o\n", "\n", "three and a long tail of a line\nfour\nrest")
	want := []string{"one", "two", "", "three and a long tail of a line", "four"}
	for _, step := range []int{1, 2, 3, 7} {
		for at := range len(whole) {
			var a answerStream
			var lines []string
			each := func(line []byte) { lines = append(lines, string(line)) }
			pieces := []string{whole[:at], whole[at:]}
			if at == 0 { // once in pieces of a few bytes
				pieces = nil
				for rest := whole; rest != ""; rest = rest[min(step, len(rest)):] {
					pieces = append(pieces, rest[:min(step, len(rest))])
				}
			}
			for _, piece := range pieces {
				if err := a.feed([]byte(piece), each); err != nil {
					t.Fatalf("split at %d: %v", at, err)
				}
			}
			if !slices.Equal(lines, want) {
				t.Fatalf("split at %d: lines %q", at, lines)
			}
		}
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for _, c := range []struct{ answer, says string }{
		{"HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\nwhy not", "HTTP 401: why not"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "without chunks"},
		{"SSH-2.0-OpenSSH_9.2 hello\r\n\r\n", "not HTTP"},
		{"HTTP/1.1 abc\r\n\r\n", "not HTTP"},
		{chunked() + "zz\r\n", "chunk of size"},
		{chunked() + "\r\n", "without a size"},
		{chunked() + "fffffffffffffffff\r\n", "chunk of size"},
		{chunked() + strings.Repeat("0", answerSizeBytesMax+1), "size takes more than"},
		{chunked() + "1;" + strings.Repeat("x", answerSizeBytesMax) + "\r\n", "size takes more than"},
		{"HTTP/1.1 200 OK\r\n" + strings.Repeat("x: y\r\n", 4000), "no end of its head"},
		{chunked()[:17] + strings.Repeat("x: y\r\n", 4000) + "\r\n", "no end of its head"},
		{chunked(strings.Repeat("x", answerLineBytesMax), "x"), "too long"},
		{chunked(strings.Repeat("x", answerLineBytesMax+1) + "\n"), "too long"},
		{chunked("a\n") + "0\r\n\r\n", errAnswerEnd.Error()},
	} {
		var a answerStream
		err := a.feed([]byte(c.answer), func([]byte) {})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.60q: error %v does not say %q", c.answer, err, c.says)
		}
	}
}

func FuzzAnswerStream(f *testing.F) {
	f.Add([]byte(chunked("one\ntwo\n")), 5)
	f.Add([]byte("HTTP/1.1 503 Busy\r\n\r\nno"), 3)
	// A size that is too long is so whole as well as in two pieces.
	long := chunked() + "1;" + strings.Repeat("x", answerSizeBytesMax) + "\r\n"
	f.Add([]byte(long), len(long)-2)
	f.Fuzz(func(t *testing.T, data []byte, at int) {
		run := func(pieces ...[]byte) (lines []string, err error) {
			var a answerStream
			for _, p := range pieces {
				if err = a.feed(p, func(line []byte) { lines = append(lines, string(line)) }); err != nil {
					return lines, err
				}
			}
			return lines, nil
		}
		if at < 0 || at > len(data) {
			return
		}
		whole, wholeErr := run(data)
		split, splitErr := run(data[:at], data[at:])
		if (wholeErr == nil) != (splitErr == nil) && !errors.Is(wholeErr, errAnswerEnd) && !errors.Is(splitErr, errAnswerEnd) {
			t.Fatalf("whole: %v, split: %v", wholeErr, splitErr)
		}
		if wholeErr == nil && splitErr == nil && !slices.Equal(whole, split) {
			t.Fatalf("whole %q, split %q", whole, split)
		}
	})
}

func TestResults(t *testing.T) {
	for _, c := range []struct {
		line     string
		number   int64
		status   int64
		code     string
		outcomes map[string]int64
	}{
		{`{"line":12,"status":200,"id":"n.1.2","outcomes":[{"device":"d","outcome":"written","node":"n"}]}`, 12, 200, "", map[string]int64{"written": 1}},
		{`{"line":1,"status":200,"id":"x","outcomes":[{"device":"a","outcome":"written"},{"device":"b","outcome":"offline"},{"device":"c","outcome":"written"}]}`, 1, 200, "", map[string]int64{"written": 2, "offline": 1}},
		{`{"line":3,"status":200,"id":"x","total":12,"counts":{"written":10,"offline":2}}`, 3, 200, "", map[string]int64{"written": 10, "offline": 2}},
		{`{"line":4,"status":200,"id":"x","total":0,"counts":{}}`, 4, 200, "", nil},
		{`{"line":5,"status":404,"id":"x","outcomes":[{"device":"d","outcome":"offline"}],"error":{"code":"device_unknown","detail":"no \"outcome\":\"written\""}}`, 5, 404, "device_unknown", map[string]int64{"offline": 1}},
		{`{"line":6,"status":400,"error":{"code":"bad_json","detail":"x"}}`, 6, 400, "bad_json", nil},
		{`{"line":7,"status":202,"id":"x"}`, 7, 202, "", nil},
		{`{"error":{"code":"draining","detail":"x","line":8}}`, 0, 0, "draining", nil},
		{`{"line":9,"status":200,"outcomes":[{"device":"d","outcome":"writ`, 9, 200, "", nil},
		{`{"line":10,"status":200,"counts":{"written":`, 10, 200, "", nil},
		{``, 0, 0, "", nil},
	} {
		outcomes := map[string]int64{}
		r := readResult([]byte(c.line), func(word []byte, n int64) { outcomes[string(word)] += n })
		if r.line != c.number || r.status != c.status || string(r.errorCode) != c.code || len(outcomes) != len(c.outcomes) {
			t.Errorf("%s: %+v %q, outcomes %v", c.line, r, r.errorCode, outcomes)
		}
		for word, n := range c.outcomes {
			if outcomes[word] != n {
				t.Errorf("%s: outcomes %v", c.line, outcomes)
			}
		}
	}
}

func TestStamps(t *testing.T) {
	for _, size := range []int{stampBytesMin, 50, 64, 3000} {
		filler := newStampFiller(size)
		s := stamp{stampRelay, 0xab, math.MaxUint32, 7, math.MaxInt64, 12345}
		payload := s.appendPayload(nil, filler)
		if len(payload) != size {
			t.Errorf("payload of %d bytes, want %d", len(payload), size)
		}
		frame := fmt.Appendf(nil, `{"type":"message","id":"x","payload":%s,"sent_ms":1}`, payload)
		got, found, intact := readStamp(frame, filler)
		if !found || !intact || got != s {
			t.Errorf("size %d: %+v, found %v, intact %v", size, got, found, intact)
		}
		for i := range payload { // a changed byte is noticed or changes what is said
			damaged := bytes.Clone(payload)
			damaged[i] ^= 0x11
			if got, found, intact := readStamp(damaged, filler); found && intact && got == s {
				t.Errorf("size %d: byte %d may be anything", size, i)
			}
		}
		for n := range payload { // a part is never taken for the whole
			if _, _, intact := readStamp(payload[:n], filler); intact {
				t.Errorf("size %d: %d bytes are taken for all", size, n)
			}
		}
	}
	if _, found, _ := readStamp([]byte(`{"type":"hello"}`), nil); found {
		t.Error("a greeting is taken for a message of ours")
	}
}
