package replica

import (
	"reflect"
	"strings"
	"testing"

	"github.com/roostpush/roost/session"
)

func TestConfig(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
	kind := reflect.TypeFor[Config]()
	for i := range kind.NumField() {
		f := kind.Field(i)
		name := f.Tag.Get("yaml")
		if name == "" || f.Tag.Get("doc") == "" {
			t.Errorf("%s has no name or no doc", f.Name)
		}
		for _, bad := range []int64{0, -1, 1 << 40} {
			cfg := Default()
			reflect.ValueOf(&cfg).Elem().Field(i).SetInt(bad)
			if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s = %d: %v", name, bad, err)
			}
		}
	}
	for name, change := range map[string]func(*Config){
		"chunk_changes":  func(c *Config) { c.ChunkChanges, c.BatchChanges = 10, 11 },
		"log_changes":    func(c *Config) { c.LogChanges = 16 },
		"ask_max_ms":     func(c *Config) { c.AskMS = 9000 },
		"question_ms is": func(c *Config) { c.QuestionMS = 9000 },
	} {
		cfg := Default()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := New(cfg, session.Origin{Node: "a"}, Ports{}); err == nil {
			t.Errorf("%s: New takes it", name)
		}
	}
	if _, err := New(Default(), session.Origin{Node: "A"}, Ports{}); err == nil {
		t.Error("a bad node id is taken")
	}
}
