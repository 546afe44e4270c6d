package jetstream

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/processor"
)

// Source consumes the configured subjects of a stream. Make it with New, run it once
// with Run.
type Source struct {
	cfg  Config
	sink processor.Sink
	log  *processor.Complaints

	lanes [session.PriorityCount]lane
	seed  maphash.Seed // of the keys that order records

	conn    *nats.Conn          // from Run on
	stream  jetstream.JetStream // publishes dead letters
	acks    queue               // flights that are final or given back
	letters queue               // flights that can never succeed
	over    <-chan struct{}     // closed when Run is to end
	begun   chan struct{}       // closed once Run has found everything and consumes

	count counters
}

// laneSubjects is the setting of one priority.
type laneSubjects struct {
	priority session.Priority
	setting  string
	subjects []string
}

func (c Config) subjects() [session.PriorityCount]laneSubjects {
	return [...]laneSubjects{
		{session.PriorityHigh, "high_subjects", c.HighSubjects},
		{session.PriorityNormal, "normal_subjects", c.NormalSubjects},
		{session.PriorityLow, "low_subjects", c.LowSubjects},
	}
}

// New returns a source that hands messages to sink. It checks the settings and opens no
// connection.
func New(cfg Config, sink processor.Sink, log *slog.Logger) (*Source, error) {
	if !cfg.Enabled {
		return nil, errors.New("jetstream: enabled is false: there is nothing to run")
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Source{
		cfg: cfg, sink: sink, log: processor.NewComplaints(log, cfg.LogEvery, time.Now), seed: maphash.MakeSeed(),
		begun: make(chan struct{}),
	}
	s.acks.wake, s.letters.wake = make(chan struct{}, 1), make(chan struct{}, 1)
	for _, l := range cfg.subjects() {
		s.lanes[l.priority].init(s, l)
	}
	return s, nil
}

// Begun is closed once Run has found everything that it needs, and consumes.
func (s *Source) Begun() <-chan struct{} { return s.begun }

// Run consumes until ctx ends; then it waits for what is in work, at most
// Config.StopTimeout, gives the rest back and returns nil. It returns an error at once if
// no server can be reached or refuses this client, or if the stream does not exist; once
// it has begun, servers may come and go.
func (s *Source) Run(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // stopped before it began
		}
		return err
	}
	defer s.conn.Close()
	s.over = ctx.Done()
	close(s.begun)
	var lanes, tenders sync.WaitGroup
	for p := range s.lanes {
		if l := &s.lanes[p]; l.consumer != nil {
			lanes.Go(l.fetch)
			lanes.Go(l.feed)
		}
	}
	tending, stop := context.WithCancel(context.Background())
	tenders.Go(func() { s.tend(tending) })
	tenders.Go(func() { s.measures(tending) })
	tenders.Go(func() { s.settle(tending) })
	tenders.Go(func() { s.bury(tending) })

	lanes.Wait()
	s.await()
	stop()
	tenders.Wait()
	s.flush()
	return nil
}

// begin connects and finds everything that the source needs.
func (s *Source) begin(ctx context.Context) (err error) {
	if s.conn, err = s.connect(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.conn.Close()
		}
	}()
	if s.stream, err = jetstream.New(s.conn); err != nil {
		return s.missing(err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StartTimeout)
	defer cancel()
	stream, err := s.stream.Stream(ctx, s.cfg.Stream)
	if err != nil {
		return s.missing(err)
	}
	for p := range s.lanes {
		l := &s.lanes[p]
		if len(l.subjects) == 0 {
			continue
		}
		if l.consumer, err = stream.CreateOrUpdateConsumer(ctx, s.consumer(l)); err != nil {
			return s.missing(err)
		}
	}
	if s.cfg.DeadLetterSubject == "" {
		return nil
	}
	_, err = s.stream.StreamNameBySubject(ctx, s.cfg.DeadLetterSubject)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return errors.New("jetstream: no stream has the dead_letter_subject " + s.cfg.DeadLetterSubject + ": add it to one, or dead letters would be lost")
	}
	if err != nil {
		return s.missing(err)
	}
	return nil
}
