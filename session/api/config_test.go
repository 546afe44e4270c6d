package api

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
)

func TestConfig(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string // in the error; empty: valid
	}{
		{"default", func(*Config) {}, ""},
		{"localhost", func(c *Config) { c.Listen = "localhost:0" }, ""},
		{"IPv6 loopback", func(c *Config) { c.Listen = "[::1]:1" }, ""},
		{"everywhere", func(c *Config) { c.Listen = ":8081" }, "token"},
		{"a name", func(c *Config) { c.Listen = "roost.internal:8081" }, "token"},
		{"everywhere with a token", func(c *Config) { c.Listen = ":8081"; c.Tokens = []string{"0123456789abcdef"} }, ""},
		{"everywhere with a file", func(c *Config) { c.Listen = ":8081"; c.TokensFile = "x" }, ""},
		{"no port", func(c *Config) { c.Listen = "127.0.0.1" }, "listen"},
		{"answers cut", func(c *Config) { c.HTTP.WriteTimeout = c.Push.TimeoutMax }, "http.write_timeout"},
		{"default above max", func(c *Config) { c.Push.Timeout = 2 * time.Minute }, "push.timeout"},
		{"bodies below body", func(c *Config) { c.HTTP.BodiesBytesMax = 1 << 20 }, "bodies_bytes_max"},
		{"payload above body", func(c *Config) { c.Push.PayloadBytesMax = 9 << 20 }, "payload_bytes_max"},
		{"negative gather", func(c *Config) { c.Stream.GatherTime = -1 }, "gather_time"},
	} {
		c := Default()
		tc.change(&c)
		err := c.Validate()
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// TestConfigZero: no limit may be zero, each is named in its error, and every field
// has a name and a text for the generated file.
func TestConfigZero(t *testing.T) {
	var visit func(v reflect.Value, path string, root *Config)
	visit = func(v reflect.Value, path string, root *Config) {
		for i := range v.NumField() {
			f, ft := v.Field(i), v.Type().Field(i)
			name := path + ft.Tag.Get("yaml")
			if ft.Tag.Get("yaml") == "" || f.Kind() != reflect.Struct && ft.Tag.Get("doc") == "" {
				t.Errorf("%s has no yaml or doc tag", ft.Name)
			}
			switch f.Kind() {
			case reflect.Struct:
				visit(f, name+".", root)
			case reflect.Int, reflect.Int64:
				if ft.Name == "GatherTime" {
					continue // zero is "do not gather"
				}
				was := f.Int()
				f.SetInt(0)
				if err := root.Validate(); err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("%s is 0: %v", name, err)
				}
				f.SetInt(was)
			}
		}
	}
	c := Default()
	visit(reflect.ValueOf(&c).Elem(), "", &c)
}

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	n := newTestNode(t, func(c *Config) {
		c.Tokens = []string{"token-of-the-config"}
		c.TokensFile = write("tokens", "# ours\n\n token-of-the-file \n")
		c.AWS.KeysFile = write("keys", "AKID:secret:with:colons\n")
	})
	if !n.tokens.match("token-of-the-config") || !n.tokens.match("token-of-the-file") || n.tokens.match("# ours") || n.tokens.match("") {
		t.Error("the tokens are not those of the config and its file")
	}
	if n.sigV4.keys["AKID"] != "secret:with:colons" {
		t.Error(n.sigV4.keys)
	}
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"short", func(c *Config) { c.Tokens = []string{"short"} }, "16"},
		{"space", func(c *Config) { c.Tokens = []string{"0123456789 abcdef"} }, "space"},
		{"no file", func(c *Config) { c.TokensFile = filepath.Join(dir, "none") }, "tokens_file"},
		{"empty file", func(c *Config) { c.TokensFile = write("empty", "# nothing\n") }, "no line"},
		{"key", func(c *Config) { c.AWS.Keys = []string{"AKID"} }, "aws key pair 1"},
		{"key twice", func(c *Config) { c.AWS.Keys = []string{"A:b", "A:c"} }, "twice"},
	} {
		c := Default()
		tc.change(&c)
		_, err := New(c, Node{Sessions: session.NewRegistry(), Pusher: n.router, Keeper: n.mailbox, Presence: n.mailbox, Records: n.records, Sockets: n.devices})
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "abcdef") {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if _, err := New(Default(), Node{}); err == nil {
		t.Error("a server of nothing was made")
	}
}
