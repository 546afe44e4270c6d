package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// measures asks for the ends of this member's partitions at intervals, until ctx ends.
// Fetches say them too, but not of a partition that is not fetched, and those are the
// ones that fall behind.
func (s *Source) measures(ctx context.Context) {
	tick := time.NewTicker(s.cfg.LagInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.measure(ctx)
		}
	}
}

// The arguments of ListOffsets: the ends of a partition, as a consumer may read it.
const (
	latest        = -1
	earliest      = -2
	noReplica     = -1
	readCommitted = 1
)

func (s *Source) measure(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.LagInterval)
	defer cancel()
	windows := s.assigned()
	var unplaced []*window // the group has never committed anything of them
	for _, w := range windows {
		if w.unplaced() {
			unplaced = append(unplaced, w)
		}
	}
	if s.cfg.Start == StartEarliest {
		s.list(ctx, unplaced, earliest, (*window).begins)
	} else {
		s.list(ctx, unplaced, latest, (*window).begins)
	}
	s.list(ctx, windows, latest, (*window).reaches)
}

// list asks the brokers for one end of each partition.
func (s *Source) list(ctx context.Context, windows []*window, end int64, note func(w *window, offset int64)) {
	if len(windows) == 0 {
		return
	}
	byTopic := map[string][]kmsg.ListOffsetsRequestTopicPartition{}
	for _, w := range windows {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = w.partition, end
		byTopic[w.topic] = append(byTopic[w.topic], p)
	}
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID, request.IsolationLevel = noReplica, readCommitted
	for topic, partitions := range byTopic {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		request.Topics = append(request.Topics, t)
	}
	for _, shard := range s.client.RequestSharded(ctx, request) {
		answer, ok := shard.Resp.(*kmsg.ListOffsetsResponse)
		if shard.Err != nil || !ok {
			continue // that broker is away; what is known stays
		}
		for _, t := range answer.Topics {
			for _, p := range t.Partitions {
				if w := s.window(t.Topic, p.Partition); w != nil && p.ErrorCode == 0 {
					note(w, p.Offset)
				}
			}
		}
	}
}
