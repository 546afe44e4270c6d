package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/cmd/roost/internal/cluster"
	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/netpoll"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/api"
	"github.com/roostpush/roost/session/auth"
	"github.com/roostpush/roost/session/deliver"
	"github.com/roostpush/roost/session/mailbox"
	"github.com/roostpush/roost/session/mailbox/redis"
	"github.com/roostpush/roost/session/presence"
	"github.com/roostpush/roost/session/processor"
	"github.com/roostpush/roost/session/protocol"
	"github.com/roostpush/roost/session/relay"
	"github.com/roostpush/roost/session/topics"
	"github.com/roostpush/roost/session/trace"
	"github.com/roostpush/roost/session/trace/otlp"
	"github.com/roostpush/roost/store"
)

// node is everyone, introduced to each other. It holds no logic of its own.
type node struct {
	cfg      config.Config
	log      *slog.Logger
	origin   session.Origin
	store    *store.Store
	redis    *redis.Store     // nil: messages are kept in the store
	cluster  *cluster.Cluster // nil: there are no others
	sessions *session.Registry
	verifier *auth.Verifier
	gate     *protocol.Gate
	reactor  *netpoll.Reactor
	router   *deliver.Router
	mailbox  *mailbox.Mailbox
	homes    *mailbox.Homes // nil: there are no other nodes
	relay    *relay.Relay[*deliver.Delivery]
	topics   *topics.Broker
	presence *presence.Presence
	trace    *trace.Ring    // nil: off
	exporter *otlp.Exporter // nil: nothing is exported
	aheadUS  atomic.Int64   // of the time since began, the node's clock; see wallUS
	api      *api.Server
	running  sync.WaitGroup
	ended    chan struct{}

	queuesEnded chan struct{}    // the sources have stopped
	now         func() time.Time // may be set, by whoever sets the host's
	began       time.Time

	processor *processor.Processor
	pusher    *recordPusher
	sources   *sources
}

// steadyMS is a clock for how long something takes: nobody sets it.
func (n *node) steadyMS() int64 { return time.Since(n.began).Milliseconds() + 1 }

// wallUS is the node's clock for what happens with every message, in Unix microseconds. To
// ask for how long something takes costs half of what the time of day does, and an event
// costs little more.
func (n *node) wallUS() int64 { return n.aheadUS.Load() + time.Since(n.began).Microseconds() }

// setWallUS follows a clock that was set. Call it about once a second.
func (n *node) setWallUS() {
	n.aheadUS.Store(n.now().UnixMicro() - time.Since(n.began).Microseconds())
}

// newNode opens the store and makes the parts; nothing listens yet. now is the node's
// clock, which other nodes' need not agree with.
func newNode(ctx context.Context, cfg config.Config, log *slog.Logger, now func() time.Time) (n *node, err error) {
	host, err := os.Hostname()
	if err != nil && cfg.Node == "" {
		return nil, fmt.Errorf("the host has no name: set node: %w", err)
	}
	n = &node{cfg: cfg, log: log, ended: make(chan struct{}), queuesEnded: make(chan struct{}), now: now, began: time.Now()}
	n.origin.Node = cfg.NodeID(host)
	if err = n.openStores(ctx); err != nil {
		return nil, err
	}
	n.setWallUS()
	n.trace = trace.New(cfg.Trace, n.wallUS)
	n.newExporter()
	if err = n.newCluster(); err != nil {
		n.closeStores()
		return nil, err
	}
	n.sessions.BeginVersions(n.store.VersionsAbove())
	n.store.ResyncWith(liveSessions{n.sessions})
	if n.verifier, err = auth.New(cfg.Auth, log, now); err != nil {
		n.leaveCluster()
		n.closeStores()
		return nil, err
	}
	if err = n.connect(); err != nil {
		n.verifier.Close()
		n.leaveCluster()
		n.closeStores()
		return nil, err
	}
	return n, nil
}

// newCluster makes what the node knows of others, if there may be any, and the registry.
func (n *node) newCluster() (err error) {
	if !n.cfg.Cluster.Enabled {
		n.sessions = session.NewRegistry()
		return nil
	}
	key, err := n.cfg.Cluster.Key()
	if err != nil {
		return fmt.Errorf("cluster.%w", err)
	}
	n.cluster, err = cluster.New(cluster.Settings{
		Key: key, Gossip: n.cfg.Gossip, Peer: n.cfg.Peer, Route: n.cfg.Route, Replica: n.cfg.Replica,
		Processor: n.cfg.Deviceless,
		Now:       n.now, SteadyMS: n.steadyMS, Advertise: cluster.Addresses(n.cfg.Advertise),
		Keeping: n.cfg.Cluster.Keep, Listing: cluster.Listing(n.cfg.Cluster.Lists),
		DevicesMax: n.cfg.API.HTTP.DevicesMax,
		Tracer:     n.trace, TopicAskTimeout: n.cfg.Topics.AskTimeout, TopicAge: n.cfg.Topics.Window.Age,
	}, n.origin, n.log)
	if err == nil {
		n.sessions = n.cluster.Sessions()
	}
	return err
}

func (n *node) leaveCluster() {
	if n.cluster != nil {
		n.cluster.Close()
	}
}

// connect makes the reactor and what stands on it. Gate and relay are behind the
// reactor's handler and in front of its Send: they get it once it exists.
func (n *node) connect() (err error) {
	sockets := &lateSockets{}
	var journal protocol.Journal = n.store
	var others deliver.Cluster // an interface that holds a nil pointer would not be nil
	if n.cluster != nil {
		others = n.cluster
		journal = n.cluster.Journal(n.store)
	}
	sending := n.cfg.Deliver
	sending.InFlightMax = min(sending.InFlightMax*n.cfg.Netpoll.EventLoops(), sending.FanOutMax)
	n.router = deliver.NewRouter(sending, n.origin, n.sessions, sockets, others)
	if n.trace != nil { // an interface that holds a nil pointer would not be nil
		n.router.AttachTracer(n.trace)
	}
	n.newProcessor()
	n.newMailbox()
	n.pusher.keeping = processor.NewKeeping(queued{n.keeper()})
	if n.sources, err = newSources(n.cfg, n.processor, n.log); err != nil {
		return err
	}
	var homes topics.Others
	if n.cluster != nil {
		homes = n.cluster.TopicHomes()
	}
	n.topics = topics.New(n.cfg.Topics, n.cfg.Auth.Mode == auth.ModeNone, sockets, homes)
	n.router.AttachTopics(n.topics)
	n.relay = relay.New(n.cfg.Relay, n.router, relayed{n.keeper()}, sockets, func() *deliver.Delivery { return new(deliver.Delivery) })
	n.presence = n.newPresence(sockets)
	n.gate = protocol.NewGate(n.cfg.Protocol, protocol.Parts{
		Origin: n.origin, Registry: n.sessions, Verifier: n.verifier, AuthNone: n.cfg.Auth.Mode == auth.ModeNone,
		Journal: watchedJournal{journal, n.presence, n.keeper()}, Acks: n.router, Pings: n.router, Mail: n.keeper(), Resume: streams{n.keeper()}, Elsewhere: n.elsewhere(), Relay: n.relay,
		Directory: n.directory(), Topics: n.topics, Presence: n.presence,
		Refusals: n.refusals, Now: n.now, Log: n.log,
		PingMS: n.cfg.Netpoll.PingInterval.Milliseconds(), MaxPayload: n.cfg.Relay.PayloadBytesMax,
	})
	if n.reactor, err = netpoll.New(n.cfg.Netpoll, n.gate, n.log); err != nil {
		n.gate.Close()
		return err
	}
	sockets.Reactor = n.reactor
	n.gate.Attach(n.reactor)
	self := api.Node{
		Origin: n.origin, Sessions: n.sessions, Pusher: n.router, Records: n.store, Sockets: n.reactor,
		Keeper: n.keeper(), Presence: n.onlines(),
		Tracer: n.trace, Ready: n.reasons, Log: n.log, Version: version(),
	}
	if n.cluster != nil {
		n.cluster.Attach(cluster.Node{Router: n.router, Sockets: n.reactor, Store: n.store, Topics: n.topics, Presence: n.presence})
		self.Cluster, self.Traces = n.cluster, n.cluster
	}
	n.api, err = api.New(n.cfg.API, self)
	if err != nil {
		n.gate.Close()
		return err
	}
	n.api.Register(n.metrics)
	return nil
}

// directory lists an account's devices for devices.
func (n *node) directory() protocol.Directory {
	own := protocol.NodeDirectory{Registry: n.sessions, Records: n.store}
	if n.cluster == nil {
		return own
	}
	return cluster.Directory{Own: own, Others: n.cluster}
}

// addressees lists an account's devices for messages that are kept for all of them.
func (n *node) addressees() protocol.Directory {
	if d, ok := n.directory().(cluster.Directory); ok {
		return cluster.Addressees{Directory: d}
	}
	return n.directory()
}

// lateSockets is the reactor for those who are made before it.
type lateSockets struct{ *netpoll.Reactor }

// liveSessions tells the store who is connected when it has to catch up.
type liveSessions struct{ sessions *session.Registry }

// Each calls emit for every open session.
func (l liveSessions) Each(emit func(*session.Session)) {
	var batch []*session.Session
	for shard := range l.sessions.Shards() {
		batch = l.sessions.AppendAll(batch[:0], shard)
		for _, s := range batch {
			emit(s)
		}
	}
}

// Number returns the number of an address's session.
func (l liveSessions) Number(a session.Address) (uint64, bool) {
	if s := l.sessions.Lookup(a.Account, a.Device); s != nil {
		return s.Number, true
	}
	return 0, false
}

// reasons are why the node may not take traffic now; each is a word for machines and a
// sentence for people.
func (n *node) reasons() []api.Reason {
	var list []api.Reason
	if n.gate.Draining() {
		list = append(list, api.Reason{Code: "draining", Detail: "the node is leaving"})
	}
	if held, most := n.reactor.Connections(), n.reactor.ConnectionsMax(); held >= most {
		list = append(list, api.Reason{Code: "full", Detail: fmt.Sprintf("%d of %d connections are held", held, most)})
	}
	if n.cluster != nil {
		if ok, why := n.cluster.Ready(); !ok {
			list = append(list, api.Reason{Code: "cluster", Detail: why})
		}
	}
	if err := n.store.Health(); err != nil {
		list = append(list, api.Reason{Code: "store", Detail: err.Error()})
	}
	if n.redis != nil {
		if err := n.mailHealth(); err != nil {
			list = append(list, api.Reason{Code: "mailbox_store", Detail: err.Error()})
		}
	}
	return list
}

// refusals are the same reasons as lines of text, for the public listener.
func (n *node) refusals() []string {
	var lines []string
	for _, r := range n.reasons() {
		lines = append(lines, r.Code)
	}
	return lines
}

// hint prints what a person may paste into another terminal.
func hint(w io.Writer, public, internal string) {
	bin, err := os.Executable()
	if err != nil {
		bin = "roost"
	}
	fmt.Fprintf(w, `
Paste this into another terminal: it connects a device, pushes a message to it and shows both ends.

  %[1]s connect alice/phone --url ws://%[2]s/ws --count 1 & sleep 1; %[1]s push alice/phone '{"hello":"world"}' --wait acked --api http://%[3]s; wait

`, bin, public, internal)
}
