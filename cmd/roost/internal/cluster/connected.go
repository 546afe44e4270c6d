package cluster

import (
	"sync/atomic"

	"github.com/roostpush/roost/session/peer"
	"github.com/roostpush/roost/session/presence"
	"github.com/roostpush/roost/session/wire"
)

// Connected says which devices are connected to any node (presence.Devices).
type Connected struct{ Cluster *Cluster }

// State looks a device up in the table. It takes no lock.
func (d Connected) State(address, _ uint64) (state presence.State, sinceMS int64) {
	c := d.Cluster
	e, ok := c.table.Lookup(address)
	switch {
	case !ok && (c.replica.Crowded() || c.replica.Lacking() > 0 || !c.isFilled()):
		return presence.Unknown, 0
	case !ok || e.Closed:
		return presence.Offline, 0
	}
	// A version is when the session was opened, or a little above.
	return presence.Online, int64(e.Version)
}

// Names asks this node's registry and the nodes that the account index names. It does not
// wait for them.
func (d Connected) Names(account string, named func(devices []string), done func(complete bool)) {
	c := d.Cluster
	named(c.namesHere(account))
	nodes := c.AppendNodes(nil, account)
	if len(nodes) == 0 {
		done(true)
		return
	}
	var left atomic.Int64
	var failed atomic.Bool
	left.Store(int64(len(nodes)))
	for _, node := range nodes {
		q := wire.LinkQuestion{Kind: wire.QuestionConnected, Account: account}
		c.pool.Ask(node, &q, questionTimeout, func(a *wire.LinkAnswer, err error) {
			if err == nil && a.Error == "" {
				var names []string
				if names, err = wire.ParseNames(a.Body); err == nil {
					named(names)
				}
			}
			if err != nil || a.Error != "" {
				failed.Store(true)
			}
			if left.Add(-1) == 0 {
				done(!failed.Load())
			}
		})
	}
}

// namesHere lists the account's devices that are connected to this node.
func (c *Cluster) namesHere(account string) []string {
	sessions := c.sessions.AppendAccount(nil, account)
	names := make([]string, 0, min(len(sessions), namesMax))
	for _, s := range sessions[:cap(names)] {
		names = append(names, s.Device)
	}
	return names
}

// answerConnected answers from memory, on the link's reader.
func (c *Cluster) answerConnected(q *wire.LinkQuestion, way peer.AnswerReply) {
	names := c.namesHere(q.Account)
	way.Answer(&wire.LinkAnswer{Held: len(names) > 0, Body: wire.AppendNames(nil, names)})
}

// Watching hears that devices may have come or gone; presence.Presence is one.
type Watching interface {
	Changed(address, account uint64, opened bool)
	Sweep(unnamed bool)
}

// changed is told what another node's log says, after it is in the table
// (replica.Ports.Online). It runs on links' readers.
func (c *Cluster) changed(_ string, changes []wire.Change) {
	if len(changes) == 0 {
		c.muchChanged(true) // its set was swapped
		return
	}
	c.mail.Online(changes)
	for i := range changes {
		e := &changes[i]
		c.lists.changed(e.Account)
		if c.node.Presence != nil {
			c.node.Presence.Changed(e.Address, e.Account, !e.Closed)
		}
	}
}

// muchChanged is told that any device may have come or gone; unnamed: also such as were
// never heard of.
func (c *Cluster) muchChanged(unnamed bool) {
	c.lists.clear()
	c.mail.LookAgain()
	if c.node.Presence != nil {
		c.node.Presence.Sweep(unnamed)
	}
}
