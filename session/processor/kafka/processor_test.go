package kafka

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/processor"
)

// rough pushes records of the real processor, half of the first attempts in vain, each on
// a goroutine of its own.
type rough struct {
	mu      sync.Mutex
	written map[string][]string // ids by address, in the order in which they were written
}

func (p *rough) Push(r *processor.Record, attempt int, done func(processor.Result)) {
	go func() {
		var result processor.Result
		if attempt == 1 && rand.IntN(2) == 0 {
			result.Counts[session.Overloaded] = 1
			done(result)
			return
		}
		p.mu.Lock()
		address := r.Account + "/" + r.Device
		p.written[address] = append(p.written[address], r.ID)
		p.mu.Unlock()
		result.Counts[session.Written] = 1
		done(result)
	}()
}

// TestProcessor is the whole walk, from topics to a pusher through the real processor:
// the records for each device are written in the order of their partition, although
// attempts fail and are made again.
func TestProcessor(t *testing.T) {
	b := newBroker(t)
	topic, g := b.topic(t, 3), group()
	b.produce(t, topic, 3, 0, 60)
	cfg := processor.Default()
	cfg.RetryMin, cfg.RetryMax = time.Millisecond, 2*time.Millisecond
	pusher := &rough{written: map[string][]string{}}
	now := func() int64 { return time.Now().UnixMilli() }
	p := processor.New(cfg, pusher, now, now)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	running.Go(func() {
		for tick := time.NewTicker(time.Millisecond); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				p.Tick()
			}
		}
	})
	defer running.Wait()
	defer cancel()

	src, err := New(b.config(g, topic), p, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	consuming, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- src.Run(consuming) }()
	eventually(t, "all are committed", func() bool {
		return slices.Equal(b.committed(t, g, topic, 3), []int64{60, 60, 60})
	})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if len(pusher.written) != 9 {
		t.Errorf("%d devices, want 9", len(pusher.written))
	}
	for address, ids := range pusher.written {
		last := -1
		for _, id := range ids {
			_, n := place(t, id)
			if n <= last {
				t.Fatalf("%s: record %d was written after %d", address, n, last)
			}
			last = n
		}
		if len(ids) != 20 {
			t.Errorf("%s: %d records, want 20", address, len(ids))
		}
	}
}
