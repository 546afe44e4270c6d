package hostinfo

import (
	"bytes"
	"sync"
)

// Tail is an io.Writer that keeps the end of what a process says, for an error message.
// Any goroutine may use it.
type Tail struct {
	bytesMax int

	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

// NewTail returns one that keeps so many bytes.
func NewTail(bytesMax int) *Tail { return &Tail{bytesMax: bytesMax} }

// Write is io.Writer; it never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	if extra := t.buf.Len() - t.bytesMax; extra > 0 {
		t.buf.Next(extra)
	}
	return len(p), nil
}

// Text returns what is kept.
func (t *Tail) Text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
