package netpolltest

import (
	"slices"
	"strings"
	"testing"

	"github.com/roostpush/roost/netpoll"
)

// TestEventSource reads the examples of the standard, section 9.2.6 and 9.2.7.
func TestEventSource(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     []Event
	}{
		{"three lines of data", "data: YHOO\ndata: +2\ndata: 10\n\n", []Event{{"message", "YHOO\n+2\n10", ""}}},
		{"comment, id, id reset, one space kept, unfinished",
			": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
			[]Event{{"message", "first event", "1"}, {"message", "second event", ""}}},
		{"empty data", "data\n\ndata\ndata\n\ndata:", []Event{{"message", "", ""}, {"message", "\n", ""}}},
		{"space or not", "data:test\n\ndata: test\n\n", []Event{{"message", "test", ""}, {"message", "test", ""}}},
		{"line ends", "data: a\r\ndata: b\rdata: c\n\r\n", []Event{{"message", "a\nb\nc", ""}}},
		{"names", "event: add\ndata: 1\n\nevent: gone\n\ndata: 2\n\n", []Event{{"add", "1", ""}, {"message", "2", ""}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for cut := range len(tc.in) + 1 {
				var s EventSource
				s.Feed([]byte(tc.in[:cut]))
				s.Feed([]byte(tc.in[cut:]))
				if !slices.Equal(s.Events, tc.want) {
					t.Fatalf("cut at %d: %q, want %q", cut, s.Events, tc.want)
				}
			}
		})
	}
	var s EventSource
	s.Feed([]byte("retry: 10\nretry: x1\nretry:\n:\n:c\n"))
	if s.RetryMS != 10 || s.Comments != 2 || s.Unfinished() {
		t.Fatalf("%+v", s)
	}
}

// normal is what arrives of data with line ends of its own.
func normal(data string) string {
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(data)
}

// FuzzEvent reads what AppendEvent appends: the event as it was, and nothing beside it.
func FuzzEvent(f *testing.F) {
	for _, data := range []string{"", "{}", "a\nb", "\n", "\r", "\r\n", "\n\r\r\n\n", "id: 7", ": no comment", " led by a space", "\x00\xff", "data: x\n\ndata: y"} {
		f.Add(data, "n.1.z")
	}
	f.Fuzz(func(t *testing.T, data, id string) {
		if strings.ContainsAny(id, "\r\n\x00") {
			t.Skip("no id has those")
		}
		var s EventSource
		s.Feed(netpoll.AppendEvent(netpoll.AppendRetry(nil, 5), "hello", []byte("first"), []byte("1")))
		s.Feed(netpoll.AppendEvent(nil, "", []byte(id), []byte(data)))
		lastID := id
		if id == "" {
			lastID = "first"
		}
		want := []Event{{"hello", "1", "first"}, {"message", normal(data), lastID}}
		if !slices.Equal(s.Events, want) || s.Comments != 0 || s.RetryMS != 5 || s.Unfinished() {
			t.Fatalf("%q: %+v", data, s)
		}
	})
}
