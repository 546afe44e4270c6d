package replica

import (
	"testing"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/route"
	"github.com/roostpush/roost/session/wire"
)

// crowd is a registry of many sessions, two an account.
type crowd struct {
	calm
	n int
}

func (c crowd) AppendOpen(dst []wire.Change, cursor uint64, n int) ([]wire.Change, uint64) {
	for i := int(cursor); i < c.n; i++ {
		if n--; n < 0 {
			return dst, uint64(i)
		}
		dst = append(dst, wire.Change{Address: spread(i), Account: spread(i / 2), Version: 1})
	}
	return dst, 0
}

// bridge is a link that hands a message over at once.
type bridge struct {
	calm
	from  string
	other *Replica
}

func (b *bridge) Send(_ string, message any) bool {
	return b.other.Receive(b.from, message, 1) == nil
}

// BenchmarkSnapshot gives a node that joins a million entries: the walk over the
// registry, the pump, and the loading, in one goroutine without codecs.
func BenchmarkSnapshot(b *testing.B) {
	const entries = 1_000_000
	node := func(name string, sessions Sessions, links *bridge) *Replica {
		cfg := route.Default()
		cfg.EntriesMax, cfg.OwnEntries = 2*entries, 0
		table, err := route.New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { table.Close() })
		links.from = name
		r, err := New(Default(), session.Origin{Node: name, Epoch: 1}, Ports{Table: table, Sessions: sessions, Owner: calm{}, Links: links})
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	var toB, toA bridge
	source := node("a", crowd{n: entries}, &toB)
	toA.other = source
	for i := range entries {
		if err := source.Table.Put(source.Self(), spread(i), spread(i/2), 1); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		toB.other = node("b", calm{}, &toA)
		b.StartTimer()
		toB.other.Joined(source.self, 1)
		for i := int64(1); toB.other.Stats().Authors == 0; i++ {
			source.pump(i)
		}
	}
	b.ReportMetric(float64(b.N)*entries/b.Elapsed().Seconds(), "entries/s")
}
