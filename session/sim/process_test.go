package sim

import (
	"fmt"
	"slices"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/home"
	"github.com/roostpush/roost/session/replica"
	"github.com/roostpush/roost/session/route"
	"github.com/roostpush/roost/session/wire"
)

// process is a node from its start to its crash: the production registry, replica, table,
// router and homes, put together in cluster_test.go as cmd/roost does it.
type process struct {
	w       *world
	id      int
	name    string
	origin  session.Origin
	up      bool
	ending  bool
	doomed  bool // to be killed at the next settlement of a message
	leaving bool // nobody's home, and about to go
	started int64
	skewMS  int64
	setAt   int64 // when its clock was set last; that of its start counts

	table    *route.Table
	replica  *replica.Replica
	sessions *session.Registry
	router   *deliver.Router
	homes    *home.Members
	active   []string // the names of those
	keeping  *keeping

	connections map[netpoll.ConnID]*connection
	flights     []*flight
	spare       []*deliver.Delivery
	seeking     bool

	members map[int]session.Origin // what gossip said
	drains  map[int]bool           // of those the ones that leave
	since   map[int]int64          // when it said so last that it changed
}

func nodeName(id int) string { return fmt.Sprint("n", id) }

func nodeNumber(name string) int { return int(name[1] - '0') }

// limits are small, so that all of them are reached.
func limits() (replica.Config, deliver.Config) {
	r := replica.Default()
	r.LogChanges, r.RelayedChanges, r.EarlyChanges = 256, 64, 256
	r.ChunkChanges, r.BatchChanges = 16, 16
	r.ContestsMax, r.AuditStep, r.AuditMS = 64, 64, 10_000
	d := deliver.Default()
	d.SeekingMax, d.TakenMax, d.AcksMax, d.InFlightMax, d.PacedMax = 16, 64, 150, 16, 40
	return r, d
}

// start starts a node. Its epoch is above what it persisted, if its disk is still
// there, and above what the peers it reaches report.
func (w *world) start(id int, persisted uint64) {
	var reported []wire.Head
	for _, peer := range w.nodes {
		if peer != nil && peer.up && !w.pair(id, peer.id).cut {
			reported = peer.replica.Heads(reported)
		}
	}
	n := &process{
		w: w, id: id, name: nodeName(id), up: true, started: w.now,
		origin:      session.Origin{Node: nodeName(id), Epoch: replica.NextEpoch(persisted, reported, nodeName(id))},
		connections: map[netpoll.ConnID]*connection{}, members: map[int]session.Origin{}, drains: map[int]bool{}, since: map[int]int64{},
	}
	n.setClock()
	cfg := route.Default()
	cfg.EntriesMax, cfg.OwnEntries, cfg.AuthorsMax = 20_000, 0, 256
	var err error
	if n.table, err = route.New(cfg); err != nil {
		panic(err)
	}
	n.sessions = session.NewAnnouncedRegistry(w.hash, n)
	ofReplica, ofDelivery := limits()
	n.replica, err = replica.New(ofReplica, n.origin, replica.Ports{
		Table: n.table, Sessions: registry{n}, Owner: registry{n}, Links: links{n}, Online: n.changed, Outdated: n.outdated, Seed: w.random.Uint64(),
	})
	if err != nil {
		panic(err)
	}
	n.router = deliver.NewRouter(ofDelivery, n.origin, n.sessions, sockets{n}, n)
	n.house()
	if n.keep(w.disks[id]); w.nodes[id] != nil {
		n.keeping.knew = w.nodes[id].keeping.knew // as the seeds in its configuration
	}
	w.nodes[id] = n
	w.after(w.between(0, 50*ms), n.tick)
	w.after(w.between(0, second), n.tickRouter)
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

// crash ends a process, and its connections with it. Devices come back later. Whoever
// waits for outcomes here sees its own connection end.
func (w *world) crash(id int) {
	n := w.nodes[id]
	n.up = false
	w.retire(n)
	w.crashMail(n.keeping)
	for _, d := range w.devices { // in an order that repeats
		for _, c := range d.all {
			if c.at == n && !c.closed {
				c.closed = true
				d.dropped(c, w.between(200*ms, 5*second))
			}
		}
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

// nowMS is the node's clock, which may be set at any moment, steadyMS the one that is not.
func (n *process) nowMS() int64    { return 1_700_000_000_000 + n.w.now/ms + n.skewMS }
func (n *process) steadyMS() int64 { return n.w.now / ms }

// setClock sets the node's clock to at most an hour from the truth, either way.
func (n *process) setClock() {
	n.skewMS, n.setAt = []int64{0, 0, 40, -2000, 3_600_000, -3_600_000}[n.w.random.IntN(6)], n.w.now
}

func (n *process) tick() {
	if n.up {
		n.replica.Tick(n.nowMS())
		n.w.after(50*ms, n.tick)
	}
}

func (n *process) tickRouter() {
	if n.up {
		n.router.Tick(n.steadyMS())
		n.wake()
		n.w.after(second, n.tickRouter)
	}
}

// wake does what the cluster's goroutine does that looks for devices on their way. It
// follows everything that the router is told.
func (n *process) wake() {
	if n.seeking {
		return
	}
	select {
	case <-n.router.Sought():
		n.seeking = true
		n.w.count.waits++
		n.seek()
	default:
	}
}

func (n *process) seek() {
	if !n.up {
		return
	}
	if n.router.LookAgain(n.steadyMS()) > 0 {
		n.w.after(10*ms, n.seek)
		return
	}
	n.seeking = false
	n.wake()
}

func (n *process) joined(peer *process) {
	if n.members[peer.id] != peer.origin {
		n.members[peer.id], n.since[peer.id] = peer.origin, n.w.now
	}
	n.keeping.knew[peer.name] = true
	n.drains[peer.id] = peer.leaving
	n.house()
	n.replica.Joined(peer.origin, n.nowMS())
}

func (n *process) left(other int) {
	if o := n.members[other]; o.Node != "" {
		delete(n.members, other)
		n.house()
		n.replica.Left(o)
	}
}

// house finds the homes anew, among the members that this node believes in.
func (n *process) house() {
	var names []string
	for id, o := range n.members {
		if !n.drains[id] {
			names = append(names, o.Node)
		}
	}
	if !n.leaving || len(names) == 0 {
		names = append(names, n.name)
	}
	now, err := home.New(names)
	if err != nil {
		panic(err)
	}
	slices.Sort(names)
	if slices.Equal(names, n.active) {
		return
	}
	if n.homes, n.active = now, names; n.keeping != nil {
		n.keeping.homes.HomesMoved()
	}
}
