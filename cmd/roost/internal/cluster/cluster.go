package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/gossip"
	"github.com/roostpush/roost/session/mailbox"
	"github.com/roostpush/roost/session/peer"
	"github.com/roostpush/roost/session/records"
	"github.com/roostpush/roost/session/replica"
	"github.com/roostpush/roost/session/route"
	"github.com/roostpush/roost/session/topics"
	"github.com/roostpush/roost/session/trace"
	"github.com/roostpush/roost/session/wire"
	"github.com/roostpush/roost/store"
)

// Settings are the configurations of what the cluster is made of.
type Settings struct {
	Key     route.Key
	Gossip  gossip.Config
	Peer    peer.Config
	Route   route.Config
	Replica replica.Config
	Keeping records.Config
	Listing Listing

	DevicesMax int // devices of an account that a list has (api.http.devices_max)

	Now             func() time.Time // the node's clock, which may be set
	SteadyMS        func() int64     // the clock of Router.Tick, which is never set, milliseconds
	TopicAskTimeout time.Duration    // topics.Config's
	TopicAge        time.Duration    // its window.age

	Processor bool // this node takes records from queues only: no devices, nobody's home

	Tracer *trace.Ring // nil: nothing is remembered of messages

	Advertise Addresses // what the others are told instead of the listeners' addresses
}

// Sockets closes connections; netpoll's Reactor is one.
type Sockets interface {
	Close(id netpoll.ConnID, code uint16, reason string)
}

// Node is what the cluster needs of this node once that is put together.
type Node struct {
	Router   *deliver.Router
	Sockets  Sockets
	Store    *store.Store
	Topics   *topics.Broker
	Presence Watching // nil: nobody watches
}

// Cluster is the other nodes, as this one knows them. Any goroutine may call any method
// but New, Attach, Start and Close, which are the owner's.
type Cluster struct {
	settings Settings
	self     session.Origin
	log      *slog.Logger

	startedMS int64 // by settings.SteadyMS

	node Node

	table         *route.Table
	replica       *replica.Replica
	sessions      *session.Registry
	pool          *peer.Pool
	gossip        *gossip.Gossip
	homes         *homes
	moving        sync.Mutex // held from a change of members until everybody concerned knows
	keeper        *records.Keeper
	mail          *mailbox.Homes // set once, before Attach
	missedTimeout time.Duration  // as mail
	leaveTimeout  time.Duration  // the same
	keyTimeout    time.Duration  // the same
	handing       handing
	auditor       *records.Auditor
	ready         chan struct{} // closed once gossip is there
	filled        atomic.Bool   // the table has, or had, the sessions of all members that were found at the start

	telling  telling
	push     push
	asked    asked
	doubted  doubted
	lists    lists
	answers  chan struct{} // a token for each question that reads the store
	replies  sync.Pool     // of *reply
	buffers  sync.Pool     // of *[]byte
	overtook chan string
	crowded  bool // that the table is full was logged; of the ticking goroutine
	running  sync.WaitGroup
	ended    chan struct{}
}

// answersMax bounds the questions of other nodes that read the store at one time.
const answersMax = 64

// Epoch asks the other nodes which epochs of this one they remember, and whether it is
// running already. The node's epoch must be above what it returns.
func Epoch(ctx context.Context, s gossip.Config, node string, log *slog.Logger) (uint64, error) {
	found, err := gossip.Inquire(ctx, s, node, log)
	return found.Epoch, err
}

// New makes the table, the node's own log and its registry; nothing is sent yet.
func New(s Settings, self session.Origin, log *slog.Logger) (c *Cluster, err error) {
	c = &Cluster{
		settings: s, self: self, log: log,
		ready: make(chan struct{}), ended: make(chan struct{}), overtook: make(chan string, 1),
		answers: make(chan struct{}, answersMax), asked: asked{replies: map[askedKey]peer.AnswerReply{}},
	}
	c.startedMS = s.SteadyMS()
	c.telling.init()
	c.handing.wake = make(chan struct{}, 1)
	c.auditor = c.newAuditor()
	c.homes = newHomes(s.Key, self.Node, s.Processor)
	c.homes.formers.keepMS = max(s.TopicAge, s.Keeping.AbsentFor).Milliseconds()
	c.lists.init(s.Listing)
	c.keeper = records.New(s.Keeping, records.Ports{
		Self: self, Home: c.homes.of, Due: c.handing.due,
		// The pool is there before anything is linked, so before anything can be sent.
		Send: func(node string, t wire.LinkType, body []byte) bool { return c.pool.Control(node, t, body) },
	})
	c.replies.New = func() any { return new(reply) }
	c.buffers.New = func() any { return new([]byte) }
	if c.table, err = route.New(s.Route); err != nil {
		return nil, err
	}
	c.sessions = session.NewAnnouncedRegistry(s.Key.Address, c)
	c.replica, err = replica.New(s.Replica, self, replica.Ports{
		Table: c.table, Sessions: registry{c}, Owner: registry{c}, Links: links{c}, Online: c.changed,
		Outdated: func(epoch uint64) {
			c.overtaken(fmt.Sprintf("a peer knows epoch %d of this node, which runs with %d", epoch, self.Epoch))
		},
		Skewed: c.skewed,
		Seed:   uint64(time.Now().UnixNano()),
	})
	if err != nil {
		return nil, errors.Join(err, c.table.Close())
	}
	c.pool, err = peer.New(s.Peer, peer.Identity{
		Cluster: s.Gossip.Cluster, Node: self.Node, Epoch: self.Epoch, KeyFingerprint: s.Key.Fingerprint(),
	}, peer.Handlers{Messages: incoming{c}, Log: incoming{c}, Questions: incoming{c}, Keeps: incoming{c}, Mails: incoming{c}, Interests: incoming{c}, Topics: incoming{c}, Links: incoming{c}}, log)
	if err != nil {
		return nil, errors.Join(err, c.table.Close())
	}
	c.telling.send = c.pool.Control
	return c, nil
}

// Sessions returns the node's registry, whose sessions the cluster is told of.
func (c *Cluster) Sessions() *session.Registry { return c.sessions }

// Attach gives the cluster the rest of the node. It comes before Start.
func (c *Cluster) Attach(n Node) {
	c.node = n
	c.keeper.Attach(n.Store)
	n.Topics.AttachHeirs(c.self, topicHomes{c})
}

// Journal takes what happens to this node's sessions to the homes of their accounts; own is
// this node's store.
func (c *Cluster) Journal(own *store.Store) records.Journal {
	return records.Journal{Own: own, Keeper: c.keeper}
}

// Start opens the listeners for links and gossip and looks for other nodes. internal and
// public are the addresses of those listeners, public empty if there is none. It fails when others could not dial this
// node.
func (c *Cluster) Start(ctx context.Context, internal, public string) (err error) {
	addr, err := c.pool.Listen()
	if err != nil {
		return err
	}
	host, err := c.settings.Gossip.Host()
	if err != nil {
		return err
	}
	told, err := advertised(host, Addresses{Public: public, Internal: internal, Links: addr.String()}, c.settings.Advertise)
	if err != nil {
		return err
	}
	g, err := gossip.Start(ctx, c.settings.Gossip, gossip.Member{
		Node: c.self.Node, Epoch: c.self.Epoch,
		PeerAddr: told.Links, InternalAddr: told.Internal, PublicAddr: told.Public, Processor: c.settings.Processor,
	}, members{c}, c.log)
	if err != nil {
		return err
	}
	c.gossip = g
	close(c.ready)
	c.running.Go(c.tick)
	c.running.Go(c.seek)
	c.running.Go(c.watch)
	c.running.Go(c.handOver)
	c.running.Go(func() { c.auditor.Run(c.ended) })
	c.running.Go(c.tell)
	c.log.Info("cluster", "name", c.settings.Gossip.Cluster, "links", told.Links, "gossip", c.gossip.Self().GossipAddr, "public", told.Public, "internal", told.Internal)
	return nil
}

// GossipAddr is where other nodes find this one; empty before Start.
func (c *Cluster) GossipAddr() string {
	if !c.isStarted() {
		return ""
	}
	return c.gossip.Self().GossipAddr
}

// Overtaken receives a sentence when another process is this node now: then it must end.
func (c *Cluster) Overtaken() <-chan string { return c.overtook }

func (c *Cluster) overtaken(why string) {
	select {
	case c.overtook <- why:
	default:
	}
}

func (c *Cluster) watch() {
	select {
	case o := <-c.gossip.Overtaken():
		c.overtaken(fmt.Sprintf("another process is node %s: epoch %d, at %s", c.self.Node, o.Epoch, o.By))
	case <-c.ended:
	}
}

// Drain tells the others that this node sees its devices out.
func (c *Cluster) Drain() {
	if !c.isStarted() {
		return
	}
	c.homes.leave(c.settings.SteadyMS())
	c.handing.due()
	c.mail.Leave()
	c.node.Topics.Leave()
	if err := c.gossip.SetState(gossip.Draining); err != nil {
		c.log.Debug("drain was not told to everybody", "error", err)
	}
}

// Close leaves the cluster, so that nobody takes it for a failure.
func (c *Cluster) Close() {
	if c.isStarted() {
		c.waitForHomes()
		ctx, cancel := context.WithTimeout(context.Background(), c.settings.Gossip.LeaveTimeout)
		if err := c.gossip.Leave(ctx); err != nil {
			c.log.Debug("leaving was not told to everybody", "error", err)
		}
		cancel()
	}
	close(c.ended)
	c.pool.Close() // nobody asks or answers any more
	c.running.Wait()
	if c.isStarted() {
		c.gossip.Close()
	}
	if err := c.table.Close(); err != nil {
		c.log.Error("table", "error", err)
	}
}

// waitForHomes gives the homes of this node's last sessions time to answer. What they do
// not keep by then this node keeps.
func (c *Cluster) waitForHomes() {
	for end := time.Now().Add(c.settings.Gossip.LeaveTimeout); c.keeper.Queued() > 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}

// tickEvery is the step of the logs, at most replica.batch_ms, and how long facts are
// collected for one frame.
const tickEvery = 25 * time.Millisecond

func (c *Cluster) tick() {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	resyncs := uint64(0)
	for {
		select {
		case <-c.ended:
			return
		case <-t.C:
			c.replica.Tick(c.nowMS())
			c.watchRoom()
			c.mail.Tick(c.settings.SteadyMS())
			c.keeper.Tick(c.handing.pending(), c.settings.SteadyMS())
			if n := c.node.Store.Resyncs(); n != resyncs {
				resyncs = n
				c.handing.due()
			}
		}
	}
}

// seekEvery is the time between two looks for devices that are on their way.
const seekEvery = 10 * time.Millisecond

func (c *Cluster) seek() {
	for {
		select {
		case <-c.ended:
			return
		case <-c.node.Router.Sought():
		}
		for c.node.Router.LookAgain(c.settings.SteadyMS()) > 0 && c.waitFor(seekEvery, nil) {
		}
	}
}

// nowMS is the node's clock, which may be anything: versions go by it.
func (c *Cluster) nowMS() int64 { return c.settings.Now().UnixMilli() }

// Ready says whether the cluster has something against this node's taking traffic.
func (c *Cluster) Ready() (ok bool, why string) {
	select {
	case <-c.ready:
	default:
		return false, "the cluster is being joined"
	}
	if !c.isFilled() {
		return false, fmt.Sprintf("the table lacks the sessions of %d nodes", c.replica.Lacking())
	}
	return c.gossip.Ready()
}

// isFilled says that the table of this process was whole once. A node that joins later
// brings its sessions within moments, and is no reason to send traffic elsewhere.
func (c *Cluster) isFilled() bool {
	if c.filled.Load() {
		return true
	}
	if !c.isStarted() || !c.gossip.IsTold() || c.replica.Lacking() > 0 {
		return false
	}
	c.filled.Store(true)
	return true
}
