package netpolltest

import (
	"bytes"
	"fmt"
	"slices"
)

// Case is one conversation after the handshake with a server that echoes each
// message: what the client sends, what must come back and how it must end.
// It is a value that many goroutines may read; nobody changes it.
type Case struct {
	ID   string // Autobahn's number; an R in it marks one of our own
	Name string
	RFC  string // the section that decides; of RFC 6455 unless it says otherwise
	In   []Part
	Chop int  // deliver in pieces of this many bytes as well; 0: nothing special
	EOF  bool // the client closes its sending side after In
	Want []Reply
	End  End
}

// End is how a conversation must end.
type End struct {
	Kind  EndKind
	Codes []uint16 // of a Failed or Echoed close; 0 stands for a close frame without body
}

// EndKind is the kind of an End.
type EndKind byte

// The kinds.
const (
	StaysOpen EndKind = iota // serves on: a ping is answered and a close handshake works
	Waits                    // open in the middle of a frame or message: nothing more may come
	Closes                   // one close frame with one of Codes, then the server ends the stream
	Drops                    // the server ends the stream; no close frame need come before it
)

// Open is the end of a case that leaves a usable connection.
var Open = End{Kind: StaysOpen}

// Unfinished is the end of a case whose input stops inside a message.
var Unfinished = End{Kind: Waits}

// Dropped is the end of a case in which the client vanished.
var Dropped = End{Kind: Drops}

// ClosedWith is an end by close frame, with one of the codes.
func ClosedWith(codes ...uint16) End { return End{Kind: Closes, Codes: codes} }

// The failures of RFC 6455 section 7.4.1.
var (
	ProtocolError = ClosedWith(1002)
	InvalidData   = ClosedWith(1007)
	TooBig        = ClosedWith(1009)
)

// Bytes returns what the client sends and where each part of it begins and
// ends (without 0, with the length).
func (c Case) Bytes() (in []byte, marks []int) {
	for _, p := range c.In {
		in = p.AppendTo(in)
		marks = append(marks, len(in))
	}
	return in, marks
}

// WantBytes is the length of the replies that must come before the end.
func (c Case) WantBytes() (n int) {
	for _, r := range c.Want {
		n += r.WireBytes()
	}
	return n
}

// Check compares everything the server has sent since the handshake, and
// whether it has ended the stream, with what the case wants. It does not probe
// an open connection; Play does.
func (c Case) Check(out []byte, ended bool) error {
	replies, err := ParseReplies(out)
	if err != nil {
		return fmt.Errorf("%w (after %d whole frames)", err, len(replies))
	}
	var end *Reply
	if n := len(replies); n > 0 && replies[n-1].Op == OpClose {
		end, replies = &replies[n-1], replies[:n-1]
	}
	for i, r := range replies {
		if i >= len(c.Want) {
			return fmt.Errorf("frame %d was not expected: %v", i, r)
		}
		if w := c.Want[i]; r.Op != w.Op || !bytes.Equal(r.Payload, w.Payload) {
			return fmt.Errorf("frame %d is %v, want %v", i, r, w)
		}
	}
	if len(replies) < len(c.Want) {
		return fmt.Errorf("%d frames, want %d; the next should be %v; end: %v", len(replies), len(c.Want), c.Want[len(replies)], end)
	}
	return c.End.check(end, ended)
}

// check judges the close frame, nil for none, and the end of the stream.
func (e End) check(end *Reply, ended bool) error {
	switch e.Kind {
	case StaysOpen, Waits:
		if end != nil || ended {
			return fmt.Errorf("ended (close frame %v, stream ended %v), want an open connection", end, ended)
		}
	case Closes:
		if end == nil {
			return fmt.Errorf("no close frame (stream ended: %v), want one with a code of %v", ended, e.Codes)
		}
		if !slices.Contains(e.Codes, end.Code()) {
			return fmt.Errorf("%v, want a code of %v", end, e.Codes)
		}
		if !ended {
			return fmt.Errorf("%v, but the server did not end the stream", end)
		}
	case Drops:
		if !ended {
			return fmt.Errorf("the server did not end the stream (close frame: %v)", end)
		}
	}
	return nil
}
