package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// poll takes records from the client until ctx ends. Each batch stands in its windows and
// lanes before a rebalance may go on, and partitions are only paused before it does: one
// that has gone meanwhile would begin its next assignment paused.
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
			s.makeRoom(ctx)
		}
		s.client.AllowRebalance()
		s.awaitRoom(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case closed != nil:
			return closed
		}
	}
}

// admit puts the records of a partition into its window and their lane.
func (s *Source) admit(p kgo.FetchTopicPartition) {
	w := s.window(p.Topic, p.Partition)
	if w == nil {
		for _, r := range p.Records {
			r.Recycle()
		}
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
	if w.len() >= s.cfg.WindowMax && !w.paused.Load() {
		s.long = append(s.long, w)
	}
}

func (s *Source) window(topic string, partition int32) *window {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.windows[assignment{topic, partition}]
}

// makeRoom waits for lanes and windows that are full, at most pause_after, and pauses what
// has no room then. Not taking what the client has fetched costs nothing, while pausing has
// it throw that away and have it sent and decoded again, a batch at least; but not taking
// holds up all topics, and so it must not last.
func (s *Source) makeRoom(ctx context.Context) {
	for p := range s.lanes {
		s.lanes[p].await(s)
	}
	long := s.long
	s.long = long[:0]
	for _, w := range long {
		if !w.waited.Swap(true) {
			s.awaited.Add(1)
			s.shortened(w, w.len()) // the last result may have come before the window was marked
		}
	}
	if s.awaited.Load() == 0 {
		return
	}
	over := time.NewTimer(s.cfg.PauseAfter)
	defer over.Stop()
	for s.awaited.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-s.room: // maybe of an earlier wait
		case <-over.C:
			for _, w := range long {
				s.pause(w)
			}
			for p := range s.lanes {
				if l := &s.lanes[p]; !l.alone {
					l.pause(s)
				}
			}
			return
		}
	}
}

// awaitRoom waits for what has no room and is not paused: a lane beside which there is no
// other to make way for. Partitions may come and go meanwhile.
func (s *Source) awaitRoom(ctx context.Context) {
	for s.awaited.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-s.room: // as above
		}
	}
}

// roomier notes that one of those that the poll waits for has room, and wakes it after the last.
func (s *Source) roomier() {
	if s.awaited.Add(-1) > 0 {
		return
	}
	select {
	case s.room <- struct{}{}:
	default: // it is awake already
	}
}

// pause stops the fetches of a partition whose window the poll still waits for.
// resumeWindows goes on with it.
func (s *Source) pause(w *window) {
	if !w.waited.Swap(false) {
		return
	}
	s.awaited.Add(-1)
	// The client first: once the mark is there resumeWindows may take both back, and a pause
	// after that would last for ever.
	s.client.PauseFetchPartitions(map[string][]int32{w.topic: {w.partition}})
	w.paused.Store(true)
	s.count.partitionPauses.Add(1)
	s.shortened(w, w.len()) // as above
}

// room is how many records there may be where max is the limit, for the poll not to wait
// any longer: it has room for what it takes next.
func (c *Config) room(max int) int { return max - min(c.PollMax, max/2) }

// shortened notes how long a window is now: the poll need not wait for it any longer, or
// resumeWindows is woken.
func (s *Source) shortened(w *window, length int) {
	if w.waited.Load() && length <= s.cfg.room(s.cfg.WindowMax) && w.waited.Swap(false) {
		s.roomier()
	}
	if !w.paused.Load() || length > s.cfg.WindowMax/2 {
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
