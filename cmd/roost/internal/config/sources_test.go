package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPrecedence(t *testing.T) {
	file := write(t, "name: file\nnetpoll:\n  ping_interval: 1s\n  loops: 3\n  origins: [a, b]\n")
	environ := []string{"ROOST_NETPOLL_PING_INTERVAL=2s", "ROOST_NAME=environment", "ROOST_NETPOLL_ORIGINS=c, d", "HOME=/root"}
	flags := []Flag{{Name: "--name", Key: "name", Value: "flag"}, SetFlag("netpoll.enabled=true"), SetFlag("name=set")}
	s := newSample()
	origins, problems := apply(tree(s), Sources{File: file, Environ: environ, Flags: flags})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if s.Netpoll.Loops != 3 || s.Netpoll.PingInterval != 2*time.Second || s.Name != "set" || !s.Netpoll.Enabled {
		t.Errorf("got %+v", s)
	}
	if got := strings.Join(s.Netpoll.Origins, "|"); got != "c|d" {
		t.Errorf("a list is replaced, not added to: got %s", got)
	}
	for key, want := range map[string]string{
		"netpoll.loops":         file + ":4:10",
		"netpoll.ping_interval": "ROOST_NETPOLL_PING_INTERVAL",
		"name":                  "--set",
		"netpoll.seed":          "",
	} {
		if origins[key] != want {
			t.Errorf("origin of %s is %q, want %q", key, origins[key], want)
		}
	}
}

func TestEnvironmentProblems(t *testing.T) {
	for _, c := range []struct{ name, variable, want string }{
		{"unknown", "ROOST_NETPOLL_PING=1s", "ROOST_NETPOLL_PING: no such setting in the environment; the nearest is ROOST_NETPOLL_PORT"},
		{"a section", "ROOST_NETPOLL=1", "ROOST_NETPOLL: no such setting in the environment; the nearest is ROOST_NETPOLL_PORT"},
		{"wrong unit", "ROOST_NETPOLL_PING_INTERVAL=30", "ROOST_NETPOLL_PING_INTERVAL: netpoll.ping_interval: found 30, a number without a unit; a duration is wanted: 30s, if seconds are meant"},
		{"empty number", "ROOST_NETPOLL_LOOPS=", "ROOST_NETPOLL_LOOPS: netpoll.loops: found nothing; a whole number is wanted: 100"},
		{"an empty text is a text", "ROOST_NAME=", ""},
		{"of the client commands", "ROOST_API_TOKEN=x", ""},
		{"of Kubernetes: host", "ROOST_SERVICE_HOST=10.0.0.1", ""},
		{"of Kubernetes: named port", "ROOST_SERVICE_PORT_HTTP=80", ""},
		{"of Kubernetes: link", "ROOST_PORT_8080_TCP_ADDR=10.0.0.1", ""},
		{"not of Kubernetes", "ROOST_PORTS=1", "ROOST_PORTS: no such setting in the environment; the nearest is ROOST_NAME"},
		{"of others", "ROOSTER=x", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, problems := apply(tree(newSample()), Sources{Environ: []string{c.variable}})
			if got := problems.Error(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestFlagProblems(t *testing.T) {
	for _, c := range []struct {
		name string
		flag Flag
		want string
	}{
		{"no value", SetFlag("netpoll.loops"), "--set netpoll.loops: found no '='; a key and a value are wanted: --set netpoll.ping_interval=30s"},
		{"unknown", SetFlag("netpol.loops=1"), "--set: netpol.loops: no such setting; the nearest is netpoll.loops"},
		{"a section", SetFlag("netpoll=1"), "--set: netpoll: this is a section; a setting of it is wanted: netpoll.ping_interval"},
		{"wrong type", Flag{Name: "--loops", Key: "netpoll.loops", Value: "many"}, `--loops: netpoll.loops: found "many"; a whole number is wanted: 100`},
		{"below a setting", SetFlag("name.x=1"), "--set: name.x: no such setting; the nearest is name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, problems := apply(tree(newSample()), Sources{Flags: []Flag{c.flag}})
			if got := problems.Error(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "1": 1, "10B": 10, "1KiB": 1024, "64 KiB": 65536, "3MiB": 3 << 20, "2GiB": 2 << 30, "1TiB": 1 << 40} {
		s := newSample()
		if err := tree(s).find("netpoll.queue_bytes").set(text); err != nil || s.Netpoll.QueueBytes != want {
			t.Errorf("%s: got %d, %v; want %d", text, s.Netpoll.QueueBytes, err, want)
		}
	}
}

func TestValidateNamesEveryKey(t *testing.T) {
	s := newSample()
	s.Netpoll.PingInterval, s.Netpoll.Loops, s.Netpoll.Ratio = 0, 0, 2
	problems := validate(tree(s), tree(newSample()), func() Problems { return Problems{{Key: "auth.token", Message: "of two packages"}} })
	want := "auth.token: of two packages\nnetpoll: the ratio is odd\nnetpoll.loops: must be at least 1\nnetpoll.ping_interval: 0s: must be positive"
	if got := problems.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// stopsAtFirst is a package whose Validate returns its first problem only.
type stopsAtFirst struct {
	A int `yaml:"a" doc:"below b"`
	B int `yaml:"b" doc:"above a"`
	C int `yaml:"c" doc:"a third"`
}

// Validate has a pointer receiver, as some packages' have.
func (c *stopsAtFirst) Validate() error {
	switch {
	case c.A < 1:
		return fmt.Errorf("x: a is %d, too small", c.A)
	case c.B <= c.A:
		return fmt.Errorf("x: b is %d, not above a", c.B)
	case c.C < 1:
		return fmt.Errorf("x: c is %d, too small", c.C)
	}
	return nil
}

func TestValidateAsksPastTheFirstProblem(t *testing.T) {
	type outer struct {
		X stopsAtFirst `yaml:"x"`
	}
	for _, c := range []struct {
		name     string
		have     stopsAtFirst
		want     string
		defaults stopsAtFirst
	}{
		{"all three", stopsAtFirst{0, 2, 0}, "x.a: is 0, too small\nx.c: is 0, too small", stopsAtFirst{1, 2, 3}},
		{"a relation to a value put back is not reported", stopsAtFirst{0, 2, 1}, "x.a: is 0, too small", stopsAtFirst{5, 6, 7}},
		{"a default that is wrong ends the questions", stopsAtFirst{0, 2, 0}, "x.a: is 0, too small", stopsAtFirst{0, 0, 0}},
		{"nothing wrong", stopsAtFirst{1, 2, 3}, "", stopsAtFirst{1, 2, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := validate(tree(&outer{c.have}), tree(&outer{c.defaults}), nil).Error()
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestTreeRefusesUnfitStructs(t *testing.T) {
	for name, target := range map[string]any{
		"no tag": &struct{ A int }{},
		"a map": &struct {
			A map[string]int `yaml:"a"`
		}{},
		"not a pointer": sample{},
		"ints in a list": &struct {
			A []int `yaml:"a"`
		}{},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			tree(target)
		})
	}
}
