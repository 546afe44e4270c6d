package jetstream

import (
	"reflect"
	"strings"
	"testing"

	"github.com/roostpush/roost/session/processor"
	"github.com/roostpush/roost/session/processor/processortest"
)

func TestValidate(t *testing.T) {
	valid := func() Config {
		c := Default()
		c.Enabled = true
		c.Connection.Servers = []string{"nats://nats-1:4222", "tls://nats-2:4222"}
		c.Stream = "PUSH"
		c.NormalSubjects = []string{"push.*.normal", "other.>"}
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
		{"no servers", func(c *Config) { c.Connection.Servers = nil }, "servers is empty"},
		{"no URL", func(c *Config) { c.Connection.Servers = []string{"nats-1:4222"} }, "is no URL: write nats://host:4222"},
		{"a password in a URL", func(c *Config) { c.Connection.Servers = []string{"nats://a:b@nats-1:4222"} }, "use user, password or token"},
		{"no name", func(c *Config) { c.Connection.Name = "" }, "name is"},
		{"dial timeout", func(c *Config) { c.Connection.DialTimeout = 0 }, "dial_timeout is 0s"},
		{"reconnect wait", func(c *Config) { c.Connection.ReconnectWait = 0 }, "reconnect_wait is 0s"},
		{"two ways in", func(c *Config) { c.Connection.User, c.Connection.Token = "x", "y" }, "user, token and credentials_file: more than one is set"},
		{"a password of nobody", func(c *Config) { c.Connection.Password = "x" }, "password is set, user is not"},
		{"certificate without key", func(c *Config) { c.Connection.TLSCertFile = "x" }, "belong together"},
		{"no stream", func(c *Config) { c.Stream = "" }, "stream is"},
		{"bad stream", func(c *Config) { c.Stream = "a.b" }, `stream is "a.b"`},
		{"bad durable", func(c *Config) { c.Durable = "a b" }, `durable is "a b"`},
		{"no subjects", func(c *Config) { c.NormalSubjects = nil }, "there is nothing to consume"},
		{"empty part", func(c *Config) { c.LowSubjects = []string{"a..b"} }, `low_subjects has "a..b", which is no subject`},
		{"half a wildcard", func(c *Config) { c.LowSubjects = []string{"a.b*"} }, "which is no subject"},
		{"rest in the middle", func(c *Config) { c.LowSubjects = []string{"a.>.b"} }, "which is no subject"},
		{"twice", func(c *Config) { c.HighSubjects = []string{"other.>"} }, "normal_subjects has other.>, which is in high_subjects already"},
		{"dead letters everywhere", func(c *Config) { c.DeadLetterSubject = "dead.*" }, "without wildcards"},
		{"a circle", func(c *Config) { c.DeadLetterSubject = "other.dead" }, "dead letters would come back for ever"},
		{"in work", func(c *Config) { c.InWorkMax = 0 }, "in_work_max is 0: 1 to"},
		{"in work bytes", func(c *Config) { c.InWorkBytesMax = 0 }, "in_work_bytes_max is 0"},
		{"fetch", func(c *Config) { c.FetchMax = 0 }, "fetch_max is 0"},
		{"fetch above in work", func(c *Config) { c.FetchMax = c.InWorkMax + 1 }, "is above in_work_max"},
		{"fetch bytes", func(c *Config) { c.FetchBytesMax = 0 }, "fetch_bytes_max is 0"},
		{"fetch wait", func(c *Config) { c.FetchWait = 0 }, "fetch_wait is 0s"},
		{"ack wait", func(c *Config) { c.AckWait = 0 }, "ack_wait is 0s"},
		{"room timeout", func(c *Config) { c.RoomTimeout = 0 }, "room_timeout is 0s"},
		{"nak delay", func(c *Config) { c.NakDelay = 0 }, "nak_delay is 0s"},
		{"letter timeout", func(c *Config) { c.LetterTimeout = 0 }, "letter_timeout is 0s"},
		{"start timeout", func(c *Config) { c.StartTimeout = 0 }, "start_timeout is 0s"},
		{"stop timeout", func(c *Config) { c.StopTimeout = 0 }, "stop_timeout is 0s"},
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

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		pattern, subject string
		want             bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a.c", false}, {"a.*", "a.b", true}, {"a.*", "a.b.c", false},
		{"a.>", "a.b.c", true}, {"a.>", "a", false}, {"a", "a.b", false}, {"a.b", "a", false}, {">", "a", true}, {"*", "a", true},
	} {
		if got := covers(c.pattern, c.subject); got != c.want {
			t.Errorf("%s covers %s: %t", c.pattern, c.subject, got)
		}
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
		for i := range typ.NumField() {
			for _, tag := range c.tags {
				if typ.Field(i).Tag.Get(tag) == "" {
					t.Errorf("%s.%s has no tag %s", typ, typ.Field(i).Name, tag)
				}
			}
		}
	}
	if got := (processor.ByLane{}).Label(int(high)); got != "high" {
		t.Errorf("the label is %q", got)
	}
}
