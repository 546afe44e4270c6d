package sim

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

var (
	seeds   = flag.Int("seeds", 3, "how many seeds to run")
	seed    = flag.Uint64("seed", 1, "the first seed")
	size    = flag.Int("events", 10_000, "what devices do in one seed, count")
	traced  = flag.String("device", "", "the device whose story is printed, as account/device")
	boundMS = flag.Int("bound", 6000, "time within which a live device must be found when links are well, milliseconds")
)

// mustHappen is how many of the totals must not be zero for a run to mean anything.
const mustHappen = 7

// TestSeeds runs the cluster through a storm and a calm for each seed. A seed that fails
// is printed and replays with -seeds 1 -seed N.
func TestSeeds(t *testing.T) {
	var sum totals
	var count counts
	for n := *seed; n < *seed+uint64(*seeds); n++ {
		w := runSeed(n)
		if len(w.problems) > 0 {
			t.Fatalf("seed %d (replay: go test ./session/sim -seeds 1 -seed %d -events %d):\n%s", n, n, *size, strings.Join(w.problems, "\n"))
		}
		sum.merge(&w.total)
		count.merge(&w.count)
	}
	summary := []struct {
		name string
		n    uint64
	}{
		{"displacements", sum.Displaced}, {"misroutes", uint64(count.misroutes)}, {"snapshots", sum.Snapshots},
		{"swaps", sum.Swaps}, {"heals", uint64(count.heals)}, {"re-assertions", sum.Reasserted}, {"skews", sum.Skewed},
		{"restarts", uint64(count.restarts)}, {"suffixes", sum.Suffixes}, {"relayed", sum.Relayed}, {"gaps", sum.Gaps},
		{"abandoned", sum.Abandoned}, {"forgotten", sum.Misrouted}, {"questions", sum.Questions},
		{"events", uint64(count.events)}, {"openings", uint64(count.openings)}, {"pushes", uint64(count.pushes)},
		{"written", uint64(count.written)}, {"waits", uint64(count.waits)},
	}
	var line strings.Builder
	for i, x := range summary {
		fmt.Fprintf(&line, "%s %d, ", x.name, x.n)
		if x.n == 0 && i < mustHappen {
			t.Errorf("no %s: the simulation is too tame to mean anything", x.name)
		}
	}
	t.Logf("%d seeds from %d: %s", *seeds, *seed, strings.TrimSuffix(line.String(), ", "))
}

// runSeed lives through one seed.
func runSeed(n uint64) *world {
	w := newWorld(n, 5+int(n%3), 400)
	w.run(3 * second)
	w.faults()
	w.live(*size * 8 / 10)
	w.calm()
	w.checkUnion()
	w.live(*size * 2 / 10)
	w.run(10 * second)
	w.checkUnion()
	w.end()
	return w
}

// TestSeedRepeats holds that a seed is all there is to a run.
func TestSeedRepeats(t *testing.T) {
	*size = min(*size, 1000)
	one, two := runSeed(*seed), runSeed(*seed)
	if one.total != two.total || one.count != two.count {
		t.Errorf("two runs differ:\n%+v %+v\n%+v %+v", one.count, one.total, two.count, two.total)
	}
}

func (t *totals) merge(o *totals) {
	t.Displaced += o.Displaced
	t.Reasserted += o.Reasserted
	t.Snapshots += o.Snapshots
	t.Suffixes += o.Suffixes
	t.Relayed += o.Relayed
	t.Swaps += o.Swaps
	t.Skewed += o.Skewed
	t.Gaps += o.Gaps
	t.Abandoned += o.Abandoned
	t.Misrouted += o.Misrouted
	t.Questions += o.Questions
}

func (c *counts) merge(o *counts) {
	c.events += o.events
	c.openings += o.openings
	c.pushes += o.pushes
	c.written += o.written
	c.waits += o.waits
	c.misroutes += o.misroutes
	c.heals += o.heals
	c.restarts += o.restarts
	c.outdated += o.outdated
}
