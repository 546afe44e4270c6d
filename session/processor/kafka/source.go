package kafka

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/processor"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Source consumes the configured topics as a member of a consumer group. Make it with
// New, run it once with Run.
type Source struct {
	cfg    Config
	sink   processor.Sink
	log    *processor.Complaints
	dialer dialer
	opts   []kgo.Opt // of the connection

	priorities map[string]session.Priority // by topic
	lanes      [session.PriorityCount]lane
	seed       maphash.Seed // of the keys that order records
	flights    sync.Pool

	client     *kgo.Client     // from Run on
	unsent     unsent          // reports that a broker did not take
	resume     chan struct{}   // holds one: a paused window has become short
	room       chan struct{}   // holds one: those that the poll waits for may have room
	awaited    atomic.Int32    // lanes and windows that the poll waits for
	long       []*window       // the poll's: those that are full since this batch
	committing sync.Mutex      // held during a commit, so that commits of a partition only go forward
	over       <-chan struct{} // closed when Run is to end
	begun      chan struct{}   // closed once Run has found everything and consumes

	mu      sync.Mutex
	windows map[assignment]*window

	count counters
}

// assignment is one partition of one topic.
type assignment struct {
	topic     string
	partition int32
}

// New returns a source that hands records to sink. It checks the settings, reads the
// files that they name, and opens no connection.
func New(cfg Config, sink processor.Sink, log *slog.Logger) (*Source, error) {
	if !cfg.Enabled {
		return nil, errors.New("kafka: enabled is false: there is nothing to run")
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Source{
		cfg: cfg, sink: sink, log: processor.NewComplaints(log, cfg.LogEvery, time.Now),
		priorities: map[string]session.Priority{}, seed: maphash.MakeSeed(),
		resume: make(chan struct{}, 1), room: make(chan struct{}, 1), begun: make(chan struct{}), windows: map[assignment]*window{},
	}
	s.flights.New = func() any { return newFlight(s) }
	opts, err := cfg.Connection.options(&s.dialer)
	if err != nil {
		return nil, err
	}
	s.opts = opts
	for p, topics := range map[session.Priority][]string{
		session.PriorityHigh: cfg.HighTopics, session.PriorityNormal: cfg.NormalTopics, session.PriorityLow: cfg.LowTopics,
	} {
		s.lanes[p] = lane{priority: p, topics: topics, held: make(chan *flight, cfg.HeldMax+cfg.PollMax)}
		for _, topic := range topics {
			s.priorities[topic] = p
		}
	}
	for p := range s.lanes {
		l := &s.lanes[p]
		l.alone = len(l.topics) > 0 && len(cfg.HighTopics)+len(cfg.NormalTopics)+len(cfg.LowTopics) == len(l.topics)
	}
	return s, nil
}

// Begun is closed once Run has found everything that it needs, and consumes.
func (s *Source) Begun() <-chan struct{} { return s.begun }

// Run consumes until ctx ends; then it waits for what is in work, at most
// Config.StopTimeout, commits, leaves the group and returns nil. It returns an error at
// once if a broker cannot be reached, refuses this client, or lacks a topic (Check); once
// it has begun, brokers may come and go.
func (s *Source) Run(ctx context.Context) error {
	if err := s.Check(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // stopped before it began
		}
		return err
	}
	client, err := kgo.NewClient(append(s.consumer(), s.opts...)...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	s.client, s.over = client, ctx.Done()
	close(s.begun)

	var feeders, tenders sync.WaitGroup
	for p := range s.lanes {
		if l := &s.lanes[p]; len(l.topics) > 0 {
			feeders.Go(func() { s.feed(l) })
		}
	}
	tending, stop := context.WithCancel(context.Background())
	tenders.Go(func() { s.commits(tending) })
	tenders.Go(func() { s.measures(tending) })
	tenders.Go(func() { s.tend(tending) })

	err = s.poll(ctx)
	end()
	feeders.Wait()
	s.finish(context.Background(), s.assigned(), s.cfg.StopTimeout)
	stop()
	tenders.Wait()
	s.leave()
	return err
}

// leave says farewell to the group, so that the others get the partitions at once.
func (s *Source) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.StopTimeout)
	defer cancel()
	s.client.AllowRebalance()
	if err := s.client.LeaveGroupContext(ctx); err != nil {
		s.log.Complain("leave", "kafka: the group was not told that this member leaves; it notices after session_timeout", "err", err)
	}
	s.client.Close()
}

// consumer returns the options of a member of the group.
func (s *Source) consumer() []kgo.Opt {
	start := kgo.NewOffset().AtStart()
	if s.cfg.Start == StartLatest {
		start = kgo.NewOffset().AtEnd()
	}
	var topics []string
	for p := range s.lanes {
		topics = append(topics, s.lanes[p].topics...)
	}
	opts := []kgo.Opt{
		kgo.WithLogger(clientLog{s.log}),
		kgo.ConsumerGroup(s.cfg.Group),
		kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(start),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.DisableAutoCommit(),
		// Between a poll and the moment its records stand in their windows no partition may
		// go: a record in the window of a later assignment would hide the ones before it.
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(s.assign),
		kgo.AdjustFetchOffsetsFn(s.place),
		kgo.OnPartitionsRevoked(s.revoke),
		kgo.OnPartitionsLost(s.lose),
		kgo.SessionTimeout(s.cfg.SessionTimeout),
		kgo.HeartbeatInterval(min(3*time.Second, s.cfg.SessionTimeout/10)),
		kgo.RebalanceTimeout(s.cfg.RebalanceTimeout),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(int32(s.cfg.FetchBytesMax)),
		kgo.FetchMaxPartitionBytes(int32(s.cfg.FetchPartitionBytesMax)),
		kgo.FetchMaxWait(s.cfg.FetchWait),
		kgo.WithPools(new(memory)),
		kgo.RecordDeliveryTimeout(s.cfg.ReportTimeout),
		kgo.MaxBufferedRecords(reportsMax),
	}
	if s.cfg.Instance != "" {
		opts = append(opts, kgo.InstanceID(s.cfg.Instance))
	}
	return opts
}

// assigned returns the windows of the partitions that this member has.
func (s *Source) assigned() []*window {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*window, 0, len(s.windows))
	for _, w := range s.windows {
		list = append(list, w)
	}
	return list
}
