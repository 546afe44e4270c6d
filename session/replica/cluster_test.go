package replica

import (
	"fmt"
	"hash/fnv"
	"slices"
	"sort"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// cluster is some nodes whose links are queues that the test empties.
type cluster struct {
	nowMS  int64
	cfg    Config
	nodes  []*node
	queues map[[2]string][]any
	cut    map[[2]string]bool
	sent   map[string]int // by type
	table  func() accountTable
	fail   func(err error)
}

// node is a replica with a registry of maps. What its Owner is told happens at once.
type node struct {
	*Replica
	c      *cluster
	origin session.Origin
	table  accountTable
	skewMS int64
	open   map[uint64]*device // by address hash
	online []string           // what it was told: node/address, or node/* for a swap
}

// accountTable is a table of which the tests look at the account index too.
type accountTable interface {
	Table
	AppendAccount(dst []Author, account uint64) []Author
}

// accounts counts the nodes that n sends messages for an account to.
func (n *node) accounts(name session.Address) int {
	_, account := hashes(name)
	return len(n.table.AppendAccount(nil, account))
}

type device struct {
	name    session.Address
	account uint64
	version uint64
}

func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64() | 1
}

// hashes of a device; names that begin with "same" have one hash, whoever they are.
func hashes(name session.Address) (address, account uint64) {
	if len(name.Device) >= 4 && name.Device[:4] == "same" {
		return hash("same"), hash(name.Account)
	}
	return hash(name.String()), hash(name.Account)
}

func newCluster(n int, change func(*Config)) *cluster {
	return newClusterOver(n, change, func() accountTable { return newTwin() })
}

func newClusterOver(n int, change func(*Config), table func() accountTable) *cluster {
	cfg := Default()
	if change != nil {
		change(&cfg)
	}
	c := &cluster{
		nowMS: 1_000_000, cfg: cfg, queues: map[[2]string][]any{}, cut: map[[2]string]bool{}, sent: map[string]int{},
		fail:  func(err error) { panic(err) },
		table: table,
	}
	for i := range n {
		c.nodes = append(c.nodes, &node{c: c})
		c.start(i, 1)
	}
	return c
}

// start starts node i with an epoch, empty, and tells everybody.
func (c *cluster) start(i int, epoch uint64) {
	n := c.nodes[i]
	*n = node{c: c, origin: session.Origin{Node: fmt.Sprintf("n%d", i), Epoch: epoch}, table: c.table(), open: map[uint64]*device{}, skewMS: n.skewMS}
	var err error
	n.Replica, err = New(c.cfg, n.origin, Ports{Table: n.table, Sessions: n, Owner: n, Links: n, Seed: uint64(i),
		Online: func(node string, changes []wire.Change) {
			if len(changes) == 0 {
				n.online = append(n.online, node+"/*")
			}
			for _, x := range changes {
				if e, ok := n.table.Lookup(x.Address); !x.Closed && (!ok || e.Version < x.Version) {
					n.online = append(n.online, "too early")
				}
				if !x.Closed {
					n.online = append(n.online, fmt.Sprintf("%s/%x", node, x.Address))
				}
			}
		}})
	if err != nil {
		panic(err)
	}
	for key := range c.queues {
		if key[0] == n.origin.Node || key[1] == n.origin.Node {
			delete(c.queues, key)
		}
	}
	for _, other := range c.nodes {
		if other.Replica != nil && other != n {
			other.Unlinked(n.origin.Node)
			other.Joined(n.origin, other.now())
			n.Joined(other.origin, n.now())
			other.Linked(n.origin.Node, other.now())
			n.Linked(other.origin.Node, n.now())
		}
	}
}

func (n *node) now() int64 { return n.c.nowMS + n.skewMS }

func (n *node) Send(to string, message any) bool {
	key := [2]string{n.origin.Node, to}
	if n.c.node(to) == nil || n.c.cut[key] {
		return false
	}
	n.c.sent[fmt.Sprintf("%T", message)]++
	n.c.queues[key] = append(n.c.queues[key], clone(message))
	return true
}

func (n *node) Peers(dst []string) []string {
	for _, other := range n.c.nodes {
		if other != n && other.Replica != nil && !n.c.cut[[2]string{n.origin.Node, other.origin.Node}] {
			dst = append(dst, other.origin.Node)
		}
	}
	return dst
}

// clone copies a message that was borrowed.
func clone(message any) any {
	switch m := message.(type) {
	case *wire.Delta:
		return &wire.Delta{Author: m.Author, First: m.First, Changes: slices.Clone(m.Changes)}
	case *wire.SnapshotChunk:
		x := *m
		x.Changes = slices.Clone(m.Changes)
		return &x
	case *wire.Heads:
		return &wire.Heads{Answer: m.Answer, SentMS: m.SentMS, Heads: slices.Clone(m.Heads)}
	case *wire.LogRequest:
		x := *m
		return &x
	case *wire.Question:
		x := *m
		return &x
	case *wire.Answer:
		x := *m
		return &x
	}
	panic(fmt.Sprintf("a %T", message))
}

func (c *cluster) node(name string) *node {
	for _, n := range c.nodes {
		if n.origin.Node == name && n.Replica != nil {
			return n
		}
	}
	return nil
}

// connect opens a session of a device on a node.
func (n *node) connect(name session.Address) *device {
	address, account := hashes(name)
	d := &device{name: name, account: account}
	n.open[address] = d
	d.version = n.Opened(address, account, n.now())
	return d
}

func (n *node) disconnect(name session.Address) {
	address, _ := hashes(name)
	if d := n.open[address]; d != nil {
		n.end(address, d)
	}
}

func (n *node) end(address uint64, d *device) {
	delete(n.open, address)
	n.Closed(address, d.account, d.version, n.now())
}

func (n *node) AppendOpen(dst []wire.Change, cursor uint64, max int) ([]wire.Change, uint64) {
	var keys []uint64
	for address := range n.open {
		if address > cursor {
			keys = append(keys, address)
		}
	}
	slices.Sort(keys)
	for _, address := range keys[:min(max, len(keys))] {
		d := n.open[address]
		dst = append(dst, wire.Change{Address: address, Account: d.account, Version: d.version})
	}
	if max >= len(keys) {
		return dst, 0
	}
	return dst, keys[max-1]
}

func (n *node) Find(address, account uint64) (session.Address, bool) {
	if d := n.open[address]; d != nil && d.account == account {
		return d.name, true
	}
	return session.Address{}, false
}

func (n *node) Displace(address, account, version uint64) {
	if d := n.open[address]; d != nil && d.version == version {
		n.end(address, d)
	}
}

func (n *node) Reassert(address, account, version uint64) {
	if d := n.open[address]; d != nil && d.version == version {
		d.version = n.Opened(address, d.account, n.now())
	}
}

// links returns the pairs that have something on the way, in an order that is always
// the same.
func (c *cluster) links() [][2]string {
	var keys [][2]string
	for key, queue := range c.queues {
		if len(queue) > 0 {
			keys = append(keys, key)
		}
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i][0]+"/"+keys[i][1] < keys[j][0]+"/"+keys[j][1] })
	return keys
}

// deliver gives the oldest message of a link to its receiver.
func (c *cluster) deliver(key [2]string) {
	queue := c.queues[key]
	c.queues[key] = queue[1:]
	if n := c.node(key[1]); n != nil {
		if err := n.Receive(key[0], queue[0], n.now()); err != nil {
			c.fail(err)
		}
	}
}

// lose resets a link: what was on the way is lost.
func (c *cluster) lose(a, b string) {
	delete(c.queues, [2]string{a, b})
	delete(c.queues, [2]string{b, a})
	for _, x := range [][2]string{{a, b}, {b, a}} {
		if n := c.node(x[0]); n != nil {
			n.Unlinked(x[1])
		}
	}
	for _, x := range [][2]string{{a, b}, {b, a}} {
		if n := c.node(x[0]); n != nil && !c.cut[x] {
			n.Linked(x[1], n.now())
		}
	}
}

// flow delivers everything that is on the way and what follows from it.
func (c *cluster) flow() {
	for {
		keys := c.links()
		if len(keys) == 0 {
			return
		}
		for _, key := range keys {
			c.deliver(key)
		}
	}
}

func (c *cluster) tick(ms int64) {
	c.nowMS += ms
	for _, n := range c.nodes {
		if n.Replica != nil {
			n.Tick(n.now())
		}
	}
}

// quiet lets a time pass in which everything arrives.
func (c *cluster) quiet(ms int64) {
	for range ms / 50 {
		c.flow()
		c.tick(50)
	}
	c.flow()
}

// differences names what a table says that the registries do not.
func (c *cluster) differences(names []session.Address) (out []string) {
	for _, name := range names {
		address, _ := hashes(name)
		var holder string
		var version uint64
		holders := 0
		for _, n := range c.nodes {
			if d := n.open[address]; d != nil && n.Replica != nil {
				holders++
				holder, version = n.origin.Node, d.version
			}
		}
		if holders > 1 {
			out = append(out, fmt.Sprintf("%s is on %d nodes", name, holders))
			continue
		}
		for _, n := range c.nodes {
			if n.Replica == nil {
				continue
			}
			e, ok := n.table.Lookup(address)
			o, _ := n.Origin(e.Author)
			switch {
			case holders == 0 && ok && !e.Closed:
				out = append(out, fmt.Sprintf("%s is nowhere, %s says %v", name, n.origin.Node, o))
			case holders == 1 && (!ok || e.Closed || o.Node != holder || e.Version != version):
				out = append(out, fmt.Sprintf("%s is on %s (%d), %s says %v %+v", name, holder, version, n.origin.Node, o, e))
			}
		}
	}
	return out
}
