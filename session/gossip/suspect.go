package gossip

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/roostpush/roost/session"
)

// Suspect says that a link to a node was reset. It returns at once; if the process is
// really gone, Left follows, long before memberlist's own detection would say so:
//
//   - its host answers that nobody listens at its gossip address, hint_tries times: dead;
//   - another process answers there: dead;
//   - it answers: the hint was wrong, nothing happens;
//   - nothing comes back: the ordinary detection decides, since a silent host may only be
//     cut off.
//
// memberlist has no call by which a member could be declared dead, so the verdict is
// this node's alone: everybody else has links of his own that were reset, and memberlist
// comes to the same in its time. Until then the member is asked again, and joins again
// if it answers.
func (g *Gossip) Suspect(node string) {
	m, ok := g.roster.member(node)
	if !ok {
		return
	}
	g.count.hints.Add(1)
	g.gate.Lock()
	defer g.gate.Unlock()
	if g.stopping.Err() != nil {
		return
	}
	select {
	case g.hints <- struct{}{}:
	default:
		g.count.hintsDropped.Add(1)
		return
	}
	g.running.Go(func() {
		defer func() { <-g.hints }()
		g.follow(m)
	})
}

// follow finds out what became of a member.
func (g *Gossip) follow(m Member) {
	nobody := 0
	// A connection that is cut is either of a process that dies at this moment or of one
	// with streams_max: it counts for neither, and there are only so many.
	for range 2 * g.cfg.HintTries {
		who, err := g.whoIs(m)
		switch {
		case err == nil && who == m.Origin():
			g.count.hintsAlive.Add(1)
			return
		case err == nil:
			g.dead(m)
			return
		case errors.Is(err, syscall.ECONNREFUSED):
			if nobody++; nobody >= g.cfg.HintTries {
				g.dead(m)
				return
			}
		case !isCut(err):
			g.count.hintsUndecided.Add(1)
			return
		}
		select {
		case <-time.After(g.cfg.HintPause):
		case <-g.stopping.Done():
			return
		}
	}
	g.count.hintsUndecided.Add(1)
}

func (g *Gossip) dead(m Member) {
	g.count.hintsDead.Add(1)
	g.log.Info("member's process is gone", "node", m.Node, "epoch", m.Epoch, "addr", m.GossipAddr)
	g.roster.bury(m.Origin(), true)
}

// whoIs asks a member's gossip address who is there.
func (g *Gossip) whoIs(m Member) (session.Origin, error) {
	ctx, cancel := context.WithTimeout(g.stopping, g.cfg.HintTimeout)
	defer cancel()
	a, err := g.ask(ctx, m.GossipAddr, purposeAsk)
	return a.who, err
}

// isCut reports whether the connection ended before an answer came.
func isCut(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// recheck asks those that a hint declared dead and that memberlist still hears of.
func (g *Gossip) recheck() {
	for _, m := range g.roster.buried() {
		select {
		case g.hints <- struct{}{}:
		default:
			return // the next time
		}
		g.running.Go(func() {
			defer func() { <-g.hints }()
			if who, err := g.whoIs(m); err == nil && who == m.Origin() {
				g.count.hintsRevoked.Add(1)
				g.log.Warn("member was declared dead by a hint and answers", "node", m.Node, "epoch", m.Epoch)
				g.roster.bury(m.Origin(), false)
			}
		})
	}
}
