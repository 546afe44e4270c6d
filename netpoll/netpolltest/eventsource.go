package netpolltest

import (
	"bytes"
	"strconv"
	"strings"
)

// EventSource reads a stream of Server-Sent Events step by step as the standard says it
// (WHATWG HTML, sections 9.2.5 and 9.2.6), slowly and obviously. The zero value is at the
// beginning of a stream. One goroutine uses it.
type EventSource struct {
	Events   []Event // dispatched so far
	Comments int     // lines that began with a colon
	RetryMS  int     // the reconnection time, 0: none was given
	LastID   string  // what Last-Event-ID would say

	line   []byte // of what has come, the line that is not ended
	wasCR  bool   // the last line ended with a CR; a LF belongs to it
	began  bool
	name   string
	data   string
	lastID string
}

// Event is one event that was dispatched.
type Event struct {
	Type   string // message, unless a field named it
	Data   string
	LastID string // as of this event
}

// Feed takes the next bytes of the body.
func (s *EventSource) Feed(p []byte) {
	for _, b := range p {
		switch {
		case b == '\n' && s.wasCR:
			s.wasCR = false
		case b == '\n' || b == '\r':
			s.wasCR = b == '\r'
			s.take(string(s.line))
			s.line = s.line[:0]
		default:
			s.wasCR = false
			s.line = append(s.line, b)
		}
	}
}

// Unfinished says that the bytes so far end within an event: it would be discarded.
func (s *EventSource) Unfinished() bool {
	return len(s.line) > 0 || s.data != "" || s.name != "" || s.lastID != s.LastID
}

func (s *EventSource) take(line string) {
	if !s.began {
		line = strings.TrimPrefix(line, "\ufeff")
		s.began = true
	}
	field, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch {
	case line == "":
		s.dispatch()
	case field == "":
		s.Comments++
	case field == "event":
		s.name = value
	case field == "data":
		s.data += value + "\n"
	case field == "id" && !strings.Contains(value, "\x00"):
		s.lastID = value
	case field == "retry" && value != "" && strings.Trim(value, "0123456789") == "":
		s.RetryMS, _ = strconv.Atoi(value)
	}
}

func (s *EventSource) dispatch() {
	s.LastID = s.lastID
	name, data := s.name, s.data
	s.name, s.data = "", ""
	if data == "" {
		return
	}
	if name == "" {
		name = "message"
	}
	s.Events = append(s.Events, Event{Type: name, Data: strings.TrimSuffix(data, "\n"), LastID: s.LastID})
}

// CutAnswer parts an HTTP answer into its header, empty line included, and its body.
func CutAnswer(out []byte) (header, body []byte) {
	end := bytes.Index(out, []byte("\r\n\r\n"))
	if end < 0 {
		return out, nil
	}
	return out[:end+4], out[end+4:]
}
