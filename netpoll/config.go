package netpoll

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Config holds the reactor's limits. It is a value: read once by New.
type Config struct {
	Loops          int `yaml:"loops" doc:"event loops, at most 256; 0 derives it: one for each processor Go may use"`
	MaxConnections int `yaml:"max_connections" doc:"connections held at most, count; 0 derives it: the descriptor limit less descriptors_reserved"`

	DescriptorsReserved int `yaml:"descriptors_reserved" doc:"descriptors kept back for the store, the internal listener and refusals, count; 0 derives it: a quarter of the descriptor limit, at most 1024"`
	RefusalsMax         int `yaml:"refusals_max" doc:"connections above the cap that are being told 503 at one time, count; they live in the descriptor reserve, beyond them accepting pauses"`
	Backlog             int `yaml:"backlog" doc:"length of each loop's accept queue, connections; the kernel caps it at net.core.somaxconn"`
	AcceptBatch         int `yaml:"accept_batch" doc:"connections taken in one turn of a loop, count; more would delay those that are already there"`

	ReadBufferBytes    int `yaml:"read_buffer_bytes" doc:"read buffer of each loop, bytes; shared by all its connections, so it costs nothing per connection"`
	RequestBytesMax    int `yaml:"request_bytes_max" doc:"a request's line and headers, bytes; room for a token of some KiB, beyond it 431"`
	RequestHeadersMax  int `yaml:"request_headers_max" doc:"header lines of a request, count; beyond it 431"`
	MessageBytesMax    int `yaml:"message_bytes_max" doc:"one message from a peer, fragments together, bytes; beyond it close code 1009; twice the 64 KiB of payload a device may send, since escapes and base64 make a frame longer than what it carries"`
	FramesPerSecondMax int `yaml:"frames_per_second_max" doc:"frames of any kind a connection may send within a second, count; beyond it close code 4006. A guard against floods of tiny frames, with room for a device that acknowledges a whole mailbox message by message; the rate limit for messages is protocol.message_rate"`

	StreamInputBytesMax int `yaml:"stream_input_bytes_max" doc:"bytes that the client of an event stream may send behind its request, bytes; they are ignored, beyond it the stream is closed with 1008"`

	SendBufferBytes    int `yaml:"send_buffer_bytes" doc:"kernel send buffer of each connection, bytes; bounds what a peer that does not read can pin in the kernel (the default of Linux grows to 4 MiB). Below a few segments, which are 64 KiB on loopback, large messages would wait for delayed ACKs"`
	ReceiveBufferBytes int `yaml:"receive_buffer_bytes" doc:"kernel receive buffer of each connection, bytes; devices send little"`
	QueuedSoftBytes    int `yaml:"queued_soft_bytes" doc:"bytes waiting for one connection above which it is counted as slow and listed under /v1/slow"`
	QueuedHardBytes    int `yaml:"queued_hard_bytes" doc:"bytes waiting for one connection above which it is closed with 4004; at least one service message (1 MiB) and its framing must fit"`
	QueuedNodeBytes    int `yaml:"queued_node_bytes" doc:"bytes waiting for all connections together above which sends to those that do not read settle as overloaded, and connections that are owed answers of their own close with 4004"`
	CollectedNodeBytes int `yaml:"collected_node_bytes" doc:"bytes of requests and messages that have begun to arrive and are not whole, all connections together; beyond it the connection that sends more gets 503 or is closed with 1013. Idle devices have none"`
	OutboxBytes        int `yaml:"outbox_bytes" doc:"bytes of messages waiting in each loop's outbox to be given to the kernel; beyond it sends settle as overloaded. A loop may hold twice that: one outbox is filled while the other is drained"`
	OutboxSends        int `yaml:"outbox_sends" doc:"sends waiting in each loop's outbox, count; beyond it they settle as overloaded"`
	OutboxBatch        int `yaml:"outbox_batch" doc:"sends taken from the outbox in one turn, count; then input gets its turn"`

	IOURing bool `yaml:"io_uring" doc:"gives the kernel many writes at once (io_uring(7), Linux 5.18), which takes a third off each; where the kernel does not let this process, as in most containers, or with false, each write is a call of its own"`

	Tick             time.Duration `yaml:"tick" doc:"step of each loop's timing wheel; every timeout below is a multiple of it. An idle process wakes once for each"`
	HandshakeTimeout time.Duration `yaml:"handshake_timeout" doc:"time for a request to arrive whole; then 408"`
	VerifyTimeout    time.Duration `yaml:"verify_timeout" doc:"time for a token to be verified off the loop; then 503"`
	MessageTimeout   time.Duration `yaml:"message_timeout" doc:"time from a message's first byte to its last, fragments included; then close code 1008. Unfinished messages cost memory"`
	SlowTimeout      time.Duration `yaml:"slow_timeout" doc:"time a peer may take nothing at all of what waits for it; then close code 4004"`
	CloseTimeout     time.Duration `yaml:"close_timeout" doc:"time for a peer to answer a close, or to read the last answer; then the connection is cut"`
	PingInterval     time.Duration `yaml:"ping_interval" doc:"time between two pings of a connection, each at one of up to 30 phases, and those of a phase together: an idle process wakes once for all of them. It is cut to a multiple of 30 ticks where it is longer. 30s keeps the entries of most NATs alive. Two unanswered ones close with 4005. Event streams get a comment instead, and end when the kernel has waited twice as long for the peer's acknowledgement of anything"`

	ProxyTrusted []string `yaml:"proxy_trusted" doc:"addresses or prefixes (10.0.0.0/8) whose connections must begin with a PROXY protocol v2 header, as a load balancer in front sends it; default: none"`
}

// Default returns the configuration a node starts with.
func Default() Config {
	return Config{
		RefusalsMax:        32,
		Backlog:            4096,
		AcceptBatch:        64,
		ReadBufferBytes:    64 << 10,
		RequestBytesMax:    16 << 10,
		RequestHeadersMax:  64,
		MessageBytesMax:    128 << 10,
		FramesPerSecondMax: 5000,

		StreamInputBytesMax: 1 << 10,

		SendBufferBytes:    256 << 10,
		ReceiveBufferBytes: 32 << 10,
		QueuedSoftBytes:    64 << 10,
		QueuedHardBytes:    2 << 20,
		QueuedNodeBytes:    256 << 20,
		CollectedNodeBytes: 256 << 20,
		OutboxBytes:        64 << 20,
		OutboxSends:        1 << 20,
		OutboxBatch:        512,
		IOURing:            true,
		Tick:               250 * time.Millisecond,
		HandshakeTimeout:   10 * time.Second,
		VerifyTimeout:      5 * time.Second,
		MessageTimeout:     30 * time.Second,
		SlowTimeout:        30 * time.Second,
		CloseTimeout:       3 * time.Second,
		PingInterval:       30 * time.Second,
	}
}

// Validate reports everything that is wrong, each with the setting's name.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	between := func(name string, v, low, high int) {
		check(v >= low && v <= high, "%s is %d: %d to %d are allowed", name, v, low, high)
	}
	between("loops", c.Loops, 0, loopsMax)
	between("max_connections", c.MaxConnections, 0, connectionsCeiling)
	between("descriptors_reserved", c.DescriptorsReserved, 0, descriptorsMax-1)
	between("refusals_max", c.RefusalsMax, 1, 1<<16)
	between("backlog", c.Backlog, 1, 1<<16)
	between("accept_batch", c.AcceptBatch, 1, 1<<16)
	between("read_buffer_bytes", c.ReadBufferBytes, 4<<10, 16<<20)
	between("request_bytes_max", c.RequestBytesMax, 512, 1<<20)
	between("request_headers_max", c.RequestHeadersMax, 8, 4096)
	between("message_bytes_max", c.MessageBytesMax, controlBytesMax, 1<<30)
	between("frames_per_second_max", c.FramesPerSecondMax, 1, 1<<30)
	between("stream_input_bytes_max", c.StreamInputBytesMax, 0, 1<<20)
	between("send_buffer_bytes", c.SendBufferBytes, 4<<10, 64<<20)
	between("receive_buffer_bytes", c.ReceiveBufferBytes, 4<<10, 64<<20)
	between("queued_soft_bytes", c.QueuedSoftBytes, 1, 1<<30)
	between("queued_hard_bytes", c.QueuedHardBytes, 1, 1<<30)
	between("queued_node_bytes", c.QueuedNodeBytes, 1, 1<<40)
	between("collected_node_bytes", c.CollectedNodeBytes, 1, 1<<40)
	check(c.CollectedNodeBytes >= 2*c.MessageBytesMax, "collected_node_bytes (%d) is below twice message_bytes_max (%d): one message could not be collected", c.CollectedNodeBytes, c.MessageBytesMax)
	between("outbox_bytes", c.OutboxBytes, 1<<10, 1<<31)
	between("outbox_sends", c.OutboxSends, 1, 1<<30)
	between("outbox_batch", c.OutboxBatch, 1, 1<<20)
	check(c.Tick >= time.Millisecond && c.Tick <= time.Second, "tick is %v: 1ms to 1s are allowed", c.Tick)
	for _, t := range []struct {
		name string
		d    time.Duration
	}{
		{"handshake_timeout", c.HandshakeTimeout}, {"verify_timeout", c.VerifyTimeout},
		{"message_timeout", c.MessageTimeout}, {"slow_timeout", c.SlowTimeout},
		{"close_timeout", c.CloseTimeout}, {"ping_interval", c.PingInterval},
	} {
		check(t.d >= c.Tick && t.d <= 24*time.Hour, "%s is %v: one tick (%v) to 24h are allowed", t.name, t.d, c.Tick)
	}
	check(c.QueuedSoftBytes <= c.QueuedHardBytes, "queued_soft_bytes (%d) is above queued_hard_bytes (%d)", c.QueuedSoftBytes, c.QueuedHardBytes)
	check(c.OutboxBytes >= c.QueuedHardBytes, "outbox_bytes (%d) is below queued_hard_bytes (%d): a large message would not even get that far", c.OutboxBytes, c.QueuedHardBytes)
	check(c.QueuedHardBytes <= c.QueuedNodeBytes, "queued_hard_bytes (%d) is above queued_node_bytes (%d)", c.QueuedHardBytes, c.QueuedNodeBytes)
	if _, err := parseTrusted(c.ProxyTrusted); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func parseTrusted(list []string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, s := range list {
		if a, err := netip.ParseAddr(s); err == nil {
			prefixes = append(prefixes, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("proxy_trusted: %q is neither an address nor a prefix such as 10.0.0.0/8", s)
		}
		prefixes = append(prefixes, p.Masked())
	}
	return prefixes, nil
}
