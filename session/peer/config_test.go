package peer

import (
	"strings"
	"testing"
	"time"
)

func TestConfig(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"listen":                func(c *Config) { c.Listen = "nowhere" },
		"tls_cert":              func(c *Config) { c.TLSCert = "x" },
		"tls_names":             func(c *Config) { c.TLSNames = true },
		"links_max":             func(c *Config) { c.LinksMax = 0 },
		"pending_max":           func(c *Config) { c.PendingMax = 1 },
		"queue_messages":        func(c *Config) { c.QueueMessages = 0 },
		"in_flight_max":         func(c *Config) { c.InFlightMax = 0 },
		"frame_bytes_max":       func(c *Config) { c.FrameBytesMax = 10 },
		"queue_bytes":           func(c *Config) { c.QueueBytes = c.FrameBytesMax - 1 },
		"control_queue_bytes":   func(c *Config) { c.ControlQueueBytes = c.FrameBytesMax - 1 },
		"batch_bytes":           func(c *Config) { c.FrameBytesMax = c.BatchBytes - 1 },
		"tick":                  func(c *Config) { c.Tick = 0 },
		"silence_max":           func(c *Config) { c.SilenceMax = c.PingInterval },
		"redial_max":            func(c *Config) { c.RedialMax = c.RedialMin - 1 },
		"answer_grace":          func(c *Config) { c.AnswerGrace = -time.Second },
		"control_queue_frames":  func(c *Config) { c.ControlQueueFrames = 0 },
		"accept_retry_pause is": func(c *Config) { c.AcceptRetryPause = 0 },
	} {
		cfg := Default()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := New(Default(), Identity{Cluster: "a b", Node: "A"}, Handlers{}, nil); err == nil {
		t.Error("a pool of nobody")
	}
}
