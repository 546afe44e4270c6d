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
//	tell     on its own goroutine: each node goes on where its link had no room the last time
//	told     once all nodes have taken what there was when it was called
//
// telling is where that stands. Any goroutine may call its methods.
type telling struct {
	wake chan struct{}
	send func(node string, t wire.LinkType, body []byte) bool

	mu      sync.Mutex
	links   map[string]*listener
	waiting []func(all bool) // for the next round of questions
	asking  bool             // a round is under way
}

// listener is a node that is told.
type listener struct {
	knows bool // all that was to be told is queued for it; telling's mu guards it

	// Of tell.
	begun   bool                  // everything was begun with, and is said or in rest
	opened  bool                  // its first frame is queued
	closing bool                  // its last is not
	rest    []wire.InterestChange // of everything, shared with others
	changes []wire.InterestChange // since then
}

const (
	// interestBytesMax is the size up to which changes share a frame: well below any
	// peer.frame_bytes_max.
	interestBytesMax = 32 << 10
	// listenerChangesMax bounds what waits for one node. With more it is told everything anew.
	listenerChangesMax = 64 << 10
)

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

// tellAll tells every node what has changed; whole says that changes are not all.
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
		if whole || !l.begun || len(l.changes)+len(changes) > listenerChangesMax {
			if everything == nil {
				everything = c.node.Topics.AppendInterest(make([]wire.InterestChange, 0, 64))
			}
			l.begun, l.opened, l.closing, l.rest, l.changes = true, false, true, everything, nil
		} else {
			l.changes = append(l.changes, changes...)
		}
		knows := t.tellOne(node, l)
		t.mu.Lock()
		l.knows = knows
		t.mu.Unlock()
	}
}

// tellOne queues what a node is to be told; false: its link has no room for all, and goes on
// where it stopped once there is.
func (t *telling) tellOne(node string, l *listener) bool {
	var body []byte
	say := func(i *wire.Interest) bool {
		body = wire.AppendInterest(body[:0], i)
		return t.send(node, wire.LinkTypeInterest, body)
	}
	for l.closing {
		n := portion(l.rest)
		if !say(&wire.Interest{Begin: !l.opened, Last: n == len(l.rest), Changes: l.rest[:n]}) {
			return false
		}
		l.opened, l.closing, l.rest = true, n < len(l.rest), l.rest[n:]
	}
	l.rest = nil
	for len(l.changes) > 0 {
		n := portion(l.changes)
		if !say(&wire.Interest{Changes: l.changes[:n]}) {
			return false
		}
		l.changes = l.changes[n:]
	}
	l.changes = nil
	return true
}

// portion is how many changes share a frame.
func portion(changes []wire.InterestChange) (n int) {
	for size := 0; n < len(changes) && size < interestBytesMax; n++ {
		size += 3 + len(changes[n].Pattern)
	}
	return n
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
