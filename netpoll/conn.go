package netpoll

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// state is where a connection stands. Order matters: those up to stateVerifying wait
// for a request's answer, only stateOpen delivers messages.
type state uint8

const (
	stateFree      state = iota // no connection
	stateRequest                // reading a request
	stateVerifying              // the handler will decide later (Reactor.Resume)
	stateOpen                   // WebSocket or event stream
	stateClosing                // our Close is sent; reading on until the peer's
	stateLingering              // the last bytes are written; input is discarded until the peer ends
)

// Conn is one connection. It belongs to its loop: every method is to be called on the
// loop, from a Handler's methods. Elsewhere its ID stands for it.
//
// Conns live in chunks indexed by descriptor, so that an event finds its connection
// without a map, and an idle one costs these bytes and nothing else.
type Conn struct {
	ctx  any       // the handler's; while the upgrade is not decided the peer's netip.AddrPort
	loop *loop     // never nil once the slot was used
	in   *inbound  // what has arrived of something unfinished; nil when idle
	out  *outbound // what the kernel did not take yet; nil when idle

	owner atomic.Uint32 // loop+1, 0: free. The one field other loops may look at
	gen   uint32        // counts the uses of this slot by two, and has genStream
	fd    int32
	state state
	flags connFlags
	// missed counts pings since anything was received.
	missed uint8
	// fragment is the opcode of the fragmented message under way, 0: none.
	fragment Op

	pingTick  uint32 // when the next ping is due
	alarmTick uint32 // when Handler.Alarm is due, 0: never
	dueTick   uint32 // when the wheel looks at the connection next
	next      int32  // wheel: fd of the next in the slot, -1: none
	prev      int32  // wheel: fd of the previous one; -1-slot: this is the slot's head
	turnHead  int32  // first send of this turn of the outbox +1, 0: none
	turnTail  int32  // last one +1

	frames    uint32 // received in the second named by window; event stream: bytes that were ignored
	window    uint16
	closeCode uint16 // received, else sent, 0: none yet
}

type connFlags uint8

const (
	flagUpgraded   connFlags = 1 << iota // the handler is owed a Closed
	flagOverCap                          // accepted above the cap, to be told 503
	flagProxy                            // must begin with a PROXY header
	flagWriteArmed                       // the poller watches for writability
	flagEndAfter                         // end once everything is written
	flagEOF                              // the peer has ended its side
	flagSlow                             // counted as above the soft budget
	flagBroken                           // the socket failed: nothing more can be written
)

// ID returns the connection's name, which any goroutine may keep and use.
func (c *Conn) ID() ConnID { return makeConnID(c.gen, uint8(c.loop.index), c.fd) }

// Context returns what SetContext kept.
func (c *Conn) Context() any { return c.ctx }

// SetContext keeps v with the connection until Closed has returned.
func (c *Conn) SetContext(v any) { c.ctx = v }

// Reply sends one message in the same write as everything else this event answers.
// The payload is borrowed. After Close it does nothing.
func (c *Conn) Reply(op Op, payload []byte) {
	c.loop.checkCurrent(c)
	if c.state != stateOpen {
		return
	}
	l := c.loop
	l.reply = appendMessage(l.reply, c.isStream(), op, payload)
	l.stats.MessagesOut++
}

// Close sends a Close frame with the code and reason (at most 123 bytes of UTF-8) and
// ends the connection when the peer has answered, or after the close timeout. An event
// stream gets them in an event named close and is ended behind it.
func (c *Conn) Close(code uint16, reason string) {
	c.loop.checkCurrent(c)
	if c.state == stateOpen {
		c.loop.startClose(c, code, reason)
	}
}

// SetAlarm makes Handler.Alarm fire once at or within a tick after d from now; d <= 0
// means at the next tick. A later call replaces an earlier one.
func (c *Conn) SetAlarm(d time.Duration) {
	l := c.loop
	c.alarmTick = l.tickAfter(d)
	if c.state == stateOpen && tickBefore(c.alarmTick, c.dueTick) {
		l.schedule(c, c.alarmTick)
	}
}

// isStream says that the connection is, or asks to be, an event stream.
func (c *Conn) isStream() bool { return c.gen&genStream != 0 }

// remote returns the peer's address while the upgrade is not decided.
func (c *Conn) remote() netip.AddrPort {
	a, kept := c.ctx.(netip.AddrPort)
	if l := c.loop; !kept && l.guest == c {
		return l.guestFrom
	}
	return a
}

// table finds a connection by descriptor. Chunks are made when first needed and
// stay, so that a *Conn never dangles; the kernel gives out the lowest free
// descriptor, so the table is as large as the peak was.
type table struct {
	chunks []atomic.Pointer[chunk]
}

const chunkBits = 8

type chunk [1 << chunkBits]Conn

func newTable(descriptors int) *table {
	return &table{chunks: make([]atomic.Pointer[chunk], (descriptors+1<<chunkBits-1)>>chunkBits)}
}

// at returns the slot of a descriptor, nil when no connection ever had it.
func (t *table) at(fd int32) *Conn {
	i := int(fd) >> chunkBits
	if uint(i) >= uint(len(t.chunks)) {
		return nil
	}
	ch := t.chunks[i].Load()
	if ch == nil {
		return nil
	}
	return &ch[fd&(1<<chunkBits-1)]
}

// make returns the slot of a descriptor, making its chunk; nil when it is beyond the
// table.
func (t *table) make(fd int32) *Conn {
	i := int(fd) >> chunkBits
	if uint(i) >= uint(len(t.chunks)) {
		return nil
	}
	if t.chunks[i].Load() == nil {
		t.chunks[i].CompareAndSwap(nil, new(chunk))
	}
	return t.at(fd)
}

// owned returns the connection of a descriptor if it belongs to the loop. An event of
// a batch may be stale: its descriptor closed and taken by another loop meanwhile.
func (t *table) owned(fd int32, l *loop) *Conn {
	c := t.at(fd)
	if c == nil || c.owner.Load() != uint32(l.index)+1 {
		return nil
	}
	return c
}
