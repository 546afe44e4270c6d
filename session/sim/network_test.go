package sim

import (
	"fmt"
	"slices"

	"github.com/roostpush/roost/session/wire"
)

// pair is the connection between two nodes. As TCP is, it is in order in each
// direction, and what is on the way is lost when it is reset.
type pair struct {
	up      bool
	cut     bool
	use     int      // how often it came up: what is on the way belongs to one
	last    [2]int64 // arrival of the log's newest message, by direction
	carried [2]int64 // the same of messages to devices and their outcomes
	calm    int64    // up without a break since
}

// direction numbers the two of a pair.
func direction(from, to int) int {
	if from > to {
		return 1
	}
	return 0
}

// weather is how bad the network is.
type weather struct {
	delayMax   int64   // of a message
	spike      float64 // thousandths of messages that take up to a second
	full       float64 // thousandths of messages a queue has no room for
	duplicated float64 // thousandths of the log's messages that arrive again, later, out of order
	torn       float64 // thousandths of messages whose socket ends in the middle
	slow       float64 // thousandths of messages for which a device's queue has no room
	unacked    float64 // thousandths of messages that a device does not ack
}

var (
	storm = weather{delayMax: 40 * ms, spike: 2, full: 4, duplicated: 4, torn: 5, slow: 5, unacked: 30}
	fair  = weather{delayMax: 20 * ms}
)

func (w *world) pair(a, b int) *pair { return w.pairs[min(a, b)*len(w.nodes)+max(a, b)] }

// send queues a message of the log on the link to a node; false: there is no link, or no
// room.
func (w *world) send(from *process, to int, message any) bool {
	p := w.pair(from.id, to)
	target := w.nodes[to]
	if !from.up || !p.up || w.chance(w.weather.full) {
		return false
	}
	message = clone(message)
	delay := w.between(ms/2, w.weather.delayMax)
	if w.chance(w.weather.spike) {
		delay = w.between(w.weather.delayMax, second)
	}
	at := max(w.now+delay, p.last[direction(from.id, to)])
	p.last[direction(from.id, to)] = at
	use := p.use
	w.after(at-w.now, func() {
		if p.up && p.use == use {
			target.receive(from.name, message)
		}
	})
	if w.chance(w.weather.duplicated) {
		w.after(at-w.now+w.between(1, 3*second), func() { target.receive(from.name, message) })
	}
	return true
}

// reset breaks a link. It comes back, unless it is cut.
func (w *world) reset(a, b int) {
	p := w.pair(a, b)
	if p.up {
		p.up = false
		w.nodes[a].unlinked(w.nodes[b])
		w.nodes[b].unlinked(w.nodes[a])
	}
	w.after(w.between(5*ms, 500*ms), func() { w.connect(a, b) })
}

// connect brings a link up if nothing is in its way.
func (w *world) connect(a, b int) {
	p := w.pair(a, b)
	if p.up || p.cut || !w.nodes[a].up || !w.nodes[b].up {
		return
	}
	p.up, p.calm, p.last, p.carried = true, w.now, [2]int64{}, [2]int64{}
	p.use++
	w.nodes[a].linked(w.nodes[b])
	w.nodes[b].linked(w.nodes[a])
}

// cut breaks a link until mend.
func (w *world) cut(a, b int) {
	w.pair(a, b).cut = true
	w.reset(a, b)
	w.gossipAll()
}

func (w *world) mend(a, b int) {
	w.pair(a, b).cut = false
	w.after(w.between(5*ms, second), func() { w.connect(a, b) })
	w.gossipAll()
}

// reaches says what gossip sees: whether there is any way between two nodes.
func (w *world) reaches(a, b int) bool {
	seen := make([]bool, len(w.nodes))
	next := []int{a}
	for len(next) > 0 {
		x := next[0]
		next = next[1:]
		if seen[x] || !w.nodes[x].up {
			continue
		}
		seen[x] = true
		for y := range w.nodes {
			if y != x && !w.pair(x, y).cut {
				next = append(next, y)
			}
		}
	}
	return seen[b]
}

// gossipAll lets every node find out, some time later, who is a member now.
func (w *world) gossipAll() {
	for _, n := range w.nodes {
		for other := range w.nodes {
			if other != n.id {
				w.gossip(n, other)
			}
		}
	}
}

// gossip tells n about one other: soon that it is there, after a few seconds that it is
// not.
func (w *world) gossip(n *process, other int) {
	delay := w.between(20*ms, second)
	if !w.reaches(n.id, other) {
		delay = w.between(500*ms, 5*second)
	}
	w.after(delay, func() {
		if !n.up {
			return
		}
		if w.reaches(n.id, other) {
			n.joined(w.nodes[other])
		} else {
			n.left(other)
		}
	})
}

// clone copies a message that was borrowed.
func clone(message any) any {
	switch m := message.(type) {
	case *wire.Delta:
		return &wire.Delta{Author: m.Author, First: m.First, Changes: slices.Clone(m.Changes)}
	case *wire.SnapshotChunk:
		x := *m
		x.Changes = slices.Clone(m.Changes)
		return &x
	case *wire.Heads:
		return &wire.Heads{Answer: m.Answer, SentMS: m.SentMS, Heads: slices.Clone(m.Heads)}
	case *wire.LogRequest:
		x := *m
		return &x
	case *wire.Question:
		x := *m
		return &x
	case *wire.Answer:
		x := *m
		return &x
	}
	panic(fmt.Sprintf("a %T", message))
}
