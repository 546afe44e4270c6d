package replica

import (
	"fmt"
	"sync"
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/route"
	"github.com/roostpush/roost/session/wire"
)

// raced says that the race detector is on: it makes sync.Pool forget at random.
var raced bool

// calm is an outside that nothing happens in.
type calm struct{ peers []string }

func (calm) AppendOpen(dst []wire.Change, _ uint64, _ int) ([]wire.Change, uint64) { return dst, 0 }
func (calm) Find(_, _ uint64) (session.Address, bool)                              { return session.Address{}, false }
func (calm) Displace(_, _, _ uint64)                                               {}
func (calm) Reassert(_, _, _ uint64)                                               {}
func (calm) Send(string, any) bool                                                 { return true }
func (c calm) Peers(dst []string) []string                                         { return append(dst, c.peers...) }

var theAuthor = session.Origin{Node: "author", Epoch: 1}

// solitary is a replica over a real table that follows one author, which is live.
func solitary(tb testing.TB, entries int) (*Replica, *route.Table) {
	cfg := route.Default()
	cfg.EntriesMax, cfg.OwnEntries = entries, 0
	table, err := route.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { table.Close() })
	c := calm{peers: []string{"author", "b"}}
	ports := Ports{Table: table, Sessions: c, Owner: c, Links: c, Online: func(string, []wire.Change) {}}
	r, err := New(Default(), session.Origin{Node: "self", Epoch: 1}, ports)
	if err != nil {
		tb.Fatal(err)
	}
	r.Joined(theAuthor, 1)
	if err := r.Receive("author", &wire.SnapshotChunk{Author: theAuthor, Last: true}, 1); err != nil {
		tb.Fatal(err)
	}
	return r, table
}

// populate gives the author so many devices, two an account, and returns the number of its
// next change. In a table that is empty but for what comes and goes, the arrays would too.
func populate(tb testing.TB, r *Replica, entries int) (seq uint64) {
	d := &wire.Delta{Author: theAuthor, First: 1}
	for i := range entries {
		d.Changes = append(d.Changes, wire.Change{Address: spread(i), Account: spread(i / 2), Version: 1})
		if len(d.Changes) == 2000 || i == entries-1 {
			if err := r.Receive("author", d, 1); err != nil {
				tb.Fatal(err)
			}
			d.First += uint64(len(d.Changes))
			d.Changes = d.Changes[:0]
		}
	}
	return d.First
}

func spread(i int) uint64 { return uint64(i+1) * 0x9e3779b97f4a7c15 }

func TestHotPathsAllocateNothing(t *testing.T) {
	if raced {
		t.Skip("pools forget at random under the race detector")
	}
	r, _ := solitary(t, 100_000)
	nowMS, seq := int64(1_000_000), populate(t, r, 50_000)
	d := &wire.Delta{Author: theAuthor, Changes: make([]wire.Change, 10)}
	for name, fn := range map[string]func(){
		"opened and closed": func() {
			nowMS += 30
			r.Closed(5, 6, r.Opened(5, 6, nowMS), nowMS)
		},
		"delta": func() {
			nowMS++
			d.First = seq
			for i := range d.Changes {
				d.Changes[i] = wire.Change{Address: spread(i), Account: 7, Version: uint64(nowMS), Closed: seq%20 > 10}
			}
			seq += uint64(len(d.Changes))
			if err := r.Receive("author", d, nowMS); err != nil {
				t.Fatal(err)
			}
		},
	} {
		for range 3000 {
			fn() // buffers reach their size
		}
		if n := testing.AllocsPerRun(1000, fn); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if s := r.Stats(); s.Gaps != 0 || s.Changes == 0 || s.DroppedFull != 0 {
		t.Errorf("%+v", s)
	}
}

// TestConcurrently calls everything at once: the race detector is the judge.
func TestConcurrently(t *testing.T) {
	r, table := solitary(t, 100_000)
	var wg sync.WaitGroup
	run := func(f func(i int)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 2000 {
				f(i)
			}
		}()
	}
	for loop := range 2 {
		run(func(i int) { r.Closed(spread(i), 1, r.Opened(spread(i), 1, int64(i+loop)), int64(i)) })
	}
	run(func(i int) {
		_ = r.Receive("author", &wire.Delta{Author: theAuthor, First: uint64(i + 1), Changes: []wire.Change{{Address: spread(i), Account: 1, Version: uint64(i + 5)}}}, int64(i))
	})
	run(func(i int) { _ = r.Receive("b", &wire.LogRequest{Author: r.self, From: uint64(i % 3)}, int64(i)) })
	run(func(i int) { r.Tick(int64(i * 10)) })
	run(func(i int) {
		if e, ok := table.Lookup(spread(i)); ok {
			r.Origin(e.Author)
			r.Misrouted(spread(i), 1, e)
		}
		r.Stats()
	})
	run(func(i int) {
		if i%100 == 0 {
			r.Joined(session.Origin{Node: "c", Epoch: uint64(i)}, int64(i))
			r.Linked("c", int64(i))
			r.Left(session.Origin{Node: "c", Epoch: uint64(i)})
			r.Unlinked("c")
		}
	})
	wg.Wait()
}

// BenchmarkDelta applies changes of one author to a table of a million entries, half
// openings, half closings.
func BenchmarkDelta(b *testing.B) {
	for _, n := range []int{1, 100, 2048} {
		b.Run(fmt.Sprint(n, " changes"), func(b *testing.B) {
			const entries = 1_000_000
			r, _ := solitary(b, 4*entries)
			seq, d := populate(b, r, entries), &wire.Delta{Author: theAuthor}
			b.ReportAllocs()
			i, changes := 0, 0
			for b.Loop() {
				for len(d.Changes) < n {
					k := i / 2 % entries
					version := uint64(2 + i/2/entries*2)
					d.Changes = append(d.Changes, wire.Change{Address: spread(k), Account: spread(k / 2), Version: version - uint64(1-i%2), Closed: i%2 == 0})
					i++
				}
				changes += n
				d.First = seq
				seq += uint64(n)
				if err := r.Receive("author", d, int64(changes)); err != nil {
					b.Fatal(err)
				}
				d.Changes = d.Changes[:0]
				if changes%(1<<16) < n {
					r.Table.Age()
					r.Table.Sweep(1 << 16)
				}
			}
			b.ReportMetric(float64(changes)/b.Elapsed().Seconds(), "changes/s")
			if s := r.Stats(); s.Gaps != 0 || s.DroppedFull != 0 {
				b.Fatalf("%+v", s)
			}
		})
	}
}

// BenchmarkOpened opens and closes own sessions on a node with two links, 20,000 of
// them a second.
func BenchmarkOpened(b *testing.B) {
	r, _ := solitary(b, 4_000_000)
	populate(b, r, 1_000_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		nowMS := int64(i / 20)
		k := spread(2_000_000 + i%1_000_000)
		r.Closed(k, k, r.Opened(k, k, nowMS), nowMS)
		if i%1000 == 0 {
			r.Tick(nowMS)
		}
	}
}
