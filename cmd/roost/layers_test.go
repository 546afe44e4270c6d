package main

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
)

// This is DESIGN.md's section "Who may import whom" as a table, and layerrules_test.go
// holds the sources to it. A package that is not here fails the test until somebody
// has decided where it belongs.

const module = "github.com/roostpush/roost"

// layer is how far up a package stands. A package imports lower layers only;
// packages of one layer do not know each other.
type layer int

const (
	nouns  layer = 1 // and bytes: session, netpoll
	data   layer = 2 // pure: keys and clocks are passed in
	verbs  layer = 3 // no sockets; clocks are passed in
	edges  layer = 4 // one outside library each
	inside layer = 5 // a command's own packages
	mains  layer = 6 // introduce everyone
	kit    layer = 9 // for tests only, which may import anything below the mains
)

var layers = map[string]layer{
	"netpoll": nouns,
	"session": nouns,

	"session/auth":  data,
	"session/home":  data,
	"session/route": data,
	"session/wire":  data,

	"session/deliver":   verbs,
	"session/lifecycle": verbs,
	"session/mailbox":   verbs,
	"session/presence":  verbs, // apart from relay: it carries no messages, and keeps what watchers were told
	"session/processor": verbs,
	"session/protocol":  verbs,
	"session/records":   verbs,
	"session/relay":     verbs,
	"session/replica":   verbs,
	"session/topics":    verbs,
	"session/trace":     verbs,

	"session/api":                 edges,
	"session/gossip":              edges,
	"session/mailbox/redis":       edges,
	"session/peer":                edges,
	"session/processor/jetstream": edges,
	"session/processor/kafka":     edges,
	"session/trace/otlp":          edges,
	"store":                       edges,
	"bench":                       edges,
	"bench/budget":                edges,
	"bench/compare":               edges,
	"bench/device":                edges,
	"bench/disruption":            edges,
	"bench/experiment":            edges,
	"bench/generator":             edges,
	"bench/hostinfo":              edges,
	"bench/pace":                  edges,
	"bench/report":                edges,
	"bench/scenariofile":          edges,
	"bench/tally":                 edges,
	"bench/target":                edges,

	"cmd/roost/internal/client":  inside,
	"cmd/roost/internal/cluster": inside,
	"cmd/roost/internal/config":  inside,
	"cmd/roost/internal/console": inside,
	"cmd/roost/internal/hush":    inside,
	"cmd/roost":                  mains,
	"cmd/roost-bench":            mains,

	"netpoll/netpolltest":                       kit,
	"netpoll/netpolltest/clients":               kit,
	"session/processor/jetstream/jetstreamtest": kit,
	"session/processor/kafka/kafkatest":         kit,
	"session/processor/processortest":           kit,
	"session/sim":                               kit,
}

// loadTester is one thing in several folders, which import each other as they
// like. It sees a server from outside, so of the rest of ours it knows this.
const loadTester = "bench"

var loadTesterImports = []string{"netpoll", "session/wire", "session/auth"}

// outside says which package may import which module that is not ours, by the
// prefix of its path. x/... means x and all below, x/* only what is below. A module
// that is not here fails the test.
var outside = []struct {
	prefix   string
	packages []string
	tests    bool // tests of any package may import it too
}{
	{"github.com/panjf2000/gnet", []string{"netpoll"}, false},
	{"github.com/cockroachdb/pebble", []string{"store"}, false},
	{"github.com/hashicorp/memberlist", []string{"session/gossip"}, false},
	{"github.com/twmb/franz-go", []string{"session/processor/kafka/..."}, false},
	{"github.com/nats-io", []string{"session/processor/jetstream/..."}, false},
	{"github.com/redis", []string{"session/mailbox/redis"}, false},
	{"github.com/gobwas/", []string{"netpoll", "bench/...", "cmd/roost"}, true}, // cmd/roost: connect is a device
	{"github.com/VictoriaMetrics/metrics", []string{"session/*", "store", "bench/...", "cmd/..."}, false},
	{"github.com/golang-jwt/jwt", []string{"session/auth"}, true},
	{"github.com/HdrHistogram/hdrhistogram-go", []string{"bench/...", "cmd/roost-bench"}, true},
	{"github.com/alecthomas/kong", []string{"cmd/roost", "cmd/roost-bench"}, false},
	{"github.com/agnivade/levenshtein", []string{"cmd/roost/internal/config", "bench/..."}, false},
	{"go.yaml.in/yaml", []string{"cmd/roost/internal/config", "bench/scenariofile"}, true},
	{"golang.org/x/sys", []string{"netpoll/...", "session/route", "store", "bench/...", "cmd/..."}, true}, // session/route: memory outside Go's heap
	{"github.com/aws/aws-sdk-go-v2", nil, true},                                                           // the oracle of our SigV4
	{"github.com/rogpeppe/go-internal", nil, true},
	{"go.uber.org/goleak", []string{"netpoll/netpolltest", "session/sim"}, true},
	{"pgregory.net/rapid", []string{"netpoll/netpolltest", "session/sim"}, true},
}

// noIO are the packages of the standard library that reach out of the process.
// The verbs and what is below them have no sockets and no files.
var noIO = []string{"net", "net/http", "net/rpc", "os", "os/exec", "syscall", "database/sql"}

// mayReach excuses a pure package from part of noIO, with the reason.
var mayReach = map[string][]string{
	"session/auth": {"os"}, // the keys file is read again when it changes, on auth's own goroutine
}

// clocks are the functions that read or wait for the time by themselves.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}

// mayTime excuses a package below the edges from having its clock passed in.
var mayTime = map[string][]string{
	"session/auth": {"NewTicker"}, // looks at the keys file every reload_interval
}

// topLevel is what the root of the tree may hold besides dot entries and what
// .gitignore names.
var topLevel = []string{"cmd", "netpoll", "session", "store", "bench", "scripts", "go.mod", "go.sum", "Makefile", "README.md", "LICENSE"}

// Lines of a file: past the first it wants to be two and is logged, past the
// second it fails.
const (
	linesWanted = 400
	linesMax    = 700
)

func TestLayers(t *testing.T) {
	root := os.DirFS("../..")
	problems, notes := holdRules(t, root)
	for _, note := range notes {
		t.Log(note)
	}
	for _, problem := range problems {
		t.Error(problem)
	}
}

// TestLayersTableIsSound holds that every exception is for a package with a
// layer: a misspelt one would excuse nobody and be believed.
func TestLayersTableIsSound(t *testing.T) {
	check := func(name string) {
		if _, ok := layers[name]; !ok && !strings.HasSuffix(name, "/...") && !strings.HasSuffix(name, "/*") {
			t.Errorf("%s has an exception and no layer", name)
		}
	}
	for _, o := range outside {
		for _, name := range o.packages {
			check(name)
		}
	}
	for _, exceptions := range []map[string][]string{mayReach, mayTime} {
		for name := range exceptions {
			check(name)
		}
	}
	for _, name := range loadTesterImports {
		check(name)
	}
}

// holdRules returns what breaks a rule, and what comes near to it.
func holdRules(t *testing.T, root fs.FS) (problems, notes []string) {
	t.Helper()
	packages, err := readPackages(root)
	if err != nil {
		t.Fatal(err)
	}
	problems = append(problems, badTopLevel(root)...)
	for _, p := range packages {
		problems = append(problems, p.badDoc()...)
		problems = append(problems, p.badImports()...)
		problems = append(problems, p.badClocks()...)
		for _, f := range p.files {
			switch {
			case f.lines > linesMax && !f.isTest:
				problems = append(problems, f.path+": longer than 700 lines")
			case f.lines > linesWanted:
				notes = append(notes, f.path+": longer than 400 lines")
			}
		}
	}
	slices.Sort(problems)
	return problems, notes
}
