package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// assign opens a window for each partition that this member gets. The client calls it,
// and revoke and lose, one at a time and never between a poll and AllowRebalance.
func (s *Source) assign(_ context.Context, _ *kgo.Client, got map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, partitions := range got {
		for _, p := range partitions {
			s.windows[assignment{topic, p}] = newWindow(topic, p)
			s.count.assigned.Add(1)
		}
	}
}

// place notes where the partitions that this member got begin, as far as the group has
// committed anything; measure finds out about the others. It changes nothing.
func (s *Source) place(_ context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	for topic, partitions := range offsets {
		for p, o := range partitions {
			if at := o.EpochOffset().Offset; at >= 0 { // below it means start or end
				if w := s.window(topic, p); w != nil {
					w.begins(at)
				}
			}
		}
	}
	return offsets, nil
}

// revoke gives partitions away: what is in work may become final, for a while, and is
// committed; the rest comes again to whoever gets them.
func (s *Source) revoke(ctx context.Context, _ *kgo.Client, going map[string][]int32) {
	windows := s.windowsOf(going)
	s.count.revoked.Add(uint64(len(windows)))
	s.finish(ctx, windows, s.cfg.RevokeTimeout)
}

// lose forgets partitions that the group has given to others already.
func (s *Source) lose(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	windows := s.windowsOf(gone)
	s.count.lost.Add(uint64(len(windows)))
	if len(windows) > 0 {
		s.log.Complain("lost", "kafka: the session with the group has broken, and partitions are lost; records in work come again, here or elsewhere", "partitions", len(windows))
	}
	for _, w := range windows {
		w.close()
		s.forget(w)
	}
}

func (s *Source) windowsOf(partitions map[string][]int32) (list []*window) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, numbers := range partitions {
		for _, p := range numbers {
			if w := s.windows[assignment{topic, p}]; w != nil {
				list = append(list, w)
			}
		}
	}
	return list
}

// finish closes windows, waits for what is in work, at most so long, commits how far they
// have come, and forgets them.
func (s *Source) finish(ctx context.Context, windows []*window, patience time.Duration) {
	if len(windows) == 0 {
		return
	}
	over := time.NewTimer(patience)
	defer over.Stop()
	waiting := true
	for _, w := range windows {
		idle := w.close()
		if !waiting {
			continue
		}
		select {
		case <-idle:
		case <-over.C:
			waiting = false
		case <-ctx.Done():
			waiting = false
		}
	}
	s.commitWindows(ctx, windows)
	for _, w := range windows {
		s.forget(w)
	}
}

// forget ends a window that was closed.
func (s *Source) forget(w *window) {
	s.count.givenUp.Add(uint64(w.left()))
	s.mu.Lock()
	if a := (assignment{w.topic, w.partition}); s.windows[a] == w {
		delete(s.windows, a)
	}
	s.mu.Unlock()
	if w.paused.Swap(false) {
		s.client.ResumeFetchPartitions(map[string][]int32{w.topic: {w.partition}}) // its next assignment begins afresh
	}
}
