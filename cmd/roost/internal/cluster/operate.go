package cluster

import (
	"fmt"
	"slices"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/api"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/gossip"
	"github.com/roostpush/roost/session/peer"
	"github.com/roostpush/roost/session/route"
	"github.com/roostpush/roost/session/wire"
)

// These are the questions of the internal listener (api.Cluster).

// Members returns the other nodes.
func (c *Cluster) Members() []api.Member {
	if !c.isStarted() {
		return nil
	}
	links := map[string]peer.LinkState{}
	for _, l := range c.pool.Links() {
		links[l.To.Node] = l
	}
	var list []api.Member
	for _, m := range c.members() {
		if m.Node == c.self.Node {
			continue
		}
		l, linked := links[m.Node]
		list = append(list, api.Member{
			Node: m.Node, Epoch: m.Epoch, State: stateOf(m), Linked: linked && l.To.Epoch == m.Epoch,
			Sessions: c.sessionsOf(m.Origin()), Public: m.PublicAddr, Internal: m.InternalAddr, Links: m.PeerAddr,
			QueuedBytes: l.QueuedBytes, InFlight: l.InFlight,
		})
	}
	return list
}

// Self returns this node as the others see it; ok is false before Start.
func (c *Cluster) Self() (m api.Member, ok bool) {
	if !c.isStarted() {
		return m, false
	}
	g := c.gossip.Self()
	return api.Member{Public: g.PublicAddr, Internal: g.InternalAddr, Links: g.PeerAddr, State: stateOf(g)}, true
}

// stateOf is the word that people see. A processor says that it is one while it is active.
func stateOf(m gossip.Member) string {
	if m.Processor && m.State == gossip.Active {
		return "processor"
	}
	return m.State.String()
}

// sessionsOf is how many devices the table has of a node.
func (c *Cluster) sessionsOf(o session.Origin) int {
	for a := route.Author(1); int(a) <= c.settings.Route.AuthorsMax; a++ {
		if of, ok := c.replica.Origin(a); ok && of == o {
			return c.table.SetLen(a)
		}
	}
	return 0
}

func (c *Cluster) isStarted() bool {
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}

func (c *Cluster) isLinked(node string) bool {
	return c.isStarted() && slices.ContainsFunc(c.pool.Links(), func(l peer.LinkState) bool { return l.To.Node == node })
}

// isLinkedTo says that there is a link to just that process.
func (c *Cluster) isLinkedTo(o session.Origin) bool {
	return slices.ContainsFunc(c.pool.Links(), func(l peer.LinkState) bool { return l.To == o })
}

// Where says what the table has of a device.
func (c *Cluster) Where(a session.Address) api.Where {
	address, _ := c.settings.Key.Address(a.Account, a.Device)
	w := api.Where{Hash: fmt.Sprintf("%016x", address), Home: c.homes.of(a.Account)}
	p := c.Locate(a.Account, a.Device)
	w.State = [...]string{
		deliver.Nowhere: "nowhere", deliver.Unknown: "unknown", deliver.Unsure: "unsure",
		deliver.Closed: "closed", deliver.Here: "here", deliver.There: "there",
	}[p.State]
	if p.State == deliver.Nowhere || p.State == deliver.Unknown || p.State == deliver.Unsure {
		return w
	}
	w.Version, w.SinceMS = p.Version, int64(p.Version)
	if o, ok := c.replica.Origin(route.Author(p.Author)); ok {
		w.Node, w.Epoch, w.Linked = o.Node, o.Epoch, o == c.self || c.isLinked(o.Node)
	}
	return w
}

// Known asks the other nodes for an account's devices, or for one, unless it knows what
// they would answer. The list is borrowed: others are given it, too.
func (c *Cluster) Known(a session.Address) (list []api.Known, complete bool) {
	list, missing, err := c.known(a)
	return list, err == nil && !missing
}

// known is Known, and says why the list may not be complete: a member has not answered, or
// a node is missing that may have had records nobody else has.
func (c *Cluster) known(a session.Address) (list []api.Known, missing bool, err error) {
	if !c.isStarted() {
		return nil, false, fmt.Errorf("%w: this node does not know the others yet", ErrUnreachable)
	}
	_, hash := c.settings.Key.Address(a.Account, "")
	if list, ok := c.lists.get(hash, a, c.settings.SteadyMS()); ok {
		return list, false, nil
	}
	var listing *listing
	if a.Device == "" {
		listing = c.lists.begin(hash, a.Account) // before anything is looked at that may change
	}
	nodes, settled := c.whoKnows(a.Account)
	found, err := c.Ask(nodes, wire.LinkQuestion{Kind: wire.QuestionDevices, Account: a.Account, Device: a.Device})
	missing = c.homes.isMissing(c.settings.SteadyMS(), c.settings.Keeping.AbsentFor)
	if listing != nil && settled && err == nil && !missing {
		c.lists.keep(listing, found, c.settings.SteadyMS())
	}
	return found, missing, err
}

// whoKnows returns the other nodes that may know something of an account: those that
// hold its devices, its home, and those that hold what belongs elsewhere.
//
// While the members changed lately or this node itself has something to hand over, the
// others may have the same to do and not have said so yet; and facts for a home without a link
// are on any disk. Then all nodes are asked, and nothing is settled.
func (c *Cluster) whoKnows(account string) (_ []string, settled bool) {
	all := c.appendMembers(nil)
	keeps := c.homes.of(account)
	switch {
	case c.handing.pending(), c.homes.sinceChange(c.settings.SteadyMS()) < 2*c.settings.Keeping.SettleAfter:
		return all, false
	case keeps != c.self.Node && !c.keeper.IsUp(keeps):
		return all, false
	}
	settled = !c.replica.Crowded() && c.replica.Lacking() == 0 // else some changes are not heard of
	nodes := c.AppendNodes(nil, account)
	for _, node := range all {
		if (node == keeps || c.keeper.IsHolding(node)) && !slices.Contains(nodes, node) {
			nodes = append(nodes, node)
			settled = settled && node == keeps // a holder is about to hand over, and nobody says when it has
		}
	}
	return nodes, settled
}

// Session asks the node that made a session's id for it.
func (c *Cluster) Session(o session.Origin, number uint64) (k api.Known, ok bool, err error) {
	if !c.isMember(o) {
		return k, false, nil // its sessions have ended with it
	}
	found, err := c.Ask([]string{o.Node}, wire.LinkQuestion{Kind: wire.QuestionConnection, Session: number})
	if err != nil || len(found) == 0 {
		return k, false, err
	}
	return found[0], found[0].Online, nil
}

func (c *Cluster) isMember(o session.Origin) bool {
	if !c.isStarted() {
		return false
	}
	for _, m := range c.members() {
		if m.Origin() == o {
			return true
		}
	}
	return false
}

// Disconnect closes a session on another node.
func (c *Cluster) Disconnect(a session.Address, o session.Origin, number uint64, code uint16, reason string) (held bool, err error) {
	q := wire.LinkQuestion{Account: a.Account, Device: a.Device}
	node := o.Node
	if number != 0 {
		if !c.isMember(o) {
			return false, nil
		}
		q = wire.LinkQuestion{Session: number}
	} else {
		p := c.Locate(a.Account, a.Device)
		if p.State != deliver.There {
			return false, nil
		}
		node = p.Node
	}
	return c.closeSession(node, q, code, reason)
}

// Stats returns what the parts have counted, each with metric tags.
func (c *Cluster) Stats() []any {
	stats := []any{c.table.Stats(), c.replica.Stats(), c.keepStats(), c.mail.Stats(), c.lists.stats()}
	if c.isStarted() {
		stats = append(stats, c.pool.Stats(), c.gossip.Stats())
	}
	return stats
}
