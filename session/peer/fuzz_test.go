package peer

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// tape is a connection whose other end has said everything already, in pieces.
type tape struct {
	text  []byte
	piece int
}

func (c *tape) Read(b []byte) (int, error) {
	if len(c.text) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.text[:min(len(c.text), c.piece)])
	c.text = c.text[n:]
	return n, nil
}
func (c *tape) Write(b []byte) (int, error)      { return len(b), nil }
func (c *tape) Close() error                     { return nil }
func (c *tape) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *tape) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *tape) SetDeadline(time.Time) error      { return nil }
func (c *tape) SetReadDeadline(time.Time) error  { return nil }
func (c *tape) SetWriteDeadline(time.Time) error { return nil }

// FuzzReader feeds bytes, in pieces of any size, to both readers of a link that is up:
// nothing crashes, every receipt hears exactly once, and a link that was fed garbage
// ends with a reason.
func FuzzReader(f *testing.F) {
	frame := func(typ wire.LinkType, body []byte) []byte { return wire.AppendLinkFrame(nil, typ, body) }
	author := session.Origin{Node: "z", Epoch: 1}
	m := message("tv")
	m.Ref = 5
	for _, text := range [][]byte{
		frame(wire.LinkTypeForward, wire.AppendForward(wire.AppendForward(nil, m), m)),
		frame(wire.LinkTypeOutcomes, wire.AppendOutcomes(nil, &wire.Outcomes{Ref: 1, Devices: []wire.DeviceOutcome{{Outcome: session.Acked}}, Final: true})),
		frame(wire.LinkTypeDelta, wire.AppendDelta(nil, &wire.Delta{Author: author, First: 1, Changes: make([]wire.Change, 2)})),
		frame(wire.LinkTypeHeads, wire.AppendHeads(nil, &wire.Heads{Heads: []wire.Head{{Author: author}}})),
		frame(wire.LinkTypeLogRequest, wire.AppendLogRequest(nil, &wire.LogRequest{Author: author})),
		frame(wire.LinkTypeSnapshot, wire.AppendSnapshotChunk(nil, &wire.SnapshotChunk{Author: author, Changes: make([]wire.Change, 2)})),
		frame(wire.LinkTypeQuestion, wire.AppendLinkQuestion(nil, &wire.LinkQuestion{Kind: 1, Account: "a"})),
		frame(wire.LinkTypeAnswer, wire.AppendLinkAnswer(nil, &wire.LinkAnswer{Ref: 1})),
		frame(wire.LinkTypeKeep, wire.AppendKeep(nil, &wire.Keep{Ref: 1, Facts: []session.Fact{{Address: session.Address{Account: "a", Device: "b"}, Origin: author}}})),
		frame(wire.LinkTypeKept, wire.AppendKept(nil, &wire.Kept{Ref: 1})),
		frame(wire.LinkTypeInterest, wire.AppendInterest(nil, &wire.Interest{Begin: true, Changes: []wire.InterestChange{{Pattern: "a.*"}, {Pattern: "b", Lost: true}}})),
		append(frame(wire.LinkTypePing, nil), goodbyeFrame(wire.GoodbyeClosing, "bye")...),
	} {
		f.Add(text, uint16(3), true)
		f.Add(text, uint16(1000), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, piece uint16, messages bool) {
		n := &node{log: new(journal)}
		cfg := fast()
		cfg.GoodbyeTimeout = time.Millisecond // nobody reads it
		cfg.FrameBytesMax, cfg.ReadBufferBytes, cfg.BatchBytes = 4<<10, 2<<10, 1<<10
		var err error
		n.Pool, err = New(cfg, Identity{Cluster: "test", Node: "b", Epoch: 1}, Handlers{Messages: n, Log: n, Questions: n, Keeps: n, Mails: n, Interests: n, Topics: n, Links: n}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		theirs := Identity{Node: "a", Epoch: 1}.hello(&cfg, wire.ChannelControl, 1)
		pr := n.newPair(theirs, false)
		fed := &tape{text: text, piece: int(piece) + 1}
		silent, other := net.Pipe()
		conns := [2]net.Conn{fed, silent}
		if messages {
			conns = [2]net.Conn{silent, fed}
		}
		pr.control = newLink(pr, wire.ChannelControl, conns[0], newInbox(), theirs)
		before, o := n.attach(pr, newLink(pr, wire.ChannelMessages, conns[1], newInbox(), theirs))
		if o != nil {
			t.Fatal(o)
		}
		e := expecting(1)
		if o := pr.messages.forward(message("tv"), e, 7, 1<<30); o != session.Pending {
			t.Fatal(o)
		}
		go func() { _, _ = io.Copy(io.Discard, other) }()
		pr.work.Add(2)
		go pr.control.readLink()
		go pr.messages.readLink()
		n.work.Go(func() { pr.run(before) })
		<-pr.done
		e.wait(t)
		n.Close()
		_ = other.Close()
		// It may have ended before it was up: then it was not down either.
		if n.count("up a 1") != n.count("down a 1 "+pr.reason.String()) || pr.reason == 0 {
			t.Errorf("it ended with %v: %v", pr.reason, n.events)
		}
	})
}

// FuzzHello feeds bytes to a node as a connection's first: nothing crashes, and nothing
// of it is left.
func FuzzHello(f *testing.F) {
	hello := func(channel wire.LinkChannel, name string) []byte {
		cfg := fast()
		return wire.AppendLinkFrame(nil, wire.LinkTypeHello, wire.AppendLinkHello(nil, Identity{Cluster: "test", Node: name, Epoch: 1}.hello(&cfg, channel, 1)))
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint16(9))
	f.Add(append(hello(wire.ChannelControl, "a"), goodbyeFrame(wire.GoodbyeWrongNode, "you are not b")...), uint16(1))
	f.Add(append(hello(wire.ChannelControl, "a"), 0, 0, 0, 1, byte(wire.LinkTypePing)), uint16(9))
	f.Add(hello(wire.ChannelMessages, "a"), uint16(500))
	f.Add(hello(wire.ChannelAsk, "b"), uint16(500))
	f.Fuzz(func(t *testing.T, text []byte, piece uint16) {
		n := &node{log: new(journal)}
		var err error
		n.Pool, err = New(fast(), Identity{Cluster: "test", Node: "b", Epoch: 1}, Handlers{Messages: n, Log: n, Questions: n, Keeps: n, Mails: n, Links: n}, slog.New(slog.NewTextHandler(n.log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		n.take(&tape{text: text, piece: int(piece) + 1})
		until(t, "it is over", func() bool { return n.Stats().Pending == 0 })
		refused := uint64(0)
		for _, times := range n.Stats().Refused {
			refused += times
		}
		n.Close()
		if len(n.events) > 0 || len(n.halves) > 0 || refused > 1 {
			t.Errorf("%v, %d halves, %d refused", n.events, len(n.halves), refused)
		}
	})
}
