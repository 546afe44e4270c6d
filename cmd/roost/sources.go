package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/cmd/roost/internal/config"
	"github.com/roostpush/roost/session/processor"
	"github.com/roostpush/roost/session/processor/jetstream"
	"github.com/roostpush/roost/session/processor/kafka"
)

// sources run what hands in records from queues. A queue that is away, or that lacks
// something, is no reason to keep devices waiting: the source is tried again, and metrics
// and log say so.
type sources struct {
	list    []*source
	log     *slog.Logger
	ctx     context.Context // ends when the sources are to stop
	end     context.CancelFunc
	running sync.WaitGroup
}

// source is one queue.
type source struct {
	kind     sourceKind
	make     func() (feed, error) // a feed runs once
	feed     atomic.Pointer[feed]
	up       atomic.Bool
	failures atomic.Uint64
}

// feed is a source of the processor's; those of kafka and jetstream are ones.
type feed interface {
	Run(ctx context.Context) error
	Begun() <-chan struct{}
	writeStats(w io.Writer)
}

type kafkaFeed struct{ *kafka.Source }

func (f kafkaFeed) writeStats(w io.Writer) { writeMetrics(w, f.Stats()) }

type jetstreamFeed struct{ *jetstream.Source }

func (f jetstreamFeed) writeStats(w io.Writer) { writeMetrics(w, f.Stats()) }

type sourceKind int

const (
	sourceKafka sourceKind = iota
	sourceJetStream
	sourceKinds
)

func (k sourceKind) String() string { return [...]string{"kafka", "jetstream"}[k] }

// newSources makes those that are enabled. It reads the files that their settings name, and
// opens no connection.
func newSources(cfg config.Config, sink processor.Sink, log *slog.Logger) (*sources, error) {
	s := &sources{log: log}
	s.ctx, s.end = context.WithCancel(context.Background())
	if cfg.Kafka.Enabled {
		s.list = append(s.list, &source{kind: sourceKafka, make: func() (feed, error) {
			f, err := kafka.New(cfg.Kafka, sink, log)
			return kafkaFeed{f}, err
		}})
	}
	if cfg.JetStream.Enabled {
		s.list = append(s.list, &source{kind: sourceJetStream, make: func() (feed, error) {
			f, err := jetstream.New(cfg.JetStream, sink, log)
			return jetstreamFeed{f}, err
		}})
	}
	for _, one := range s.list {
		f, err := one.make()
		if err != nil {
			s.end()
			return nil, err
		}
		one.feed.Store(&f)
	}
	return s, nil
}

// none reports whether there are no queues at all.
func (s *sources) none() bool { return len(s.list) == 0 }

// start runs them, once the node is up.
func (s *sources) start() {
	for _, one := range s.list {
		s.running.Go(func() { s.keepRunning(one) })
	}
}

// stop has them take nothing more in, and waits for what is in work, at most their
// stop_timeout. Nothing is committed of what has no result by then: it comes again.
func (s *sources) stop() {
	s.end()
	s.running.Wait()
}

// The pause before a source that failed is tried again; it doubles with each time.
const (
	sourceRetryMin = time.Second
	sourceRetryMax = 30 * time.Second
)

// keepRunning runs a source until the sources stop. The same complaint is logged once.
func (s *sources) keepRunning(one *source) {
	said, pause := "", sourceRetryMin
	for {
		begun, err := s.run(one)
		if s.ctx.Err() != nil {
			if err != nil {
				s.log.Warn("a source did not end well; what was in work comes again", "source", one.kind.String(), "error", err)
			}
			return
		}
		if err == nil {
			err = errors.New("it ended by itself")
		}
		one.failures.Add(1)
		if begun {
			said, pause = "", sourceRetryMin
		}
		if text := err.Error(); text != said {
			s.log.Error("a source cannot run; it is tried again, and the rest of the node does not wait for it", "source", one.kind.String(), "error", err)
			said = text
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
		pause = min(2*pause, sourceRetryMax)
	}
}

// run runs a source once; begun says that it has consumed.
func (s *sources) run(one *source) (begun bool, err error) {
	f := *one.feed.Load()
	if one.failures.Load() > 0 {
		if f, err = one.make(); err != nil {
			return false, err
		}
		one.feed.Store(&f)
	}
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-f.Begun():
			begun = true
			one.up.Store(true)
			s.log.Info("a source is up", "source", one.kind.String())
		case <-ended:
		}
	})
	err = f.Run(s.ctx)
	close(ended)
	watching.Wait()
	select {
	case <-f.Begun():
		begun = true // also when it ended before that was seen
	default:
	}
	one.up.Store(false)
	return begun, err
}

// writeMetrics writes what the sources have counted. Their own counters begin again when one
// had to be made anew.
func (s *sources) writeMetrics(w io.Writer) {
	for _, one := range s.list {
		up := 0
		if one.up.Load() {
			up = 1
		}
		fmt.Fprintf(w, "roost_source_up{source=%q} %d\nroost_source_failures_total{source=%q} %d\n", one.kind, up, one.kind, one.failures.Load())
		(*one.feed.Load()).writeStats(w)
	}
}
