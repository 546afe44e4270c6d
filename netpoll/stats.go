package netpoll

import (
	"cmp"
	"slices"
	"sync"
)

// loopStats are a loop's own plain counters; Stats sums them. Those that can go down
// say so.
type loopStats struct {
	Connections int64 `metric:"roost_connections" doc:"connections now, refusals under way included"`
	Upgraded    int64 `metric:"roost_websockets" doc:"connections that are WebSockets now"`
	Streams     int64 `metric:"roost_event_streams" doc:"connections that are event streams now"`
	SlowNow     int64 `metric:"roost_slow_connections" doc:"connections above queued_soft_bytes now"`

	Accepted          uint64 `metric:"roost_accepted_total" doc:"connections taken from the listener"`
	AcceptAborted     uint64 `metric:"roost_accept_aborted_total" doc:"connections that were gone before they were taken"`
	AcceptErrors      uint64 `metric:"roost_accept_errors_total" doc:"times accept found no descriptor or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM)"`
	AcceptPauses      uint64 `metric:"roost_accept_pauses_total" doc:"times accepting paused, for that or for max_connections"`
	Upgrades          uint64 `metric:"roost_upgrades_total" doc:"upgrades answered with 101"`
	StreamsOpened     uint64 `metric:"roost_event_streams_total" doc:"event streams begun with 200"`
	HandshakeTimeouts uint64 `metric:"roost_handshake_timeouts_total" doc:"requests that were not whole in time"`
	RefusedFull       uint64 `metric:"roost_refused_full_total" doc:"connections above max_connections, told 503"`
	ProxyRefused      uint64 `metric:"roost_proxy_refused_total" doc:"connections from proxy_trusted without a PROXY v2 header"`
	BytesIn           uint64 `metric:"roost_bytes_in_total" doc:"bytes read from connections"`
	BytesOut          uint64 `metric:"roost_bytes_out_total" doc:"bytes written to connections"`
	MessagesIn        uint64 `metric:"roost_messages_in_total" doc:"whole messages received"`
	MessagesOut       uint64 `metric:"roost_messages_out_total" doc:"messages written or queued for writing"`
	MessageBytesPeak  uint64 `metric:"roost_message_bytes_peak" doc:"largest fragmented or piecewise message received"`
	Together          uint64 `metric:"roost_calls_together_total" doc:"reads and writes that the kernel was given together with others (io_uring)"`
	Pings             uint64 `metric:"roost_pings_total" doc:"pings sent, and comments in their place on event streams"`
	Idle              uint64 `metric:"roost_idle_total" doc:"connections closed with 4005 because two pings went unanswered"`
	Failed            uint64 `metric:"roost_protocol_failures_total" doc:"connections failed for breaking RFC 6455 or a limit"`
	TooBig            uint64 `metric:"roost_too_big_total" doc:"of these, messages above message_bytes_max"`
	MessageTimeouts   uint64 `metric:"roost_message_timeouts_total" doc:"of these, messages that were not whole in time"`
	FrameRateExceeded uint64 `metric:"roost_frame_rate_exceeded_total" doc:"of these, floods above frames_per_second_max"`
	CloseTimeouts     uint64 `metric:"roost_close_timeouts_total" doc:"connections cut because the peer did not end its side in time"`
	SlowTotal         uint64 `metric:"roost_slow_total" doc:"times a connection went above queued_soft_bytes"`
	TooSlow           uint64 `metric:"roost_too_slow_total" doc:"connections closed with 4004"`
	DroppedSlow       uint64 `metric:"roost_dropped_slow_total" doc:"messages dropped with them"`
	RefusedCollected  uint64 `metric:"roost_refused_collected_total" doc:"connections closed with 1013 because collected_node_bytes were under way"`
	RefusedNode       uint64 `metric:"roost_refused_node_total" doc:"sends refused because queued_node_bytes were waiting"`

	Closed1000  [16]uint64 `metric:"roost_closes_total" label:"code" base:"1000" doc:"Close frames sent, and the events in their place, by code"`
	Closed4000  [16]uint64 `metric:"roost_closes_total" label:"code" base:"4000" doc:""`
	ClosedOther uint64     `metric:"roost_closes_other_total" doc:"Close frames that echo any other code"`
	Answers     [6]uint64  `metric:"roost_answers_total" label:"class" base:"0" doc:"plain HTTP answers on the public listener, by hundreds of the status"`
}

func (s *loopStats) countAnswer(status int) {
	if i := status / 100; i < len(s.Answers) {
		s.Answers[i]++
	}
}

// Stats are the reactor's counters, summed over its loops. The metric tag is the name
// under which each is published.
type Stats struct {
	loopStats
	RefusedOutbox uint64 `metric:"roost_refused_outbox_total" doc:"sends refused because a loop's outbox was full"`
	QueuedBytes   int64  `metric:"roost_queued_bytes" doc:"bytes waiting for slow peers now"`
	Collected     int64  `metric:"roost_collected_bytes" doc:"bytes of messages that are not whole yet"`
	Max           int    `metric:"roost_connections_max" doc:"connections held at most"`
	Paused        int    `metric:"roost_accept_paused" doc:"1 while accepting pauses, else 0"`
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
	sum.QueuedBytes, sum.Collected = r.queued.Load(), r.collected.Load()
	sum.Max = int(r.max)
	if r.pauseNoted.Load() {
		sum.Paused = 1
	}
	return sum
}

func (s *loopStats) add(o *loopStats) {
	s.Connections += o.Connections
	s.Upgraded += o.Upgraded
	s.Streams += o.Streams
	s.SlowNow += o.SlowNow
	s.Accepted += o.Accepted
	s.AcceptAborted += o.AcceptAborted
	s.AcceptErrors += o.AcceptErrors
	s.AcceptPauses += o.AcceptPauses
	s.Upgrades += o.Upgrades
	s.StreamsOpened += o.StreamsOpened
	s.HandshakeTimeouts += o.HandshakeTimeouts
	s.RefusedFull += o.RefusedFull
	s.ProxyRefused += o.ProxyRefused
	s.BytesIn += o.BytesIn
	s.BytesOut += o.BytesOut
	s.MessagesIn += o.MessagesIn
	s.MessagesOut += o.MessagesOut
	s.MessageBytesPeak = max(s.MessageBytesPeak, o.MessageBytesPeak)
	s.Together += o.Together
	s.Pings += o.Pings
	s.Idle += o.Idle
	s.Failed += o.Failed
	s.TooBig += o.TooBig
	s.MessageTimeouts += o.MessageTimeouts
	s.FrameRateExceeded += o.FrameRateExceeded
	s.CloseTimeouts += o.CloseTimeouts
	s.SlowTotal += o.SlowTotal
	s.TooSlow += o.TooSlow
	s.DroppedSlow += o.DroppedSlow
	s.RefusedNode += o.RefusedNode
	s.RefusedCollected += o.RefusedCollected
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
