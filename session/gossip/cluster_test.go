package gossip

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// quick returns a configuration whose times are short enough for a test and long enough
// for a busy machine: what is waited for is always polled for.
func quick(join ...string) Config {
	c := Default()
	c.Cluster, c.Listen, c.Join = "test", "127.0.0.1:0", join
	c.ProbeInterval, c.ProbeTimeout = 200*time.Millisecond, 80*time.Millisecond
	c.GossipInterval = 20 * time.Millisecond
	c.SyncInterval = time.Second
	c.ForgetAfter = time.Second
	c.DiscoverEvery, c.KeysEvery = 50*time.Millisecond, 20*time.Millisecond
	c.RejoinMin, c.RejoinMax, c.RejoinsASecond = 50*time.Millisecond, 300*time.Millisecond, 100
	c.HintRecheck = 50 * time.Millisecond
	c.HelloTimeout, c.StreamTimeout = 2*time.Second, 2*time.Second
	c.LogEvery = 10 * time.Millisecond
	return c
}

// node is a Gossip with what it told and logged.
type node struct {
	*Gossip
	told *recorder
	logs *safeBuffer
}

func (n *node) addr() string { return n.Self().GossipAddr }

// startNode starts a node that is closed at the end of the test.
func startNode(t *testing.T, cfg Config, id string, epoch uint64, tune ...func(*transport)) *node {
	t.Helper()
	n, err := tryNode(cfg, id, epoch, tune...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func tryNode(cfg Config, id string, epoch uint64, tune ...func(*transport)) (*node, error) {
	n := &node{told: &recorder{}, logs: &safeBuffer{}}
	log := slog.New(slog.NewTextHandler(n.logs, nil))
	self := Member{Node: id, Epoch: epoch, PeerAddr: "127.0.0.1:1", InternalAddr: "127.0.0.1:2"}
	var err error
	n.Gossip, err = start(context.Background(), cfg, self, n.told, log, func(tr *transport) {
		for _, f := range tune {
			f(tr)
		}
	})
	return n, err
}

// recorder is an Events that checks that the calls make sense.
type recorder struct {
	mu     sync.Mutex
	lines  []string
	here   map[string]Member
	errors []string
}

func (r *recorder) Joined(m Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.here == nil {
		r.here = map[string]Member{}
	}
	if _, here := r.here[m.Node]; here {
		r.errors = append(r.errors, "joined twice: "+m.Node)
	}
	r.here[m.Node] = m
	r.lines = append(r.lines, fmt.Sprintf("joined %s#%d", m.Node, m.Epoch))
}

func (r *recorder) Changed(m Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.here[m.Node].Origin() != m.Origin() {
		r.errors = append(r.errors, "changed, but is not here: "+m.Node)
	}
	r.here[m.Node] = m
	r.lines = append(r.lines, fmt.Sprintf("%s %s#%d", m.State, m.Node, m.Epoch))
}

func (r *recorder) Left(m Member, why Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.here[m.Node].Origin() != m.Origin() {
		r.errors = append(r.errors, "left, but is not here: "+m.Node)
	}
	delete(r.here, m.Node)
	r.lines = append(r.lines, fmt.Sprintf("left %s#%d %s", m.Node, m.Epoch, why))
}

func (r *recorder) has(line string) bool { return slices.Contains(r.all(), line) }

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(slices.Clone(r.lines), r.errors...)
}

func (r *recorder) check(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.errors {
		t.Error(e)
	}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *safeBuffer) has(parts ...string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range strings.Lines(s.b.String()) {
		found := true
		for _, p := range parts {
			found = found && strings.Contains(line, p)
		}
		if found {
			return true
		}
	}
	return false
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// eventually polls; a test waits for facts, never for a time.
func eventually(t *testing.T, what string, ok func() bool, nodes ...*node) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	for _, n := range nodes {
		t.Logf("%s told %v\n%s", n.Self().Node, n.told.all(), n.logs)
	}
	t.Fatalf("never: %s", what)
}

// names returns the members as node#epoch.
func (n *node) names() string {
	var s []string
	for _, m := range n.Members() {
		s = append(s, fmt.Sprintf("%s#%d", m.Node, m.Epoch))
	}
	return strings.Join(s, " ")
}

func allSee(want string, nodes ...*node) func() bool {
	return func() bool {
		for _, n := range nodes {
			if n.names() != want {
				return false
			}
		}
		return true
	}
}

// switchboard is a network that can be cut: between addresses of different sides
// nothing passes.
type switchboard struct {
	mu   sync.Mutex
	side map[netip.AddrPort]int
}

func (s *switchboard) cut(sides ...[]*node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.side = map[netip.AddrPort]int{}
	for i, nodes := range sides {
		for _, n := range nodes {
			s.side[netip.MustParseAddrPort(n.addr())] = i
		}
	}
}

func (s *switchboard) passes(a, b netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.side[a] == s.side[b]
}

// tune puts the switchboard under a node's transport.
func (s *switchboard) tune(t *transport) {
	dial, send := t.dial, t.send
	t.dial = func(ctx context.Context, addr string) (net.Conn, error) {
		if to, err := netip.ParseAddrPort(addr); err == nil && !s.passes(t.advertise, to) {
			return nil, context.DeadlineExceeded // as a host that does not answer
		}
		return dial(ctx, addr)
	}
	t.send = func(packet []byte, to netip.AddrPort) error {
		if !s.passes(t.advertise, to) {
			return nil
		}
		return send(packet, to)
	}
}
