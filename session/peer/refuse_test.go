package peer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// TestRefused has two nodes that must not be linked: both count the reason and both
// have it in their log.
func TestRefused(t *testing.T) {
	for reason, change := range map[wire.GoodbyeReason]struct{ a, b setup }{
		wire.GoodbyeCluster:    {b: func(_ *node, _ *Config, self *Identity, _ *Handlers) { self.Cluster = "other" }},
		wire.GoodbyeKey:        {a: func(_ *node, _ *Config, self *Identity, _ *Handlers) { self.KeyFingerprint[3] = 1 }},
		wire.GoodbyeUnknown:    {b: func(_ *node, _ *Config, _ *Identity, h *Handlers) { h.Known = func(string) bool { return false } }},
		wire.GoodbyeWrongNode:  {a: func(n *node, _ *Config, _ *Identity, _ *Handlers) {}},
		wire.GoodbyeStaleEpoch: {},
	} {
		t.Run(reason.String(), func(t *testing.T) {
			nothing := func(*node, *Config, *Identity, *Handlers) {}
			if change.a == nil {
				change.a = nothing
			}
			if change.b == nil {
				change.b = nothing
			}
			a, b := start(t, "a", 1, change.a), start(t, "b", 1, change.b)
			name, epoch := "b", uint64(1)
			switch reason {
			case wire.GoodbyeWrongNode:
				name = "c" // b answers there
			case wire.GoodbyeStaleEpoch:
				epoch = 2 // b is of the first
			}
			if err := a.Member(name, b.addr, epoch); err != nil {
				t.Fatal(err)
			}
			for _, n := range []*node{a, b} {
				until(t, n.self.Node+" counts it", func() bool { return n.Stats().Refused[reason] > 0 })
				until(t, n.self.Node+" logs it", func() bool { return n.log.has(reason.String()) })
				if len(n.Links()) > 0 {
					t.Errorf("%s is linked", n.self.Node)
				}
			}
		})
	}
}

func TestStrangers(t *testing.T) {
	hello := func(change func(h *wire.LinkHello)) []byte {
		h := &wire.LinkHello{Major: wire.LinkMajor, Channel: wire.ChannelControl, Pair: 1, Cluster: "test", Node: "a", Epoch: 1, FrameBytesMax: 1 << 20}
		change(h)
		return wire.AppendLinkFrame(nil, wire.LinkTypeHello, wire.AppendLinkHello(nil, h))
	}
	for _, c := range []struct {
		name string
		text []byte
		want wire.GoodbyeReason
	}{
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), wire.GoodbyeTooLarge},
		{"no type", []byte{0, 0, 0, 0}, wire.GoodbyeBadFrame},
		{"large hello", binary.BigEndian.AppendUint32(nil, wire.HelloBytesMax), wire.GoodbyeTooLarge},
		{"not hello", wire.AppendLinkFrame(nil, wire.LinkTypePing, nil), wire.GoodbyeBadFrame},
		{"garbage in a hello", wire.AppendLinkFrame(nil, wire.LinkTypeHello, []byte{0, 1, 0, 0, 1}), wire.GoodbyeBadFrame},
		{"version", hello(func(h *wire.LinkHello) { h.Major = 2 }), wire.GoodbyeVersion},
		{"cluster", hello(func(h *wire.LinkHello) { h.Cluster = "x" }), wire.GoodbyeCluster},
		{"hash_key", hello(func(h *wire.LinkHello) { h.KeyFingerprint[7]++ }), wire.GoodbyeKey},
		{"my own id", hello(func(h *wire.LinkHello) { h.Node, h.Epoch = "b", 9 }), wire.GoodbyeSameNode},
		{"greater id dials", hello(func(h *wire.LinkHello) { h.Node = "c" }), wire.GoodbyeWrongNode},
		{"messages without control", hello(func(h *wire.LinkHello) { h.Channel = wire.ChannelMessages }), wire.GoodbyeDuplicate},
		{"who is there", hello(func(h *wire.LinkHello) { h.Channel, h.Node = wire.ChannelAsk, "b" }), wire.GoodbyeAnswered},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, "b", 1)
			r := dialRaw(t, b.addr)
			if _, err := r.Write(c.text); err != nil {
				t.Fatal(err)
			}
			if why := r.goodbye(t); why != c.want {
				t.Errorf("told %v, want %v", why, c.want)
			}
			if c.want != wire.GoodbyeAnswered && b.Stats().Refused[c.want] != 1 {
				t.Errorf("refused are %v", b.Stats().Refused)
			}
		})
	}
}

// TestNewerMajor is the dialler's side of a version that this node does not know.
func TestNewerMajor(t *testing.T) {
	theirs := &wire.LinkHello{Major: 2, Cluster: "test", Node: "b", Epoch: 1, FrameBytesMax: 1 << 20}
	if o := (Identity{Cluster: "test", Node: "a"}).stranger(theirs); o == nil || o.Reason != wire.GoodbyeVersion {
		t.Errorf("objection is %v", o)
	}
}

// TestBrokenRules sends frames that have no place on an open link: it ends with the
// reason on both sides, and nothing else happens.
func TestBrokenRules(t *testing.T) {
	frame := func(typ wire.LinkType, body []byte) []byte { return wire.AppendLinkFrame(nil, typ, body) }
	forward := wire.AppendForward(nil, message("tv"))
	for _, c := range []struct {
		name     string
		messages bool
		text     []byte
		want     wire.GoodbyeReason
	}{
		{"garbage", true, []byte{0, 0, 0, 3, 0xee, 1, 2}, wire.GoodbyeBadFrame},
		{"no type", false, []byte{0, 0, 0, 0}, wire.GoodbyeBadFrame},
		{"truncated forward", true, frame(wire.LinkTypeForward, forward[:len(forward)-1]), wire.GoodbyeBadFrame},
		{"truncated second forward", true, frame(wire.LinkTypeForward, append(forward[:len(forward):len(forward)], forward[:9]...)), wire.GoodbyeBadFrame},
		{"oversized", true, []byte{0xff, 0xff, 0xff, 0xff, 2}, wire.GoodbyeTooLarge},
		{"replayed hello", false, frame(wire.LinkTypeHello, wire.AppendLinkHello(nil, Identity{Cluster: "test", Node: "a", Epoch: 1}.hello(&Config{FrameBytesMax: 1 << 20}, wire.ChannelControl, 1))), wire.GoodbyeBadFrame},
		{"forward on control", false, frame(wire.LinkTypeForward, forward), wire.GoodbyeBadFrame},
		{"delta on messages", true, frame(wire.LinkTypeDelta, nil), wire.GoodbyeBadFrame},
		{"keep on messages", true, frame(wire.LinkTypeKeep, nil), wire.GoodbyeBadFrame},
		{"broken keep", false, frame(wire.LinkTypeKeep, wire.AppendKeep(nil, &wire.Keep{Ref: 1, Facts: make([]session.Fact, 1)})), wire.GoodbyeBadFrame},
		{"mail on messages", true, frame(wire.LinkTypeMail, nil), wire.GoodbyeBadFrame},
		{"broken mail", false, frame(wire.LinkTypeMail, []byte{1}), wire.GoodbyeBadFrame},
		{"broken mailed", false, frame(wire.LinkTypeMailed, []byte{1}), wire.GoodbyeBadFrame},
		{"broken fate", false, frame(wire.LinkTypeMailFate, []byte{1}), wire.GoodbyeBadFrame},
		{"broken move", false, frame(wire.LinkTypeMailMove, []byte{1}), wire.GoodbyeBadFrame},
		{"broken moved", false, frame(wire.LinkTypeMailMoved, []byte{1}), wire.GoodbyeBadFrame},
		{"broken keys", false, frame(wire.LinkTypeMailKeys, []byte{1}), wire.GoodbyeBadFrame},
		{"broken filed", false, frame(wire.LinkTypeMailFiled, []byte{1}), wire.GoodbyeBadFrame},
		{"broken settled", false, frame(wire.LinkTypeMailSettled, []byte{1}), wire.GoodbyeBadFrame},
		{"broken topic move", false, frame(wire.LinkTypeTopicMove, []byte{1}), wire.GoodbyeBadFrame},
		{"broken topic moved", false, frame(wire.LinkTypeTopicMoved, []byte{1}), wire.GoodbyeBadFrame},
		{"a window among messages", true, frame(wire.LinkTypeTopicMove, nil), wire.GoodbyeBadFrame},
		{"broken unwatch", false, frame(wire.LinkTypeMailUnwatch, []byte{1}), wire.GoodbyeBadFrame},
		{"broken mail ack", false, frame(wire.LinkTypeMailAck, []byte{1}), wire.GoodbyeBadFrame},
		{"broken interest", false, frame(wire.LinkTypeInterest, []byte{0, 0, 2, 'a', '.'}), wire.GoodbyeBadFrame},
		{"interest among messages", true, frame(wire.LinkTypeInterest, []byte{0}), wire.GoodbyeBadFrame},
		{"broken kept", false, frame(wire.LinkTypeKept, []byte{1}), wire.GoodbyeBadFrame},
		{"ping with a body", true, frame(wire.LinkTypePing, []byte{1}), wire.GoodbyeBadFrame},
		{"broken delta", false, frame(wire.LinkTypeDelta, []byte{1, 'x', 1, 1, 0}), wire.GoodbyeBadFrame},
		{"broken question", false, frame(wire.LinkTypeQuestion, []byte{1}), wire.GoodbyeBadFrame},
		{"broken outcomes", true, frame(wire.LinkTypeOutcomes, []byte{0xff}), wire.GoodbyeBadFrame},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, "b", 1)
			control, messages := fake(t, b, "a", 1, 1)
			on, other := control, messages
			if c.messages {
				on, other = messages, control
			}
			if _, err := on.Write(c.text); err != nil {
				t.Fatal(err)
			}
			if why := on.goodbye(t); why != c.want {
				t.Errorf("told %v, want %v", why, c.want)
			}
			if why := other.goodbye(t); why != c.want {
				t.Errorf("the other connection was told %v, want %v", why, c.want)
			}
			until(t, "it is down", func() bool { return b.heard("down a 1 " + c.want.String()) })
			if b.Stats().Ended[c.want] != 1 || !b.log.has("a link has ended", c.want.String()) {
				t.Errorf("ended are %v", b.Stats().Ended)
			}
		})
	}
}

// TestEarlyFrame sends a frame on a control connection whose messages connection is
// not there yet.
func TestEarlyFrame(t *testing.T) {
	b := start(t, "b", 1)
	r := dialRaw(t, b.addr)
	r.say(t, Identity{Cluster: "test", Node: "a", Epoch: 1}.hello(&b.cfg, wire.ChannelControl, 1))
	if _, err := r.Write(wire.AppendLinkFrame(nil, wire.LinkTypePing, nil)); err != nil {
		t.Fatal(err)
	}
	if why := r.goodbye(t); why != wire.GoodbyeBadFrame {
		t.Errorf("told %v", why)
	}
}

// TestLateMessages never sends the second connection's hello.
func TestLateMessages(t *testing.T) {
	b := start(t, "b", 1, func(_ *node, cfg *Config, _ *Identity, _ *Handlers) { cfg.HelloTimeout = 50 * cfg.Tick })
	r := dialRaw(t, b.addr)
	r.say(t, Identity{Cluster: "test", Node: "a", Epoch: 1}.hello(&b.cfg, wire.ChannelControl, 1))
	until(t, "it is given up", func() bool { return b.Stats().Refused[wire.GoodbyeSilent] == 1 && b.Stats().Pending == 0 })
}

// TestReplays sends what has been said before: hellos of the same pair are refused, and
// outcomes that nobody waits for are counted and harmless.
func TestReplays(t *testing.T) {
	b := start(t, "b", 1)
	_, messages := fake(t, b, "a", 1, 1)
	for _, channel := range []wire.LinkChannel{wire.ChannelControl, wire.ChannelMessages} {
		r := dialRaw(t, b.addr)
		r.say(t, Identity{Cluster: "test", Node: "a", Epoch: 1}.hello(&b.cfg, channel, 1))
		if why := r.goodbye(t); why != wire.GoodbyeDuplicate {
			t.Errorf("a second hello for %v was told %v", channel, why)
		}
	}
	outcome := wire.AppendOutcomes(nil, &wire.Outcomes{Ref: 1, Final: true})
	for range 3 {
		if _, err := messages.Write(wire.AppendLinkFrame(nil, wire.LinkTypeOutcomes, outcome)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "they are counted", func() bool { return b.Stats().LateAnswers == 3 })
	if b.live("a") == nil {
		t.Error("the link is down")
	}
}

// TestReplayedLink sends, byte for byte, what a node has said on a link that is over: the
// messages connection does not know the new link's challenge, so no link comes about and
// nothing is delivered again.
func TestReplayedLink(t *testing.T) {
	b := start(t, "b", 1)
	m := message("tv")
	m.Ref = 7
	forward := wire.AppendLinkFrame(nil, wire.LinkTypeForward, wire.AppendForward(nil, m))
	hello := func(channel wire.LinkChannel, challenge uint64) []byte {
		h := Identity{Cluster: "test", Node: "a", Epoch: 1}.hello(&b.cfg, channel, 1)
		h.Challenge = challenge
		return wire.AppendLinkFrame(nil, wire.LinkTypeHello, wire.AppendLinkHello(nil, h))
	}
	link := func(challenge func(drawn uint64) uint64) (control, messages *raw, tape []byte) {
		t.Helper()
		control, messages = dialRaw(t, b.addr), dialRaw(t, b.addr)
		if _, err := control.Write(hello(wire.ChannelControl, 0)); err != nil {
			t.Fatal(err)
		}
		var theirs wire.LinkHello
		if typ, body, err := control.next(); typ != wire.LinkTypeHello || err != nil || wire.ParseLinkHello(body, &theirs) != nil {
			t.Fatalf("answered by %v, %v", typ, err)
		}
		tape = append(hello(wire.ChannelMessages, challenge(theirs.Challenge)), forward...)
		if _, err := messages.Write(tape); err != nil {
			t.Fatal(err)
		}
		return control, messages, tape
	}
	var recorded uint64
	control, messages, tape := link(func(drawn uint64) uint64 { recorded = drawn; return drawn })
	const delivered = `forwarded a alice/tv {"a":1}`
	until(t, "it is delivered", func() bool { return b.heard(delivered) })
	control.Close()
	messages.Close()
	until(t, "the link is over", func() bool { return b.heard("down a 1 lost") })

	_, messages, again := link(func(uint64) uint64 { return recorded })
	if !bytes.Equal(again, tape) {
		t.Fatal("this is no replay")
	}
	if why := messages.goodbye(t); why != wire.GoodbyeDuplicate {
		t.Errorf("told %v", why)
	}
	if b.count(delivered) != 1 || b.count("up a 1") != 1 || b.Stats().Refused[wire.GoodbyeDuplicate] != 1 {
		t.Errorf("delivered %d times, linked %d times, refused %v", b.count(delivered), b.count("up a 1"), b.Stats().Refused)
	}
}

// TestRefusalsAreLoggedOnce has strangers that come again and again, for reasons and under
// names that take turns.
func TestRefusalsAreLoggedOnce(t *testing.T) {
	b := start(t, "b", 1, func(_ *node, cfg *Config, _ *Identity, _ *Handlers) {
		cfg.Tick, cfg.PingInterval = 100*time.Millisecond, 100*time.Millisecond
	})
	texts := [][]byte{[]byte("GET / HTTP/1.1\r\n\r\n"), {0, 0, 0, 0}}
	for i := range 40 {
		r := dialRaw(t, b.addr)
		if _, err := r.Write(texts[i%2]); err != nil {
			t.Fatal(err)
		}
		r.goodbye(t)
	}
	if n := b.log.count("a node was not linked"); n != 2 {
		t.Errorf("two reasons are logged in %d lines", n)
	}
	for i := range 2 * saidMax {
		r := dialRaw(t, b.addr)
		r.say(t, Identity{Cluster: "other", Node: fmt.Sprint("a", i), Epoch: 1}.hello(&b.cfg, wire.ChannelControl, 1))
		r.goodbye(t)
	}
	if n := b.log.count("a node was not linked"); n != saidMax {
		t.Errorf("%d lines, want %d", n, saidMax)
	}
	if s := b.Stats(); s.Refused[wire.GoodbyeCluster] != 2*saidMax || s.Refused[wire.GoodbyeTooLarge] != 20 {
		t.Errorf("refused are %v", s.Refused)
	}
}

// TestSplits sends a conversation one byte at a time.
func TestSplits(t *testing.T) {
	b := start(t, "b", 1)
	_, messages := fake(t, b, "a", 1, 1)
	var text []byte
	for _, device := range []string{"one", "two", "three"} {
		m := message(device)
		m.Ref = 77
		text = append(text, wire.AppendLinkFrame(nil, wire.LinkTypeForward, wire.AppendForward(nil, m))...)
	}
	for i := range text {
		if _, err := messages.Write(text[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	var o wire.Outcomes
	for answers := 0; answers < 3; {
		typ, body, err := messages.next()
		if err != nil || typ != wire.LinkTypeOutcomes {
			t.Fatal(typ, err)
		}
		for ; len(body) > 0; answers++ {
			if body, err = wire.ParseOutcomes(body, &o); err != nil || o.Ref != 77 || o.Devices[0].Outcome != session.Written {
				t.Fatalf("%+v, %v", o, err)
			}
		}
	}
}

func TestPendingMax(t *testing.T) {
	b := start(t, "b", 1, func(_ *node, cfg *Config, _ *Identity, _ *Handlers) { cfg.PendingMax = 2 })
	dialRaw(t, b.addr)
	dialRaw(t, b.addr)
	until(t, "two are pending", func() bool { return b.Stats().Pending == 2 })
	if _, _, err := dialRaw(t, b.addr).next(); err == nil {
		t.Error("a third got an answer")
	}
	if b.Stats().Strays != 1 {
		t.Errorf("strays are %d", b.Stats().Strays)
	}
}
