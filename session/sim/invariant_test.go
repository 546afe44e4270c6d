package sim

import (
	"cmp"
	"slices"

	"github.com/roostpush/roost/netpoll"
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
		if c == nil || c.closed || w.now-c.opened < bound || len(d.twins) > 0 || !w.well(c.at, bound) {
			continue
		}
		for _, n := range w.nodes {
			if !n.up || !w.well(n, bound) {
				continue
			}
			if !w.quiet {
				w.count.bound++
			}
			if e, ok := n.table.Lookup(d.address); !n.holds(e, ok, c) {
				w.fail("%s does not find %v on %s after %d ms: %+v", n.name, d.name, c.at.name, *boundMS, e)
			}
		}
	}
}

// holds says whether an entry leads to a connection.
func (n *process) holds(e route.Entry, ok bool, c *connection) bool {
	o, known := n.replica.Origin(e.Author)
	return ok && known && !e.Closed && o == c.at.origin && e.Version == c.version()
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
// too, with each device on one node, and that all nodes name the same homes.
func (w *world) checkUnion() {
	accounts := map[string]map[string]bool{} // account, node
	for _, d := range w.devices {
		c := w.connected(d)
		if c != nil {
			if accounts[d.name.Account] == nil {
				accounts[d.name.Account] = map[string]bool{}
			}
			accounts[d.name.Account][c.at.name] = true
		}
		if len(d.twins) > 0 {
			w.checkTwins(d)
			continue
		}
		for _, n := range w.nodes {
			e, ok := n.table.Lookup(d.address)
			if o, _ := n.replica.Origin(e.Author); c == nil && ok && !e.Closed || c != nil && !n.holds(e, ok, c) {
				w.fail("%s says %v of %v: %+v, the registries %+v", n.name, o, d.name, e, c)
			}
		}
	}
	for _, d := range w.devices {
		if !w.alike[d.name.Account] {
			w.checkAccount(d, accounts[d.name.Account])
		}
		w.checkHome(d)
	}
}

// connected returns the connection that a registry has of a device: of one node, and the
// one that the device believes in.
func (w *world) connected(d *device) (c *connection) {
	for _, n := range w.nodes {
		if s := n.sessions.Lookup(d.name.Account, d.name.Device); s != nil {
			if c != nil {
				w.fail("%v is on %s and on %s", d.name, c.at.name, n.name)
			}
			c = n.connections[netpoll.ConnID(s.Conn)]
		}
	}
	if d.current != nil && !d.current.closed && d.current != c {
		w.fail("%v lost its connection to %s without being told", d.name, d.current.at.name)
	}
	return c
}

// checkTwins holds, of devices whose addresses have one hash, that the newest of those that
// are connected is found from everywhere. The others are misrouted until it leaves. Of two
// that opened in one millisecond each node finds one.
func (w *world) checkTwins(d *device) {
	var version uint64
	own := map[string]uint64{} // by node
	for _, n := range w.nodes {
		live := false
		for _, x := range append(d.twins, d) {
			live = live || n.sessions.Lookup(x.name.Account, x.name.Device) != nil
		}
		v, closed, ok := n.table.Get(n.replica.Self(), d.address)
		if open := ok && !closed; open != live {
			w.fail("%s has open %v of the hash of %v, its table %v", n.name, live, d.name, open)
		}
		if live {
			own[n.name] = v
			version = max(version, v)
		}
	}
	for _, n := range w.nodes {
		e, ok := n.table.Lookup(d.address)
		o, _ := n.replica.Origin(e.Author)
		if open := ok && !e.Closed; open != (version != 0) || open && (e.Version != version || own[o.Node] != version) {
			w.fail("%s says %v of the hash of %v and %d others: %+v, the nodes %v", n.name, o, d.name, len(d.twins), e, own)
		}
	}
}

// checkAccount holds that each node knows which nodes hold devices of the account.
func (w *world) checkAccount(d *device, on map[string]bool) {
	for _, n := range w.nodes {
		var got []string
		for _, a := range n.table.AppendAccount(nil, d.account) {
			o, _ := n.replica.Origin(a)
			got = append(got, o.Node)
		}
		slices.SortFunc(got, cmp.Compare[string])
		for node := range on {
			if !slices.Contains(got, node) {
				w.fail("%s does not know that %s has devices of %s", n.name, node, d.name.Account)
			}
		}
		if len(got) > len(on) {
			w.fail("%s believes that %v have devices of %s", n.name, got, d.name.Account)
		}
	}
}

// checkHome holds that the account has one home, a node that is up.
func (w *world) checkHome(d *device) {
	at := w.nodes[0].homes.Home(d.account)
	if !w.nodes[nodeNumber(at)].up {
		w.fail("the home of %s, %s, is down", d.name.Account, at)
	}
	for _, n := range w.nodes {
		if other := n.homes.Home(d.account); other != at {
			w.fail("the home of %s is %s for %s, %s for %s", d.name.Account, at, w.nodes[0].name, other, n.name)
		}
	}
}

// checkSilence holds that everybody who waited for outcomes has got them, where they were
// not lost with the node that was asked, and that nothing is kept for those who did.
func (w *world) checkSilence() {
	for _, p := range w.pushes {
		if p.delivery != nil && p.at.up && !p.settled {
			w.fail("push %d from %s to %+v came to nothing", p.number, p.at.name, p.what)
		}
	}
	for _, n := range w.nodes {
		if s := n.router.Stats(); s.AcksAwaited != 0 || s.Paced != 0 {
			w.fail("%s still awaits %d acks and paces %d pushes", n.name, s.AcksAwaited, s.Paced)
		}
	}
}

// opened is how many openings the nodes have logged.
func (w *world) opened() (sum uint64) {
	for _, n := range w.nodes {
		sum += n.replica.Stats().Opened
	}
	return sum
}
