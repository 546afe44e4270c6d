package generator

import (
	"errors"
	"fmt"
	"time"
)

// ErrLinuxOnly is what Run returns on other systems.
var ErrLinuxOnly = errors.New("generator: load generation needs Linux (epoll); this system is another")

// Config holds the limits of a generator. Its values are the same in every process
// of a run.
type Config struct {
	ConnectTimeout   time.Duration `json:"connect_timeout"`   // connect() to 101; a phone gives up about then
	ConnectsInflight int           `json:"connects_inflight"` // attempts under way in each loop when no rate is given; well below the usual accept queue of 4,096
	LateBound        time.Duration `json:"late_bound"`        // a start later than this is the generator's fault and counted as late
	ProofsInflight   int64         `json:"proofs_inflight"`   // final pings of each loop without an answer: a server that falls behind is asked more slowly, so that its machine does not retransmit itself to a standstill
	ProofStall       time.Duration `json:"proof_stall"`       // without any answer, after which those that are missing no longer hold the others up
	ProofsPerSecond  float64       `json:"proofs_per_second"` // final pings a second over all loops; slow enough to say nothing about the server's speed
	OutBytesMax      int           `json:"out_bytes_max"`     // bytes waiting for one connection's kernel buffer; beyond it messages are counted as unsent
	MessageBytesMax  int           `json:"message_bytes_max"` // largest message taken from the server
	ReadBufferBytes  int           `json:"read_buffer_bytes"` // one for each loop, not for each connection
	TurnItemsMax     int           `json:"turn_items_max"`    // starts in one turn of a loop before the kernel is asked again
	BeatInterval     time.Duration `json:"beat_interval"`     // heartbeat by which a loop sees that it is not getting CPU
	TickInterval     time.Duration `json:"tick_interval"`     // time between two reports of a loop; four for each line of progress, so that a line misses little
	EventsMax        int           `json:"events_max"`        // epoll events taken at once; about 1 ms of work
	LeaveOpen        bool          `json:"leave_open"`        // what is open at the end is not reset; it ends with the process
}

// Default returns limits that suit from one to a few hundred thousand connections.
func Default() Config {
	return Config{
		ConnectTimeout: 10 * time.Second, ConnectsInflight: 256, LateBound: 10 * time.Millisecond,
		ProofsInflight: 1_000, ProofStall: 2 * time.Second, ProofsPerSecond: 20_000, OutBytesMax: 1 << 20, MessageBytesMax: 16 << 20, ReadBufferBytes: 64 << 10,
		TurnItemsMax: 64, BeatInterval: 10 * time.Millisecond, TickInterval: 250 * time.Millisecond, EventsMax: 128,
	}
}

// Validate reports the first limit that makes no sense.
func (c Config) Validate() error {
	for _, check := range []struct {
		name string
		ok   bool
	}{
		{"ConnectTimeout", c.ConnectTimeout > 0}, {"ConnectsInflight", c.ConnectsInflight > 0},
		{"LateBound", c.LateBound > 0}, {"ProofsPerSecond", c.ProofsPerSecond > 0}, {"ProofsInflight", c.ProofsInflight > 0}, {"ProofStall", c.ProofStall > 0},
		{"OutBytesMax", c.OutBytesMax > 0}, {"MessageBytesMax", c.MessageBytesMax > 0},
		{"ReadBufferBytes", c.ReadBufferBytes >= 4<<10}, {"TurnItemsMax", c.TurnItemsMax > 0},
		{"BeatInterval", c.BeatInterval > 0}, {"TickInterval", c.TickInterval >= c.BeatInterval},
		{"EventsMax", c.EventsMax > 0},
	} {
		if !check.ok {
			return fmt.Errorf("generator: limit %s is out of range", check.name)
		}
	}
	return nil
}
