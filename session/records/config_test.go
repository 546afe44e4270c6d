package records

import (
	"strings"
	"testing"
	"time"
)

func TestConfigNamesWhatIsWrong(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.BatchBytes = 1 }, "batch_bytes is 1; 49152 to 1048576 are allowed"},
		{func(c *Config) { c.QueueBytes = 1 << 40 }, "queue_bytes is 1099511627776;"},
		{func(c *Config) { c.QueueBytes = c.BatchBytes * 3 / 2 }, "queue_bytes 98304 is below twice batch_bytes (65536)"},
		{func(c *Config) { c.AckTimeout = 0 }, "ack_timeout is 0s; 100ms to 10m0s are allowed"},
		{func(c *Config) { c.SettleAfter = 0 }, "settle_after is 0s;"},
		{func(c *Config) { c.HandOverFacts = 0 }, "hand_over_facts is 0;"},
		{func(c *Config) { c.HandOverPause = time.Hour }, "hand_over_pause is 1h0m0s;"},
		{func(c *Config) { c.AbsentFor = -1 }, "absent_for is -1ns;"},
	} {
		cfg := Default()
		c.change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}
