package config

import (
	"bytes"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/session/auth"
	"go.yaml.in/yaml/v3"
)

// TestDefaultLacksOnlyKeys: a node that nobody configured lets nobody in, and
// says so; there is nothing else wrong with the defaults.
func TestDefaultLacksOnlyKeys(t *testing.T) {
	c := Default()
	err := c.Validate()
	if err == nil || !strings.HasPrefix(err.Error(), "auth.mode: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want only that auth.mode token needs a keys_file", err)
	}
	if c.Auth.Mode, c.Listen = auth.ModeNone, "127.0.0.1:8080"; c.Validate() != nil {
		t.Error(c.Validate())
	}
}

// TestDefaultIsDocumented holds the rules for every package's Config: a doc tag
// on every field, that begins in lower case as a phrase and says more than the
// name, and no two settings with one name in the environment.
func TestDefaultIsDocumented(t *testing.T) {
	c := Default()
	names := map[string]string{}
	for _, reserved := range ReservedEnv {
		names[reserved] = "the client commands"
	}
	for _, e := range tree(&c).all() {
		if e.isSection() {
			continue
		}
		if len(e.doc) < 20 {
			t.Errorf("%s: its doc tag says too little: %q", e.key, e.doc)
		}
		if other, taken := names[e.env()]; taken {
			t.Errorf("%s and %s are both %s in the environment", e.key, other, e.env())
		}
		names[e.env()] = e.key
	}
}

func TestDefaultFileLoadsToDefault(t *testing.T) {
	var b bytes.Buffer
	if err := Default().Write(&b); err != nil {
		t.Fatal(err)
	}
	got, d := Config{}, Default()
	origins, problems := apply(tree(&got), Sources{File: write(t, b.String())})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if got = got.settled(); !reflect.DeepEqual(got, d) {
		t.Errorf("the default file changes settings: %v", got.Changes())
	}
	for _, s := range tree(&d).settings() {
		if origins[s.key] == "" {
			t.Errorf("%s is not in the default file", s.key)
		}
		if !strings.Contains(b.String(), s.env()) {
			t.Errorf("%s is not named in the default file", s.env())
		}
	}
	var others map[string]any
	if err := yaml.Unmarshal(b.Bytes(), &others); err != nil {
		t.Errorf("other YAML readers cannot read the default file: %v", err)
	}
}

// TestWriteRoundTrip proves that printing is the inverse of loading for values
// that need care: quotes, line ends, YAML's own words, negative numbers.
func TestWriteRoundTrip(t *testing.T) {
	for _, text := range []string{"", "plain", "no", "null", "1", "1e3", "0x1F", "30s", "a: b", "#c", "- d", " e ", "f\ng", "\t", "\"q\" 'r' \\s", "é\u2028", "*x", "&y", "!z", "~", "2006-01-02", ":8080", "."} {
		c := Default()
		c.Node, c.Data = text, text
		var b bytes.Buffer
		if err := c.Write(&b); err != nil {
			t.Fatal(err)
		}
		got := Default()
		if _, problems := apply(tree(&got), Sources{File: write(t, b.String())}); len(problems) > 0 {
			t.Errorf("%q: %v", text, problems)
		}
		if got.Node != text || got.Data != text {
			t.Errorf("wrote %q, read %q and %q", text, got.Node, got.Data)
		}
	}
}

func TestShow(t *testing.T) {
	s := newSample()
	s.Auth = sampleSecret{Token: "hunter2", Pairs: []string{"id:hunter2"}, SecretFile: "/run/hunter2"}
	s.Netpoll.QueueBytes, s.Netpoll.ReadBytesMax = 3<<20, 1000
	s.Netpoll.PingInterval = 24 * time.Hour
	want := `"n" 24h 3MiB 1000 2 0 0 0 false [] REDACTED [REDACTED] /run/hunter2`
	var got []string
	for _, e := range tree(s).settings() {
		got = append(got, e.show())
	}
	if line := strings.Join(got, " "); line != want {
		t.Errorf("got  %s\nwant %s", line, want)
	}
}

func TestNoPrintShowsASecret(t *testing.T) {
	c := Default()
	found := false
	for _, s := range tree(&c).settings() {
		if s.secret && s.value.Kind() == reflect.String {
			found = true
			s.value.SetString("hunter2")
		} else if s.secret {
			found = true
			s.setList([]string{"hunter2"})
		}
	}
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("starting", "config", c)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("starting", "config", c)
	fmt.Fprintf(&b, "%v %+v %s %#v", c, c, c, c)
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "hunter2") {
		t.Errorf("a secret is shown: %s", b.String())
	}
	if found && strings.Count(b.String(), Redacted) < 7 {
		t.Errorf("not every print was tried: %s", b.String())
	}
}

func TestNodeValidation(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"node", func(c *Config) { c.Node = "Node 1" }, `node: node id "Node 1" has 'N' at byte 0: only a-z, 0-9 and '-' are allowed`},
		{"auth none for everybody", func(c *Config) { c.Auth.Mode = auth.ModeNone; c.Listen = ":80" }, `auth.mode: mode none would let anybody who reaches :80 be anybody: listen on 127.0.0.1 or [::1], use mode token, or set force_none`},
		{"token larger than a request", func(c *Config) { c.Auth.TokenBytesMax = 64 << 10 }, `auth.token_bytes_max: 65536 does not fit within netpoll.request_bytes_max: the token is part of the request`},
		{"attrs that are not kept", func(c *Config) { c.Store.AttrsBytesMax = 100 }, `auth.attrs_bytes_max: 512 does not fit within store.attrs_bytes_max: a larger object would be left out of the records`},
		{"payload that no connection can queue", func(c *Config) { c.Netpoll.QueuedHardBytes = 1 << 20 }, `deliver.payload_bytes_max: 1399124 does not fit within netpoll.queued_hard_bytes: as base64 in its frame one payload alone would close the connection with 4004`},
		{"push larger than delivery", func(c *Config) { c.Deliver.PayloadBytesMax = 1 << 19 }, `api.push.payload_bytes_max: 1048576 does not fit within deliver.payload_bytes_max: every larger push would be too_large`},
		{"relay larger than delivery", func(c *Config) { c.Deliver.PayloadBytesMax = 1 << 10 }, `relay.payload_bytes_max: 65536 does not fit within deliver.payload_bytes_max: every larger message would be too_large`},
		{"connections", func(c *Config) { c.MaxConnections = -1 }, `max_connections: is -1: 0 to 4000000 are allowed`},
		{"data", func(c *Config) { c.Data = "" }, `data: is empty; a directory is wanted: ./data`},
		{"listen", func(c *Config) { c.Listen = "8080" }, `listen: found "8080"; host:port is wanted: 127.0.0.1:8080, or :8080 for every interface`},
		{"port", func(c *Config) { c.Listen = ":80800" }, `listen: found ":80800"; host:port is wanted: 127.0.0.1:8080, or :8080 for every interface`},
		{"one listener", func(c *Config) { c.Internal = c.Listen }, `internal: :8080 is the public listener too; services and operators need their own`},
		{"log level", func(c *Config) { c.Log.Level = "inf" }, `log.level: found "inf"; one of debug, info, warn, error is wanted, the nearest is info`},
		{"log format", func(c *Config) { c.Log.Format = "" }, `log.format: found ""; one of auto, text, json is wanted, the nearest is auto`},
		{"links that nobody can dial", func(c *Config) { c.Cluster.Enabled, c.Cluster.HashKey = true, strings.Repeat("00", 16) },
			`peer.listen: 127.0.0.1:8082 is loopback, and other nodes are to find this one at 0.0.0.0:7946: set it to an address that they can dial, or to :8082 for every interface, or name what they can dial in advertise.links`},
		{"advertised wildcard", func(c *Config) { c.Advertise.Public = ":8080" }, `advertise.public: found ":8080"; nobody can dial a wildcard: name the host, 192.0.2.1:8080`},
		{"advertised without a port", func(c *Config) { c.Advertise.Links = "10.0.0.1" }, `advertise.links: found "10.0.0.1"; host:port is wanted, a name or an IP address and a number: 192.0.2.1:8080`},
		{"own entries", func(c *Config) { c.Route.EntriesMax = 1000 }, `route.own_entries: is 1000000: it must be 0 to 999`},
		{"drain", func(c *Config) { c.Drain.Grace = 0 }, `drain.grace: is 0s: 100ms to 1h0m0s are allowed`},
		{"mailbox", func(c *Config) { c.Mailbox.BytesMax = c.Store.MailBytesMax }, `mailbox.bytes_max: 8589934592 does not fit within store.mail_bytes_max: the payloads, and what is noted beside them, are what is on that disk`},
		{"silent home", func(c *Config) {
			c.Cluster.Enabled, c.Cluster.HashKey = true, strings.Repeat("0a", 16)
			c.Cluster.Mail.AnswerTimeout = c.API.Push.Timeout
		}, `cluster.mail.answer_timeout: 5s is not less than api.push.timeout, which is 5s: whoever pushes would be gone before this node keeps the message in place of a home that is silent`},
		{"silent former home", func(c *Config) {
			c.Cluster.Enabled, c.Cluster.HashKey = true, strings.Repeat("0a", 16)
			c.Cluster.Mail.KeyTimeout = c.Cluster.Mail.AnswerTimeout
		}, `cluster.mail.key_timeout: 3s is not less than cluster.mail.answer_timeout, which is 3s: while a home asks who knows the idempotency key of a push, the node that has sent it would keep it itself`},
		{"reconnect", func(c *Config) { c.Drain.ReconnectMax = 0 }, `drain.reconnect_max: is 0s, less than reconnect_min (500ms)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := Default()
			c.change(&config)
			err := config.Validate()
			if err == nil {
				t.Fatal("no problem found")
			}
			if !strings.Contains("\n"+err.Error()+"\n", "\n"+c.want+"\n") {
				t.Errorf("got  %s\nwant %s", err, c.want)
			}
		})
	}
}

func TestLoadReportsWhereABadValueIs(t *testing.T) {
	path := write(t, "log:\n  level: loud\n  format: xml\nlisten: x\n")
	_, _, err := Load(Sources{File: path, Environ: []string{"ROOST_DATA="}, Flags: []Flag{{Name: "--internal", Key: "internal", Value: "y"}}})
	if err == nil {
		t.Fatal("no problem found")
	}
	for _, want := range []string{path + ":2:10: log.level: ", path + ":3:11: log.format: ", path + ":4:9: listen: ", "ROOST_DATA: data: ", "--internal: internal: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

func TestNodeID(t *testing.T) {
	for host, want := range map[string]string{
		"web-1": "web-1", "Web_1.example.com": "web-1", "": "roost", "---": "roost", "ümlaut": "mlaut",
		"a-very-long-host-name-that-goes-on": "a-very-long-host-name-th",
	} {
		if got := (Config{}).NodeID(host); got != want {
			t.Errorf("%q: got %q, want %q", host, got, want)
		}
	}
	if got := (Config{Node: "n1"}).NodeID("host"); got != "n1" {
		t.Errorf("got %q", got)
	}
}
