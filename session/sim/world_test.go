package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/replica"
	"github.com/roostpush/roost/session/route"
)

// world is one seed: nodes, devices, what befalls them, and what is found wrong.
type world struct {
	clock
	weather   weather
	nodes     []*process
	pairs     []*pair
	devices   []*device
	parted    bool
	quiet     bool  // no faults any more
	fairSince int64 // and everybody found everybody

	count    counts
	total    totals // of processes that are gone
	problems []string
}

// counts of what the world did.
type counts struct{ events, openings, pushes, written, waits, misroutes, heals, restarts, outdated int }

// totals of what the replicas counted.
type totals replica.Stats

func (t *totals) add(s replica.Stats) {
	t.Displaced += s.Displaced
	t.Reasserted += s.Reasserted
	t.Snapshots += s.Snapshots
	t.Suffixes += s.Suffixes
	t.Relayed += s.Relayed
	t.Swaps += s.Swaps
	t.Skewed += s.Skewed
	t.Gaps += s.Gaps
	t.Abandoned += s.Abandoned
	t.Misrouted += s.Misrouted
	t.Questions += s.Questions
	t.Collisions += s.Collisions
	t.DroppedContests += s.DroppedContests
}

const problemsMax = 10

func (w *world) fail(format string, args ...any) {
	if len(w.problems) < problemsMax {
		w.problems = append(w.problems, fmt.Sprintf("%.3f s: ", float64(w.now)/float64(second))+fmt.Sprintf(format, args...))
	}
}

// trace tells the story of the device that -device names.
func (w *world) trace(d *device, format string, args ...any) {
	if *traced == d.name.String() {
		fmt.Printf("%.4f s: "+format+"\n", append([]any{float64(w.now) / float64(second)}, args...)...)
	}
}

func (w *world) anyNode() *process {
	for {
		if n := w.nodes[w.random.IntN(len(w.nodes))]; n.up {
			return n
		}
	}
}

func (w *world) anyPair() (a, b int) {
	a = w.random.IntN(len(w.nodes))
	b = (a + 1 + w.random.IntN(len(w.nodes)-1)) % len(w.nodes)
	return a, b
}

// anyDevice is mostly one of the restless ones; the others stay long enough to be found.
func (w *world) anyDevice() *device {
	if !w.quiet && w.random.IntN(5) > 0 {
		return w.devices[w.random.IntN(len(w.devices)/8)]
	}
	return w.devices[w.random.IntN(len(w.devices))]
}

// newWorld returns a cluster that has just started, with nobody connected.
func newWorld(seed uint64, nodes, devices int) *world {
	w := &world{clock: clock{random: rand.New(rand.NewPCG(seed, 1))}, weather: storm}
	key := route.Key{1, 2, 3}
	for range nodes * nodes {
		w.pairs = append(w.pairs, &pair{})
	}
	w.nodes = make([]*process, nodes)
	for id := range nodes {
		w.start(id, 0)
	}
	for id := range nodes {
		w.boot(id)
	}
	for i := range devices {
		d := &device{w: w, name: session.Address{Account: fmt.Sprint("account-", i/3), Device: fmt.Sprint("device-", i)}}
		d.address, d.account = key.Address(d.name.Account, d.name.Device)
		w.devices = append(w.devices, d)
	}
	return w
}

// live lets devices act, one every 10 ms, and messages be sent to those that do, a little
// before, so that some arrive while they move, and after.
func (w *world) live(events int) {
	for range events {
		d := w.anyDevice()
		w.count.events++
		w.after(60*ms, d.act)
		for range w.random.IntN(4) {
			w.after(w.between(0, 100*ms), func() { w.push(d) })
		}
		w.run(10 * ms)
		if w.count.events%50 == 0 {
			w.checkRoutable()
		}
	}
}

// calm ends all faults and lets everybody find everybody.
func (w *world) calm() {
	w.quiet = true
	w.run(22 * second) // what was planned to heal or restart does
	w.weather = fair
	w.run(60 * second)
	w.fairSince = w.now
}

// end closes everything.
func (w *world) end() {
	for _, n := range w.nodes {
		if n.up {
			n.up = false
			w.total.add(n.Stats())
			if err := n.table.Close(); err != nil {
				panic(err)
			}
		}
	}
}
