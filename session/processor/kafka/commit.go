package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commits commits at intervals until ctx ends.
func (s *Source) commits(ctx context.Context) {
	tick := time.NewTicker(s.cfg.CommitInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.commitWindows(ctx, s.assigned())
		}
	}
}

// commitWindows tells the group how far the windows have come, and waits for the answer.
// A commit that fails stays due.
func (s *Source) commitWindows(ctx context.Context, windows []*window) {
	s.committing.Lock()
	defer s.committing.Unlock()
	points := map[*window]point{}
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for _, w := range windows {
		p, due := w.due()
		if !due {
			continue
		}
		points[w] = p
		if offsets[w.topic] == nil {
			offsets[w.topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[w.topic][w.partition] = kgo.EpochOffset{Epoch: p.epoch, Offset: p.offset}
	}
	if len(points) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CommitTimeout)
	defer cancel()
	s.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, err error) {
		s.committed(points, answer, err)
	})
}

// committed reads the group's answer.
func (s *Source) committed(points map[*window]point, answer *kmsg.OffsetCommitResponse, err error) {
	taken := map[assignment]bool{}
	if err == nil {
		for _, t := range answer.Topics {
			for _, p := range t.Partitions {
				if e := kerr.ErrorForCode(p.ErrorCode); e != nil {
					err = e
					continue
				}
				taken[assignment{t.Topic, p.Partition}] = true
			}
		}
	}
	failures := uint64(0)
	for w, p := range points {
		if taken[assignment{w.topic, w.partition}] {
			w.settled(p)
			continue
		}
		failures++
	}
	if failures == 0 {
		s.count.commits.Add(1)
		return
	}
	s.count.commitFailures.Add(failures)
	s.log.Complain("commit", "kafka: a commit failed; what it covered comes again if this process ends before the next", "partitions", failures, "err", err)
}
