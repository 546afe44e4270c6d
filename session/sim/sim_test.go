package sim

import (
	"flag"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/roostpush/roost/session"
)

var (
	seeds   = flag.Int("seeds", 20, "how many seeds to run")
	seed    = flag.Uint64("seed", 1, "the first seed")
	size    = flag.Int("events", 10_000, "what devices do in one seed, count")
	traced  = flag.String("device", "", "the device whose story is printed, as account/device")
	boundMS = flag.Int("bound", 6000, "time within which a live device must be found when links are well, milliseconds")
)

// mustHappen is how many of the totals must not be zero for a run to mean anything.
const mustHappen = 12

// TestSeeds runs the cluster through a storm and a calm for each seed. A seed that fails
// is printed and replays with -seeds 1 -seed N.
func TestSeeds(t *testing.T) {
	worlds := runSeeds(*seed, *seeds)
	var sum totals
	var count counts
	var mail mailCounts
	var outcomes [session.OutcomeCount]int
	for i, w := range worlds {
		if w == nil {
			continue // an earlier one failed
		}
		if len(w.problems) > 0 {
			n := *seed + uint64(i)
			t.Fatalf("seed %d (replay: go test ./session/sim -seeds 1 -seed %d -events %d):\n%s", n, n, *size, strings.Join(w.problems, "\n"))
		}
		sum.merge(&w.total)
		count.merge(&w.count)
		mail.add(&w.mail)
		for o, n := range w.outcomes {
			outcomes[o] += n
		}
	}
	summary := []struct {
		name string
		n    uint64
	}{
		{"displacements", sum.Displaced}, {"misroutes", sum.Deliver.Misrouted}, {"snapshots", sum.Snapshots},
		{"swaps", sum.Swaps}, {"heals", uint64(count.heals)}, {"re-assertions", sum.Reasserted}, {"skews", sum.Skewed},
		{"collisions", sum.Collisions}, {"revealed", sum.Revealed}, {"clocks set back", uint64(count.setBack)}, {"clocks set forward", uint64(count.setForward)},
		{"looks in the storm that must find", uint64(count.bound)},
		{"misrouted by collision", sum.Deliver.Collisions},
		{"restarts", uint64(count.restarts)}, {"suffixes", sum.Suffixes}, {"relayed", sum.Relayed}, {"gaps", sum.Gaps},
		{"abandoned", sum.Abandoned}, {"forgotten", sum.Misrouted}, {"questions", sum.Questions},
		{"found missing", sum.Missing}, {"events", uint64(count.events)}, {"openings", uint64(count.openings)},
		{"pushes", uint64(count.pushes)}, {"forwards", uint64(count.forwards)}, {"taken", sum.Deliver.Taken},
		{"taken by sockets", uint64(count.written)}, {"waits", uint64(count.waits)}, {"moved", sum.Deliver.Moved},
		{"stalls", sum.Deliver.Stalls}, {"repeats", uint64(count.repeats)}, {"missed", uint64(count.missed)},
	}
	var line strings.Builder
	for i, x := range summary {
		fmt.Fprintf(&line, "%s %d, ", x.name, x.n)
		if x.n == 0 && i < mustHappen && *seeds >= weakEvery {
			t.Errorf("no %s: the simulation is too tame to mean anything", x.name)
		}
	}
	t.Logf("%d seeds from %d: %s", *seeds, *seed, strings.TrimSuffix(line.String(), ", "))
	t.Logf("mail: %s", mail.summary(t))
	line.Reset()
	for o, n := range outcomes {
		if n > 0 {
			fmt.Fprintf(&line, "%s %d, ", session.Outcome(o), n)
		}
	}
	t.Logf("outcomes: %s", strings.TrimSuffix(line.String(), ", "))
}

// runSeeds runs seeds on all processors, each alone with its time, and begins none after
// one failed. It returns worlds by seed.
func runSeeds(first uint64, n int) []*world {
	worlds := make([]*world, n)
	var next atomic.Int64
	var failed atomic.Bool
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && !failed.Load(); i = int(next.Add(1)) - 1 {
				w := runSeed(first + uint64(i))
				w.forget()
				worlds[i] = w
				if len(w.problems) > 0 {
					failed.Store(true)
				}
			}
		})
	}
	wait.Wait()
	return worlds
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
	w.run(5 * second)
	w.checkAwake(4 * second)
	w.collect()
	w.run(20 * second)
	w.checkUnion()
	w.checkSilence()
	w.checkPromises()
	w.end()
	return w
}

// TestSeedRepeats holds that a seed is all there is to a run.
func TestSeedRepeats(t *testing.T) {
	*size = min(*size, 1000)
	one, two := runSeed(*seed), runSeed(*seed)
	if one.total != two.total || one.count != two.count || one.mail != two.mail || one.outcomes != two.outcomes {
		t.Errorf("two runs differ:\n%+v %+v %v %+v\n%+v %+v %v %+v", one.count, one.total, one.outcomes, one.mail, two.count, two.total, two.outcomes, two.mail)
	}
}

func (t *totals) merge(o *totals) {
	t.add(o.Stats)
	t.deliver(o.Deliver)
}

func (c *counts) merge(o *counts) {
	c.events += o.events
	c.openings += o.openings
	c.heals += o.heals
	c.restarts += o.restarts
	c.outdated += o.outdated
	c.pushes += o.pushes
	c.forwards += o.forwards
	c.written += o.written
	c.waits += o.waits
	c.bound += o.bound
	c.repeats += o.repeats
	c.missed += o.missed
	c.setBack += o.setBack
	c.setForward += o.setForward
}
