package netpoll

// ConnID names a connection of this process. It stays valid as a name for ever: once
// the connection is gone, everything that is sent to it settles as ResultGone. From
// the top: 31 bits generation, 1 bit that says event stream, 8 bits loop, 24 bits
// descriptor. So whoever sends knows how to frame a message without asking the loop.
type ConnID uint64

const (
	connLoopShift = 24
	connGenShift  = 32
	connFDMask    = 1<<connLoopShift - 1

	// genStream is the bit of a generation that event streams have.
	genStream = 1

	// loopsMax and descriptorsMax follow from the layout of ConnID.
	loopsMax       = 256
	descriptorsMax = 1 << connLoopShift
)

func makeConnID(gen uint32, loop uint8, fd int32) ConnID {
	return ConnID(gen)<<connGenShift | ConnID(loop)<<connLoopShift | ConnID(fd)
}

func (id ConnID) fd() int32   { return int32(id & connFDMask) }
func (id ConnID) loop() int   { return int(id>>connLoopShift) & (loopsMax - 1) }
func (id ConnID) gen() uint32 { return uint32(id >> connGenShift) }

// stream says that the connection is an event stream.
func (id ConnID) stream() bool { return id.gen()&genStream != 0 }

// Op is a WebSocket opcode (RFC 6455 section 5.2), or OpEvent. An event stream gets text
// and binary messages as the data of an event without a name, control frames as comments.
type Op byte

// The opcodes.
const (
	OpContinuation Op = 0x0
	OpText         Op = 0x1
	OpBinary       Op = 0x2
	OpClose        Op = 0x8
	OpPing         Op = 0x9
	OpPong         Op = 0xa
)

// OpEvent sends whole events as they are, made by AppendEvent. Only event streams may get
// them.
const OpEvent Op = 0x10

func (o Op) control() bool { return o&0x8 != 0 }

// Result is what became of one send, as far as this process can know.
type Result uint8

// The results. A peer that is gone may have taken what the kernel took:
// ResultWritten says no more than its name.
const (
	ResultWritten Result = iota // the kernel took every byte
	ResultCut                   // the connection ended when some of it had been written
	ResultGone                  // the connection is not there; nothing of it was written
	ResultFull                  // a budget was full; nothing of it was written
)

// Receipt hears what became of a send, exactly once for each send that names it. It
// is called on the connection's loop, or, when the send is refused at once, on the
// sender's goroutine before Send returns. It must not block.
type Receipt interface {
	Sent(tag uint64, r Result)
}

// Handler is what stands behind the connections. All methods are called on the
// connection's loop and must not block; what they are given is borrowed.
type Handler interface {
	// Upgrade decides about a complete, well-formed request for a WebSocket or, where
	// Request.Events says so, for an event stream. It may keep the request's facts with
	// Conn.SetContext.
	Upgrade(c *Conn, req *Request) Verdict
	// Open follows the 101, or the 200 of an event stream, in the same write: what is sent
	// with Conn.Reply now is the connection's first frame.
	Open(c *Conn)
	// Message is one whole message, text already checked to be UTF-8. The payload may
	// be changed in place.
	Message(c *Conn, op Op, payload []byte)
	// Pong is the answer to a ping that was sent with a payload.
	Pong(c *Conn, payload []byte)
	// Alarm fires once, at or soon after the time given to Conn.SetAlarm.
	Alarm(c *Conn)
	// Closed is the last call for a connection whose Upgrade was accepted. code is the
	// close code that was received, else the one that was sent, else 1006. An event stream
	// has them too, although its client sends none.
	Closed(c *Conn, code uint16)
	// Get answers a plain HTTP request: GET and HEAD only, anything else was refused
	// before. An answer that is Events asks Upgrade about the same request.
	Get(req *Request) Answer
}

// Verdict is a handler's decision about an upgrade. The zero Verdict accepts without
// a subprotocol.
type Verdict struct {
	// Pending leaves the connection in its verifying state until Reactor.Resume; the
	// request is kept and the handler is asked again then.
	Pending bool
	// Refuse is the HTTP answer to a refused upgrade; nil accepts.
	Refuse *Answer
	// Protocol is the subprotocol to answer with; empty: none. It must be one the
	// client offered.
	Protocol string
	// Header has further header lines of an event stream's 200, each ended by \r\n.
	Header string
}

// Answer is a small plain HTTP answer. The connection is closed behind it.
type Answer struct {
	Status      int
	ContentType string // empty: a problem document with Body as its detail (from 400 on), else text
	Body        string
	Code        string // of the problem document, stable; may be empty
	Header      string // further header lines, each ended by \r\n
	Events      bool   // this path is an event stream's; the rest does not matter
}
