package sim

import (
	"fmt"
	"slices"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/replica"
	"github.com/roostpush/roost/session/route"
	"github.com/roostpush/roost/session/wire"
)

// process is a node from its start to its crash: the production replica and table, and
// a registry of maps that is walked in order, so that a seed repeats.
type process struct {
	*replica.Replica
	w       *world
	id      int
	name    string
	origin  session.Origin
	table   *route.Table
	up      bool
	ending  bool
	started int64
	skewMS  int64
	open    map[uint64]*connection // by address hash
	members map[int]session.Origin // what gossip said
	since   map[int]int64          // when it said so last that it changed
}

// connection is a session, from its opening until the node ends it.
type connection struct {
	device  *device
	at      *process
	version uint64
	opened  int64
	closed  bool
}

func nodeName(id int) string { return fmt.Sprint("n", id) }

// limits are small, so that all of them are reached.
func limits() replica.Config {
	cfg := replica.Default()
	cfg.LogChanges, cfg.RelayedChanges, cfg.EarlyChanges = 256, 64, 256
	cfg.ChunkChanges, cfg.BatchChanges = 16, 16
	cfg.ContestsMax, cfg.AuditStep, cfg.AuditMS = 64, 64, 10_000
	return cfg
}

// start starts a node. Its epoch is above what it persisted, if its disk is still
// there, and above what the peers it reaches report.
func (w *world) start(id int, persisted uint64) {
	var reported []wire.Head
	for _, peer := range w.nodes {
		if peer != nil && peer.up && !w.pair(id, peer.id).cut {
			reported = peer.Heads(reported)
		}
	}
	n := &process{
		w: w, id: id, name: nodeName(id), up: true, started: w.now,
		origin: session.Origin{Node: nodeName(id), Epoch: replica.NextEpoch(persisted, reported, nodeName(id))},
		open:   map[uint64]*connection{}, members: map[int]session.Origin{}, since: map[int]int64{},
	}
	n.skewMS = []int64{0, 0, 40, -2000, 3_600_000, -3_600_000}[w.random.IntN(6)]
	cfg := route.Default()
	cfg.EntriesMax, cfg.OwnEntries, cfg.AuthorsMax = 20_000, 0, 256
	var err error
	if n.table, err = route.New(cfg); err != nil {
		panic(err)
	}
	n.Replica, err = replica.New(limits(), n.origin, replica.Ports{Table: n.table, Sessions: n, Owner: n, Links: n, Outdated: n.outdated, Seed: w.random.Uint64()})
	if err != nil {
		panic(err)
	}
	w.nodes[id] = n
	w.after(w.between(0, 50*ms), n.tick)
}

// boot lets a started node be found.
func (w *world) boot(id int) {
	for other := range w.nodes {
		if other != id {
			w.after(w.between(ms, 200*ms), func() { w.connect(id, other) })
		}
	}
	w.gossipAll()
}

// crash ends a process, and its connections with it. Devices come back later.
func (w *world) crash(id int) {
	n := w.nodes[id]
	n.up = false
	w.total.add(n.Stats())
	for _, address := range n.addresses() {
		c := n.open[address]
		c.closed = true
		c.device.dropped(c, w.between(200*ms, 5*second))
	}
	for other := range w.nodes {
		if other != id {
			w.reset(id, other)
		}
	}
	w.gossipAll()
	if err := n.table.Close(); err != nil {
		panic(err)
	}
}

// outdated starts the node anew: its disk was lost, and so was its newest epoch.
func (n *process) outdated(epoch uint64) {
	if n.up && !n.ending {
		n.ending = true
		n.w.after(0, func() {
			if n.up {
				n.w.crash(n.id)
				n.w.count.outdated++
				n.w.after(300*ms, func() {
					n.w.start(n.id, epoch)
					n.w.boot(n.id)
				})
			}
		})
	}
}

func (n *process) nowMS() int64 { return 1_700_000_000_000 + n.w.now/ms + n.skewMS }

func (n *process) tick() {
	if n.up {
		n.Tick(n.nowMS())
		n.w.after(50*ms, n.tick)
	}
}

func (n *process) receive(from string, message any) {
	if !n.up {
		return
	}
	if err := n.Receive(from, message, n.nowMS()); err != nil {
		n.w.fail("%s refuses a message from %s: %v", n.name, from, err)
	}
}

func (n *process) linked(peer *process) {
	if n.up {
		n.Linked(peer.name, n.nowMS())
	}
}

func (n *process) unlinked(peer *process) {
	if n.up {
		n.Unlinked(peer.name)
	}
}

func (n *process) joined(peer *process) {
	if n.members[peer.id] != peer.origin {
		n.members[peer.id], n.since[peer.id] = peer.origin, n.w.now
	}
	n.Joined(peer.origin, n.nowMS())
}

func (n *process) left(other int) {
	if o := n.members[other]; o.Node != "" {
		delete(n.members, other)
		n.Left(o)
	}
}

// connect opens a session here. One of the same device that is here already is
// displaced within the registry.
func (n *process) connect(d *device) *connection {
	if old := n.open[d.address]; old != nil {
		old.closed = true
	}
	c := &connection{device: d, at: n, opened: n.w.now}
	n.open[d.address] = c
	c.version = n.Opened(d.address, d.account, n.nowMS())
	n.w.trace(d, "opened on %s, version %d", n.name, c.version)
	return c
}

// disconnect ends a session, whoever wants it.
func (n *process) disconnect(c *connection) {
	if !n.up || c.closed {
		return
	}
	c.closed = true
	n.w.trace(c.device, "closed on %s, version %d", n.name, c.version)
	delete(n.open, c.device.address)
	n.Closed(c.device.address, c.device.account, c.version, n.nowMS())
}

func (n *process) addresses() []uint64 {
	var all []uint64
	for address := range n.open {
		all = append(all, address)
	}
	slices.Sort(all)
	return all
}

func (n *process) AppendOpen(dst []wire.Change, cursor uint64, most int) ([]wire.Change, uint64) {
	for _, address := range n.addresses() {
		if address <= cursor {
			continue
		}
		if most == 0 {
			return dst, cursor
		}
		c := n.open[address]
		dst = append(dst, wire.Change{Address: address, Account: c.device.account, Version: c.version})
		cursor, most = address, most-1
	}
	return dst, 0
}

func (n *process) Find(address, account uint64) (session.Address, bool) {
	if c := n.open[address]; c != nil && c.device.account == account {
		return c.device.name, true
	}
	return session.Address{}, false
}

func (n *process) Displace(address, _, version uint64) {
	n.w.after(n.w.between(0, 2*ms), func() {
		if c := n.open[address]; n.up && c != nil && c.version == version {
			n.w.trace(c.device, "displaced on %s, version %d", n.name, version)
			n.disconnect(c)
			c.device.dropped(c, n.w.between(100*ms, 2*second))
		}
	})
}

func (n *process) Reassert(address, account, version uint64) {
	n.w.after(n.w.between(0, 2*ms), func() {
		if c := n.open[address]; n.up && c != nil && c.version == version {
			c.version = n.Opened(address, c.device.account, n.nowMS())
			n.w.trace(c.device, "re-asserted on %s, version %d, now %d", n.name, version, c.version)
		}
	})
}

func (n *process) Send(node string, message any) bool {
	for id := range n.w.nodes {
		if nodeName(id) == node {
			return n.w.send(n, id, message)
		}
	}
	return false
}

func (n *process) Peers(dst []string) []string {
	for id := range n.w.nodes {
		if id != n.id && n.w.pair(n.id, id).up {
			dst = append(dst, nodeName(id))
		}
	}
	return dst
}
