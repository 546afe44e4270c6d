package netpoll

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// loop owns its connections, its share of the listener, one read buffer, one outbox
// and one timing wheel. Everything below is used by its goroutine alone, except
// exchange, which says so.
type loop struct {
	reactor *Reactor
	cfg     *Config
	handler Handler
	index   int
	table   *table
	poller  *poller

	bell     *bell
	ticker   *ticker
	yield    *yielder
	together *together     // nil: each call of the kernel is made by itself
	yielded  time.Duration // when others last had a turn, since the reactor started
	work     int           // since the last breath
	listener int           // descriptor, -1: none
	paused   bool
	resumeAt uint32 // tick at which accepting is tried again

	buf     []byte // what is being read
	reply   []byte // what the current event answers
	scratch []byte // for a control frame
	current *Conn  // whose event this is

	guest     *Conn          // is being accepted: its request is looked for, from
	guestFrom netip.AddrPort // there, which a Conn keeps only if it has to wait

	wheel          wheel
	tick           uint32 // now, in ticks since the reactor started
	behind         bool   // the wheel has more to fire than fits in a turn
	ticksPerSecond uint32
	pingTicks      uint32
	pingStep       uint32
	messageTicks   uint32
	slowTicks      uint32
	tooBig         string
	slowReason     string
	idleReason     string

	upgrader  ws.Upgrader
	handshake handshakeIO
	request   Request
	upgrading *Conn
	verdict   Verdict

	exchange    exchange
	refusedFull uint64 // guarded by exchange.mu
	draining    outbox
	drained     int // of draining.sends
	dirty       []*Conn
	pieces      [][]byte

	inbounds  []*inbound
	outbounds []*outbound

	stats    loopStats
	detached *Detached
	stopping bool
}

func newLoop(r *Reactor, index int) *loop {
	l := &loop{
		reactor: r, cfg: &r.cfg, handler: r.handler, index: index, table: r.table, listener: -1,
		buf: make([]byte, r.cfg.ReadBufferBytes), reply: make([]byte, 0, 4096), scratch: make([]byte, 0, controlBytesMax+2),
		inbounds: make([]*inbound, 0, 64), outbounds: make([]*outbound, 0, 64),
		ticksPerSecond: max(1, uint32(time.Second/r.cfg.Tick)),
		messageTicks:   ticks(r.cfg.MessageTimeout, r.cfg.Tick), slowTicks: ticks(r.cfg.SlowTimeout, r.cfg.Tick),
		tooBig: r.reasons.tooBig, slowReason: r.reasons.slow, idleReason: r.reasons.idle,
	}
	l.pingTicks, l.pingStep = pingRhythm(r.cfg.PingInterval, r.cfg.Tick)
	l.wheel.init()
	l.upgrader = l.newUpgrader()
	l.handshake.l = l
	l.tick = r.now()
	l.wheel.at = l.tick
	return l
}

// ticks is a timeout in steps of the wheel, at least one.
func ticks(d, tick time.Duration) uint32 { return max(1, uint32(d/tick)) }

// open gets the loop's descriptors.
func (l *loop) open() (err error) {
	if l.poller, err = newPoller(); err != nil {
		return err
	}
	if l.bell, err = newBell(); err != nil {
		return err
	}
	if l.ticker, err = newTicker(l.cfg.Tick); err != nil {
		return err
	}
	if l.yield, err = newYielder(); err != nil {
		return err
	}
	if l.cfg.IOURing {
		if l.together, err = newTogether(l.cfg.ReadBufferBytes); err != nil {
			l.reactor.log.Info("each read and write is a call of its own: the kernel does not let this process use io_uring", "loop", l.index, "err", err)
		}
	}
	if err = l.poller.add(l.bell.fd()); err != nil {
		return err
	}
	return l.poller.add(l.ticker.fd())
}

// run is the loop's goroutine.
func (l *loop) run() error {
	err := l.poller.run(l)
	l.end()
	return err
}

// event is called by the poller for each descriptor that has something. HOT PATH.
func (l *loop) event(fd int, readable, writable bool) {
	c := l.table.owned(int32(fd), l)
	if c == nil {
		l.chore(fd)
		return
	}
	l.enter(c)
	if writable {
		l.writable(c)
	}
	if readable {
		l.readable(c)
	}
	l.leave(c)
	if l.work += workEvent; l.work >= breathWork {
		l.breathe()
	}
}

// chore handles the loop's own descriptors.
func (l *loop) chore(fd int) {
	switch fd {
	case l.bell.fd():
		l.bell.silence() // what it was rung for is worked off at the turn's end
	case l.ticker.fd():
		l.ticker.silence()
		l.tick = l.reactor.now()
		l.behind = true // the wheel turns at the turn's end, behind the input that is there
		l.tell()
		if l.paused && !tickBefore(l.tick, l.resumeAt) {
			l.resumeAccept()
		}
	case l.listener:
		l.accept()
	}
}

// tell lets the reader of Ticked know of a tick.
func (l *loop) tell() {
	if l.index != 0 {
		return
	}
	select {
	case l.reactor.ticked <- struct{}{}:
	default:
	}
}

// readable takes one buffer full from the socket; what is left makes the poller come
// back after the others had their turn.
func (l *loop) readable(c *Conn) {
	n, err := readSocket(c.fd, l.buf)
	l.arrived(c, l.buf, n, err)
}

// arrived takes what reading has brought: n bytes in buf, none at the end, or an error.
func (l *loop) arrived(c *Conn, buf []byte, n int, err error) {
	switch {
	case n > 0:
		l.stats.BytesIn += uint64(n)
		c.missed = 0
		l.feed(c, buf[:n])
	case n == 0 && err == nil:
		// A half-closed WebSocket is over: the other side can answer nothing. Of an event
		// stream it is the only way to say goodbye.
		c.flags |= flagEOF | flagBroken
	case err == unix.EAGAIN || err == unix.EINTR:
	default:
		l.breakOff(c)
	}
}

// feed gives newly arrived bytes to whatever the connection is doing.
func (l *loop) feed(c *Conn, p []byte) {
	switch c.state {
	case stateRequest:
		l.readRequest(c, p)
	case stateVerifying:
		l.readBehind(c, p)
	case stateOpen, stateClosing:
		if c.isStream() {
			l.ignore(c, p)
			return
		}
		l.readFrames(c, p)
	}
}

// enter begins an event of the connection: what it answers is collected.
func (l *loop) enter(c *Conn) {
	l.current = c
	l.reply = l.reply[:0]
}

// leave ends the event: the answer leaves in one write, and a connection that is over
// ends here and nowhere else.
func (l *loop) leave(c *Conn) {
	l.writeReply(c)
	l.left(c)
}

// left is leave once the answer is with the kernel, or waits for it.
func (l *loop) left(c *Conn) {
	l.current = nil
	switch {
	case c.flags&flagBroken != 0:
		l.drop(c)
	case c.flags&flagEndAfter != 0 && c.out == nil:
		if c.flags&flagEOF != 0 || l.detached != nil {
			l.drop(c)
			return
		}
		c.flags &^= flagEndAfter
		// Our end first; the peer's end or the close timeout does the rest.
		_ = unix.Shutdown(int(c.fd), unix.SHUT_WR)
	}
}

// lookup finds a connection by its name; nil when it is gone.
func (l *loop) lookup(id ConnID) *Conn {
	c := l.table.owned(id.fd(), l)
	if c == nil || c.gen != id.gen() {
		return nil
	}
	return c
}

// adopt makes a connection of a descriptor. The caller has checked the cap.
func (l *loop) adopt(fd int32) *Conn {
	c := l.table.make(fd)
	if c == nil || c.owner.Load() != 0 {
		return nil
	}
	l.work += workOpen
	gen := max(c.gen, genStream+1) // 0 is nobody's
	c.ctx, c.loop, c.in, c.out = nil, l, nil, nil
	c.gen, c.fd, c.state, c.flags, c.missed, c.fragment = gen, fd, stateRequest, 0, 0, 0
	c.pingTick, c.alarmTick, c.dueTick = 0, 0, 0
	c.next, c.prev, c.turnHead, c.turnTail = -1, notLinked, 0, 0
	c.frames, c.window, c.closeCode = 0, 0, 0
	c.owner.Store(uint32(l.index) + 1)
	l.stats.Connections++
	l.schedule(c, l.tickAfter(l.cfg.HandshakeTimeout)+l.random(l.ticksPerSecond))
	return c
}

// drop ends a connection for good. The handler hears of it before anybody whose
// message did not make it, so that nobody finds the device still registered.
func (l *loop) drop(c *Conn) {
	l.work += workOpen
	if c.flags&flagUpgraded != 0 {
		code := c.closeCode
		if code == 0 {
			code = CloseAbnormal
		}
		if c.isStream() {
			l.stats.Streams--
		} else {
			l.stats.Upgraded--
		}
		l.handler.Closed(c, code)
	}
	if c.flags&flagSlow != 0 {
		l.stats.SlowNow--
	}
	l.settleOut(c)
	l.release(c)
	l.unschedule(c)
	overCap := c.flags&flagOverCap != 0
	fd := c.fd
	c.ctx, c.state, c.flags = nil, stateFree, 0
	c.gen = (c.gen | genStream) + 1 // names of this use are stale from here on
	c.owner.Store(0)
	l.stats.Connections--
	if l.detached != nil {
		l.detached.closed = true
		return
	}
	closeSocket(fd) // takes it out of the poller as well
	l.reactor.left(overCap)
}

// end drops everything when the loop stops.
func (l *loop) end() {
	l.exchange.mu.Lock()
	l.exchange.closed = true
	rest, tasks := l.exchange.filling.sends, l.exchange.filling.tasks
	l.exchange.filling = outbox{}
	l.exchange.mu.Unlock()
	for i := range rest {
		settle(rest[i].rcpt, rest[i].tag, ResultGone)
	}
	for _, s := range l.draining.sends[l.drained:] {
		settle(s.rcpt, s.tag, ResultGone)
	}
	l.each(l.drop)
	for _, task := range tasks { // whoever asked waits for an answer
		task()
	}
	if l.listener >= 0 {
		_ = unix.Close(l.listener)
		l.listener = -1
	}
	l.ticker.close()
	l.yield.close()
	if l.together != nil {
		l.together.uring.close()
	}
	l.poller.close()
	// The bell stays open while anybody can ring it: its number must not become somebody
	// else's descriptor under a late sender.
}

// each calls f for every connection of the loop; f may drop it.
func (l *loop) each(f func(*Conn)) {
	for i := range l.table.chunks {
		ch := l.table.chunks[i].Load()
		if ch == nil {
			continue
		}
		for j := range ch {
			if c := &ch[j]; c.owner.Load() == uint32(l.index)+1 {
				f(c)
			}
		}
	}
}

// random returns a number below n, to spread what would otherwise fire together.
func (l *loop) random(n uint32) uint32 {
	if n <= 1 {
		return 0
	}
	return rand.Uint32N(n)
}
