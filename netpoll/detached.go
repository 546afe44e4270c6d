package netpoll

import (
	"log/slog"
	"net/netip"
	"time"
)

// Detached is one connection without a socket: what a loop does with bytes, for tests
// and simulation. It runs in its caller's goroutine, by a clock that only Advance
// moves.
type Detached struct {
	reactor *Reactor
	loop    *loop
	conn    *Conn
	out     []byte
	closed  bool
	room    int // bytes that the socket's twin still takes; negative: any number
}

// NewDetached makes a connection that was just accepted from 127.0.0.1:1.
func NewDetached(cfg Config, h Handler) (*Detached, error) {
	cfg.Loops = 1
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &Reactor{cfg: cfg, handler: h, log: slog.New(slog.DiscardHandler), table: newTable(1), started: time.Now(), max: 1}
	r.trusted, _ = parseTrusted(cfg.ProxyTrusted)
	d := &Detached{reactor: r, room: -1}
	d.loop = newLoop(r, 0)
	d.loop.detached = d
	d.loop.bell = nil
	r.loops = []*loop{d.loop}
	d.conn = d.loop.adopt(0)
	d.conn.ctx = netip.MustParseAddrPort("127.0.0.1:1")
	if r.fromProxy(d.conn.remote().Addr()) {
		d.conn.flags |= flagProxy
	}
	return d, nil
}

// Feed lets p arrive as one read event.
func (d *Detached) Feed(p []byte) {
	for first := true; first || len(p) > 0; first = false {
		if d.closed || d.conn.state == stateLingering {
			return
		}
		n := copy(d.loop.buf, p)
		p = p[n:]
		d.loop.enter(d.conn)
		d.conn.missed = 0
		d.loop.feed(d.conn, d.loop.buf[:n])
		d.loop.leave(d.conn)
	}
}

// EOF lets the peer end its side.
func (d *Detached) EOF() {
	if d.closed {
		return
	}
	d.loop.enter(d.conn)
	d.conn.flags |= flagEOF | flagBroken
	d.loop.leave(d.conn)
}

// Output returns what was written since it was last called.
func (d *Detached) Output() []byte {
	p := d.out
	d.out = nil
	return p
}

// Closed reports whether the connection has ended.
func (d *Detached) Closed() bool { return d.closed }

// Advance moves the clock; what is due fires.
func (d *Detached) Advance(dt time.Duration) {
	steps := uint32(dt / d.reactor.cfg.Tick)
	for range steps {
		if d.closed {
			return
		}
		d.loop.tick++
		for d.loop.turn(d.loop.tick, fireBatch) {
		}
	}
}

// Resume asks the handler again about a pending verdict.
func (d *Detached) Resume() {
	d.loop.enter(d.conn)
	d.loop.resumeUpgrade(d.conn)
	d.loop.leave(d.conn)
}

// Conn returns the connection; it is on its loop between any two calls.
func (d *Detached) Conn() *Conn { return d.conn }

func (d *Detached) write(p []byte) int {
	n := len(p)
	if d.room >= 0 {
		n = min(n, d.room)
		d.room -= n
	}
	d.out = append(d.out, p[:n]...)
	return n
}

// Echo is a Handler that upgrades every request, at any path, and sends each message
// back as it came: for conformance tests and comparisons.
type Echo struct{}

// Upgrade accepts without a subprotocol.
func (Echo) Upgrade(*Conn, *Request) Verdict { return Verdict{} }

// Open does nothing.
func (Echo) Open(*Conn) {}

// Message sends the message back.
func (Echo) Message(c *Conn, op Op, payload []byte) { c.Reply(op, payload) }

// Pong does nothing.
func (Echo) Pong(*Conn, []byte) {}

// Alarm does nothing.
func (Echo) Alarm(*Conn) {}

// Closed does nothing.
func (Echo) Closed(*Conn, uint16) {}

// Get answers that this is an echo server.
func (Echo) Get(*Request) Answer {
	return Answer{Status: 200, Body: "a WebSocket echo server\n"}
}
