package disruption

import "slices"

// Node is one node of the cluster, as devices, services and operators reach it.
type Node struct {
	Name     string `json:"name"`
	Public   string `json:"public"`   // host:port, for devices
	Internal string `json:"internal"` // host:port, for services
}

// Relation is what two nodes can be to each other.
type Relation uint8

// The relations.
const (
	Unsettled Relation = iota // it changes now, or did a moment ago: either is right
	Joined                    // they reach each other
	Parted                    // nothing gets from one to the other
)

// World is what the conductor has done to the cluster, as the workers must know it.
type World struct {
	Down  []bool  `json:"down"` // by node: it was killed, or has left
	Died  []bool  `json:"died"` // by node: its end was a kill, so what it was asked has no answer
	Split bool    `json:"split"`
	Pairs [][]Way `json:"pairs"` // by node and node
}

// Way is the relation of two nodes and since which change.
type Way struct {
	Relation Relation `json:"relation"`
	Change   int      `json:"change"` // a push that saw two numbers saw a change
}

// newWorld is one in which all nodes reach each other.
func newWorld(nodes int) *World {
	w := &World{Down: make([]bool, nodes), Died: make([]bool, nodes)}
	for range nodes {
		w.Pairs = append(w.Pairs, slices.Repeat([]Way{{Relation: Joined}}, nodes))
	}
	return w
}

// set gives the ways between each of some nodes and each of others a relation.
func (w *World) set(some, others []int, r Relation) {
	for _, a := range some {
		for _, b := range others {
			if a != b {
				w.Pairs[a][b] = Way{r, w.Pairs[a][b].Change + 1}
				w.Pairs[b][a] = w.Pairs[a][b]
			}
		}
	}
}

// all returns the numbers of all nodes.
func (w *World) all() (nodes []int) {
	for i := range w.Down {
		nodes = append(nodes, i)
	}
	return nodes
}

// up returns the numbers of the nodes that run.
func (w *World) up() (nodes []int) {
	for i, down := range w.Down {
		if !down {
			nodes = append(nodes, i)
		}
	}
	return nodes
}

// copy is for whoever is told; the conductor goes on changing its own.
func (w *World) copy() *World {
	c := &World{Down: slices.Clone(w.Down), Died: slices.Clone(w.Died), Split: w.Split}
	for _, row := range w.Pairs {
		c.Pairs = append(c.Pairs, slices.Clone(row))
	}
	return c
}
