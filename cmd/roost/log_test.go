package main

import (
	"bytes"
	"slices"
	"strings"
	"sync"
)

// testLog is a log that can be read while it is written.
type testLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// count returns how many lines have all of the words.
func (l *testLog) count(words ...string) (lines int) {
	for line := range strings.Lines(l.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			lines++
		}
	}
	return lines
}

// has reports whether a line has all of the words.
func (l *testLog) has(words ...string) bool { return l.count(words...) > 0 }
