package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"
)

// poll takes records from the client until ctx ends. Each batch stands in its windows and
// lanes before a rebalance may go on.
func (s *Source) poll(ctx context.Context) error {
	for {
		fetches := s.client.PollRecords(ctx, s.cfg.PollMax)
		var closed error
		fetches.EachError(func(topic string, partition int32, err error) {
			switch {
			case errors.Is(err, kgo.ErrClientClosed):
				closed = err
			case ctx.Err() == nil:
				s.count.fetchErrors.Add(1)
				s.log.Complain("fetch "+topic, "kafka: a fetch failed; it is tried again", "topic", topic, "partition", partition, "err", err)
			}
		})
		if ctx.Err() == nil && closed == nil {
			fetches.EachPartition(s.admit)
		}
		s.client.AllowRebalance()
		switch {
		case ctx.Err() != nil:
			return nil
		case closed != nil:
			return closed
		}
		for p := range s.lanes {
			s.lanes[p].hold(s)
		}
	}
}

// admit puts the records of a partition into its window and their lane.
func (s *Source) admit(p kgo.FetchTopicPartition) {
	w := s.window(p.Topic, p.Partition)
	if w == nil {
		return // it went between fetch and poll; its records come to whoever has it
	}
	w.reaches(p.HighWatermark)
	priority := s.priorities[p.Topic]
	l := &s.lanes[priority]
	for _, r := range p.Records {
		f := s.flights.Get().(*flight)
		f.load(r, w, w.add(r.Offset, r.LeaderEpoch), priority)
		l.add(f)
	}
	s.count.fetched[priority].Add(uint64(len(p.Records)))
	if n := w.rewound(); n > 0 {
		s.count.rewinds.Add(n)
		s.log.Complain("rewind "+p.Topic, "kafka: offsets went back: the log was cut, by an unclean election or by hand", "topic", p.Topic, "partition", p.Partition)
	}
	s.limit(w)
}

func (s *Source) window(topic string, partition int32) *window {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.windows[assignment{topic, partition}]
}

// limit stops the fetches of a partition whose window is full. resumeWindows goes on with it.
func (s *Source) limit(w *window) {
	if w.len() < s.cfg.WindowMax || w.paused.Load() {
		return
	}
	w.paused.Store(true)
	s.client.PauseFetchPartitions(map[string][]int32{w.topic: {w.partition}})
	s.count.partitionPauses.Add(1)
	s.shortened(w) // the last result may have come before the window was marked
}

// shortened wakes resumeWindows once a paused window has room again.
func (s *Source) shortened(w *window) {
	if !w.paused.Load() || w.len() > s.cfg.WindowMax/2 {
		return
	}
	select {
	case s.resume <- struct{}{}:
	default: // it is awake already
	}
}

// resumeWindows fetches those partitions again whose window has room.
func (s *Source) resumeWindows() {
	for _, w := range s.assigned() {
		if w.paused.Load() && w.len() <= s.cfg.WindowMax/2 {
			s.client.ResumeFetchPartitions(map[string][]int32{w.topic: {w.partition}})
			w.paused.Store(false)
		}
	}
}
