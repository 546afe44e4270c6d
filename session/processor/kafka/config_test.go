package kafka

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/processor"
	"github.com/roostpush/roost/session/processor/processortest"
)

func TestValidate(t *testing.T) {
	valid := func() Config {
		c := Default()
		c.Enabled = true
		c.Connection.Brokers = []string{"kafka-1:9092", "[::1]:9092"}
		c.NormalTopics = []string{"push"}
		return c
	}
	if err := valid().Validate(); err != nil {
		t.Fatal(err)
	}
	if err := Default().Validate(); err != nil {
		t.Errorf("what is not enabled counts: %v", err)
	}
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no brokers", func(c *Config) { c.Connection.Brokers = nil }, "brokers is empty"},
		{"no port", func(c *Config) { c.Connection.Brokers = []string{"kafka"} }, `brokers has "kafka": write host:port`},
		{"no client id", func(c *Config) { c.Connection.ClientID = "" }, "client_id is"},
		{"dial timeout", func(c *Config) { c.Connection.DialTimeout = 0 }, "dial_timeout is 0s"},
		{"ca without tls", func(c *Config) { c.Connection.TLSCAFile = "x" }, "tls is off, but"},
		{"certificate without key", func(c *Config) { c.Connection.TLS, c.Connection.TLSCertFile = true, "x" }, "belong together"},
		{"unknown sasl", func(c *Config) { c.Connection.SASL = "gssapi" }, `sasl is "gssapi": write none, plain, scram-sha-256 or scram-sha-512`},
		{"sasl without user", func(c *Config) { c.Connection.SASL, c.Connection.Password = SASLPlain, "x" }, "needs user"},
		{"sasl without password", func(c *Config) { c.Connection.SASL, c.Connection.User = SASLPlain, "x" }, "needs password or password_file"},
		{"two passwords", func(c *Config) {
			c.Connection.SASL, c.Connection.User, c.Connection.Password, c.Connection.PasswordFile = SASLPlain, "x", "y", "z"
		}, "both set"},
		{"a user without sasl", func(c *Config) { c.Connection.User = "x" }, "sasl is none, but user or password is set"},
		{"no group", func(c *Config) { c.Group = "" }, "group is"},
		{"long instance", func(c *Config) { c.Instance = strings.Repeat("x", 250) }, "instance is 250 bytes long"},
		{"start", func(c *Config) { c.Start = "now" }, `start is "now": write earliest or latest`},
		{"order", func(c *Config) { c.Order = "none" }, `order is "none": write account, device or partition`},
		{"no topics", func(c *Config) { c.NormalTopics = nil }, "there is nothing to consume"},
		{"bad topic", func(c *Config) { c.LowTopics = []string{"a b"} }, `low_topics: topic "a b"`},
		{"dots", func(c *Config) { c.LowTopics = []string{".."} }, `low_topics: topic ".."`},
		{"twice", func(c *Config) { c.HighTopics = []string{"push"} }, "normal_topics has push, which is in high_topics already"},
		{"a circle", func(c *Config) { c.DeadLetterTopic = "push" }, "dead_letter_topic has push, which is in normal_topics already"},
		{"results among letters", func(c *Config) { c.DeadLetterTopic, c.ResultsTopic = "x", "x" }, "results_topic has x, which is in dead_letter_topic already"},
		{"held", func(c *Config) { c.HeldMax = 0 }, "held_max is 0: 1 to"},
		{"held bytes", func(c *Config) { c.HeldBytesMax = 0 }, "held_bytes_max is 0"},
		{"window", func(c *Config) { c.WindowMax = 0 }, "window_max is 0"},
		{"poll", func(c *Config) { c.PollMax = -1 }, "poll_max is -1"},
		{"fetch", func(c *Config) { c.FetchBytesMax = 1 << 31 }, "fetch_bytes_max is"},
		{"partition above broker", func(c *Config) { c.FetchPartitionBytesMax = c.FetchBytesMax + 1 }, "is above fetch_bytes_max"},
		{"fetch wait", func(c *Config) { c.FetchWait = 0 }, "fetch_wait is 0s"},
		{"commit interval", func(c *Config) { c.CommitInterval = 0 }, "commit_interval is 0s"},
		{"commit timeout", func(c *Config) { c.CommitTimeout = 0 }, "commit_timeout is 0s"},
		{"session timeout", func(c *Config) { c.SessionTimeout = 0 }, "session_timeout is 0s"},
		{"rebalance timeout", func(c *Config) { c.RebalanceTimeout = 0 }, "rebalance_timeout is 0s"},
		{"revoke timeout", func(c *Config) { c.RevokeTimeout = time.Minute }, "are not below rebalance_timeout"},
		{"stop timeout", func(c *Config) { c.StopTimeout = 0 }, "stop_timeout is 0s"},
		{"start timeout", func(c *Config) { c.StartTimeout = 0 }, "start_timeout is 0s"},
		{"report timeout", func(c *Config) { c.ReportTimeout = 0 }, "report_timeout is 0s"},
		{"report retry", func(c *Config) { c.ReportRetry = 0 }, "report_retry is 0s"},
		{"lag interval", func(c *Config) { c.LagInterval = 0 }, "lag_interval is 0s"},
		{"log every", func(c *Config) { c.LogEvery = 0 }, "log_every is 0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := valid()
			c.change(&cfg)
			err := cfg.Validate()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if _, err := New(cfg, processortest.New(processortest.Always), discard); err == nil {
				t.Error("New took it")
			}
		})
	}
}

// TestSettingsAreDocumented wants a yaml and a doc tag for each setting, and a metric and
// a doc tag for each counter.
func TestSettingsAreDocumented(t *testing.T) {
	for _, c := range []struct {
		of   any
		tags []string
	}{
		{Config{}, []string{"yaml", "doc"}}, {ConnectionConfig{}, []string{"yaml", "doc"}}, {Stats{}, []string{"metric", "doc"}},
	} {
		typ := reflect.TypeOf(c.of)
		seen := map[string]bool{}
		for i := range typ.NumField() {
			for _, tag := range c.tags {
				if typ.Field(i).Tag.Get(tag) == "" {
					t.Errorf("%s.%s has no tag %s", typ, typ.Field(i).Name, tag)
				}
			}
			name := typ.Field(i).Tag.Get(c.tags[0])
			if seen[name] {
				t.Errorf("%s has %s twice", typ, name)
			}
			seen[name] = true
		}
	}
	if got := (processor.ByLane{}).Label(int(session.PriorityHigh)); got != "high" {
		t.Errorf("the label is %q", got)
	}
}

func TestFilesThatAreNotThere(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*ConnectionConfig)
		want   string
	}{
		{"password", func(c *ConnectionConfig) { c.SASL, c.User, c.PasswordFile = SASLPlain, "x", "/nowhere" }, "kafka: password_file: "},
		{"authority", func(c *ConnectionConfig) { c.TLS, c.TLSCAFile = true, "/nowhere" }, "kafka: tls_ca_file: "},
		{"certificate", func(c *ConnectionConfig) { c.TLS, c.TLSCertFile, c.TLSKeyFile = true, "/nowhere", "/nowhere" }, "kafka: tls_cert_file and tls_key_file: "},
		{"no PEM", func(c *ConnectionConfig) { c.TLS, c.TLSCAFile = true, "config_test.go" }, "has no certificate in PEM"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DefaultConnection()
			cfg.Brokers = []string{"127.0.0.1:1"}
			c.change(&cfg)
			if _, err := NewProducer(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
