package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestFileSetsEveryType(t *testing.T) {
	path := write(t, `
# a comment
name: "node: 1"
netpoll:
  ping_interval: 1m30s
  queue_bytes: 64KiB
  read_bytes_max: 1000
  loops: 4
  port: 65535
  seed: 18446744073709551615
  ratio: 0.25
  enabled: true
  origins: [https://a.example, "*"]
auth: # everything below is commented out
#  token: x
`)
	got := newSample()
	origins, problems := apply(tree(got), Sources{File: path})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := &sample{Name: "node: 1", Netpoll: sampleInner{
		PingInterval: 90 * time.Second, QueueBytes: 65536, ReadBytesMax: 1000, Loops: 4, Port: 65535,
		Seed: 1<<64 - 1, Ratio: 0.25, Enabled: true, Origins: []string{"https://a.example", "*"}, hidden: 1,
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if at := origins["netpoll.ping_interval"]; at != path+":5:18" {
		t.Errorf("ping_interval came from %q", at)
	}
}

// TestFileProblems has every way to get a file wrong. The wanted text is the
// whole error with the path cut off, so places and hints are held.
func TestFileProblems(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"unknown key", "nmae: x", `:1:1: nmae: no such setting; the nearest is name`},
		{"unknown key in a section", "netpoll:\n  ping_intervall: 30s", `:2:3: netpoll.ping_intervall: no such setting; the nearest is netpoll.ping_interval`},
		{"key in the wrong section", "ping_interval: 30s", `:1:1: ping_interval: no such setting; the nearest is netpoll.ping_interval`},
		{"unknown section", "netpol:\n  loops: 3", `:1:1: netpol: no such setting; the nearest is netpoll`},
		{"merge key", "a: &x {loops: 1}\nnetpoll:\n  <<: *x", ":1:1: a: no such setting; the nearest is name\n:3:3: netpoll.<<: no such setting; the nearest is netpoll"},
		{"duplicate key", "name: a\nname: b", `:2:1: name: set twice; the first is at line 1, keep one`},
		{"duplicate section", "netpoll:\n  loops: 1\nnetpoll:\n  loops: 2", `:3:1: netpoll: set twice; the first is at line 1, keep one`},
		{"duration without a unit", "netpoll:\n  ping_interval: 30", `:2:18: netpoll.ping_interval: found 30, a number without a unit; a duration is wanted: 30s, if seconds are meant`},
		{"duration of nonsense", "netpoll:\n  ping_interval: soon", `:2:18: netpoll.ping_interval: found "soon"; a duration is wanted: 30s, 1m30s or 500ms`},
		{"duration is a list", "netpoll:\n  ping_interval: [30s]", `:2:18: netpoll.ping_interval: found a list; a duration is wanted: 30s, 1m30s or 500ms`},
		{"size with an ambiguous unit", "netpoll:\n  queue_bytes: 64KB", `:2:16: netpoll.queue_bytes: found 64KB, whose unit could mean 1000s or 1024s; a size is wanted: 64KiB, or a plain number of bytes`},
		{"size with a bare letter", "netpoll:\n  queue_bytes: 64k", `:2:16: netpoll.queue_bytes: found 64k, whose unit could mean 1000s or 1024s; a size is wanted: 64KiB, or a plain number of bytes`},
		{"size is a duration", "netpoll:\n  queue_bytes: 30s", `:2:16: netpoll.queue_bytes: found 30s, a duration; a size is wanted: 64KiB, 1MiB, or a plain number of bytes`},
		{"size is negative", "netpoll:\n  queue_bytes: -1", `:2:16: netpoll.queue_bytes: found -1, a number; a size is wanted: 64KiB, 1MiB, or a plain number of bytes`},
		{"size too big", "netpoll:\n  queue_bytes: 99999999TiB", `:2:16: netpoll.queue_bytes: found 99999999TiB, which is too big for this setting (int)`},
		{"int is a duration", "netpoll:\n  loops: 30s", `:2:10: netpoll.loops: found 30s, a duration; a whole number is wanted: 100`},
		{"int is a fraction", "netpoll:\n  loops: 1.5", `:2:10: netpoll.loops: found 1.5, a number; a whole number is wanted: 100`},
		{"int is octal to some", "netpoll:\n  loops: 010", `:2:10: netpoll.loops: found 010, a number; a whole number is wanted: 100`},
		{"int too big", "netpoll:\n  port: 65536", `:2:9: netpoll.port: found 65536, which is too big for this setting (uint16)`},
		{"uint negative", "netpoll:\n  seed: -1", `:2:9: netpoll.seed: found -1; a number of 0 or more is wanted`},
		{"bool is a word", "netpoll:\n  enabled: yes", `:2:12: netpoll.enabled: found "yes"; true or false is wanted`},
		{"float is not a number", "netpoll:\n  ratio: .nan", `:2:10: netpoll.ratio: found ".nan"; a number is wanted: 0.5`},
		{"list is a text", "netpoll:\n  origins: a", `:2:12: netpoll.origins: found "a"; a list is wanted: [first, second]`},
		{"list of sections", "netpoll:\n  origins: [{a: b}]", `:2:13: netpoll.origins: found a section in the list; each item is a text`},
		{"text is nothing", "name:", `:1:6: name: found nothing; a text is wanted: "example"`},
		{"text is a section", "name: {a: b}", `:1:7: name: found a section; a text is wanted: "example"`},
		{"section is a text", "netpoll: yes", `:1:10: netpoll: found "yes"; a section is wanted, with its settings indented below it: ping_interval, queue_bytes, read_bytes_max ...`},
		{"empty file", " \n", `: the file is empty, which is more often an accident than meant; leave --config out to use the defaults`},
		{"no mapping", "- a\n- b", `:1:1: found a list; settings are wanted, a line each: listen: ":8080"`},
		{"a word", "hello", `:1:1: found "hello"; settings are wanted, a line each: listen: ":8080"`},
		{"two documents", "name: a\n---\nname: b", `:2: a second document begins here; a configuration is one document, remove the --- between them`},
		{"tab", "netpoll:\n\tloops: 1", `:2:1: found a tab; YAML is indented with spaces, two for each level`},
		{"broken quote", "name: \"a", `: not valid YAML: found unexpected end of stream; a quote or a bracket is never closed`},
		{"several at once", "nmae: x\nnetpoll:\n  loops: x\n  port: y",
			":1:1: nmae: no such setting; the nearest is name\n:3:10: netpoll.loops: found \"x\"; a whole number is wanted: 100\n:4:9: netpoll.port: found \"y\"; a whole number is wanted: 100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write(t, c.file)
			_, problems := apply(tree(newSample()), Sources{File: path})
			if got := strings.ReplaceAll(problems.Error(), path, ""); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestFileOfCommentsIsTheDefaults(t *testing.T) {
	s := newSample()
	if _, problems := apply(tree(s), Sources{File: write(t, "# name: x\n")}); len(problems) > 0 {
		t.Fatal(problems)
	}
}

func TestFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	big := write(t, "# "+strings.Repeat("x", FileBytesMax))
	for path, want := range map[string]string{
		filepath.Join(dir, "absent.yaml"): "no such file; `roost default-config > ",
		dir:                               "cannot be read: is a directory",
		big:                               "is larger than 1048576 bytes",
	} {
		_, problems := apply(tree(newSample()), Sources{File: path})
		if len(problems) != 1 || problems[0].Where != path || !strings.Contains(problems[0].Message, want) {
			t.Errorf("%s: got %v, want %q", path, problems, want)
		}
	}
}

// FuzzFile looks for a file that panics, or that is refused without saying why.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{"name: a", "netpoll:\n  loops: 1", "a: &x [*x]", "---\n---", "\tx", "? [a]\n: b", "netpoll: &a\n  origins: *a", "queue_bytes: 1 KiB"} {
		f.Add([]byte(seed))
	}
	path := filepath.Join(f.TempDir(), "roost.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, problems := apply(tree(newSample()), Sources{File: path})
		for _, p := range problems {
			if p.Message == "" || !strings.HasPrefix(p.Where, path) {
				t.Errorf("%q: a problem without place or message: %+v", data, p)
			}
		}
	})
}
