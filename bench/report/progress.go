package report

import (
	"fmt"
	"io"
	"time"
)

// Line is the live line.
func (s Second) Line() string {
	text := fmt.Sprintf("%6.1fs %-6s open %d", s.At.Seconds(), s.Phase, s.Open)
	if s.Opened > 0 {
		text += fmt.Sprintf("  +%d", s.Opened)
	}
	if s.Received > 0 {
		text += fmt.Sprintf("  messages %d", s.Received)
	}
	if s.Proved > 0 {
		text += fmt.Sprintf("  alive +%d", s.Proved)
	}
	if s.Max > 0 {
		text += fmt.Sprintf("  p50 %s  p99 %s  max %s", Duration(s.P50), Duration(s.P99), Duration(s.Max))
	}
	if s.Errors+s.Ended > 0 {
		text += fmt.Sprintf("  errors %d  ended %d", s.Errors, s.Ended)
	}
	if s.ServerRSS > 0 {
		text += "  server " + Size(float64(s.ServerRSS))
	}
	return text
}

// Progress shows a run while it lasts: in a terminal one line that changes, else a
// line now and then. It belongs to the goroutine that runs.
type Progress struct {
	w        io.Writer
	terminal bool
	every    time.Duration
	next     time.Duration
}

// NewProgress returns a Progress that writes to w; every is the time between two
// lines when w is no terminal.
func NewProgress(w io.Writer, terminal bool, every time.Duration) *Progress {
	return &Progress{w: w, terminal: terminal, every: every}
}

// Show shows the newest second.
func (p *Progress) Show(s Second) {
	if s.At+p.every < p.next { // another run has begun
		p.next = s.At
	}
	switch {
	case p.terminal:
		fmt.Fprintf(p.w, "\r\x1b[K%s", s.Line())
	case s.At >= p.next:
		p.next = s.At + p.every
		fmt.Fprintln(p.w, s.Line())
	}
}

// Done ends the changing line.
func (p *Progress) Done() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
