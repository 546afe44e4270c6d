package route

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// TestReadersMissNothing has readers look up addresses that are always open
// somewhere, while writers move them from set to set, let others come and go around
// them so that arrays grow, shrink and are cleaned, swap whole sets and sweep. A look-up
// that misses, or that names an author the address never was at, is a wrong `offline`.
func TestReadersMissNothing(t *testing.T) {
	const devices, sets, wander = 400, 4, 3000
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	table := testTable(t, func(c *Config) { c.AuthorsMax = 16 })
	// All in two shards, close to each other: every change is near somebody's probe.
	address := func(n uint64) uint64 { return mix(n)>>shardBits | n&1<<63 }
	account := func(n uint64) uint64 { return mix(n/2+1<<50)>>shardBits | n&1<<63 }
	var fixed [sets]Author
	for i := range fixed {
		fixed[i] = table.publish(t)
	}
	for n := range uint64(devices) {
		if err := table.Put(fixed[n%sets], address(n), account(n), 1); err != nil {
			t.Fatal(err)
		}
	}
	known := func(a Author) bool { return a >= fixed[0] && a <= fixed[sets-1] }
	var stop atomic.Bool
	var readers, writers sync.WaitGroup
	for r := range 3 {
		readers.Go(func() {
			var authors []Author
			for n := uint64(r); !stop.Load(); n++ {
				e, ok := table.Lookup(address(n % devices))
				if !ok || e.Closed || !known(e.Author) {
					t.Errorf("device %d: %+v %v", n%devices, e, ok)
					return
				}
				if authors = table.AppendAccount(authors[:0], account(n%devices)); len(authors) == 0 || len(authors) > sets {
					t.Errorf("account of device %d: %v", n%devices, authors)
					return
				}
			}
		})
	}
	// One writer moves devices: open at the next set, then closed at the last one.
	writers.Go(func() {
		for round := range rounds {
			for n := range uint64(devices) {
				from, to := fixed[(n+uint64(round))%sets], fixed[(n+uint64(round)+1)%sets]
				if err := table.Put(to, address(n), account(n), uint64(round)+2); err != nil {
					t.Error(err)
				}
				if !table.Remove(from, address(n), account(n), uint64(round)+1) {
					t.Errorf("device %d is not where it was", n)
				}
				if n%16 == 0 {
					table.Age()
					table.Sweep(100)
					runtime.Gosched()
				}
			}
		}
	})
	// One lets others come and go in sets that replace each other.
	writers.Go(func() {
		var shown Author
		for round := range rounds {
			a, err := table.NewSet()
			if err != nil {
				t.Error(err)
				return
			}
			for n := uint64(devices); n < wander; n++ {
				_ = table.Put(a, address(n), account(n), uint64(round)+1)
			}
			if err := table.Publish(a, shown); err != nil {
				t.Error(err)
			}
			shown = a
			for n := uint64(devices); n < wander; n += 3 {
				table.Forget(a, address(n), account(n), uint64(round)+1)
			}
			for table.Sweep(1000) {
			}
		}
	})
	writers.Wait()
	stop.Store(true)
	readers.Wait()
	if err := table.check(); err != nil {
		t.Error(err)
	}
	if s := table.Stats(); s.Remade == 0 {
		t.Errorf("no array was made anew: %+v", s)
	} else {
		t.Logf("%d arrays made anew, %d look-ups looked again", s.Remade, s.Retries)
	}
}
