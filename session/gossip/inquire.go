package gossip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/roostpush/roost/session"
)

// Findings is what the nodes at the discovery addresses know of a node id.
type Findings struct {
	Answered int    // nodes that answered and did not refuse
	Epoch    uint64 // the highest epoch they know of it; 0: none
}

// Inquire asks all discovery addresses once, without becoming a member, which epochs of
// this node id they know: the caller's epoch is max(persisted, Findings.Epoch) + 1. It
// fails with a *TakenError when a process answers under that id, and with a
// *RefusedError when all that answered refused; nobody to be found is no error.
func Inquire(ctx context.Context, cfg Config, node string, log *slog.Logger) (Findings, error) {
	if err := errors.Join(cfg.Validate(), session.CheckNode(node)); err != nil {
		return Findings{}, fmt.Errorf("gossip: %w", err)
	}
	g := &Gossip{cfg: cfg, log: log, count: &counters{}, repeat: &repeats{every: cfg.LogEvery}}
	var err error
	if g.keys, err = newKeys(cfg, log, g.count); err != nil {
		return Findings{}, fmt.Errorf("gossip: %w", err)
	}
	g.transport = newTransport(cfg, log, g.count, g.repeat)
	g.transport.hello = &greeter{
		cluster: cfg.Cluster, self: session.Origin{Node: node}, ring: g.keys.ring,
		log: log, count: g.count, repeat: g.repeat,
	}
	defer g.transport.Shutdown()
	found, err := g.inquire(ctx, Member{Node: node})
	return Findings{Answered: len(found.answered), Epoch: found.known}, err
}

// found is what an inquiry came to.
type found struct {
	asked    int
	answered []string // addresses of other nodes that did not refuse
	known    uint64
}

// inquire asks every discovery address, and every address that is said to be of a live
// process with our id. self.GossipAddr is empty when nobody can call us.
func (g *Gossip) inquire(ctx context.Context, self Member) (found, error) {
	addrs, _ := resolve(ctx, g.cfg, net.DefaultResolver, g.log, g.repeat)
	var f found
	var refused *RefusedError
	claimed := map[string]bool{}
	f.asked = len(addrs)
	for _, r := range g.askAll(ctx, addrs) {
		if r.err != nil {
			errors.As(r.err, &refused)
			continue
		}
		if r.answer.who.Node == self.Node {
			claimed[r.addr] = true
			continue
		}
		f.answered = append(f.answered, r.addr)
		f.known = max(f.known, r.answer.known)
		if r.answer.holder != "" {
			claimed[r.answer.holder] = true
		}
	}
	var claims []string
	for addr := range claimed {
		if addr != self.GossipAddr { // nobody but us can be there: we have bound it
			claims = append(claims, addr)
		}
	}
	if err := g.settleClaims(ctx, self, claims); err != nil {
		return f, err
	}
	if len(f.answered) == 0 && refused != nil {
		return f, refused
	}
	return f, nil
}

// settleClaims asks the addresses at which a process with our id is said to live. The
// one that answers keeps the id; a silent one was our predecessor.
func (g *Gossip) settleClaims(ctx context.Context, self Member, claims []string) error {
	for _, r := range g.askAll(ctx, claims) {
		who := r.answer.who
		switch {
		case r.err != nil || who.Node != self.Node:
			continue
		case self.GossipAddr != "" && r.answer.holder == self.GossipAddr:
			continue // it is us, under another of our addresses
		case r.answer.starting && self.GossipAddr < r.answer.holder && self.GossipAddr != "":
			continue // both start at this moment: the greater address gives up
		}
		return &TakenError{Node: who.Node, Epoch: who.Epoch, Addr: cmp.Or(r.answer.holder, r.addr)}
	}
	return nil
}

type reply struct {
	addr   string
	answer answer
	err    error
}

// askAll asks all addresses, a bounded number at one time.
func (g *Gossip) askAll(ctx context.Context, addrs []string) []reply {
	replies := make([]reply, len(addrs))
	slots := make(chan struct{}, g.cfg.RejoinsAtOnce)
	var all sync.WaitGroup
	for i, addr := range addrs {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			a, err := g.ask(ctx, addr, purposeAsk)
			replies[i] = reply{addr, a, err}
		})
	}
	all.Wait()
	return replies
}

// ask calls an address and returns what it answers.
func (g *Gossip) ask(ctx context.Context, addr string, why purpose) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.HelloTimeout)
	defer cancel()
	conn, a, err := g.transport.call(ctx, addr, why)
	if err != nil {
		return a, err
	}
	conn.Close()
	return a, nil
}
