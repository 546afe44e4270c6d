package gossip

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Gossip is this node's membership of the cluster, from Start to Close. Its methods may
// be called from any goroutine; none but those that take a context waits for anybody.
type Gossip struct {
	cfg    Config
	log    *slog.Logger
	count  *counters
	repeat *repeats

	keys      *keys
	transport *transport
	roster    *roster
	list      *memberlist.Memberlist
	seen      *addresses
	hints     chan struct{} // a token for each that is being followed

	announcing sync.Mutex // one SetState or Leave at a time
	gate       sync.Mutex // nothing is begun by others once stop was called
	stopping   context.Context
	stop       context.CancelFunc
	running    sync.WaitGroup
	closing    sync.Once
}

// Start makes this node a member. It binds the port, asks every discovery address once,
// announces the node to those that answer, and from then on calls events.
//
// With nobody to be found the node is the first of its cluster and Start succeeds: it
// looks for others as long as it runs. It fails with a *TakenError when another process
// answers under this id, with a *StaleError when peers know an epoch of this node that
// is not below self.Epoch, and with a *RefusedError when all that answered refused it.
func Start(ctx context.Context, cfg Config, self Member, events Events, log *slog.Logger) (*Gossip, error) {
	return start(ctx, cfg, self, events, log, func(*transport) {})
}

// start is Start with a hand on what the transport goes out through, for tests.
func start(ctx context.Context, cfg Config, self Member, events Events, log *slog.Logger, tune func(*transport)) (*Gossip, error) {
	if err := errors.Join(cfg.Validate(), self.check()); err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	g := &Gossip{
		cfg: cfg, log: log, count: &counters{}, repeat: &repeats{every: cfg.LogEvery},
		hints: make(chan struct{}, cfg.HintsMax),
	}
	var err error
	if g.keys, err = newKeys(cfg, log, g.count); err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	g.transport = newTransport(cfg, log, g.count, g.repeat)
	if err := g.transport.listen(); err != nil {
		_ = g.transport.Shutdown()
		return nil, err
	}
	tune(g.transport)
	self.GossipAddr = g.transport.advertise.String()
	g.roster = newRoster(self, cfg.MembersMax, g.count)
	g.seen = newAddresses(cfg, self.GossipAddr)
	g.transport.hello = &greeter{
		cluster: cfg.Cluster, self: self.Origin(), addr: self.GossipAddr, ring: g.keys.ring,
		knows: g.roster, log: log, count: g.count, repeat: g.repeat,
	}
	g.transport.run()
	g.stopping, g.stop = context.WithCancel(context.Background())
	if err := g.enter(ctx, self, events); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// enter is the way from a bound port to a member.
func (g *Gossip) enter(ctx context.Context, self Member, events Events) error {
	found, err := g.inquire(ctx, self)
	if err != nil {
		return err
	}
	if found.known >= self.Epoch {
		return &StaleError{Epoch: self.Epoch, Known: found.known}
	}
	c := g.cfg.memberlist()
	c.Name = name(self.Origin())
	c.Transport = g.transport
	c.Keyring = g.keys.ring
	c.Delegate, c.Events, c.Alive, c.Conflict = g.roster, g.roster, g.roster, g.roster
	c.Logger = log.New(&complaints{log: g.log, count: g.count, repeat: g.repeat}, "", 0)
	if g.list, err = memberlist.Create(c); err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	g.roster.announced()
	g.running.Go(func() { g.roster.tell(events, g.log, g.stopping.Done()) })
	g.join(found.answered)
	g.running.Go(g.rejoin)
	g.running.Go(g.discover)
	g.running.Go(g.watchKeys)
	if len(found.answered) == 0 {
		g.log.Info("no other node was found: this one is the first", "cluster", g.cfg.Cluster, "addr", self.GossipAddr, "addresses", found.asked)
	}
	return nil
}

// Members returns the members as events were told of them, this node included, by id.
func (g *Gossip) Members() []Member { return g.roster.members() }

// IsTold says that events were told of every member that is known, and their calls have
// returned. At the return of Start those are the ones that the other nodes knew.
func (g *Gossip) IsTold() bool { return g.roster.isTold() }

// Self returns what this node announces, with the gossip address it has.
func (g *Gossip) Self() Member { return g.roster.announcement() }

// Overtaken gets a value when this process is not, or no longer, the newest of its node:
// a second process runs with its id, or peers remember a higher epoch (after its disk
// was lost). The others have stopped to believe in it: it must stop, or close and start
// again with a higher epoch.
func (g *Gossip) Overtaken() <-chan Overtaken { return g.roster.overtaken }

// SetState tells everybody the state this node is in. It returns when it was sent to
// some, or with an error after leave_timeout; it spreads all the same.
func (g *Gossip) SetState(s State) error {
	if s >= stateCount {
		return fmt.Errorf("gossip: state %d is unknown", s)
	}
	g.announcing.Lock()
	defer g.announcing.Unlock()
	if g.stopping.Err() != nil {
		return errors.New("gossip: it is closed")
	}
	if !g.roster.setState(s) {
		return nil
	}
	if err := g.list.UpdateNode(g.cfg.LeaveTimeout); err != nil {
		return fmt.Errorf("gossip: state %v: %w", s, err)
	}
	return nil
}

// Leave tells everybody that this node goes, so that its going is no failure, and stops
// to be a member. Close comes next. The error says who may take it for dead.
func (g *Gossip) Leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.LeaveTimeout)
	defer cancel()
	g.announcing.Lock()
	defer g.announcing.Unlock()
	if g.stopping.Err() != nil {
		return nil
	}
	g.roster.setState(Leaving)
	untold := g.goodbye(ctx)
	wait := time.Until(deadline(ctx))
	if err := g.list.Leave(max(wait, time.Millisecond)); err != nil && untold > 0 {
		return fmt.Errorf("gossip: %w", err)
	}
	if untold > 0 {
		return fmt.Errorf("gossip: %d members did not take the goodbye", untold)
	}
	return nil
}

func deadline(ctx context.Context) time.Time {
	at, _ := ctx.Deadline()
	return at
}

// goodbye says so to each member itself, since the word that memberlist spreads cannot
// be told from that of a failure. It returns how many did not hear it.
func (g *Gossip) goodbye(ctx context.Context) (untold int) {
	var all sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, g.cfg.RejoinsAtOnce)
	for _, m := range g.Members() {
		if m.Node == g.roster.self.Node {
			continue
		}
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if _, err := g.ask(ctx, m.GossipAddr, purposeGoodbye); err != nil {
				mu.Lock()
				untold++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return untold
}

// Close ends everything without a word: unless Leave came before, the others will find
// this node dead. When it returns, events is not called any more.
func (g *Gossip) Close() {
	g.closing.Do(func() {
		g.gate.Lock()
		g.stop()
		g.gate.Unlock()
		g.announcing.Lock()
		defer g.announcing.Unlock()
		if g.list != nil {
			_ = g.list.Shutdown() // of the transport, which has no error
		}
		_ = g.transport.Shutdown()
		g.running.Wait()
	})
}

func (g *Gossip) watchKeys() {
	tick := time.NewTicker(g.cfg.KeysEvery)
	defer tick.Stop()
	for {
		select {
		case <-g.stopping.Done():
			return
		case <-tick.C:
			g.keys.poll()
		}
	}
}
