package route

import (
	"slices"
	"testing"
)

// TestEveryPlace has runs of addresses with one home each, so that there is one
// at every place of a window and beyond it, before and across every end of a granule: the
// straight line of Lookup, and look, which it leaves the rest to, find each of them, every
// set its own, and nothing between, before and behind them.
func TestEveryPlace(t *testing.T) {
	const runs, longest = 150, window + 3
	table := testTable(t, nil)
	a, b := table.publish(t), table.publish(t)
	address := func(run, place int) uint64 {
		return 5<<shardShift | uint64(run)*(1<<shardShift/runs) + 2*uint64(place) + 1
	}
	version := func(run, place int) uint64 { return uint64(run*longest + place + 1) }
	for run := range runs {
		for place := range run % (longest + 1) {
			if err := table.Put(a, address(run, place), 1, version(run, place)); err != nil {
				t.Fatal(err)
			}
			if place%4 == 3 { // two sets have it: the other one is newer
				if err := table.Put(b, address(run, place), 1, version(run, place)+1); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	// A free granule is taken from the end of the list, so that those of the next array run
	// backwards: who reads on behind the end of one reads something else.
	free, _ := table.mem.take(nil, 16)
	slices.Sort(free)
	table.mem.give(free)
	sh := &table.shards[5]
	sh.mu.Lock()
	table.remakeLocked(sh, sh.live)
	sh.mu.Unlock()
	for i, g := range sh.array.Load().granules {
		if i > 0 && g == sh.array.Load().granules[i-1]+1 {
			t.Fatalf("granules follow each other: %v", sh.array.Load().granules)
		}
	}
	if err := table.check(); err != nil {
		t.Fatal(err)
	}
	places, crossing := map[int]bool{}, 0
	for run := range runs {
		for place := range longest {
			at := address(run, place)
			found := place < run%(longest+1)
			want := Entry{}
			if found {
				want = Entry{Author: a, Version: version(run, place)}
				if place%4 == 3 {
					want = Entry{Author: b, Version: version(run, place) + 1}
				}
				home, slot := sh.array.Load().home(at), sh.array.Load().indexOf(at, want.Author)
				places[slot-home] = true
				if home>>pairBits != slot>>pairBits {
					crossing++
				}
			}
			if e, ok := table.Lookup(at); e != want || ok != found {
				t.Errorf("Lookup of place %d of run %d: %+v %v, want %+v %v", place, run, e, ok, want, found)
			}
			if e, ok := table.look(sh, at); e != want || ok != found {
				t.Errorf("look for place %d of run %d: %+v %v, want %+v %v", place, run, e, ok, want, found)
			}
			if v, _, ok := table.Get(a, at); ok != found || found && v != version(run, place) {
				t.Errorf("Get of place %d of run %d: %d %v", place, run, v, ok)
			}
			for _, absent := range []uint64{at - 1, at + 1} {
				if e, ok := table.Lookup(absent); ok {
					t.Errorf("Lookup beside place %d of run %d: %+v", place, run, e)
				}
			}
		}
	}
	for place := range window + 4 {
		if !places[place] {
			t.Errorf("nothing lies %d slots behind its home", place)
		}
	}
	if crossing == 0 {
		t.Error("no address lies in another granule than its home")
	}
}
