package gossip

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDefaultIsValid(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

// TestEveryLimitIsChecked sets each number to what cannot be meant; the error names it.
func TestEveryLimitIsChecked(t *testing.T) {
	for i := range reflect.TypeFor[Config]().NumField() {
		f := reflect.TypeFor[Config]().Field(i)
		name := f.Tag.Get("yaml")
		if name == "" || f.Tag.Get("doc") == "" {
			t.Errorf("%s has no tags", f.Name)
		}
		if k := f.Type.Kind(); k != reflect.Int && k != reflect.Int64 {
			continue
		}
		for _, v := range []int64{-1, 1 << 60} {
			c := Default()
			reflect.ValueOf(&c).Elem().Field(i).SetInt(v)
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name+" is ") {
				t.Errorf("%s = %d: %v", name, v, err)
			}
		}
	}
}

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*Config)
		want string
	}{
		"cluster":         {func(c *Config) { c.Cluster = "a b" }, "cluster is"},
		"listen":          {func(c *Config) { c.Listen = "localhost:1" }, "listen: "},
		"advertise":       {func(c *Config) { c.Advertise = "0.0.0.0:1" }, "advertise is"},
		"advertise port":  {func(c *Config) { c.Advertise = "10.0.0.1:0" }, "advertise is"},
		"join":            {func(c *Config) { c.Join = []string{"host"} }, "join: "},
		"join port":       {func(c *Config) { c.Join = []string{"host:0"} }, "join: "},
		"join SRV":        {func(c *Config) { c.Join = []string{"_gossip"} }, "join: "},
		"keys":            {func(c *Config) { c.Keys = []string{"x"} }, "key 1 is not base64"},
		"keys twice":      {func(c *Config) { c.Keys, c.KeysFile = []string{key(1)}, "x" }, "keys and keys_file"},
		"probe":           {func(c *Config) { c.ProbeTimeout = c.ProbeInterval / 2 }, "probe_timeout"},
		"rejoin":          {func(c *Config) { c.RejoinMin = 2 * c.RejoinMax }, "do not grow"},
		"nothing is fine": {func(c *Config) { *c = Config{} }, "members_max is 0"},
	} {
		cfg := Default()
		c.set(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := Default()
	good.Advertise, good.Keys = "10.0.0.1:7946", []string{key(1)}
	good.Join = []string{"10.0.0.1:7946", "[fd00::1]:7946", "roost.example.com:7946", "_gossip._tcp.example.com"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

func TestResolve(t *testing.T) {
	file := filepath.Join(t.TempDir(), "join")
	if err := os.WriteFile(file, []byte("# more\n127.0.0.3:3\n127.0.0.1:1\nnonsense\n127.0.0.4:4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Default()
	cfg.Join, cfg.JoinFile, cfg.AddressesMax = []string{"127.0.0.1:1", "two.example:2", "_gossip._tcp.example.com"}, file, 6
	logs := &safeBuffer{}
	addrs, leftOut := resolve(context.Background(), cfg, zone{}, slog.New(slog.NewTextHandler(logs, nil)), &repeats{every: time.Minute})
	want := []string{"127.0.0.1:1", "10.0.0.1:2", "[fd00::1]:2", "10.0.0.1:7", "[fd00::1]:7", "127.0.0.3:3"}
	if !slices.Equal(addrs, want) || leftOut != 1 {
		t.Error(addrs, leftOut)
	}
	if !logs.has("cannot be resolved", "nonsense") || !logs.has("cannot be resolved", "_gossip") || !logs.has("addresses_max") {
		t.Error(logs)
	}
	cfg.JoinFile = file + ".gone"
	if resolve(context.Background(), cfg, zone{}, slog.New(slog.NewTextHandler(logs, nil)), &repeats{}); !logs.has("join_file cannot be read") {
		t.Error(logs)
	}
}

// zone is a resolver: two.example has two addresses and is the only one.
type zone struct{}

func (zone) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if host != "two.example" && host != "two.example." {
		return nil, errors.New("no such host")
	}
	return []netip.Addr{netip.MustParseAddr("::ffff:10.0.0.1"), netip.MustParseAddr("fd00::1")}, nil
}

func (zone) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	if service+proto != "" || name != "_gossip._tcp.example.com" {
		return "", nil, errors.New("no such name")
	}
	return "", []*net.SRV{{Target: "gone.example.", Port: 7}, {Target: "two.example.", Port: 0}, {Target: "two.example.", Port: 7}}, nil
}

func TestComplaintsAreRare(t *testing.T) {
	logs := &safeBuffer{}
	count := &counters{}
	c := &complaints{log: slog.New(slog.NewTextHandler(logs, nil)), count: count, repeat: &repeats{every: time.Hour}}
	for i := range 1000 {
		for _, line := range []string{
			"[ERR] memberlist: Decrypt packet failed: no key from=10.0.0.1:" + string(rune('0'+i%10)) + "\n",
			"[WARN] memberlist: Got ping for unexpected node 'b#" + string(rune('0'+i%10)) + "' from=10.0.0.1:1\n",
			"[DEBUG] memberlist: Stream connection from=10.0.0.1:1\n",
			"without a level\n",
		} {
			if n, err := c.Write([]byte(line)); n != len(line) || err != nil {
				t.Fatal(n, err)
			}
		}
	}
	if n := len(linesOf(logs.String())); n != 2 || count.complaints.Load() != 2000 {
		t.Errorf("%d lines, %d counted\n%s", n, count.complaints.Load(), logs)
	}
	for i := range 10 * repeatsMax {
		c.repeat.due(strings.Repeat("x", i))
	}
	if c.repeat.due("one more") {
		t.Error("there is no end to what is logged")
	}
	if len(c.repeat.last) > repeatsMax {
		t.Error("it remembers without end")
	}
}
