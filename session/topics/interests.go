package topics

import (
	"slices"
	"strings"
	"sync"

	"github.com/roostpush/roost/session/wire"
)

// interests says which other nodes have subscribers of what. Any goroutine may call any
// method.
type interests struct {
	max   int // of one node
	mu    sync.RWMutex
	nodes map[string]*interested
	keys  map[string][]*interested
	all   []*interested // those that get everything
}

// interested is one other node.
type interested struct {
	node       string
	keys       map[string]struct{}
	said       map[string]struct{} // since Begin; nil: Last has come
	everything bool                // it has more than are noted
	overflow   bool                // since Begin
}

func (x *interests) init(max int) {
	x.max, x.nodes, x.keys = max, map[string]*interested{}, map[string][]*interested{}
}

// Interested takes what another node says of its subscribers; it is borrowed. What one
// node says must come in order.
func (b *Broker) Interested(node string, i *wire.Interest) { b.interests.apply(node, i) }

// Unlinked forgets a node whose link has ended: it says everything again over the next.
func (b *Broker) Unlinked(node string) {
	b.interests.forget(node)
	b.departure.unlinked(node)
}

func (x *interests) apply(node string, i *wire.Interest) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := x.nodes[node]
	if n == nil {
		n = &interested{node: strings.Clone(node), keys: map[string]struct{}{}}
		x.nodes[n.node] = n
	}
	if i.Begin {
		n.said, n.overflow = map[string]struct{}{}, false
	}
	for _, c := range i.Changes {
		key := keyOf(c.Pattern)
		if c.Lost {
			x.remove(n, key)
			delete(n.said, key)
			continue
		}
		x.add(n, key)
	}
	if i.Last && n.said != nil {
		for key := range n.keys {
			if _, still := n.said[key]; !still {
				x.remove(n, key)
			}
		}
		x.setEverything(n, n.overflow)
		n.said = nil
	}
}

// add notes a key. What was said before counts until all is said again, so that nothing
// is missed in between.
func (x *interests) add(n *interested, key string) {
	if _, known := n.keys[key]; !known {
		if len(n.keys) >= x.max {
			n.overflow = true
			x.setEverything(n, true)
			return
		}
		key = strings.Clone(key)
		n.keys[key] = struct{}{}
		x.keys[key] = append(x.keys[key], n)
	}
	if n.said != nil {
		n.said[strings.Clone(key)] = struct{}{}
	}
}

func (x *interests) remove(n *interested, key string) {
	if _, known := n.keys[key]; !known {
		return
	}
	delete(n.keys, key)
	left := slices.DeleteFunc(x.keys[key], func(other *interested) bool { return other == n })
	if len(left) == 0 {
		delete(x.keys, key)
		return
	}
	x.keys[key] = left
}

func (x *interests) setEverything(n *interested, everything bool) {
	if n.everything == everything {
		return
	}
	n.everything = everything
	if everything {
		x.all = append(x.all, n)
	} else {
		x.all = slices.DeleteFunc(x.all, func(other *interested) bool { return other == n })
	}
}

func (x *interests) forget(node string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := x.nodes[node]
	if n == nil {
		return
	}
	for key := range n.keys {
		x.remove(n, key)
	}
	x.setEverything(n, false)
	delete(x.nodes, node)
}

// append appends the nodes that have subscribers of a topic, unless they are in dst from
// first on.
func (x *interests) append(dst []string, first int, topic string) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	add := func(list []*interested) {
		for _, n := range list {
			if !slices.Contains(dst[first:], n.node) {
				dst = append(dst, n.node)
			}
		}
	}
	add(x.all)
	eachKey(topic, func(key string) bool {
		add(x.keys[key])
		return true
	})
	return dst
}

func (x *interests) count() (nodes, keys, everything uint64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, n := range x.nodes {
		keys += uint64(len(n.keys))
	}
	return uint64(len(x.nodes)), keys, uint64(len(x.all))
}
