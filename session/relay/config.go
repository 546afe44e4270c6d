package relay

import (
	"fmt"
	"time"
)

// Config holds the limits of messages between devices. It is read once, by New.
type Config struct {
	Timeout         time.Duration `yaml:"timeout" doc:"time after which a sender is told timeout for devices without an outcome (PROTOCOL.md section 0: 5s)"`
	PendingMax      int           `yaml:"pending_max" doc:"messages whose senders await a result at one moment; each holds its payload, so 10,000 of 1 KB hold some 15 MB. Above it overloaded"`
	TTLMax          time.Duration `yaml:"ttl_max" doc:"longest ttl_ms a device may ask for; four weeks, as Web Push services keep messages. Longer ones are refused with ttl_out_of_range"`
	PayloadBytesMax int           `yaml:"payload_bytes_max" doc:"size of a payload from a device (PROTOCOL.md section 0: 64 KiB); hello announces it. Larger ones are too_large"`
}

// Default returns the configuration of a node that nobody configured.
func Default() Config {
	return Config{Timeout: 5 * time.Second, PendingMax: 10_000, TTLMax: 28 * 24 * time.Hour, PayloadBytesMax: 64 << 10}
}

// Validate reports the first value that cannot be.
func (c Config) Validate() error {
	switch {
	case c.Timeout < 10*time.Millisecond || c.Timeout > 10*time.Minute:
		return fmt.Errorf("relay: timeout is %v: it must be 10ms to 10m", c.Timeout)
	case c.PendingMax < 1 || c.PendingMax > 1<<24:
		return fmt.Errorf("relay: pending_max is %d: it must be 1 to %d", c.PendingMax, 1<<24)
	case c.TTLMax < time.Second || c.TTLMax > 366*24*time.Hour:
		return fmt.Errorf("relay: ttl_max is %v: it must be 1s to %v", c.TTLMax, 366*24*time.Hour)
	case c.PayloadBytesMax < 1 || c.PayloadBytesMax > 16<<20:
		return fmt.Errorf("relay: payload_bytes_max is %d: it must be 1 to %d", c.PayloadBytesMax, 16<<20)
	}
	return nil
}
