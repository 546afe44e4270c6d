package sim

import (
	"cmp"
	"slices"

	"github.com/roostpush/roost/session/route"
)

// checkRoutable holds the bound of DESIGN.md decision 3: a live device is found from
// every node that it could be reached from. What may pass until then, once links and
// membership are well:
//
//	a push of the change         100 ms  a batch and a tick
//	or, should it be lost:       1 s for each comparison of heads until one arrives,
//	                             then AskMS for each request, and the transfer
//	should another entry win:    the same until its node's entry is here, a question
//	                             and an answer, each repeated after QuestionMS if lost,
//	                             and the push of what they lead to
//
// With the losses of the storm that is within bound; -bound shows how much of it is used.
func (w *world) checkRoutable() {
	bound := int64(*boundMS) * ms
	for _, d := range w.devices {
		c := d.current
		if c == nil || c.closed || w.now-c.opened < bound || !w.well(c.at, bound) {
			continue
		}
		for _, n := range w.nodes {
			if !n.up || !w.well(n, bound) {
				continue
			}
			if e, ok := n.table.Lookup(d.address); !n.holds(e, ok, c) {
				w.fail("%s does not find %v on %s after %d ms: %+v", n.name, d.name, c.at.name, *boundMS, e)
			}
		}
	}
}

// holds says whether an entry leads to a connection.
func (n *process) holds(e route.Entry, ok bool, c *connection) bool {
	o, known := n.Origin(e.Author)
	return ok && known && !e.Closed && o == c.at.origin && e.Version == c.version
}

// well says whether a node has had links to all that are up, and they were members for
// each other, for so long.
func (w *world) well(n *process, long int64) bool {
	if !n.up || w.now-n.started < long {
		return false
	}
	for _, other := range w.nodes {
		if other == n {
			continue
		}
		p := w.pair(n.id, other.id)
		if !other.up || !p.up || w.now-p.calm < long || !n.knows(other, long) || !other.knows(n, long) {
			return false
		}
	}
	return true
}

func (n *process) knows(other *process, long int64) bool {
	return n.members[other.id] == other.origin && n.w.now-n.since[other.id] >= long
}

// checkUnion holds that all tables equal the union of the registries, the account index
// too, with each device on one node.
func (w *world) checkUnion() {
	accounts := map[uint64]map[string]bool{}
	for _, d := range w.devices {
		var c *connection
		for _, n := range w.nodes {
			if x := n.open[d.address]; x != nil {
				if c != nil {
					w.fail("%v is on %s and on %s", d.name, c.at.name, n.name)
				}
				c = x
				if accounts[d.account] == nil {
					accounts[d.account] = map[string]bool{}
				}
				accounts[d.account][n.name] = true
			}
		}
		if d.current != nil && !d.current.closed && d.current != c {
			w.fail("%v lost its connection to %s without being told", d.name, d.current.at.name)
		}
		for _, n := range w.nodes {
			e, ok := n.table.Lookup(d.address)
			if o, _ := n.Origin(e.Author); c == nil && ok && !e.Closed || c != nil && !n.holds(e, ok, c) {
				w.fail("%s says %v of %v: %+v, the registries %+v", n.name, o, d.name, e, c)
			}
		}
	}
	for _, d := range w.devices {
		for _, n := range w.nodes {
			var got []string
			for _, a := range n.table.AppendAccount(nil, d.account) {
				o, _ := n.Origin(a)
				got = append(got, o.Node)
			}
			slices.SortFunc(got, cmp.Compare[string])
			for node := range accounts[d.account] {
				if !slices.Contains(got, node) {
					w.fail("%s does not know that %s has devices of %s", n.name, node, d.name.Account)
				}
			}
			if len(got) > len(accounts[d.account]) {
				w.fail("%s believes that %v have devices of %s", n.name, got, d.name.Account)
			}
		}
	}
}
