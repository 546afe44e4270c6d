package peer

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// stuck is a node whose handler takes nothing until it is let go.
func stuck(gate chan struct{}) setup {
	return func(n *node, _ *Config, _ *Identity, _ *Handlers) {
		n.on = func(_ *wire.Forward, reply Reply) {
			<-gate
			reply.Outcome(session.Written)
		}
	}
}

// TestFull fills a queue whose other end takes nothing: what does not fit is
// overloaded at once and counted, the rest arrives.
func TestFull(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(cfg *Config)
		counted func(s Stats) uint64
	}{
		"messages": {func(cfg *Config) { cfg.QueueMessages = 3 }, func(s Stats) uint64 { return s.QueueFull }},
		"bytes":    {func(cfg *Config) { cfg.QueueBytes, cfg.FrameBytesMax = 300<<10, 200<<10 }, func(s Stats) uint64 { return s.QueueFull }},
		"flights":  {func(cfg *Config) { cfg.InFlightMax = 5 }, func(s Stats) uint64 { return s.FlightsFull }},
	} {
		t.Run(name, func(t *testing.T) {
			gate := make(chan struct{})
			a := start(t, "a", 1, func(_ *node, cfg *Config, _ *Identity, _ *Handlers) { c.change(cfg) })
			b := start(t, "b", 1, stuck(gate))
			introduce(t, a, b)
			const messages = 400
			e := expecting(messages)
			m := message("tv")
			m.Payload = make([]byte, 100<<10) // the kernel's buffers hold some dozens
			for tag := range uint64(messages) {
				a.Send("b", m, e, tag)
			}
			close(gate)
			sum := e.wait(t)
			if sum[session.Overloaded] == 0 || sum[session.Written] == 0 || sum[session.Overloaded]+sum[session.Written] != messages {
				t.Errorf("outcomes are %v", sum)
			}
			if got := c.counted(a.Stats()); got != uint64(sum[session.Overloaded]) {
				t.Errorf("%d are counted, %d were overloaded", got, sum[session.Overloaded])
			}
		})
	}
}

func TestRefusedAtOnce(t *testing.T) {
	a, b := start(t, "a", 1), start(t, "b", 1)
	one := func(m *wire.Forward) session.Outcome {
		e := expecting(1)
		a.Send("b", m, e, 9)
		for o := range e.wait(t) {
			return o
		}
		return session.Pending
	}
	if o := one(message("tv")); o != session.Unreachable || a.Stats().Unreachable != 1 {
		t.Errorf("without a link: %v", o)
	}
	introduce(t, a, b)
	large := message("tv")
	large.Payload = make([]byte, a.cfg.FrameBytesMax)
	if o := one(large); o != session.TooLarge || a.Stats().TooLarge != 1 {
		t.Errorf("too large: %v", o)
	}
	if o := one(message("a b")); o != session.Offline || a.Stats().Invalid != 1 {
		t.Errorf("no device has that name: %v", o)
	}
	if o := one(message("tv")); o != session.Written {
		t.Errorf("the link is well after all that: %v", o)
	}
	a.Send("b", message("nobody-waits"), nil, 0)
	until(t, "it arrives", func() bool { return b.heard(`forwarded a alice/nobody-waits {"a":1}`) })
}

// TestControlRoom fills the control queue, and hears when there is room.
func TestControlRoom(t *testing.T) {
	a := start(t, "a", 1, func(_ *node, cfg *Config, _ *Identity, _ *Handlers) { cfg.ControlQueueFrames = 2 })
	gate := make(chan struct{})
	b := start(t, "b", 1, func(n *node, _ *Config, _ *Identity, h *Handlers) {
		n.asked = func(*wire.LinkQuestion, AnswerReply) { <-gate }
	})
	introduce(t, a, b)
	a.Ask("b", &wire.LinkQuestion{Kind: 1}, 0, func(*wire.LinkAnswer, error) {})
	body := wire.AppendSnapshotChunk(nil, &wire.SnapshotChunk{Author: session.Origin{Node: "a"}, Changes: make([]wire.Change, 10_000)})
	for a.Control("b", wire.LinkTypeSnapshot, body) {
	}
	close(gate)
	until(t, "room", func() bool { return a.heard("room b") })
}

// TestKilled cuts a link under load: every message ends exactly once, written or lost,
// and the link comes back.
func TestKilled(t *testing.T) {
	gate := make(chan struct{})
	var once sync.Once
	a := start(t, "a", 1)
	b := start(t, "b", 1, func(n *node, _ *Config, _ *Identity, _ *Handlers) {
		n.on = func(f *wire.Forward, reply Reply) {
			switch {
			case f.ID < 100:
				reply.Outcome(session.Written)
			default: // nobody ever answers
				once.Do(func() { close(gate) })
			}
		}
	})
	introduce(t, a, b)
	const messages = 1000
	e := expecting(messages)
	m := message("tv")
	for id := range uint64(messages) {
		m.ID = session.MessageID(id)
		a.Send("b", m, e, id)
	}
	<-gate
	cut(b.live("a").messages.conn)
	sum := e.wait(t)
	if sum[session.Lost] < messages-100 || sum[session.Lost]+sum[session.Written] != messages {
		t.Errorf("outcomes are %v", sum)
	}
	until(t, "both are linked again", func() bool { return a.count("up b 1") == 2 && b.count("up a 1") == 2 })
	if a.count("down b 1 lost") != 1 || b.count("down a 1 lost") != 1 || a.Stats().Lost != uint64(sum[session.Lost]) {
		t.Errorf("a: %v\nb: %v", a.events, b.events)
	}
	e = expecting(1)
	m.ID = 1
	a.Send("b", m, e, 0)
	if sum := e.wait(t); sum[session.Written] != 1 {
		t.Errorf("after that: %v", sum)
	}
}

func TestTimeout(t *testing.T) {
	replies := make(chan Reply, 2)
	a := start(t, "a", 1, func(_ *node, cfg *Config, _ *Identity, _ *Handlers) { cfg.AnswerGrace = 0 })
	b := start(t, "b", 1, func(n *node, _ *Config, _ *Identity, _ *Handlers) {
		n.on = func(_ *wire.Forward, reply Reply) { replies <- reply }
	})
	introduce(t, a, b)
	m := message("tv")
	m.TimeoutMS = 1
	e := expecting(1)
	a.Send("b", m, e, 0)
	if sum := e.wait(t); sum[session.Timeout] != 1 || a.Stats().Timeouts != 1 {
		t.Errorf("outcomes are %v", sum)
	}
	// The next message takes the same slot; the late answer is not its own.
	e2 := expecting(1)
	a.Send("b", message("tv"), e2, 1)
	first, second := <-replies, <-replies
	first.Outcome(session.Offline)
	second.Outcome(session.Acked)
	if sum := e2.wait(t); sum[session.Acked] != 1 || a.Stats().LateAnswers != 1 {
		t.Errorf("outcomes are %v", sum)
	}
}

// TestEpochs has a node come back with the next epoch while its older link is up: the
// newer takes its place, and the older is not taken back.
func TestEpochs(t *testing.T) {
	b := start(t, "b", 1)
	old, _ := fake(t, b, "a", 5, 1)
	fake(t, b, "a", 6, 2)
	if why := old.goodbye(t); why != wire.GoodbyeReplaced {
		t.Errorf("the older link was told %v", why)
	}
	until(t, "the older is down first", func() bool { return b.heard("down a 5 replaced") })
	late := dialRaw(t, b.addr)
	late.say(t, Identity{Cluster: "test", Node: "a", Epoch: 5}.hello(&b.cfg, wire.ChannelControl, 3))
	if why := late.goodbye(t); why != wire.GoodbyeStaleEpoch {
		t.Errorf("an epoch that is over was told %v", why)
	}
	if err := b.Member("a", "", 7); err != nil {
		t.Fatal(err)
	}
	until(t, "a member of a newer epoch ends the older link", func() bool { return b.heard("down a 6 replaced") })
}

func TestDrop(t *testing.T) {
	a, b := start(t, "a", 4), start(t, "b", 1)
	introduce(t, a, b)
	b.Drop("a", 3)
	if b.live("a") == nil {
		t.Fatal("a newer epoch was dropped")
	}
	a.Drop("b", 1)
	until(t, "b hears why", func() bool { return b.heard("down a 4 dropped") })
	until(t, "a forgets b", func() bool { return len(*a.remotes.Load()) == 0 })
	if err := a.Member("b", b.addr, 1); err != nil {
		t.Fatal(err)
	}
	until(t, "a member again", func() bool { return a.count("up b 1") == 2 })
}

// TestDropWhileDialled drops a node whose link is about to come up: it must not stay.
func TestDropWhileDialled(t *testing.T) {
	var hellos atomic.Int32 // of b's connections, one after the other
	a := start(t, "a", 1, func(n *node, _ *Config, _ *Identity, h *Handlers) {
		h.Known = func(string) bool {
			if hellos.Add(1) == 2 {
				n.Drop("b", 1)
			}
			return true
		}
	})
	b := start(t, "b", 1)
	if err := a.Member("b", b.addr, 1); err != nil {
		t.Fatal(err)
	}
	until(t, "b has answered both", func() bool { return hellos.Load() == 2 }) // and has its link
	until(t, "b is left", func() bool { return len(*b.remotes.Load()) == 0 })
	until(t, "a forgets b", func() bool { return len(*a.remotes.Load()) == 0 })
}

// TestUnlinkableIsLoggedOnce dials a node that resets every connection: each time another
// port of this one's is in the error.
func TestUnlinkableIsLoggedOnce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			in := newInbox()
			var h wire.LinkHello
			_ = readHello(c, &in, &h)
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
	}()
	a := start(t, "a", 1)
	if err := a.Member("b", ln.Addr().String(), 1); err != nil {
		t.Fatal(err)
	}
	until(t, "it was tried often", func() bool { return a.Stats().DialsFailed >= 10 })
	if n := a.log.count("a node cannot be linked"); n != 1 {
		t.Errorf("one reason is logged in %d lines", n)
	}
}

// TestMoved gives a member another address: the dialler goes there.
func TestMoved(t *testing.T) {
	a, b := start(t, "a", 1, func(_ *node, cfg *Config, _ *Identity, _ *Handlers) { cfg.LinksMax = 1 }), start(t, "b", 1)
	if err := a.Member("b", "127.0.0.1:1", 1); err != nil {
		t.Fatal(err)
	}
	until(t, "nobody is there", func() bool { return a.Stats().DialsFailed > 0 })
	if err := a.Member("b", b.addr, 1); err != nil {
		t.Fatal(err)
	}
	until(t, "it is linked", func() bool { return b.heard("up a 1") })
	if err := a.Member("c", b.addr, 1); err != ErrLinksFull {
		t.Errorf("a second link of one: %v", err)
	}
}

// TestCloseSettles closes a pool with messages in flight and while others send.
func TestCloseSettles(t *testing.T) {
	a := start(t, "a", 1)
	b := start(t, "b", 1, func(n *node, _ *Config, _ *Identity, _ *Handlers) { n.on = func(*wire.Forward, Reply) {} })
	introduce(t, a, b)
	e := expecting(4000)
	var work sync.WaitGroup
	for g := range uint64(4) {
		work.Go(func() {
			for i := range uint64(1000) {
				a.Send("b", message("tv"), e, g<<32|i)
			}
		})
	}
	a.Close()
	work.Wait()
	if sum := e.wait(t); sum[session.Lost]+sum[session.Unreachable] != 4000 {
		t.Errorf("outcomes are %v", sum)
	}
	until(t, "b hears why", func() bool { return b.heard("down a 1 closing") })
	if err := a.Member("c", "", 1); err == nil {
		t.Error("a closed pool takes members")
	}
}

// TestSilent links a node that never says anything again.
func TestSilent(t *testing.T) {
	b := start(t, "b", 1, func(_ *node, cfg *Config, _ *Identity, _ *Handlers) {
		cfg.PingInterval, cfg.SilenceMax = cfg.Tick, 3*cfg.Tick
	})
	fake(t, b, "a", 1, 1)
	until(t, "it is given up", func() bool { return b.heard("down a 1 silent") })
}

// TestStalled links a node that does not read.
func TestStalled(t *testing.T) {
	b := start(t, "b", 1, func(_ *node, cfg *Config, _ *Identity, _ *Handlers) { cfg.StallMax = 3 * cfg.Tick })
	fake(t, b, "a", 1, 1)
	m := message("tv")
	m.Payload = make([]byte, 1<<20)
	until(t, "it is given up", func() bool {
		b.Send("a", m, nil, 0)
		return b.heard("down a 1 stalled")
	})
}
