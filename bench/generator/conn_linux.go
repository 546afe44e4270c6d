package generator

import "github.com/roostpush/roost/bench/tally"

// state is where a connection stands.
type state uint8

const (
	stateFree       state = iota // the slot holds none
	stateConnecting              // connect() is under way
	stateUpgrading               // the handshake is sent
	stateOpen                    // 101 was read
	stateClosing                 // the server's close frame was answered; its end of the socket is awaited
)

// conn is one connection: 72 bytes, no pointer, so that a million of them cost the
// collector nothing. What few connections need stands in loop.rare.
type conn struct {
	intendedNS int64          // when it was meant to begin
	begunNS    int64          // when connect() was called; later: when its last ping or closed-loop message was sent
	sequence   tally.Sequence // what came back
	index      int64          // its number over all loops: its identity
	fd         int32
	slot       int32
	generation int32  // of the slot: an event or a timer for an earlier connection is recognised
	sent       uint32 // numbered messages sent to it
	excused    uint32 // of them, those that a result says it did not get
	waits      uint32 // results that it is still to be told
	state      state
	rare       bool // loop.rare has an entry
	node       uint8
	awaited    bool // a ping of the prove phase is under way
	proved     bool // and was answered
	code       uint16
}

// rare is what a connection needs now and then.
type rare struct {
	unparsed []byte // the first part of a frame or of the handshake's answer
	unsent   []byte // what the kernel did not take
	message  []byte // fragments so far
	inside   bool   // a fragmented message has begun
}

// chunkSlots is how many connections are allocated at once. Chunks never move, so a
// *conn stays valid, and memory follows the load in small steps.
const chunkSlots = 512

// slots hands out connections and takes them back.
type slots struct {
	chunks []*[chunkSlots]conn
	free   []int32
	used   int32 // slots ever handed out
}

func (s *slots) get(slot int32) *conn { return &s.chunks[slot/chunkSlots][slot%chunkSlots] }

func (s *slots) take() *conn {
	if n := len(s.free); n > 0 {
		c := s.get(s.free[n-1])
		s.free = s.free[:n-1]
		return c
	}
	if int(s.used) == len(s.chunks)*chunkSlots {
		s.chunks = append(s.chunks, new([chunkSlots]conn))
	}
	c := s.get(s.used)
	c.slot = s.used
	s.used++
	return c
}

func (s *slots) release(c *conn) {
	*c = conn{slot: c.slot, generation: c.generation + 1}
	s.free = append(s.free, c.slot)
}

// each calls f for every connection that is open.
func (s *slots) each(f func(*conn)) {
	for slot := range s.used {
		if c := s.get(slot); c.state != stateFree {
			f(c)
		}
	}
}

// ref names a connection in a list that may outlive it.
type ref struct{ slot, generation int32 }

func (c *conn) ref() ref { return ref{c.slot, c.generation} }

// live returns the connection if it is still the one that was meant, and open.
func (s *slots) live(r ref) *conn {
	if c := s.get(r.slot); c.generation == r.generation && c.state == stateOpen {
		return c
	}
	return nil
}

// deadline is a connection and a time; deadlines is a queue in order of time, which
// holds because every entry of one queue waits equally long.
type deadline struct {
	ref
	atNS int64
}

type deadlines struct {
	queue []deadline
	head  int
}

func (d *deadlines) push(c *conn, atNS int64) { d.queue = append(d.queue, deadline{c.ref(), atNS}) }

func (d *deadlines) len() int { return len(d.queue) - d.head }

// first returns the time of the earliest entry; ok is false when there is none.
func (d *deadlines) first() (atNS int64, ok bool) {
	if d.len() == 0 {
		return 0, false
	}
	return d.queue[d.head].atNS, true
}

// pop returns the earliest entry if its time has come.
func (d *deadlines) pop(nowNS int64) (ref, bool) {
	if d.len() == 0 || d.queue[d.head].atNS > nowNS {
		return ref{}, false
	}
	r := d.queue[d.head].ref
	d.head++
	if d.head > 1024 && d.head*2 > len(d.queue) {
		d.queue = d.queue[:copy(d.queue, d.queue[d.head:])]
		d.head = 0
	}
	return r, true
}
