package peer

import (
	"fmt"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/wire"
)

// tick is the goroutine that looks at every timeout. Time is counted in ticks that
// happened: a process that was stopped for a minute does not give up every link when
// it goes on.
func (p *Pool) tick() {
	t := time.NewTicker(p.cfg.Tick)
	defer t.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-t.C:
		}
		now := p.ticks.Add(1)
		if now == 0 {
			now = p.ticks.Add(1) // 0 means never
		}
		for _, rm := range *p.remotes.Load() {
			if pr := rm.live.Load(); pr != nil {
				pr.tick(now)
			}
		}
	}
}

func (pr *pair) tick(now uint32) {
	p := pr.pool
	for _, l := range [...]*link{pr.control, pr.messages} {
		if silent := now - l.heard.Load(); int32(silent) > int32(p.ticksOf(p.cfg.SilenceMax)) && !l.busy.Load() {
			pr.end(wire.GoodbyeSilent, fmt.Sprintf("nothing was heard on the %s connection for %v", l.channel, p.cfg.SilenceMax), false)
			return
		}
		if since := l.writing.Load(); since != 0 && int32(now-since) > int32(p.ticksOf(p.cfg.StallMax)) {
			pr.end(wire.GoodbyeStalled, fmt.Sprintf("nothing was taken on the %s connection for %v", l.channel, p.cfg.StallMax), false)
			return
		}
		l.ping(now)
	}
	pr.messages.expire(now)
	pr.questions.expire(p, now)
}

// ping queues a ping when nothing has been written for long.
func (l *link) ping(now uint32) {
	l.mu.Lock()
	if l.closed || l.bytes > 0 || int32(now-l.wrote) < int32(l.pool.ticksOf(l.pool.cfg.PingInterval)) {
		l.mu.Unlock()
		return
	}
	l.add(wire.LinkTypePing, nil)
	l.rouse()
}

// expire ends the flights that are due, a page at a time: a sender waits for no more
// than that.
func (l *link) expire(now uint32) {
	var landings []landing
	for page := 0; ; page++ {
		l.mu.Lock()
		if page >= len(l.flights.pages) {
			l.mu.Unlock()
			break
		}
		landings = l.flights.expire(landings, page, now, false)
		l.mu.Unlock()
	}
	l.pool.count.timeouts.Add(uint64(len(landings)))
	for _, x := range landings {
		x.receipt.Failed(x.tag, session.Timeout)
	}
}
