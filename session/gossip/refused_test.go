package gossip

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

var quiet = slog.New(slog.DiscardHandler)

func key(b byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) }

// TestRefused: a node that does not fit ends its start with the reason, and both sides
// have it in their logs.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name       string
		mine, your func(*Config)
		why        Refusal
		detail     string
	}{
		{"cluster", func(c *Config) {}, func(c *Config) { c.Cluster = "prod" }, RefusedCluster, `cluster "prod" is not cluster "test"`},
		{"wrong key", func(c *Config) { c.Keys = []string{key(1)} }, func(c *Config) { c.Keys = []string{key(2)} }, RefusedKeys, "no key opens it"},
		{"no key", func(c *Config) { c.Keys = []string{key(1)} }, func(c *Config) {}, RefusedKeys, "keys are configured here"},
		{"a key too many", func(c *Config) {}, func(c *Config) { c.Keys = []string{key(1)} }, RefusedKeys, "no keys are configured here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			mine, your := quick(), quick()
			c.mine(&mine)
			c.your(&your)
			a := startNode(t, mine, "a", 1)
			your.Join = []string{a.addr()}
			logs := &safeBuffer{}
			g, err := Start(context.Background(), your, Member{Node: "b", Epoch: 1, PeerAddr: "x:1"}, &recorder{}, slog.New(slog.NewTextHandler(logs, nil)))
			if err == nil {
				g.Close()
				t.Fatal("it started")
			}
			var refused *RefusedError
			if !errors.As(err, &refused) || refused.Why != c.why || refused.Addr != a.addr() || refused.Node != "a" {
				t.Errorf("%v", err)
			}
			if !logs.has("this node is refused by another", "node=a", "why="+c.why.String(), escaped(c.detail)) {
				t.Errorf("the refused: %s", logs)
			}
			eventually(t, "the refuser logs it", func() bool {
				return a.logs.has("another node is refused", "why="+c.why.String(), escaped(c.detail))
			}, a)
			if a.Stats().Refused[c.why] == 0 || a.names() != "a#1" {
				t.Error(a.Stats(), a.names())
			}
		})
	}
}

func escaped(s string) string {
	var b bytes.Buffer
	for _, r := range s {
		if r == '"' {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// TestRefusedWhileRunning: who comes to run beside another cluster later stays apart
// from it, and says so.
func TestRefusedWhileRunning(t *testing.T) {
	a := startNode(t, quick(), "a", 1)
	file := filepath.Join(t.TempDir(), "join")
	cfg := quick()
	cfg.Cluster, cfg.JoinFile = "prod", file
	b := startNode(t, cfg, "b", 1)
	write(t, file, "# the wrong one\n"+a.addr()+"\n")
	eventually(t, "both say so", func() bool {
		return a.logs.has("another node is refused", "why=cluster") && b.logs.has("this node is refused", "why=cluster")
	}, a, b)
	if a.names() != "a#1" || b.names() != "b#1" {
		t.Error(a.names(), b.names())
	}
}

// TestKeysRotate goes through the three steps of a rotation; at none of them the nodes
// lose each other, and the old key ends up useless.
func TestKeysRotate(t *testing.T) {
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}
	steps := []string{key(1), key(1) + "\n" + key(2), key(2) + "\n" + key(1), key(2)}
	for _, f := range files {
		write(t, f, steps[0])
	}
	cfg := quick()
	cfg.KeysFile = files[0]
	a := startNode(t, cfg, "a", 1)
	cfg.KeysFile, cfg.Join = files[1], []string{a.addr()}
	b := startNode(t, cfg, "b", 1)
	eventually(t, "a and b meet", allSee("a#1 b#1", a, b), a, b)
	for i, keys := range steps[1:] {
		for _, f := range files {
			write(t, f, keys)
		}
		eventually(t, "both took the keys over", func() bool {
			return a.Stats().KeysReloads == uint64(i+1) && b.Stats().KeysReloads == uint64(i+1)
		}, a, b)
	}
	old := quick(a.addr())
	old.Keys = []string{key(1)}
	if n, err := tryNode(old, "c", 1); err == nil {
		n.Close()
		t.Error("the old key still opens")
	}
	write(t, files[0], "nonsense")
	eventually(t, "a bad file is said", func() bool { return a.Stats().KeysFailures == 1 }, a)
	old.Keys = []string{key(2)}
	c := startNode(t, old, "c", 1)
	eventually(t, "with the new key all meet", allSee("a#1 b#1 c#1", a, b, c), a, b, c)
	if a.told.has("left b#1 dead") || b.told.has("left a#1 dead") {
		t.Log("a busy machine: the nodes suspected each other meanwhile")
	}
}

// write replaces a file at once, as an editor or a configuration tool does.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
