package api

import (
	"fmt"
	"net"
	"time"
)

// Config is the values of the internal listener. It is read once, by New.
type Config struct {
	Listen     string   `yaml:"listen" doc:"host:port of the internal listener for services and operators; anything but loopback needs a service token"`
	Tokens     []string `yaml:"tokens" doc:"bearer tokens that services present, each at least 16 bytes; several, so that one can be replaced without a gap"`
	TokensFile string   `yaml:"tokens_file" doc:"file with further tokens, one a line, '#' begins a comment line; keeps secrets out of this file and of the environment"`

	HTTP   HTTPConfig   `yaml:"http"`
	Push   PushConfig   `yaml:"push"`
	Stream StreamConfig `yaml:"stream"`
	AWS    AWSConfig    `yaml:"aws"`
}

// HTTPConfig bounds what any request may take.
type HTTPConfig struct {
	HeaderBytesMax    int           `yaml:"header_bytes_max" doc:"size of a request's header; 32 KiB is room for large tokens and traces"`
	BodyBytesMax      int           `yaml:"body_bytes_max" doc:"size of a request's body, other than a stream's (PROTOCOL.md section 0: 8 MiB)"`
	BodiesBytesMax    int           `yaml:"bodies_bytes_max" doc:"bytes of all bodies being read or pushed at one moment; above it 503, so that many large requests cannot exhaust memory"`
	RequestsMax       int           `yaml:"requests_max" doc:"requests served at one moment; above it 503 (health and metrics are still answered)"`
	ReadHeaderTimeout time.Duration `yaml:"read_header_timeout" doc:"time for a request's header to arrive whole; 10s ends clients that never finish"`
	ReadTimeout       time.Duration `yaml:"read_timeout" doc:"time for a request to arrive whole, other than a stream; 60s is 8 MiB over a slow link"`
	WriteTimeout      time.Duration `yaml:"write_timeout" doc:"time for an answer to be taken by the client, other than a stream's; longer than the 30s of a CPU profile and than push.timeout_max"`
	IdleTimeout       time.Duration `yaml:"idle_timeout" doc:"time a kept-alive connection may wait for its next request; longer than the 60s most proxies keep one"`
	DevicesMax        int           `yaml:"devices_max" doc:"devices in one answer about an account; the answer says when it was cut"`
	SlowMax           int           `yaml:"slow_max" doc:"connections in one answer of /v1/slow"`
}

// PushConfig bounds one push.
type PushConfig struct {
	PayloadBytesMax     int           `yaml:"payload_bytes_max" doc:"size of a payload from a service (PROTOCOL.md section 0: 1 MiB)"`
	Timeout             time.Duration `yaml:"timeout" doc:"time to wait for outcomes when a push names no timeout_ms (PROTOCOL.md section 0: 5s)"`
	TimeoutMax          time.Duration `yaml:"timeout_max" doc:"longest timeout_ms a push may ask for"`
	TTLMax              time.Duration `yaml:"ttl_max" doc:"longest ttl_ms, and the TTL that a PUT with a longer one is given (RFC 8030 section 5.2); four weeks, as Web Push services keep messages"`
	IdempotencyKeysMax  int           `yaml:"idempotency_keys_max" doc:"answers remembered by idempotency key; the oldest goes first"`
	IdempotencyBytesMax int           `yaml:"idempotency_bytes_max" doc:"bytes of all remembered answers and keys; the oldest go first"`
	IdempotencyAge      time.Duration `yaml:"idempotency_age" doc:"time an answer is remembered; longer than any client retries"`
}

// StreamConfig bounds one NDJSON stream. A stream costs at most about LineBytesMax +
// WindowBytes + ResultBufferBytes + Window times 2 KiB.
type StreamConfig struct {
	StreamsMax        int           `yaml:"streams_max" doc:"streams open at one moment; above it 503. Each may cost a few MiB, so they have a limit of their own"`
	LineBytesMax      int           `yaml:"line_bytes_max" doc:"length of one line; room for payload_bytes_max as base64 and its envelope"`
	ReadBytes         int           `yaml:"read_bytes" doc:"size of one read from the client; 64 KiB is some 500 small pushes"`
	Window            int           `yaml:"window" doc:"pushes of one stream that may wait for outcomes at one moment; then reading pauses. 4,096 cover 400,000 a second at 10 ms, and 20,000 at the 200 ms that a busy disk may take to sync what is to be kept"`
	WindowBytes       int           `yaml:"window_bytes" doc:"size of those pushes' lines together; the payload of a push that waits is kept"`
	GatherTime        time.Duration `yaml:"gather_time" doc:"how long a result waits for others to be written with, while pushes are on their way; a lone one is written at once"`
	ResultBufferBytes int           `yaml:"result_buffer_bytes" doc:"results kept for a client that does not read; 8 MiB is some 80,000. Beyond it the stream ends with result_buffer_full"`
	IdleTimeout       time.Duration `yaml:"idle_timeout" doc:"time a stream may stay without input before it is ended"`
	DiscardTimeout    time.Duration `yaml:"discard_timeout" doc:"time that input is still read and thrown away after the result buffer is full, so that a client that reads at the end gets to the last line"`
	WriteTimeout      time.Duration `yaml:"write_timeout" doc:"time a client may take no result at all once the stream is over; then the connection is cut"`
}

// AWSConfig is about Amazon API Gateway's management calls at /@connections.
type AWSConfig struct {
	Keys     []string      `yaml:"keys" doc:"key pairs for SigV4, each ACCESS_KEY_ID:SECRET_ACCESS_KEY; AWS clients sign with these"`
	KeysFile string        `yaml:"keys_file" doc:"file with further key pairs, one a line, '#' begins a comment line"`
	SkewMax  time.Duration `yaml:"skew_max" doc:"how far a signature's date may be from this node's clock; Amazon allows 5 minutes"`
}

// Default returns the values used where nothing else is said.
func Default() Config {
	return Config{
		Listen: "127.0.0.1:8081",
		HTTP: HTTPConfig{
			HeaderBytesMax:    32 << 10,
			BodyBytesMax:      8 << 20,
			BodiesBytesMax:    256 << 20,
			RequestsMax:       1024,
			ReadHeaderTimeout: 10 * time.Second,
			ReadTimeout:       time.Minute,
			WriteTimeout:      2 * time.Minute,
			IdleTimeout:       2 * time.Minute,
			DevicesMax:        1000,
			SlowMax:           1000,
		},
		Push: PushConfig{
			PayloadBytesMax:     1 << 20,
			Timeout:             5 * time.Second,
			TimeoutMax:          time.Minute,
			TTLMax:              28 * 24 * time.Hour,
			IdempotencyKeysMax:  64 << 10,
			IdempotencyBytesMax: 32 << 20,
			IdempotencyAge:      10 * time.Minute,
		},
		Stream: StreamConfig{
			StreamsMax:        64,
			LineBytesMax:      2 << 20,
			ReadBytes:         64 << 10,
			Window:            4096,
			WindowBytes:       8 << 20,
			GatherTime:        500 * time.Microsecond,
			ResultBufferBytes: 8 << 20,
			IdleTimeout:       10 * time.Minute,
			DiscardTimeout:    time.Minute,
			WriteTimeout:      30 * time.Second,
		},
		AWS: AWSConfig{SkewMax: 5 * time.Minute},
	}
}

// Validate reports the first value that cannot work, by its name in the
// configuration. It reads no file: New does.
func (c Config) Validate() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("api: listen %q is not host:port: %w", c.Listen, err)
	}
	if !loopback(c.Listen) && len(c.Tokens) == 0 && c.TokensFile == "" {
		return fmt.Errorf("api: listen %s is reachable from other machines and no service token is set: set tokens or tokens_file, or listen on 127.0.0.1", c.Listen)
	}
	if err := c.checkRanges(); err != nil {
		return err
	}
	return c.checkRelations()
}

// checkRanges holds each value to its own range; zero never means unlimited.
func (c Config) checkRanges() error {
	for _, v := range []struct {
		name     string
		value    int
		min, max int
	}{
		{"http.header_bytes_max", c.HTTP.HeaderBytesMax, 4 << 10, 1 << 20},
		{"http.body_bytes_max", c.HTTP.BodyBytesMax, 1 << 10, 1 << 30},
		{"http.bodies_bytes_max", c.HTTP.BodiesBytesMax, 1 << 10, 1 << 40},
		{"http.requests_max", c.HTTP.RequestsMax, 1, 1 << 20},
		{"http.devices_max", c.HTTP.DevicesMax, 1, 100_000},
		{"http.slow_max", c.HTTP.SlowMax, 1, 100_000},
		{"push.payload_bytes_max", c.Push.PayloadBytesMax, 1, 1 << 30},
		{"push.idempotency_keys_max", c.Push.IdempotencyKeysMax, 1, 1 << 26},
		{"push.idempotency_bytes_max", c.Push.IdempotencyBytesMax, 1 << 10, 1 << 40},
		{"stream.streams_max", c.Stream.StreamsMax, 1, 1 << 16},
		{"stream.line_bytes_max", c.Stream.LineBytesMax, 256, 1 << 30},
		{"stream.read_bytes", c.Stream.ReadBytes, 512, 16 << 20},
		{"stream.window", c.Stream.Window, 1, 1 << 20},
		{"stream.window_bytes", c.Stream.WindowBytes, 1 << 10, 1 << 40},
		{"stream.result_buffer_bytes", c.Stream.ResultBufferBytes, 1 << 10, 1 << 40},
	} {
		if v.value < v.min || v.value > v.max {
			return fmt.Errorf("api: %s is %d: %d to %d are possible", v.name, v.value, v.min, v.max)
		}
	}
	for _, v := range []struct {
		name  string
		value time.Duration
		max   time.Duration
	}{
		{"http.read_header_timeout", c.HTTP.ReadHeaderTimeout, time.Hour},
		{"http.read_timeout", c.HTTP.ReadTimeout, time.Hour},
		{"http.write_timeout", c.HTTP.WriteTimeout, time.Hour},
		{"http.idle_timeout", c.HTTP.IdleTimeout, 24 * time.Hour},
		{"push.timeout", c.Push.Timeout, time.Hour},
		{"push.timeout_max", c.Push.TimeoutMax, time.Hour},
		{"push.ttl_max", c.Push.TTLMax, 366 * 24 * time.Hour},
		{"push.idempotency_age", c.Push.IdempotencyAge, 24 * time.Hour},
		{"stream.idle_timeout", c.Stream.IdleTimeout, 24 * time.Hour},
		{"stream.discard_timeout", c.Stream.DiscardTimeout, time.Hour},
		{"stream.write_timeout", c.Stream.WriteTimeout, time.Hour},
		{"aws.skew_max", c.AWS.SkewMax, 24 * time.Hour},
	} {
		if v.value < time.Millisecond || v.value > v.max {
			return fmt.Errorf("api: %s is %v: 1ms to %v are possible", v.name, v.value, v.max)
		}
	}
	return nil
}

// checkRelations holds the values that only make sense together.
func (c Config) checkRelations() error {
	switch {
	case c.Push.Timeout > c.Push.TimeoutMax:
		return fmt.Errorf("api: push.timeout %v is longer than push.timeout_max %v", c.Push.Timeout, c.Push.TimeoutMax)
	case c.HTTP.WriteTimeout <= c.Push.TimeoutMax:
		return fmt.Errorf("api: http.write_timeout %v is not longer than push.timeout_max %v: answers would be cut", c.HTTP.WriteTimeout, c.Push.TimeoutMax)
	case c.HTTP.BodiesBytesMax < c.HTTP.BodyBytesMax:
		return fmt.Errorf("api: http.bodies_bytes_max %d is less than one http.body_bytes_max %d", c.HTTP.BodiesBytesMax, c.HTTP.BodyBytesMax)
	case c.HTTP.BodyBytesMax < c.Push.PayloadBytesMax:
		return fmt.Errorf("api: http.body_bytes_max %d is less than push.payload_bytes_max %d", c.HTTP.BodyBytesMax, c.Push.PayloadBytesMax)
	case c.Stream.GatherTime < 0 || c.Stream.GatherTime > time.Second:
		return fmt.Errorf("api: stream.gather_time is %v: 0 to 1s are possible", c.Stream.GatherTime)
	}
	return nil
}

// loopback reports whether only this machine can reach the address. A name other
// than localhost is not looked up: it could change its mind later.
func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
