package gossip

import "time"

// rejoin asks again, for ever, everybody who might be a member and is not: memberlist
// itself forgets the dead, so that the halves of a healed split would never meet.
func (g *Gossip) rejoin() {
	// Ticks are few, since a healthy node does nothing in them.
	every := max(time.Second/time.Duration(g.cfg.RejoinsASecond), 100*time.Millisecond)
	perTick := max(1, int(every*time.Duration(g.cfg.RejoinsASecond)/time.Second))
	tick := time.NewTicker(every)
	defer tick.Stop()
	slots := make(chan struct{}, g.cfg.RejoinsAtOnce)
	recheck := time.Now()
	for {
		select {
		case <-g.stopping.Done():
			return
		case now := <-tick.C:
			if _, leaving := g.roster.condition(); leaving {
				continue
			}
			if now.Sub(recheck) >= g.cfg.HintRecheck {
				recheck = now
				g.recheck()
			}
			if len(slots) < cap(slots) { // else the next time: conflict tells of it once
				if addr := g.roster.conflict(); addr != "" {
					slots <- struct{}{}
					g.running.Go(func() {
						defer func() { <-slots }()
						g.meetTwin(addr)
					})
				}
			}
			alive := g.roster.members()
			for _, m := range alive {
				g.seen.member(m)
			}
			for _, addr := range g.seen.next(now, alive, min(perTick, cap(slots)-len(slots))) {
				slots <- struct{}{} // there is room: nobody else puts anything in
				g.running.Go(func() {
					defer func() { <-slots }()
					g.approach(addr)
				})
			}
		}
	}
}

// approach asks who is at an address and, if it is somebody else of ours, exchanges
// with it what both know.
func (g *Gossip) approach(addr string) {
	g.count.rejoins.Add(1)
	a, err := g.ask(g.stopping, addr, purposeAsk)
	g.seen.answered(time.Now(), addr, a.who, err == nil)
	switch {
	case err != nil:
	case a.who != g.roster.self:
		if !a.leaving {
			g.join([]string{addr})
		}
	case a.holder != g.roster.announcement().GossipAddr:
		g.roster.twin(a.holder)
	}
}

// meetTwin asks the address that memberlist heard of under our own name.
func (g *Gossip) meetTwin(addr string) {
	if a, err := g.ask(g.stopping, addr, purposeAsk); err == nil && a.who == g.roster.self {
		g.roster.twin(a.holder)
	}
}

// join exchanges with each of the addresses what both know, which makes this node a
// member there and them members here. What fails is tried again by rejoin.
func (g *Gossip) join(addrs []string) {
	for _, addr := range addrs {
		if _, err := g.list.Join([]string{addr}); err != nil {
			if g.repeat.due("join at " + addr) {
				g.log.Warn("exchange with a node failed", "addr", addr, "reason", err)
			}
			continue
		}
		g.count.rejoined.Add(1)
	}
}
