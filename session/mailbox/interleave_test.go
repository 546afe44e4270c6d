package mailbox

import (
	"fmt"
	"strings"
	"testing"
)

// script is what happens in a scenario besides what follows from it. Everything else may
// happen whenever it can: the syncs of the store, what the mailbox is told of sessions, the workers,
// what comes of each attempt, and when the mailbox hears of it.
type script struct {
	name    string
	posts   []Push // in order
	device  string // what the device does, in order; c: it connects, x: its connection ends
	crash   bool   // the node crashes once
	busy    int    // attempts that are overloaded
	ackless int    // sessions on which the device acknowledges nothing
}

// TestInterleavings goes through every order in which the steps of a scenario can happen.
// In the end the device is connected and acknowledges all it gets, and nothing may be left: no
// wake-up is lost. On the way no session gets a message twice, and nothing is sent after its ack
// in the same run of the node.
func TestInterleavings(t *testing.T) {
	one, two := []Push{{Device: "d"}}, []Push{{Device: "d"}, {Device: "d"}}
	states := 0
	for _, s := range []script{
		{name: "connect", posts: one, device: "c"},
		{name: "connect elsewhere", posts: one, device: "cc"},
		{name: "reconnect", posts: one, device: "cxc"},
		{name: "reconnect twice, without acks", posts: one, device: "cxcxc", ackless: 2},
		{name: "two messages", posts: two, device: "c"},
		{name: "two messages, reconnect", posts: two, device: "cxc"},
		{name: "two messages, elsewhere, without acks", posts: two, device: "cc", ackless: 1},
		{name: "overloaded", posts: one, device: "cxc", busy: 1},
		{name: "crash", posts: one, device: "c", crash: true},
		{name: "crash, two messages", posts: two, device: "c", crash: true},
		{name: "crash, reconnect", posts: one, device: "cxc", crash: true, ackless: 1},
		{name: "collapse", posts: []Push{{Device: "d", Collapse: "k"}, {Device: "d", Collapse: "k"}}, device: "cxc"},
	} {
		t.Run(s.name, func(t *testing.T) {
			n := s.explore(t)
			states += n
			t.Logf("%d states", n)
		})
	}
	t.Logf("%d states together", states)
}

// branch is a choice among the steps that could be taken.
type branch struct{ taken, of int }

// explore plays the scenario in every order, depth first. What it leaves out are orders
// that lead to a state from which all have been tried.
func (s *script) explore(t *testing.T) (states int) {
	seen := map[string]bool{}
	var path []branch
	for {
		p := play{script: s, world: newWorld(testConfig()), seen: seen, path: path}
		p.run()
		if len(p.world.wrong) > 0 {
			t.Fatalf("%s\n\nafter:\n%s", strings.Join(p.world.wrong, "\n"), strings.Join(p.trace, "\n"))
		}
		path = p.path
		for len(path) > 0 && path[len(path)-1].taken+1 == path[len(path)-1].of {
			path = path[:len(path)-1]
		}
		if len(path) == 0 {
			return len(seen)
		}
		path[len(path)-1].taken++
	}
}

// play is one order of a scenario.
type play struct {
	*script
	world *world
	seen  map[string]bool
	path  []branch // followed as far as it goes, then extended
	trace []string

	posted, moved, sessions int
	crashed                 bool
	told                    []uint64 // sessions the mailbox is yet to be told of
	steps                   []step
}

type step struct {
	name string
	do   func()
}

func (p *play) run() {
	w := p.world
	w.busy = p.busy
	if !p.crash {
		w.work() // the pass over an empty store is of interest only after a crash
	}
	for at := 0; ; at++ {
		p.enable()
		if len(p.steps) == 0 {
			p.checkEnd()
			return
		}
		if at == len(p.path) {
			state := p.state()
			if p.seen[state] {
				return
			}
			p.seen[state] = true
			p.path = append(p.path, branch{0, len(p.steps)})
		}
		next := p.steps[p.path[at].taken]
		p.trace = append(p.trace, next.name)
		next.do()
		if len(w.wrong) > 0 {
			return
		}
	}
}

// enable lists what may happen now.
func (p *play) enable() {
	w := p.world
	p.steps = p.steps[:0]
	may := func(name string, do func()) { p.steps = append(p.steps, step{name, do}) }
	if p.posted < len(p.posts) {
		may("post", func() {
			w.post(p.posts[p.posted])
			p.posted++
		})
	}
	if p.moved < len(p.device) {
		may("device "+p.device[p.moved:p.moved+1], p.move)
	}
	if len(p.told) > 0 {
		may(fmt.Sprintf("told of session %d", p.told[0]), func() {
			version := p.told[0]
			p.told = p.told[1:]
			w.mailbox.Opened(address("d"), version)
		})
	}
	if w.store.posts > 0 || p.crash && w.store.unsynced() > 0 {
		may("sync", w.store.sync)
	}
	if w.mailbox.queue.length() > len(w.mailbox.queue.delayed) {
		may("work", func() { w.work() })
	}
	for _, f := range w.flying {
		name := fmt.Sprintf("%s to session %d", f.message.ID.Text(), f.version)
		if f.arrived {
			may("outcome of "+name, func() { w.hear(f) })
		} else {
			may("arrival of "+name, func() { w.arrive(f) })
		}
	}
	for _, r := range w.got {
		if p.sessions > p.ackless {
			may("ack of "+r.id.Text(), func() { w.ack(r) })
		}
	}
	if p.crash && !p.crashed {
		may("crash", func() {
			p.crashed = true
			w.crash()
		})
	}
	if len(p.steps) == 0 && w.pauses() {
		may("tick", func() { w.tick(60_000) })
	}
}

// move has the device do its next.
func (p *play) move() {
	w := p.world
	if p.device[p.moved] == 'c' {
		if p.sessions++; p.sessions <= p.ackless+1 {
			w.got = nil // what it got and did not acknowledge before, it has forgotten
		}
		p.told = append(p.told, w.connect("d"))
	} else {
		delete(w.online, address("d"))
	}
	p.moved++
}

// state is all on which the rest of the play depends.
func (p *play) state() string {
	w := p.world
	var s strings.Builder
	fmt.Fprintln(&s, p.posted, p.moved, p.crashed, p.told, w.online, w.busy, w.got, w.delivered, w.settled, w.store.names)
	for _, f := range w.flying {
		fmt.Fprintln(&s, f.message.ID, f.version, f.meant, f.arrived, f.outcome)
	}
	for _, k := range w.store.mail {
		fmt.Fprint(&s, k.ID, " ")
	}
	m := w.mailbox
	for _, j := range m.queue.jobs[m.queue.head:] {
		fmt.Fprintf(&s, "%T ", j)
	}
	fmt.Fprintln(&s, len(m.queue.delayed), m.indexed.Load())
	for _, b := range m.shards[0].boxes {
		fmt.Fprintln(&s, b.version, b.unsent, b.inFlight, b.pending, b.known, b.working, b.retryMS != 0, b.early, b.gone)
		for _, it := range b.items {
			fmt.Fprintln(&s, it.number, it.origin, it.sentOn, it.told, it.known)
		}
	}
	return s.String()
}

// checkEnd wants nothing to be left.
func (p *play) checkEnd() {
	w := p.world
	w.store.sync()
	if n := w.store.count(); n > 0 {
		w.fault("%d messages wait for a device that is online: a wake-up was lost", n)
	}
	w.checkFates()
	if n := w.mailbox.waiting.Load(); n != 0 {
		w.fault("%d messages are said to wait", n)
	}
	if n := w.mailbox.pending.Load() + w.mailbox.pendingBytes.Load() + w.mailbox.waitingBytes.Load(); n != 0 {
		w.fault("something is counted that is not there")
	}
	if n := len(w.mailbox.shards[0].boxes); n != 0 {
		w.fault("%d boxes are left", n)
	}
}

func testConfig() Config {
	cfg := Default()
	cfg.RetryMinMS, cfg.RetryMaxMS = 100, 1000
	return cfg
}
