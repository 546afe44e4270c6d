package auth

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		says   string // empty: it is right
	}{
		{"default with keys", func(c *Config) {}, ""},
		{"none without keys", func(c *Config) { c.Mode, c.KeysFile = "none", "" }, ""},
		{"mode", func(c *Config) { c.Mode = "jwt" }, `mode is "jwt"`},
		{"no mode", func(c *Config) { c.Mode = "" }, "write token or none"},
		{"no keys", func(c *Config) { c.KeysFile = "" }, "needs keys_file"},
		{"no algorithm", func(c *Config) { c.Algorithms = nil }, "algorithms is empty"},
		{"algorithm none", func(c *Config) { c.Algorithms = []string{"none"} }, `"none"`},
		{"algorithm twice", func(c *Config) { c.Algorithms = []string{"HS256", "HS256"} }, "twice"},
		{"leeway", func(c *Config) { c.Leeway = -time.Second }, "leeway"},
		{"leeway long", func(c *Config) { c.Leeway = time.Hour }, "leeway"},
		{"leeway fine", func(c *Config) { c.Leeway = time.Microsecond }, "leeway"},
		{"reload", func(c *Config) { c.ReloadInterval = 0 }, "reload_interval"},
		{"token", func(c *Config) { c.TokenBytesMax = 0 }, "token_bytes_max is 0"},
		{"attrs above token", func(c *Config) { c.AttrsBytesMax = c.TokenBytesMax + 1 }, "attrs_bytes_max"},
		{"topics", func(c *Config) { c.TopicsMax = 0 }, "topics_max"},
		{"depth", func(c *Config) { c.DepthMax = 1 }, "depth_max"},
		{"keys", func(c *Config) { c.KeysMax = 0 }, "keys_max"},
		{"trials", func(c *Config) { c.TrialKeysMax = 0 }, "trial_keys_max"},
		{"file", func(c *Config) { c.KeysFileBytesMax = 0 }, "keys_file_bytes_max"},
		{"cache", func(c *Config) { c.CacheEntriesMax = -1 }, "cache_entries_max"},
		{"cache off", func(c *Config) { c.CacheEntriesMax = 0 }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Default()
			cfg.KeysFile = "keys.json"
			c.change(&cfg)
			err := cfg.Validate()
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error is %v, want one that says %q", err, c.says)
			}
		})
	}
}

func TestCheckListener(t *testing.T) {
	for addr, local := range map[string]bool{
		"127.0.0.1:8080": true, "127.8.9.1:1": true, "[::1]:8080": true, "localhost:8080": true, "[::ffff:127.0.0.1]:1": true,
		":8080": false, "0.0.0.0:8080": false, "[::]:8080": false, "10.0.0.1:80": false, "example.com:80": false,
		"localhost.example.com:80": false, "": false, "127.0.0.1.example.com:80": false,
	} {
		cfg := Config{Mode: ModeNone}
		if err := cfg.CheckListener(addr); (err == nil) != local {
			t.Errorf("%q: %v", addr, err)
		}
		cfg.ForceNone = true
		if err := cfg.CheckListener(addr); err != nil {
			t.Errorf("%q, forced: %v", addr, err)
		}
		if err := (Config{Mode: ModeToken}).CheckListener(addr); err != nil {
			t.Errorf("%q, mode token: %v", addr, err)
		}
	}
}

func TestModeNone(t *testing.T) {
	cfg := Default()
	cfg.Mode = ModeNone
	v, err := New(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), atNoon)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, done, err := v.Quick([]byte("x"), noon); !done || !errors.Is(err, ErrOff) {
		t.Errorf("Quick: %v, %v", done, err)
	}
	if _, err := v.Verify([]byte("x"), noon); !errors.Is(err, ErrOff) {
		t.Errorf("Verify: %v", err)
	}
	c, err := Believe("ann", "tv")
	if err != nil || c.Account != "ann" || c.Device != "tv" || !c.Send || !c.Everything || c.ExpiresMS != 0 {
		t.Errorf("Believe: %+v, %v", c, err)
	}
	for _, bad := range [][2]string{{"", "tv"}, {"ann", ""}, {"a/b", "tv"}, {"ann", "a b"}} {
		if _, err := Believe(bad[0], bad[1]); err == nil {
			t.Errorf("Believe(%q) is taken", bad)
		}
	}
}
