package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/netpoll/netpolltest"
)

// TestEventReader reads events in pieces of one byte, and as the standard's own reader
// does.
func TestEventReader(t *testing.T) {
	stream := netpoll.AppendRetry([]byte(":\n\n"), 7)
	stream = netpoll.AppendEvent(stream, "hello", nil, []byte("{}"))
	stream = netpoll.AppendEvent(stream, "", []byte("n.1.1"), []byte("{\"a\":\r\n  1\n}"))
	stream = append(stream, "data:no space\r\ndata\r\nunknown: x\r\n\r\n:comment\ndata: never ended"...)
	var standard netpolltest.EventSource
	standard.Feed(stream)
	var want, got []event
	for _, e := range standard.Events {
		want = append(want, event{strings.TrimPrefix(e.Type, "message"), e.Data})
	}
	r := newEventReader(iotest.OneByteReader(strings.NewReader(string(stream))))
	for {
		e, err := r.next()
		if err != nil {
			if err != io.ErrUnexpectedEOF {
				t.Fatal(err)
			}
			break
		}
		got = append(got, e)
	}
	if !slices.Equal(got, want) || len(want) != 3 {
		t.Fatalf("%q, want %q", got, want)
	}
	endless := strings.NewReader(strings.Repeat("data: "+strings.Repeat("x", 1<<20)+"\n", 5))
	if _, err := newEventReader(endless).next(); err == nil || err.Error() != fmt.Sprintf("an event is above %d bytes", deviceFrameBytesMax) {
		t.Fatal(err)
	}
}
