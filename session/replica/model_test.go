package replica

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/route"
	"github.com/roostpush/roost/session/wire"
	"pgregory.net/rapid"
)

// TestConvergence does anything in any order, then lets the cluster be quiet: all tables
// must then equal the union of the registries, with each device on one node.
func TestConvergence(t *testing.T) {
	t.Run("twin", rapid.MakeCheck(func(t *rapid.T) {
		converges(t, func() accountTable { return newTwin() })
	}))
	t.Run("route", rapid.MakeCheck(func(t *rapid.T) {
		var tables []*route.Table
		converges(t, func() accountTable {
			cfg := route.Default()
			cfg.EntriesMax, cfg.OwnEntries, cfg.AuthorsMax = 1000, 0, 200
			table, err := route.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			tables = append(tables, table)
			return table
		})
		for _, table := range tables {
			table.Close()
		}
	}))
}

func converges(t *rapid.T, table func() accountTable) {
	c := newClusterOver(rapid.IntRange(2, 5).Draw(t, "nodes"), smallLimits, table)
	c.fail = func(err error) { t.Fatal(err) }
	names := devices(12)
	for _, n := range c.nodes {
		n.setClock(t)
	}
	steps := rapid.IntRange(1, 120).Draw(t, "steps")
	for range steps {
		c.anything(t, names)
	}
	c.heal()
	c.quiet(60_000)
	if d := c.differences(names); len(d) > 0 {
		for _, n := range c.nodes {
			t.Logf("%s %+v", n.origin.Node, n.Stats())
		}
		t.Fatal(strings.Join(d, "\n"))
	}
}

// smallLimits make every limit be reached.
func smallLimits(cfg *Config) {
	cfg.LogChanges, cfg.RelayedChanges, cfg.EarlyChanges = 16, 16, 16
	cfg.ChunkChanges, cfg.BatchChanges, cfg.ChunksPerTick = 3, 2, 2
	cfg.ContestsMax, cfg.TransfersMax, cfg.AuditStep = 2, 2, 3
	cfg.AuditMS = 5000
}

// anything is one event.
func (c *cluster) anything(t *rapid.T, names []session.Address) {
	n := c.nodes[rapid.IntRange(0, len(c.nodes)-1).Draw(t, "node")]
	other := c.nodes[rapid.IntRange(0, len(c.nodes)-1).Draw(t, "other")]
	switch rapid.IntRange(0, 16).Draw(t, "event") {
	case 0, 1, 2, 3:
		n.connect(rapid.SampledFrom(names).Draw(t, "device"))
	case 4, 5:
		n.disconnect(rapid.SampledFrom(names).Draw(t, "device"))
	case 6:
		if n != other {
			c.lose(n.origin.Node, other.origin.Node)
		}
	case 7:
		if n != other {
			c.cut[[2]string{n.origin.Node, other.origin.Node}] = true
			c.cut[[2]string{other.origin.Node, n.origin.Node}] = true
			c.lose(n.origin.Node, other.origin.Node)
		}
	case 8:
		if n != other {
			n.Left(other.origin)
		}
	case 9:
		c.heal()
	case 10:
		if rapid.IntRange(0, 3).Draw(t, "restart") == 0 {
			c.start(slices.Index(c.nodes, n), n.origin.Epoch+1)
		}
	case 11:
		c.nowMS += 20
		n.Tick(n.now())
	case 12:
		c.tick(int64(rapid.SampledFrom([]int{1, 50, 1000, 10_000}).Draw(t, "ms")))
	case 13:
		n.setClock(t)
	default:
		for range rapid.IntRange(1, 5).Draw(t, "messages") {
			if keys := c.links(); len(keys) > 0 {
				c.deliver(rapid.SampledFrom(keys).Draw(t, "link"))
			}
		}
	}
}

// setClock sets a node's clock ahead or back, at any moment.
func (n *node) setClock(t *rapid.T) {
	n.skewMS = int64(rapid.SampledFrom([]int{0, 0, 300, -200_000, 3_600_000}).Draw(t, "skew"))
}

// heal mends every link, and gossip says again who is a member.
func (c *cluster) heal() {
	mended := c.cut
	c.cut = map[[2]string]bool{}
	for _, n := range c.nodes {
		for _, other := range c.nodes {
			if n == other {
				continue
			}
			n.Joined(other.origin, n.now())
			if mended[[2]string{n.origin.Node, other.origin.Node}] {
				n.Linked(other.origin.Node, n.now())
			}
		}
	}
}

// TestMerge gives one node the logs of some authors, each in order but anyhow mixed and
// repeated: whatever the mixture, the table is the same.
func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logs := drawLogs(t)
		want := merged(t, logs, func(lengths []int) int { return slices.IndexFunc(lengths, func(n int) bool { return n > 0 }) })
		for range 3 {
			got := merged(t, logs, func(lengths []int) int {
				var left []int
				for i, n := range lengths {
					if n > 0 {
						left = append(left, i)
					}
				}
				return rapid.SampledFrom(left).Draw(t, "author")
			})
			if got != want {
				t.Fatalf("orders differ:\n%s\n%s", got, want)
			}
		}
	})
}

// drawLogs makes logs as authors do: an opening has a version above the author's
// former ones of that address, a closing has that of its opening.
func drawLogs(t *rapid.T) (logs [][]wire.Change) {
	for range 3 {
		var log []wire.Change
		open := map[uint64]uint64{}
		newest := map[uint64]uint64{}
		for range rapid.IntRange(0, 20).Draw(t, "length") {
			address := uint64(rapid.IntRange(1, 4).Draw(t, "address"))
			if v := open[address]; v != 0 && rapid.Bool().Draw(t, "close") {
				log = append(log, wire.Change{Address: address, Account: 1, Version: v, Closed: true})
				delete(open, address)
				continue
			}
			newest[address] += uint64(rapid.IntRange(1, 5).Draw(t, "step"))
			open[address] = newest[address]
			log = append(log, wire.Change{Address: address, Account: 1, Version: newest[address]})
		}
		logs = append(logs, log)
	}
	return logs
}

// merged gives all logs to a new node, choosing whose turn it is, with repeats.
func merged(t *rapid.T, logs [][]wire.Change, choose func(left []int) int) string {
	c := newCluster(1, nil)
	n := c.nodes[0]
	seqs, left := make([]int, len(logs)), make([]int, len(logs))
	for i, log := range logs {
		o := session.Origin{Node: fmt.Sprint("author", i), Epoch: 1}
		n.Joined(o, c.nowMS)
		must(t, n.Receive(o.Node, &wire.SnapshotChunk{Author: o, Last: true}, c.nowMS))
		left[i] = len(log)
	}
	for {
		if !slices.ContainsFunc(left, func(n int) bool { return n > 0 }) {
			break
		}
		i := choose(left)
		o := session.Origin{Node: fmt.Sprint("author", i), Epoch: 1}
		first := seqs[i] - rapid.IntRange(0, seqs[i]).Draw(t, "repeated")
		last := seqs[i] + rapid.IntRange(1, left[i]).Draw(t, "new")
		must(t, n.Receive(o.Node, &wire.Delta{Author: o, First: uint64(first + 1), Changes: logs[i][first:last]}, c.nowMS))
		left[i] -= last - seqs[i]
		seqs[i] = last
	}
	var out strings.Builder
	for address := range uint64(5) {
		e, ok := n.table.Lookup(address)
		o, _ := n.Origin(e.Author)
		fmt.Fprint(&out, address, ok, e.Version, e.Closed, " ")
		if rival := out.String(); ok && rival != "" {
			fmt.Fprint(&out, o.Node, " ")
		}
	}
	return out.String()
}

func must(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}
