package peer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/session/wire"
)

// ErrLinksFull says that a node is not linked because links_max are.
var ErrLinksFull = errors.New("peer: links_max nodes are linked")

// remote is another node: a member, or one that has dialled.
type remote struct {
	node string
	live atomic.Pointer[pair] // the link that is up, nil: none is

	// The pool's mutex guards the rest.
	latest *pair  // the newest pair that has both connections, until it is done
	member bool   // Member was called, and no Drop
	addr   string // of a member
	epoch  uint64 // of a member, the highest that is known
	moved  chan struct{}
	stop   context.CancelFunc // of the dialler; nil: there is none
}

// Member says that a node should be linked, and where it takes connections; again
// whenever its address or epoch has changed. If its id is greater than this node's it
// is dialled until Drop, else it dials. A link of an older epoch is closed.
func (p *Pool) Member(node, addr string, epoch uint64) error {
	if node == p.self.Node {
		return nil
	}
	p.mu.Lock()
	rm, err := p.remoteLocked(node)
	if err != nil {
		p.mu.Unlock()
		return err
	}
	rm.member = true
	if addr != rm.addr {
		select {
		case rm.moved <- struct{}{}:
		default:
		}
	}
	rm.addr, rm.epoch = addr, max(rm.epoch, epoch)
	old := rm.latest
	if old != nil && old.origin.Epoch >= rm.epoch {
		old = nil
	}
	if p.self.Node < node && rm.stop == nil {
		var ctx context.Context
		ctx, rm.stop = context.WithCancel(p.ctx)
		p.work.Go(func() { p.dialForEver(ctx, rm) })
	}
	p.mu.Unlock()
	if old != nil {
		old.end(wire.GoodbyeReplaced, "a newer epoch of the node is a member", true)
	}
	return nil
}

// Drop says that the node, as it was during that epoch or an older one, is no member
// any more: its link is closed and it is not dialled. A newer epoch is left alone.
func (p *Pool) Drop(node string, epoch uint64) {
	p.mu.Lock()
	rm := (*p.remotes.Load())[node]
	if rm == nil {
		p.mu.Unlock()
		return
	}
	if rm.epoch <= epoch {
		rm.member = false
		if rm.stop != nil {
			rm.stop()
			rm.stop = nil
		}
	}
	old := rm.latest
	if old != nil && old.origin.Epoch > epoch {
		old = nil
	}
	p.forgetLocked(rm)
	p.mu.Unlock()
	if old != nil {
		old.end(wire.GoodbyeDropped, "the node is no member any more", true)
	}
}

// remoteLocked returns the remote of a node, a new one if need be.
func (p *Pool) remoteLocked(node string) (*remote, error) {
	old := *p.remotes.Load()
	switch rm := old[node]; {
	case p.closed:
		return nil, net.ErrClosed
	case rm != nil:
		return rm, nil
	case len(old) >= p.cfg.LinksMax:
		return nil, ErrLinksFull
	}
	rm := &remote{node: node, moved: make(chan struct{}, 1)}
	now := maps.Clone(old)
	now[node] = rm
	p.remotes.Store(&now)
	return rm, nil
}

// forgetLocked removes a remote that is neither a member nor linked.
func (p *Pool) forgetLocked(rm *remote) {
	old := *p.remotes.Load()
	if rm.member || rm.latest != nil || old[rm.node] != rm {
		return
	}
	now := maps.Clone(old)
	delete(now, rm.node)
	p.remotes.Store(&now)
}

// release forgets a pair that is over.
func (p *Pool) release(pr *pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pr.remote.latest == pr {
		pr.remote.latest = nil
		p.forgetLocked(pr.remote)
	}
}

// dialForEver keeps a member linked until ctx ends.
func (p *Pool) dialForEver(ctx context.Context, rm *remote) {
	pause := p.cfg.RedialMin
	said := ""
	for {
		p.mu.Lock()
		addr, latest := rm.addr, rm.latest
		p.mu.Unlock()
		var err error
		if latest == nil {
			latest, err = p.dialPair(ctx, rm, addr)
		}
		if latest != nil {
			said = ""
			up := time.Now()
			select {
			case <-latest.done:
			case <-ctx.Done():
			}
			if time.Since(up) > p.cfg.RedialMax {
				pause = p.cfg.RedialMin // else something ends every link: do not hurry
			}
		} else if why := causeOf(err); ctx.Err() == nil && why != said {
			said = why // once, not with each attempt
			p.log.Warn("a node cannot be linked", "node", rm.node, "addr", addr, "error", err)
		}
		select {
		case <-time.After(rand.N(pause) + 1):
			pause = min(2*pause, p.cfg.RedialMax)
		case <-rm.moved:
			pause = p.cfg.RedialMin
		case <-ctx.Done():
			return
		}
	}
}

// causeOf is an error's text without the addresses of the connection, of which one is
// another with each attempt.
func causeOf(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

// RefusedError says that one of two nodes refused the other at the hello.
type RefusedError struct {
	Reason wire.GoodbyeReason
	Detail string
	ByThem bool
}

// Error returns who refused whom, and why.
func (e *RefusedError) Error() string {
	who := "refused by this node"
	if e.ByThem {
		who = "refused by the other node"
	}
	return fmt.Sprintf("peer: %s: %s: %s", who, e.Reason, e.Detail)
}
