package trace

import "fmt"

// Which messages leave events.
const (
	ModeAll    = "all"    // every message
	ModeTraced = "traced" // those that came with a traceparent
	ModeOff    = "off"    // none
)

// Config says what is remembered. It is read once, by New.
type Config struct {
	Mode   string `yaml:"mode" doc:"which messages leave events: all, traced (those with a traceparent) or off. An event costs some 100 ns, a push has three to six; traced keeps the ring for the messages that somebody looks for, where it would come around in seconds"`
	Events int    `yaml:"events" doc:"events remembered, count; the oldest make room. Each takes 120 bytes, so 65,536 take 7.5 MiB, from the start on, and reach back over some 15,000 pushes"`
}

// The limits of Config.Events.
const (
	eventsMin = 1 << 10
	eventsMax = 1 << 24
)

// Default returns the configuration of a node that nobody configured.
func Default() Config { return Config{Mode: ModeAll, Events: 1 << 16} }

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
	return nil
}
