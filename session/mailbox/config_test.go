package mailbox

import (
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"messages_max":        func(c *Config) { c.MessagesMax = 0 },
		"device_messages_max": func(c *Config) { c.MessagesMax = 10 },
		"device_bytes_max":    func(c *Config) { c.BytesMax = 10 },
		"pending_bytes_max":   func(c *Config) { c.PendingBytesMax = 10 },
		"window_messages":     func(c *Config) { c.WindowMessages = 0 },
		"workers":             func(c *Config) { c.Workers = 0 },
		"retry_max_ms":        func(c *Config) { c.RetryMaxMS = 100 },
	} {
		cfg := Default()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), "mailbox: "+name+" is ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
