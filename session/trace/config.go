package trace

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Which messages leave events.
const (
	ModeAll    = "all"    // every message
	ModeTraced = "traced" // those that came with a traceparent
	ModeOff    = "off"    // none
)

// Config says what is remembered. It is read once, by New.
type Config struct {
	Mode   string `yaml:"mode" doc:"which messages leave events: all, traced (those with a traceparent) or off. An event costs some 100 ns, a push has three to six; traced keeps the ring for the messages that somebody looks for, where it would come around in seconds"`
	Events int    `yaml:"events" doc:"events remembered, count; the oldest make room. Each takes 128 bytes, so 65,536 take 8 MiB, from the start on, and reach back over some 15,000 pushes"`

	OTLP ExportConfig `yaml:"otlp" doc:"export to OpenTelemetry"`
}

// ExportConfig says where the events of messages go whose traceparent is sampled.
type ExportConfig struct {
	URL           string        `yaml:"url" doc:"where spans of messages are posted as OTLP/JSON, http://host:4318/v1/traces of an OpenTelemetry collector: those that came with a traceparent whose sampled flag is set; empty: nowhere"`
	Authorization string        `yaml:"authorization" secret:"true" doc:"header Authorization of those requests; empty: none"`
	Interval      time.Duration `yaml:"interval" doc:"time between two posts; also how long a span may wait for one"`
	Linger        time.Duration `yaml:"linger" doc:"time after its last event when a span ends. What comes of a kept message later has a span of its own"`
	Timeout       time.Duration `yaml:"timeout" doc:"time for a post to be answered; one that is not, or is answered 429, 502, 503 or 504, is made again later"`
	EventsMax     int           `yaml:"events_max" doc:"events that wait for the next post, count, at some 300 bytes each; above it they are dropped and counted"`
	SpansMax      int           `yaml:"spans_max" doc:"spans that have not ended, count, and as many that were not taken yet; above it the newest are dropped and counted"`
	BatchMax      int           `yaml:"batch_max" doc:"spans in one post, count"`
}

// validate reports the first value that cannot be.
func (c ExportConfig) validate(mode string) error {
	if c.URL != "" {
		u, err := url.Parse(c.URL)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			return fmt.Errorf("trace: otlp.url is %.100q: write http://host:4318/v1/traces", c.URL)
		case u.User != nil:
			return errors.New("trace: otlp.url has a user: use otlp.authorization, which is not shown")
		case u.Path == "" || u.Path == "/":
			return fmt.Errorf("trace: otlp.url is %.100q, without a path: an OpenTelemetry collector has it at /v1/traces", c.URL)
		case mode == ModeOff:
			return fmt.Errorf("trace: otlp.url is set, and mode is %s: say %s, or %s if nobody asks for a message by its id", ModeOff, ModeAll, ModeTraced)
		}
	}
	for _, d := range [...]struct {
		name         string
		v, low, high time.Duration
	}{
		{"interval", c.Interval, 10 * time.Millisecond, time.Minute},
		{"linger", c.Linger, 10 * time.Millisecond, 10 * time.Minute},
		{"timeout", c.Timeout, 10 * time.Millisecond, 5 * time.Minute},
	} {
		if d.v < d.low || d.v > d.high {
			return fmt.Errorf("trace: otlp.%s is %v: it must be %v to %v", d.name, d.v, d.low, d.high)
		}
	}
	for _, n := range [...]struct {
		name   string
		v, max int
	}{
		{"events_max", c.EventsMax, 1 << 24}, {"spans_max", c.SpansMax, 1 << 24}, {"batch_max", c.BatchMax, 1 << 16},
	} {
		if n.v < 1 || n.v > n.max {
			return fmt.Errorf("trace: otlp.%s is %d: it must be 1 to %d", n.name, n.v, n.max)
		}
	}
	return nil
}

// The limits of Config.Events.
const (
	eventsMin = 1 << 10
	eventsMax = 1 << 24
)

// Default returns the configuration of a node that nobody configured.
func Default() Config {
	return Config{Mode: ModeAll, Events: 1 << 16, OTLP: ExportConfig{
		Interval: time.Second, Linger: 2 * time.Second, Timeout: 10 * time.Second,
		EventsMax: 20_000, SpansMax: 5000, BatchMax: 512,
	}}
}

// Validate reports the first value that cannot be.
func (c Config) Validate() error {
	switch c.Mode {
	case ModeAll, ModeTraced, ModeOff:
	default:
		return fmt.Errorf("trace: mode is %q: it must be %s, %s or %s", c.Mode, ModeAll, ModeTraced, ModeOff)
	}
	if c.Events < eventsMin || c.Events > eventsMax {
		return fmt.Errorf("trace: events is %d: it must be %d to %d; mode %s remembers none", c.Events, eventsMin, eventsMax, ModeOff)
	}
	return c.OTLP.validate(c.Mode)
}
