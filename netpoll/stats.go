package netpoll

import (
	"cmp"
	"slices"
	"sync"
)

// loopStats are a loop's own plain counters; Stats sums them. Those that can go down
// say so.
type loopStats struct {
	Connections, Upgraded, SlowNow int64 // now

	Accepted, AcceptAborted, AcceptErrors, AcceptPauses uint64
	Upgrades, HandshakeTimeouts, RefusedFull            uint64
	ProxyRefused                                        uint64
	BytesIn, BytesOut, MessagesIn, MessagesOut          uint64
	MessageBytesPeak                                    uint64
	Pings, Idle                                         uint64
	Failed, TooBig, FrameRateExceeded, CloseTimeouts    uint64
	SlowTotal, TooSlow, DroppedSlow, RefusedNode        uint64
	Closed1000                                          [16]uint64 // closes sent, by code - 1000
	Closed4000                                          [16]uint64 // by code - 4000
	ClosedOther                                         uint64
	Answers                                             [6]uint64 // plain HTTP answers by status / 100
}

func (s *loopStats) countAnswer(status int) {
	if i := status / 100; i < len(s.Answers) {
		s.Answers[i]++
	}
}

// Stats are the reactor's counters, summed over its loops.
type Stats struct {
	loopStats
	RefusedOutbox uint64 // sends refused because a loop's outbox was full
	QueuedBytes   int64  // waiting for slow peers now
	Paused        bool   // accepting pauses now
	Max           int    // connections held at most
}

// Stats asks every loop for its counters. Any goroutine but a loop's; it waits for
// each loop to come round, which takes no longer than a turn.
func (r *Reactor) Stats() Stats {
	var (
		sum Stats
		mu  sync.Mutex
		wg  sync.WaitGroup
	)
	for _, l := range r.loops {
		wg.Add(1)
		asked := l.do(func() {
			mu.Lock()
			sum.add(&l.stats)
			mu.Unlock()
			wg.Done()
		})
		if !asked {
			wg.Done()
		}
		l.exchange.mu.Lock()
		sum.RefusedOutbox += l.refusedFull
		l.exchange.mu.Unlock()
	}
	wg.Wait()
	sum.QueuedBytes, sum.Paused, sum.Max = r.queued.Load(), r.pauseNoted.Load(), int(r.max)
	return sum
}

func (s *loopStats) add(o *loopStats) {
	s.Connections += o.Connections
	s.Upgraded += o.Upgraded
	s.SlowNow += o.SlowNow
	s.Accepted += o.Accepted
	s.AcceptAborted += o.AcceptAborted
	s.AcceptErrors += o.AcceptErrors
	s.AcceptPauses += o.AcceptPauses
	s.Upgrades += o.Upgrades
	s.HandshakeTimeouts += o.HandshakeTimeouts
	s.RefusedFull += o.RefusedFull
	s.ProxyRefused += o.ProxyRefused
	s.BytesIn += o.BytesIn
	s.BytesOut += o.BytesOut
	s.MessagesIn += o.MessagesIn
	s.MessagesOut += o.MessagesOut
	s.MessageBytesPeak = max(s.MessageBytesPeak, o.MessageBytesPeak)
	s.Pings += o.Pings
	s.Idle += o.Idle
	s.Failed += o.Failed
	s.TooBig += o.TooBig
	s.FrameRateExceeded += o.FrameRateExceeded
	s.CloseTimeouts += o.CloseTimeouts
	s.SlowTotal += o.SlowTotal
	s.TooSlow += o.TooSlow
	s.DroppedSlow += o.DroppedSlow
	s.RefusedNode += o.RefusedNode
	s.ClosedOther += o.ClosedOther
	for i := range s.Closed1000 {
		s.Closed1000[i] += o.Closed1000[i]
		s.Closed4000[i] += o.Closed4000[i]
	}
	for i := range s.Answers {
		s.Answers[i] += o.Answers[i]
	}
}

// Slow names a connection that has bytes waiting.
type Slow struct {
	ID          ConnID
	Context     any // what the handler kept with it
	QueuedBytes int
}

// Slowest returns the n connections with most bytes waiting, most first. It walks the
// loops' connections: for an operator's question, not for a scrape. Any goroutine but
// a loop's.
func (r *Reactor) Slowest(n int) []Slow {
	var (
		all []Slow
		mu  sync.Mutex
		wg  sync.WaitGroup
	)
	for _, l := range r.loops {
		wg.Add(1)
		asked := l.do(func() {
			defer wg.Done()
			var mine []Slow
			l.each(func(c *Conn) {
				if w := c.out.waiting(); w > 0 {
					mine = append(mine, Slow{ID: c.ID(), Context: c.ctx, QueuedBytes: w})
				}
			})
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
		if !asked {
			wg.Done()
		}
	}
	wg.Wait()
	slices.SortFunc(all, func(a, b Slow) int { return cmp.Compare(b.QueuedBytes, a.QueuedBytes) })
	return all[:min(n, len(all))]
}
