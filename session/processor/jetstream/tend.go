package jetstream

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// tend tells the server at intervals which messages are still in work, until ctx ends.
func (s *Source) tend(ctx context.Context) {
	tick := time.NewTicker(s.cfg.AckWait / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for p := range s.lanes {
				for _, m := range s.lanes[p].messages() {
					// One that was settled meanwhile refuses it, which is right.
					if m.InProgress() == nil {
						s.count.inProgress.Add(1)
					}
				}
			}
		}
	}
}

// messages returns the newest delivery of everything in work.
func (l *lane) messages() []jetstream.Msg {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]jetstream.Msg, 0, len(l.inWork))
	for _, f := range l.inWork {
		list = append(list, f.message)
	}
	return list
}

// measures asks at intervals how many messages wait in the stream, until ctx ends.
func (s *Source) measures(ctx context.Context) {
	tick := time.NewTicker(s.cfg.LagInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for p := range s.lanes {
				s.lanes[p].measure(ctx)
			}
		}
	}
}

func (l *lane) measure(ctx context.Context) {
	if l.consumer == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, l.source.cfg.LagInterval)
	defer cancel()
	info, err := l.consumer.Info(ctx)
	if err != nil {
		return // the server is away; what is known stays
	}
	l.mu.Lock()
	l.lag = info.NumPending
	l.mu.Unlock()
}
