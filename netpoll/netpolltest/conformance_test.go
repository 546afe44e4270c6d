package netpolltest

import (
	"cmp"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/roostpush/roost/netpoll"
	"go.uber.org/goleak"
)

var (
	target      = flag.String("target", "", "host:port of the echo server that TestConformanceSocket judges; empty: one in this process")
	targetLimit = flag.Int("target-limit", testLimitBytes, "largest message of -target, bytes")
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) // importing gnet starts two goroutines
}

// socketWait is how long a server may take to do what it must; a right one
// never makes anybody wait for it.
const socketWait = time.Minute

// TestConformanceSocket runs every case over TCP against -target, or against a
// reactor in this process: whole, with the handshake in the same piece, and in
// the case's own pieces or byte by byte.
func TestConformanceSocket(t *testing.T) {
	address, all := *target, groups
	if address == "" {
		address = serve(t, Config(testLimitBytes))
	} else if *targetLimit != testLimitBytes {
		all = Groups(*targetLimit)
	}
	var score tally
	for _, g := range all {
		for _, c := range g.Cases {
			score.add(g, judgeOverSocket(t, address, c))
		}
	}
	for _, c := range handshakes() {
		score.add(handshakeGroup, judgeHandshakeOverSocket(t, address, c))
	}
	score.print("socket " + address)
}

// judgeOverSocket reports every delivery that goes wrong and whether all went
// well.
func judgeOverSocket(t *testing.T, address string, c Case) bool {
	in, _ := c.Bytes()
	ok := true
	try := func(how string, run func(Stream) error) {
		s, err := DialSocket(address, socketWait)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := run(s); err != nil {
			ok = false
			t.Errorf("%s %s (RFC %s), %s: %v (stream: %v)", c.ID, c.Name, c.RFC, how, err, cmp.Or(s.Reset(), errOrderly))
		}
	}
	try("whole", func(s Stream) error { return Play(c, s, [][]byte{in}) })
	if len(in) <= 128<<10 {
		try("with the handshake in one piece", func(s Stream) error { return playGlued(c, s, in) })
	}
	if n := cmp.Or(c.Chop, 1); len(in) > 0 && len(in)/n <= 16<<10 && (c.Chop > 0 || len(in) <= 300) {
		try(fmt.Sprintf("pieces of %d", n), func(s Stream) error { return Play(c, s, Chop(in, n)) })
	}
	return ok
}

var errOrderly = fmt.Errorf("ended in order or still open")

// serve runs a reactor with an echo handler until the test ends.
func serve(t testing.TB, cfg netpoll.Config) (address string) {
	t.Helper()
	r, err := netpoll.New(cfg, netpoll.Echo{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve() }()
	t.Cleanup(func() {
		r.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return r.Addr().String()
}

// tally counts cases by group, in the order they came.
type tally struct {
	names          []string
	passed, failed map[string]int
}

func (s *tally) add(g Group, ok bool) {
	name := fmt.Sprintf("%3s %s", g.Number, g.Name)
	if s.passed == nil {
		s.passed, s.failed = map[string]int{}, map[string]int{}
	}
	if s.passed[name]+s.failed[name] == 0 {
		s.names = append(s.names, name)
	}
	if ok {
		s.passed[name]++
	} else {
		s.failed[name]++
	}
}

// print writes to standard output, so that it is seen without -v as well when
// a test fails, and reads as a table.
func (s *tally) print(how string) {
	fmt.Printf("conformance, %s\n", how)
	var passed, failed int
	for _, name := range s.names {
		fmt.Printf("%-24s %4d passed, %d failed\n", name, s.passed[name], s.failed[name])
		passed, failed = passed+s.passed[name], failed+s.failed[name]
	}
	fmt.Printf("%-24s %4d passed, %d failed\n", "all groups", passed, failed)
}
