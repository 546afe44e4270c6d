package netpoll

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const upgradeRequest = "GET /ws HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// detached returns an upgraded connection without a socket.
func detached(t testing.TB, cfg Config, h Handler) *Detached {
	t.Helper()
	d, err := NewDetached(cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	d.Feed([]byte(upgradeRequest))
	if out := string(d.Output()); !strings.HasPrefix(out, "HTTP/1.1 101 ") {
		t.Fatalf("upgrade: %q", out)
	}
	return d
}

// masked returns a client's frame with a zero key, which leaves the payload as it is.
func masked(op Op, payload string) []byte {
	f := appendFrameHeader(nil, op, len(payload))
	f[1] |= 0x80
	return append(append(f, 0, 0, 0, 0), payload...)
}

func TestHandshakeTimeout(t *testing.T) {
	cfg := Default()
	d, err := NewDetached(cfg, Echo{})
	if err != nil {
		t.Fatal(err)
	}
	d.Feed([]byte("GET /ws HTTP/1.1\r\nHost: "))
	d.Advance(cfg.HandshakeTimeout - time.Second)
	if d.Closed() {
		t.Fatal("closed before the timeout")
	}
	d.Advance(3 * time.Second)
	if out := string(d.Output()); !strings.HasPrefix(out, "HTTP/1.1 408 ") || !d.Closed() {
		t.Fatalf("got %q, closed %v", out, d.Closed())
	}
}

func TestTwoMissedPingsClose(t *testing.T) {
	cfg := Default()
	cfg.PingInterval = 10 * time.Second
	d := detached(t, cfg, Echo{})
	ping := []byte{0x80 | byte(OpPing), 0}
	pings := 0
	// The first ping has a random phase; a pong after each keeps the connection.
	for range 100 {
		d.Advance(time.Second)
		if out := d.Output(); len(out) > 0 {
			if !bytes.Equal(out, ping) {
				t.Fatalf("%x is no ping", out)
			}
			pings++
			d.Feed(masked(OpPong, ""))
		}
	}
	if pings < 9 || pings > 11 {
		t.Fatalf("%d pings in 100 s at one each 10 s", pings)
	}
	want := append(append([]byte{}, ping...), ping...)
	want = appendClose(want, CloseIdle, d.loop.idleReason)
	var out []byte
	for range 30 {
		if out = append(out, d.stepOutput(time.Second)...); len(out) > 2*len(ping) {
			break
		}
	}
	if !bytes.Equal(out, want) {
		t.Fatalf("got %q, want two pings and a close with 4005", out)
	}
	if d.Closed() {
		t.Fatal("the peer has a close timeout to answer in")
	}
	d.Advance(cfg.CloseTimeout + time.Second)
	if !d.Closed() {
		t.Fatal("not cut after the close timeout")
	}
}

func (d *Detached) stepOutput(dt time.Duration) []byte {
	d.Advance(dt)
	return d.Output()
}

// alarmed closes the connection at its alarm.
type alarmed struct{ Echo }

func (alarmed) Open(c *Conn)  { c.SetAlarm(time.Hour + time.Millisecond) }
func (alarmed) Alarm(c *Conn) { c.Close(4002, "over") }

func TestAlarmBeyondOneRoundOfTheWheel(t *testing.T) {
	cfg := Default()
	cfg.PingInterval = 24 * time.Hour
	d := detached(t, cfg, alarmed{})
	d.Advance(time.Hour)
	if out := d.Output(); bytes.Contains(out, []byte("over")) {
		t.Fatal("the alarm came early")
	}
	d.Advance(cfg.Tick)
	if out := d.Output(); !bytes.Equal(out, appendClose(nil, 4002, "over")) {
		t.Fatalf("got %q", out)
	}
}

func TestPingsAreSpread(t *testing.T) {
	cfg := Default()
	cfg.PingInterval = 10 * time.Second
	perTick := map[uint32]int{}
	const n = 2000
	for range n {
		d := detached(t, cfg, Echo{})
		perTick[d.conn.pingTick]++
	}
	for tick, count := range perTick {
		if count > n/20 {
			t.Fatalf("%d of %d first pings fall in tick %d", count, n, tick)
		}
	}
}

// TestPingsOfAStepLeaveTogether: pings begin at multiples of a step only, and stay there.
func TestPingsOfAStepLeaveTogether(t *testing.T) {
	for _, tc := range []struct {
		interval    time.Duration
		every, step uint32
	}{
		{30 * time.Second, 120, 4},
		{25 * time.Second, 99, 3},
		{10 * time.Second, 40, 1},
		{250 * time.Millisecond, 1, 1},
	} {
		t.Run(tc.interval.String(), func(t *testing.T) {
			cfg := Default()
			cfg.PingInterval = tc.interval
			for range 100 {
				d := detached(t, cfg, Echo{})
				first := d.conn.pingTick
				if first%tc.step != 0 || !tickBefore(d.loop.tick, first) || tickBefore(d.loop.tick+tc.every+tc.step, first) {
					t.Fatalf("the first ping is due at tick %d, at %d now", first, d.loop.tick)
				}
				for d.loop.tick != first {
					d.Advance(cfg.Tick)
				}
				if out := d.Output(); !bytes.Equal(out, []byte{0x89, 0}) || d.conn.pingTick != first+tc.every {
					t.Fatalf("sent %x at tick %d, the next ping at %d", out, first, d.conn.pingTick)
				}
			}
		})
	}
}

// TestInputBetweenPings: when more pings are due at once than fit in a turn, a message that
// came meanwhile is answered before the last of them.
func TestInputBetweenPings(t *testing.T) {
	d := detached(t, Default(), Echo{})
	l := d.loop
	var err error
	if l.yield, err = newYielder(); err != nil {
		t.Fatal(err)
	}
	defer l.yield.close()
	const pinged = 3 * fireBatch
	d.conn.pingTick = l.tick + 1000 // its own is none of them
	l.schedule(d.conn, d.conn.pingTick)
	for fd := range int32(pinged) {
		c := l.adopt(d.conn.fd + 1 + fd)
		c.state = stateOpen
		c.pingTick = l.tick + 1
		l.schedule(c, c.pingTick)
	}
	l.tick++
	l.behind = true
	d.Output()
	for turn := 1; ; turn++ {
		l.beginTurn()
		more := l.endTurn()
		if sent := len(d.Output()) / 2; sent != fireBatch {
			t.Fatalf("%d pings in turn %d, not %d", sent, turn, fireBatch)
		}
		if !more {
			if turn != pinged/fireBatch {
				t.Errorf("%d turns", turn)
			}
			return
		}
		d.Feed(masked(OpText, "hi"))
		if out := string(d.Output()); out != "\x81\x02hi" {
			t.Fatalf("answered %q between two turns", out)
		}
	}
}

// TestWheelAgainstModel moves random connections' appointments about and compares when
// each fires with a map.
func TestWheelAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Reactor{cfg: Default(), handler: Echo{}, table: newTable(300), started: time.Now(), max: 300}
		l := newLoop(r, 0)
		l.tick, l.wheel.at = 5, 5
		if rapid.Bool().Draw(t, "wrapping") {
			l.tick = ^uint32(0) - 100
			l.wheel.at = l.tick
		}
		most := rapid.IntRange(1, 4).Draw(t, "most")
		due := map[int32]uint32{}
		l.detached = &Detached{}
		for fd := range int32(40) {
			c := l.adopt(fd)
			l.unschedule(c)
			c.state = stateLingering // fire cuts it: then the slot is free
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			fd := int32(rapid.IntRange(0, 39).Draw(t, "fd"))
			c := r.table.owned(fd, l)
			if c != nil {
				switch rapid.IntRange(0, 3).Draw(t, "what") {
				case 0:
					l.unschedule(c)
					delete(due, fd)
				default:
					at := l.tick + uint32(rapid.IntRange(0, 3000).Draw(t, "in"))
					if rapid.Bool().Draw(t, "together") { // with others
						at = (l.tick/64 + 1 + uint32(rapid.IntRange(0, 40).Draw(t, "step"))) * 64
					}
					l.schedule(c, at)
					if at == l.tick {
						at++
					}
					due[fd] = at
				}
			}
			now := l.tick + uint32(rapid.IntRange(0, 400).Draw(t, "advance"))
			for l.tick != now {
				l.tick++
				for l.turn(l.tick, most) {
					// Input has its turn between two batches, and moves an appointment.
					fd := int32(rapid.IntRange(0, 39).Draw(t, "moved"))
					if c := r.table.owned(fd, l); c != nil {
						due[fd] = l.tick + uint32(rapid.IntRange(1, 1500).Draw(t, "to"))
						l.schedule(c, due[fd])
					}
				}
				for fd := range int32(40) {
					at, waiting := due[fd]
					alive := r.table.owned(fd, l) != nil
					if waiting && at == l.tick {
						if alive {
							t.Fatalf("fd %d did not fire at tick %d", fd, at)
						}
						delete(due, fd)
					} else if waiting && !alive {
						t.Fatalf("fd %d fired at tick %d, due at %d", fd, l.tick, at)
					}
				}
			}
		}
	})
}

func TestProxyHeader(t *testing.T) {
	v4 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + "\xc0\x00\x02\x01" + "\x0a\x00\x00\x01" + "\x30\x39" + "\x1f\x90"
	v6 := "\r\n\r\n\x00\r\nQUIT\n\x21\x21\x00\x24" + "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01" + strings.Repeat("\x00", 16) + "\x00\x01" + "\x00\x02"
	local := "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	withTLV := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x10" + v4[16:] + "\x04\x00\x01x"
	for _, tc := range []struct{ name, header, remote string }{
		{"IPv4", v4, "192.0.2.1:12345"},
		{"IPv6", v6, "[2001:db8::1]:1"},
		{"local", local, "127.0.0.1:1"},
		{"with a TLV", withTLV, "192.0.2.1:12345"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			input := tc.header + upgradeRequest
			for split := range len(input) {
				h := &remoteKeeper{}
				cfg := Default()
				cfg.ProxyTrusted = []string{"127.0.0.0/8"}
				d, err := NewDetached(cfg, h)
				if err != nil {
					t.Fatal(err)
				}
				d.Feed([]byte(input[:split]))
				d.Feed([]byte(input[split:]))
				if out := string(d.Output()); !strings.HasPrefix(out, "HTTP/1.1 101 ") {
					t.Fatalf("split at %d: %q", split, out)
				}
				if h.remote != tc.remote {
					t.Fatalf("split at %d: remote %s, want %s", split, h.remote, tc.remote)
				}
			}
		})
	}
	for name, input := range map[string]string{
		"missing":       upgradeRequest,
		"version 1":     "PROXY TCP4 192.0.2.1 10.0.0.1 12345 8080\r\n",
		"short address": "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x04abcd",
		"command 2":     "\r\n\r\n\x00\r\nQUIT\n\x22\x11\x00\x0c" + v4[16:],
	} {
		cfg := Default()
		cfg.ProxyTrusted = []string{"127.0.0.1"}
		d, err := NewDetached(cfg, Echo{})
		if err != nil {
			t.Fatal(err)
		}
		d.Feed([]byte(input))
		if out := string(d.Output()); !strings.HasPrefix(out, "HTTP/1.1 400 ") {
			t.Errorf("%s: %q", name, out)
		}
	}
}

// remoteKeeper notes the address that an upgrade came from.
type remoteKeeper struct {
	Echo
	remote string
}

func (h *remoteKeeper) Upgrade(_ *Conn, req *Request) Verdict {
	h.remote = req.Remote.String()
	return Verdict{}
}

func TestUTF8AgainstRunes(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	cases := 200000
	if raceEnabled {
		cases = 10000
	}
	for n := range cases {
		p := make([]byte, rng.IntN(12))
		for i := range p {
			p[i] = []byte{0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff}[rng.IntN(24)]
		}
		whole := utf8State(utf8Accept).advance(p)
		if want := strings.ToValidUTF8(string(p), "") == string(p); (whole == utf8Accept) != want {
			t.Fatalf("seed %d, case %d: %x: accepted %v, want %v", seed, n, p, whole == utf8Accept, want)
		}
		// The first byte that cannot go on is rejected there and then.
		for i := range p {
			if state := utf8State(utf8Accept).advance(p[:i+1]); (state == utf8Reject) != !extendable(p[:i+1]) {
				t.Fatalf("seed %d: %x: rejected %v", seed, p[:i+1], state == utf8Reject)
			}
		}
	}
}

// extendable says whether some continuation makes p valid: the slow, obvious way.
func extendable(p []byte) bool {
	for _, tail := range []string{"", "\x80", "\x80\x80", "\x80\x80\x80", "\xbf", "\xbf\x80", "\xbf\x80\x80", "\x90\x80\x80", "\xa0\x80"} {
		if s := string(p) + tail; strings.ToValidUTF8(s, "") == s {
			return true
		}
	}
	return false
}

func TestConnStaysSmall(t *testing.T) {
	if size := connSize(); size > 128 {
		t.Fatalf("a Conn is %d bytes, 128 are allowed (issue 2)", size)
	} else {
		fmt.Printf("netpoll: a Conn is %d bytes\n", size)
	}
}

func TestUnfinishedMessagesHaveANodeBudget(t *testing.T) {
	cfg := Default()
	cfg.MessageBytesMax, cfg.CollectedNodeBytes = 1<<16, 1<<17
	d := detached(t, cfg, Echo{})
	d.reactor.collected.Store(1<<17 - 100) // the others'
	begun := masked(OpText, strings.Repeat("x", 50))
	begun[0] &^= 0x80 // a fragment
	d.Feed(begun)
	if out := d.Output(); len(out) != 0 {
		t.Fatalf("within the budget: %q", out)
	}
	more := masked(OpContinuation, strings.Repeat("x", 200))
	more[0] &^= 0x80
	d.Feed(more)
	if out := d.Output(); !bytes.Equal(out, appendClose(nil, CloseTryAgain, `{"reconnect_ms":5000}`)) {
		t.Fatalf("above it: %q", out)
	}
	if left := d.reactor.collected.Load(); left != 1<<17-100 {
		t.Fatalf("%d bytes are still accounted for", left)
	}
}
