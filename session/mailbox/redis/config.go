package redis

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	client "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// The ways to be sure that the server keeps what it has answered.
const (
	DurabilityChecked = "checked"
	DurabilityTrusted = "trusted"
)

// Config holds the settings of a Store. It is read once, by Open.
type Config struct {
	URL          string `yaml:"url" doc:"the server: redis://[user@]host:port/db, rediss:// for TLS, unix:///path"`
	PasswordFile string `yaml:"password_file" doc:"file with the server's password; empty: none, or that of url"`
	Prefix       string `yaml:"prefix" doc:"what the names of all keys begin with; one for each cluster that shares the server"`

	Durability      string        `yaml:"durability" doc:"checked: the node does not start unless the server says that it syncs each write (appendonly yes, appendfsync always) and evicts nothing (maxmemory-policy noeviction); trusted: it is not asked, for servers that do not tell"`
	ReplicasMin     int           `yaml:"replicas_min" doc:"replicas that must have a message before it is promised, count; 0 is the server alone"`
	ReplicasTimeout time.Duration `yaml:"replicas_timeout" doc:"how long they are waited for before the same is sent again"`

	QueueMax      int           `yaml:"queue_max" doc:"messages and outcomes that wait for the server, count; above it a push is refused. Outcomes are never refused, there is one for each message at most"`
	QueueBytesMax int           `yaml:"queue_bytes_max" doc:"payloads of those together, bytes"`
	GroupMax      int           `yaml:"group_max" doc:"messages and outcomes in one transaction, count; a push to more devices is one by itself. The server does nothing else meanwhile, 1,000 take it some 10 ms"`
	Retention     time.Duration `yaml:"retention" doc:"how long the outcomes of a message are kept once all are final"`
	CallTimeout   time.Duration `yaml:"call_timeout" doc:"how long one call may take before the connection is given up"`
	RetryInterval time.Duration `yaml:"retry_interval" doc:"pause before a transaction that failed is sent again"`
	CloseTimeout  time.Duration `yaml:"close_timeout" doc:"how long Close waits for what is in the queue"`
	Connections   int           `yaml:"connections" doc:"connections to the server at most; one writes, the others read mailboxes"`
}

// Default returns the configuration of a node that was told no more than to use Redis.
func Default() Config {
	return Config{
		URL:             "redis://127.0.0.1:6379/0",
		Prefix:          "roost",
		Durability:      DurabilityChecked,
		ReplicasTimeout: time.Second,
		QueueMax:        100_000,
		QueueBytesMax:   256 << 20,
		GroupMax:        1000,
		Retention:       time.Hour,
		CallTimeout:     5 * time.Second,
		RetryInterval:   100 * time.Millisecond,
		CloseTimeout:    5 * time.Second,
		Connections:     8,
	}
}

// Validate reports the first value that cannot be.
func (c Config) Validate() error {
	if _, err := client.ParseURL(c.URL); err != nil {
		return fmt.Errorf("redis: url is %q: %w; write redis://host:6379/0", c.URL, err)
	}
	if c.Prefix == "" || strings.ContainsAny(c.Prefix, " :\x00") {
		return fmt.Errorf("redis: prefix is %q: it must be a word without spaces and colons", c.Prefix)
	}
	if c.Durability != DurabilityChecked && c.Durability != DurabilityTrusted {
		return fmt.Errorf("redis: durability is %q: it must be %s or %s", c.Durability, DurabilityChecked, DurabilityTrusted)
	}
	for _, limit := range [...]struct {
		name     string
		value    int
		min, max int
	}{
		{"replicas_min", c.ReplicasMin, 0, 100},
		{"queue_max", c.QueueMax, 1, 1 << 24},
		{"queue_bytes_max", c.QueueBytesMax, 1, 1 << 40},
		{"group_max", c.GroupMax, 1, 1 << 16},
		{"connections", c.Connections, 2, 1 << 10},
	} {
		if limit.value < limit.min || limit.value > limit.max {
			return fmt.Errorf("redis: %s is %d: it must be %d to %d", limit.name, limit.value, limit.min, limit.max)
		}
	}
	for _, limit := range [...]struct {
		name     string
		value    time.Duration
		min, max time.Duration
	}{
		{"replicas_timeout", c.ReplicasTimeout, time.Millisecond, time.Minute},
		{"retention", c.Retention, time.Second, 8760 * time.Hour},
		{"call_timeout", c.CallTimeout, 10 * time.Millisecond, time.Minute},
		{"retry_interval", c.RetryInterval, time.Millisecond, time.Minute},
		{"close_timeout", c.CloseTimeout, time.Millisecond, time.Minute},
	} {
		if limit.value < limit.min || limit.value > limit.max {
			return fmt.Errorf("redis: %s is %v: it must be %v to %v", limit.name, limit.value, limit.min, limit.max)
		}
	}
	if c.ReplicasMin > 0 && c.ReplicasTimeout >= c.CallTimeout {
		return fmt.Errorf("redis: replicas_timeout is %v: it must be less than call_timeout, which is %v", c.ReplicasTimeout, c.CallTimeout)
	}
	return nil
}

// silent keeps the client from writing to standard error: what fails is repeated by the
// writer and named by Health, or returned.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func init() { client.SetLogger(silent{}) }

// connect returns a client, which has not asked the server anything yet.
func (c Config) connect() (*client.Client, error) {
	o, err := client.ParseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("redis: url: %w", err)
	}
	if c.PasswordFile != "" {
		secret, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("redis: password_file: %w", err)
		}
		o.Password = strings.TrimRight(string(secret), "\r\n")
	}
	o.MaxRetries = -1 // the writer repeats what failed, and nothing else may
	o.ReadTimeout, o.WriteTimeout, o.DialTimeout, o.PoolTimeout = c.CallTimeout, c.CallTimeout, c.CallTimeout, c.CallTimeout
	o.DialerRetries = 1
	o.PoolSize, o.ClientName = c.Connections, "roost"
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return client.NewClient(o), nil
}
