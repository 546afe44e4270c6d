package cluster

import (
	"strings"
	"sync"

	"github.com/roostpush/roost/session/wire"
)

// What this node's devices have subscribed to is told to all other nodes over their links,
// in order:
//
//	linked   a node has to be told everything, and what changes after that
//	tell     on its own goroutine: changes to those that know everything, everything to
//	         those that do not, also because a link had no room for a change
//	told     once all nodes have taken what there was when it was called
//
// telling is where that stands. Any goroutine may call its methods.
type telling struct {
	wake chan struct{}

	mu      sync.Mutex
	links   map[string]*listener
	waiting []func(all bool) // for the next round of questions
	asking  bool             // a round is under way
}

// listener is a node that is told.
type listener struct{ knows bool }

// interestBytesMax is the size up to which changes share a frame: well below any
// peer.frame_bytes_max.
const interestBytesMax = 32 << 10

func (t *telling) init() {
	t.wake, t.links = make(chan struct{}, 1), map[string]*listener{}
}

func (t *telling) ring() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// linked has a node be told everything, over a link that is new.
func (t *telling) linked(node string) {
	t.mu.Lock()
	t.links[node] = &listener{}
	t.mu.Unlock()
	t.ring()
}

func (t *telling) unlinked(node string) {
	t.mu.Lock()
	delete(t.links, node)
	t.mu.Unlock()
}

// told calls f once the other nodes have taken all that this one's devices have subscribed
// to by now; all is false if one of them may not have.
func (t *telling) told(f func(all bool)) {
	t.mu.Lock()
	t.waiting = append(t.waiting, f)
	t.mu.Unlock()
	t.ring()
}

// tell is the goroutine.
func (c *Cluster) tell() {
	var changes []wire.InterestChange
	for {
		select {
		case <-c.ended:
			c.telling.end()
			return
		case <-c.telling.wake:
		case <-c.node.Topics.Changed():
		}
		waiting := c.telling.begin() // before the changes, which have all that they wait for
		var whole bool
		changes, whole = c.node.Topics.TakeChanges(changes[:0])
		c.tellAll(changes, whole)
		clear(changes)
		c.ask(waiting)
	}
}

// end gives up on those who wait.
func (t *telling) end() {
	t.mu.Lock()
	waiting := t.waiting
	t.waiting = nil
	t.mu.Unlock()
	for _, f := range waiting {
		f(false)
	}
}

func (c *Cluster) tellAll(changes []wire.InterestChange, whole bool) {
	t := &c.telling
	t.mu.Lock()
	links := make(map[string]*listener, len(t.links))
	for node, l := range t.links {
		links[node] = l
	}
	t.mu.Unlock()
	var everything []wire.InterestChange
	for node, l := range links {
		knows := l.knows && !whole && (len(changes) == 0 || c.say(node, changes, false))
		if !knows {
			if everything == nil {
				everything = c.node.Topics.AppendInterest(make([]wire.InterestChange, 0, 64))
			}
			knows = c.say(node, everything, true)
		}
		t.mu.Lock()
		l.knows = knows
		t.mu.Unlock()
	}
}

// say queues changes, or all there is, for a node; false: its link has no room, and it has
// to be told everything.
func (c *Cluster) say(node string, changes []wire.InterestChange, whole bool) bool {
	i := wire.Interest{Begin: whole}
	var body []byte
	for first := true; first || len(changes) > 0; first = false {
		n, size := 0, 0
		for n < len(changes) && size < interestBytesMax {
			size += 3 + len(changes[n].Pattern)
			n++
		}
		i.Changes, changes = changes[:n], changes[n:]
		i.Last = whole && len(changes) == 0
		body = wire.AppendInterest(body[:0], &i)
		if !c.pool.Control(node, wire.LinkTypeInterest, body) {
			return false
		}
		i.Begin = false
	}
	return true
}

// begin returns those for whom a round of questions begins: none while one is under way.
func (t *telling) begin() (waiting []func(all bool)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asking || len(t.waiting) == 0 {
		return nil
	}
	waiting, t.waiting, t.asking = t.waiting, nil, true
	return waiting
}

// ask asks all nodes on behalf of those who wait, if there are any. A link answers behind
// what it was told before.
func (c *Cluster) ask(waiting []func(all bool)) {
	if len(waiting) == 0 {
		return
	}
	t := &c.telling
	t.mu.Lock()
	all := true
	var nodes []string
	for node, l := range t.links {
		nodes = append(nodes, node)
		all = all && l.knows
	}
	t.mu.Unlock()
	open := len(nodes) + 1
	done := func(ok bool) {
		t.mu.Lock()
		all = all && ok
		open--
		last := open == 0
		if last {
			t.asking = false
		}
		t.mu.Unlock()
		if !last {
			return
		}
		for _, f := range waiting {
			f(all)
		}
		t.ring() // others may have come meanwhile
	}
	for _, node := range nodes {
		q := wire.LinkQuestion{Kind: wire.QuestionInterest}
		c.pool.Ask(node, &q, questionTimeout, func(a *wire.LinkAnswer, err error) { done(err == nil && a.Error == "") })
	}
	done(true)
}

// isPattern reports whether a subscription is to all topics below one.
func isPattern(s string) bool { return strings.HasSuffix(s, ".*") }
