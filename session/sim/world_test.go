package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/replica"
	"github.com/roostpush/roost/session/route"
)

// world is one seed: nodes, devices, what befalls them, and what is found wrong.
type world struct {
	clock
	weather    weather
	nodes      []*process
	pairs      []*pair
	devices    []*device
	named      map[session.Address]*device
	hash       session.Hasher  // by the cluster's hash_key
	weak       bool            // so weak that some devices share one
	alike      map[string]bool // accounts with such devices: the index of accounts may lack them (route.Table.Put)
	parted     bool
	quiet      bool  // no faults any more
	collecting bool  // devices get what they never acked, and nothing new is posted
	fairSince  int64 // and everybody found everybody

	connections uint64 // opened so far
	pushes      []*push
	byID        map[messageID]*push

	disks    []*disk // by node
	promises []*promise
	letters  map[letterKey]*letter
	byMail   map[session.ID][]*letter
	allMail  []*letter
	burnt    map[[16]byte]bool // keys that were on a disk that is lost
	keyDice  *rand.Rand        // of keys, so that they do not change what else a seed draws
	homes    map[string]string // of accounts, as the node saw it that was asked last
	mail     mailCounts

	count    counts
	outcomes [session.OutcomeCount]int
	total    totals // of processes that are gone
	problems []string
}

// counts of what the world did.
type counts struct {
	events, openings, heals, restarts, outdated int // what befell devices and nodes
	setBack, setForward                         int // clocks
	pushes, forwards, written, waits            int // messages, those between nodes, those taken by sockets; looks for devices on their way
	bound                                       int // looks in the storm for a device that must be found by now
	repeats, missed                             int // devices that moved and got a push to their account twice, or not at all
}

// totals of what the nodes counted.
type totals struct {
	replica.Stats
	Deliver deliver.Stats
}

// retire adds what a process has counted.
func (w *world) retire(n *process) {
	w.total.add(n.replica.Stats())
	w.total.deliver(n.router.Stats())
}

func (t *totals) deliver(s deliver.Stats) {
	d := &t.Deliver
	d.Forwarded += s.Forwarded
	d.Taken += s.Taken
	d.Misrouted += s.Misrouted
	d.Collisions += s.Collisions
	d.Moved += s.Moved
	d.Stalls += s.Stalls
	d.SeekRefused += s.SeekRefused
	d.AcksUnknown += s.AcksUnknown
	d.AcksForeign += s.AcksForeign
}

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
	t.Missing += s.Missing
	t.Revealed += s.Revealed
}

const problemsMax = 10

func (w *world) fail(format string, args ...any) {
	if len(w.problems) < problemsMax {
		w.problems = append(w.problems, fmt.Sprintf("%.3f s: ", float64(w.now)/float64(second))+fmt.Sprintf(format, args...))
	}
}

// trace tells the story of the device that -device names, and of those with its hash.
func (w *world) trace(d *device, format string, args ...any) {
	told := *traced == d.name.String()
	for _, other := range d.twins {
		told = told || *traced == other.name.String()
	}
	if told {
		fmt.Printf("%.4f s, %v: "+format+"\n", append([]any{float64(w.now) / float64(second), d.name}, args...)...)
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
	w := &world{
		clock: clock{random: rand.New(rand.NewPCG(seed, 1))}, weather: storm, burnt: map[[16]byte]bool{}, keyDice: rand.New(rand.NewPCG(seed, 2)),
		named: map[session.Address]*device{}, alike: map[string]bool{}, byID: map[messageID]*push{},
		letters: map[letterKey]*letter{}, byMail: map[session.ID][]*letter{}, homes: map[string]string{},
		hash: route.Key{1, 2, 3}.Address, weak: seed%weakEvery == 0,
	}
	if w.weak {
		w.hash = weakHash
	}
	for range nodes * nodes {
		w.pairs = append(w.pairs, &pair{})
	}
	w.nodes = make([]*process, nodes)
	for range nodes {
		w.disks = append(w.disks, newDisk(w))
	}
	for id := range nodes {
		w.start(id, 0)
	}
	for id := range nodes {
		w.boot(id)
	}
	for i := range devices {
		d := &device{w: w, raw: i%5 == 0, name: session.Address{Account: fmt.Sprint("account-", i/3), Device: fmt.Sprint("device-", i)}}
		d.address, d.account = w.hash(d.name.Account, d.name.Device)
		for _, other := range w.devices {
			if other.address == d.address {
				d.twins, other.twins = append(d.twins, other), append(other.twins, d)
				w.alike[d.name.Account], w.alike[other.name.Account] = true, true
			}
		}
		w.devices = append(w.devices, d)
		w.named[d.name] = d
	}
	return w
}

// weakEvery is in how many seeds one has hashes of addresses with 12 bits: then some 20 pairs
// of 400 devices share one.
const weakEvery = 4

func weakHash(account, device string) (address, ofAccount uint64) {
	address, ofAccount = route.Key{1, 2, 3}.Address(account, device)
	return (address>>52 + 1) * 0x9e3779b97f4a7c15, ofAccount // spread, as the table counts on it
}

// live lets devices act, one every 10 ms, and messages be sent to those that do, a little
// before, so that some arrive while they move, and after.
func (w *world) live(events int) {
	for range events {
		d := w.anyDevice()
		w.count.events++
		w.after(60*ms, d.act)
		for range w.random.IntN(4) {
			w.count.pushes++
			w.after(w.between(0, 100*ms), func() { w.push(d) })
		}
		if w.chance(300) { // to somebody who stays where he is
			w.count.pushes++
			w.push(w.devices[w.random.IntN(len(w.devices))])
		}
		if w.chance(200) {
			w.after(w.between(0, 100*ms), func() { w.promise(d) })
		}
		if w.chance(50) {
			for d := w.devices[w.random.IntN(len(w.devices))]; ; {
				if w.promise(d); w.random.IntN(3) == 0 {
					break
				}
			}
		}
		w.run(10 * ms)
		if w.count.events%50 == 0 {
			w.checkRoutable()
			if w.fairSince != 0 {
				w.checkAwake(4 * second)
			}
		}
	}
}

// calm ends all faults and lets everybody find everybody.
func (w *world) calm() {
	w.quiet = true
	w.run(22 * second) // what was planned to heal or restart does
	w.weather = fair
	w.run(60 * second)
	opened := w.opened()
	w.run(20 * second)
	if again := w.opened() - opened; again > 0 {
		w.fail("nobody moves, and %d sessions are opened or re-asserted", again)
	}
	w.checkAwake(20 * second)
	w.fairSince = w.now
}

// end closes everything.
func (w *world) end() {
	for _, n := range w.nodes {
		if n.up {
			n.up = false
			w.retire(n)
			w.retireMail(n.keeping)
			if err := n.table.Close(); err != nil {
				panic(err)
			}
		}
	}
}

// forget lets go of everything but what the world counted.
func (w *world) forget() {
	*w = world{count: w.count, mail: w.mail, total: w.total, outcomes: w.outcomes, problems: w.problems}
}
