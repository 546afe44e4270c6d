package cluster

import (
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/replica"
	"github.com/roostpush/roost/session/route"
	"github.com/roostpush/roost/session/wire"
)

// This is what delivery asks of the cluster (deliver.Cluster): the table in its words.

// Locate says where the table has a device (deliver.Cluster).
func (c *Cluster) Locate(account, device string) deliver.Place {
	address, ofAccount := c.settings.Key.Address(account, device)
	e, ok := c.table.Lookup(address)
	switch {
	case !ok && c.replica.Crowded():
		return deliver.Place{State: deliver.Unsure}
	case !ok && (c.replica.Lacking() > 0 || !c.isFilled()):
		return deliver.Place{State: deliver.Unknown}
	case !ok:
		return deliver.Place{}
	}
	p := deliver.Place{Author: uint16(e.Author), Address: address, Account: ofAccount, Version: e.Version}
	switch o, known := c.replica.Origin(e.Author); {
	case e.Closed || !known:
		p.State = deliver.Closed
	case e.Author == c.replica.Self():
		p.State = deliver.Here
	default:
		p.State, p.Node = deliver.There, o.Node
	}
	return p
}

// Online returns the mark of a device's session, on whatever node it is (mailbox.Presence).
func (c *Cluster) Online(a session.Address) (mark uint64, ok bool) {
	if s := c.sessions.Lookup(a.Account, a.Device); s != nil {
		return session.MarkHere(s.Version), true
	}
	p := c.Locate(a.Account, a.Device)
	return session.MarkThere(p.Version, p.Author), p.State == deliver.There
}

// Hash names a device as the logs do.
func (c *Cluster) Hash(account, device string) (address, ofAccount uint64) {
	return c.settings.Key.Address(account, device)
}

// Holds says whether the own log has an open session with the hash of an address
// (deliver.Cluster).
func (c *Cluster) Holds(account, device string) bool {
	address, _ := c.settings.Key.Address(account, device)
	_, closed, ok := c.table.Get(c.replica.Self(), address)
	return ok && !closed
}

// Forget takes what Locate said out of the table (deliver.Cluster).
func (c *Cluster) Forget(p deliver.Place) {
	c.replica.Misrouted(p.Address, p.Account, replica.Entry{Author: replica.Author(p.Author), Version: p.Version})
}

// AppendNodes appends the other nodes that may hold devices of the account, or any
// (deliver.Cluster).
func (c *Cluster) AppendNodes(dst []string, account string) []string {
	if account == "" {
		return c.appendMembers(dst)
	}
	_, ofAccount := c.settings.Key.Address(account, "")
	var room [16]route.Author
	for _, a := range c.table.AppendAccount(room[:0], ofAccount) {
		if o, ok := c.replica.Origin(a); ok && a != c.replica.Self() {
			dst = append(dst, o.Node)
		}
	}
	return c.appendUnnamed(dst)
}

// appendMembers appends the other members, as homes knows them: one that is not asked because
// it is gone is also one that is missed. Gossip's own list loses it some time earlier, in which
// what it may know would be taken for what is not.
func (c *Cluster) appendMembers(dst []string) []string {
	select {
	case <-c.ready:
		return c.homes.appendOthers(dst)
	default:
		return dst
	}
}

// Forward takes a message to a node (deliver.Cluster).
func (c *Cluster) Forward(node string, f *wire.Forward, rcpt deliver.Answers, tag uint64) {
	c.pool.Send(node, f, rcpt, tag)
}
