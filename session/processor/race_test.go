package processor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/roostpush/roost/session"
)

// crowd is a pusher that ends attempts on other goroutines, in any order, with results
// of any kind, and some before it returns.
type crowd struct {
	ends    chan func()
	running [session.PriorityCount]atomic.Int64
	most    [session.PriorityCount]atomic.Int64
}

func (c *crowd) Push(r *Record, _ int, done func(Result)) {
	lane := r.Priority
	running := c.running[lane].Add(1)
	for {
		most := c.most[lane].Load()
		if running <= most || c.most[lane].CompareAndSwap(most, running) {
			break
		}
	}
	o := [...]session.Outcome{session.Written, session.Written, session.Overloaded, session.Unreachable, session.Offline}[rand.IntN(5)]
	end := func() {
		c.running[lane].Add(-1)
		done(came(o))
	}
	if rand.IntN(4) == 0 {
		end()
		return
	}
	c.ends <- end
}

// TestEverybodyAtOnce has sources, pushers, the mailbox, the clock and pauses at work
// together, and ends in the middle: every record has one result, and no limit is passed.
func TestEverybodyAtOnce(t *testing.T) {
	cfg := Default()
	cfg.Concurrency, cfg.AccountConcurrency = 64, 8
	for _, l := range []*LaneConfig{&cfg.High, &cfg.Normal, &cfg.Low} {
		l.Concurrency, l.RecordsMax, l.TurnsMax = 30, 200, 50
	}
	c := &crowd{ends: make(chan func(), cfg.Concurrency)}
	var clock atomic.Int64
	now := func() int64 { return clock.Load() }
	clock.Store(1_800_000_000_000)
	p := New(cfg, c, now, now)

	ctx, cancel := context.WithCancel(context.Background())
	var run, enders, sources sync.WaitGroup
	run.Go(func() { p.Run(ctx) })
	for range 3 {
		enders.Go(func() {
			for end := range c.ends {
				end()
			}
		})
	}
	var results, given, turns atomic.Int64
	const each, sourceCount = 2000, 3
	enough := make(chan struct{}) // closed in the middle
	var taken atomic.Int64
	for s := range sourceCount {
		sources.Go(func() {
			for i := range each {
				r := &Record{Account: fmt.Sprint("account-", i%7), Priority: session.Priority(i % 3), Key: uint64(i % 11), Payload: []byte("x")}
				if i%5 == 0 {
					r.ID = fmt.Sprint(s, "-", i/40*40) // of eight with one id two are the same record
				}
				heard := new(atomic.Bool)
				done := func(res Result) {
					if heard.Swap(true) {
						t.Error("a record has two results")
					}
					if res.GivenUp {
						given.Add(1)
					}
					if results.Add(1) == each*sourceCount*2/3 {
						close(enough)
					}
				}
				for !p.Take(r, done) {
					select {
					case <-p.Room(r.Priority):
					case <-ctx.Done():
						return
					}
				}
				taken.Add(1)
				p.Turn(r.Priority, r.Account, func(done func()) {
					turns.Add(1)
					c.ends <- done
				})
			}
		})
	}
	var clocks sync.WaitGroup
	clocks.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			clock.Add(20)
			p.Tick()
			switch i % 4 {
			case 0:
				p.Pause(Draining)
			case 1:
				p.Pause(StoreStalled)
			case 2:
				p.Resume(Draining)
			case 3:
				p.Resume(StoreStalled)
			}
			p.Stats()
			runtime.Gosched()
		}
	})
	<-enough
	cancel()
	sources.Wait()
	run.Wait()
	clocks.Wait()
	close(c.ends)
	enders.Wait()
	if results.Load() != taken.Load() {
		t.Errorf("%d records were taken and %d results were heard", taken.Load(), results.Load())
	}
	s := p.Stats()
	if s.Records != (ByLane{}) || s.Running != (ByLane{}) || s.TurnsHeld != (ByLane{}) || s.GivenUp != uint64(given.Load()) {
		t.Errorf("%d were given up, and the stats are %+v", given.Load(), s)
	}
	for lane := range c.most {
		if most := c.most[lane].Load(); most > 30 || most < 2 {
			t.Errorf("%d attempts of the lane %v at one moment", most, session.Priority(lane))
		}
	}
	if turns.Load() == 0 || s.Retries == (ByLane{}) || s.Repeated == 0 || s.Rejected == 0 {
		t.Errorf("%d turns; not everything happened: %+v", turns.Load(), s)
	}
}
