package cluster

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/gossip"
	"github.com/roostpush/roost/session/mailbox"
	"github.com/roostpush/roost/session/peer"
	"github.com/roostpush/roost/session/replica"
	"github.com/roostpush/roost/session/route"
	"github.com/roostpush/roost/session/topics"
	"github.com/roostpush/roost/session/wire"
)

// These are the cluster's budgets for which there are not enough sockets on one machine:
// registries are driven directly, and what is between the nodes is real, links, gossip
// and all.

var joinEntries = flag.Int("entries", 10_000_000, "devices that a node that joins has to learn of (BenchmarkJoin)")

// unsocketed are the sockets of nodes whose devices have none. Nobody is to be closed: the
// benchmarks close a session before its device opens another.
type unsocketed struct{ b *testing.B }

func (unsocketed) Send(netpoll.ConnID, netpoll.Op, []byte, netpoll.Receipt, uint64)       {}
func (unsocketed) SendMany([]netpoll.ConnID, netpoll.Op, []byte, netpoll.Receipt, uint64) {}
func (u unsocketed) Close(_ netpoll.ConnID, _ uint16, reason string) {
	u.b.Errorf("a session is to be closed: %s", reason)
}

// newNode makes a node that looks for others at join. A quarter of its entries is kept for
// its own sessions: what others have must fit into the rest.
func newNode(b *testing.B, origin session.Origin, entries int, join ...string) *Cluster {
	s := Settings{Key: route.Key{1, 2, 3}, Gossip: gossip.Default(), Peer: peer.Default(), Route: route.Default(), Replica: replica.Default()}
	s.Gossip.Listen, s.Gossip.Join, s.Peer.Listen = "127.0.0.1:0", slices.Clone(join), "127.0.0.1:0"
	s.Route.EntriesMax, s.Route.OwnEntries = entries, entries/4
	s.Now, s.SteadyMS = time.Now, func() int64 { return time.Now().UnixMilli() }
	s.Keeping = testKeeping
	c, err := New(s, origin, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	c.node.Store = openStore(b, origin.Node)
	return c
}

func startNode(b *testing.B, c *Cluster) {
	sockets := unsocketed{b}
	box := mailbox.New(mailbox.Default(), mailbox.Ports{NewID: func() session.ID { return session.ID{Origin: c.self} }, Now: c.settings.SteadyMS, Hash: c.Hash}) // nothing waits in it
	c.Homes(mailbox.HomesConfig{}, box)
	c.Attach(Node{Router: deliver.NewRouter(deliver.Default(), c.self, c.sessions, sockets, c), Sockets: sockets, Store: c.node.Store, Topics: topics.New(topics.Default(), true, nil, c.TopicHomes())})
	if err := c.Start(context.Background(), "127.0.0.1:1", "127.0.0.1:1"); err != nil {
		b.Fatal(err)
	}
}

func await(b *testing.B, what string, ok func() bool) {
	for end := time.Now().Add(5 * time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("%s: it never happened", what)
		}
	}
}

// stormRate is reconnects a second over all nodes.
const stormRate = 20_000

// BenchmarkStorm lets devices of three nodes reconnect, each to the next node, 20,000 a
// second. p99-ms is how long the oldest change of each delta took from the registry of its
// node until it was in the table of another: at most 200.
func BenchmarkStorm(b *testing.B) {
	const devices = 30_000
	var nodes []*Cluster
	for i := range 3 {
		var join []string
		for _, n := range nodes {
			join = append(join, n.GossipAddr())
		}
		n := newNode(b, session.Origin{Node: fmt.Sprint("n", i+1), Epoch: 1}, 1_000_000, join...)
		b.Cleanup(n.Close)
		startNode(b, n)
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		await(b, "all logs are followed", func() bool { return n.replica.Stats().Authors == 2 && n.pool.Stats().Links == 2 })
	}
	live := make([]*session.Session, devices)
	open := func(d, node int) {
		live[d] = session.New(fmt.Sprint("acc-", d/2), fmt.Sprint("dev-", d))
		nodes[node].Sessions().Open(live[d])
	}
	for d := range live {
		open(d, d%3)
	}
	alike := func() bool {
		for _, n := range nodes {
			if n.table.Stats().Entries != devices {
				return false
			}
		}
		return true
	}
	await(b, "all devices are in all tables", alike)
	before, missedBefore := delaysOf(nodes)
	b.ResetTimer()
	begun := time.Now()
	for k := 0; k < b.N; {
		due := min(int(time.Since(begun).Seconds()*stormRate)+1, b.N)
		for ; k < due; k++ {
			d, at := k%devices, (k%devices+k/devices)%3
			if !nodes[at].Sessions().Close(live[d]) {
				b.Fatalf("device %d was not on node %d", d, at)
			}
			open(d, (at+1)%3)
		}
		time.Sleep(200 * time.Microsecond)
	}
	took := time.Since(begun)
	b.StopTimer()
	await(b, "all tables are alike again", alike)
	delays, missed := delaysOf(nodes)
	for i := range delays.Delays {
		delays.Delays[i] -= before.Delays[i]
	}
	b.ReportMetric(float64(b.N)/took.Seconds(), "reconnects/s")
	b.ReportMetric(quantileMS(delays, 0.5), "p50-ms")
	b.ReportMetric(quantileMS(delays, 0.99), "p99-ms")
	if missed -= missedBefore; missed != 0 {
		b.Errorf("%d deltas came out of order or found no room: theirs are no delays", missed)
	}
}

// delaysOf adds up what the nodes have measured, and how often they could not.
func delaysOf(nodes []*Cluster) (sum replica.DelayStats, missed uint64) {
	for _, n := range nodes {
		s := n.replica.Stats()
		for i, count := range s.Delays {
			sum.Delays[i] += count
		}
		missed += s.Gaps + s.Unsent + s.Overrun
	}
	return sum, missed
}

// quantileMS is the bound of the bucket that a share of the delays does not exceed.
func quantileMS(s replica.DelayStats, share float64) float64 {
	all := float64(s.Delays[len(s.Delays)-1])
	for i, count := range s.Delays {
		if float64(count) >= all*share {
			var seconds float64
			_, _ = fmt.Sscan(s.Delays.Label(i), &seconds) // the last one is +Inf, which it reads
			return seconds * 1000
		}
	}
	return 0
}

// crowd is a registry of many sessions, two an account, as the log sees it; the sessions
// themselves would fill this machine's memory. It hands them out in parts as large as the
// real one does.
type crowd struct {
	registry
	n int
}

func (c crowd) AppendOpen(dst []wire.Change, cursor uint64, n int) ([]wire.Change, uint64) {
	end := min(int(cursor)+min(n, 128), c.n)
	for i := int(cursor); i < end; i++ {
		dst = append(dst, crowded(i))
	}
	if end == c.n {
		return dst, 0
	}
	return dst, uint64(end)
}

func (c crowd) Find(uint64, uint64) (name session.Address, ok bool) { return name, false }

func crowded(i int) wire.Change {
	const spread = 0x9e3779b97f4a7c15
	return wire.Change{Address: uint64(i+1) * spread, Account: uint64(i/2+1) * spread, Version: 1}
}

// cpuTime is what this process has used, user and system.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkJoin starts a node beside one that has ten million devices and waits until it
// has them all: finding each other, linking, the snapshot. s/join is at most 30;
// cpu-s/join, of both nodes, says what a busy machine adds to it.
func BenchmarkJoin(b *testing.B) {
	n := *joinEntries
	source := newNode(b, session.Origin{Node: "source", Epoch: 1}, n+n/2)
	var err error
	source.replica, err = replica.New(source.settings.Replica, source.self, replica.Ports{
		Table: source.table, Sessions: crowd{registry{source}, n}, Owner: registry{source}, Links: links{source},
	})
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		c := crowded(i)
		if err := source.table.Put(source.replica.Self(), c.Address, c.Account, c.Version); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(source.Close)
	startNode(b, source)
	var took time.Duration
	joins, cpu := 0, cpuTime()
	for b.Loop() {
		b.StopTimer()
		c := newNode(b, session.Origin{Node: "newcomer", Epoch: uint64(joins + 1)}, n+n/2, source.GossipAddr())
		b.StartTimer()
		begun := time.Now()
		startNode(b, c)
		await(b, "the newcomer has everything", func() bool { return c.table.Stats().Entries >= uint64(n) })
		took += time.Since(begun)
		joins++
		b.StopTimer()
		if s := c.replica.Stats(); s.Swaps != 1 || s.Abandoned != 0 {
			b.Errorf("%d snapshots, %d of them given up half loaded", s.Swaps+s.Abandoned, s.Abandoned)
		}
		c.Close()
		b.StartTimer()
	}
	b.ReportMetric(took.Seconds()/float64(joins), "s/join")
	b.ReportMetric((cpuTime()-cpu).Seconds()/float64(joins), "cpu-s/join")
	b.ReportMetric(float64(n)*float64(joins)/took.Seconds(), "entries/s")
}
