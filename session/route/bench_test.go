package route

import (
	"flag"
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
)

// benchEntries is how large the table is that look-ups and changes are measured on;
// make bench-route-100m sets 100 million.
var benchEntries = flag.Int("entries", 10_000_000, "entries of the benchmarks' table")

// mix spreads numbers like a keyed hash does names (splitmix64's finalizer).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// The n-th device has an account of its own: for the index nothing costs more.
func addressNo(n uint64) uint64 { return mix(n) }
func accountNo(n uint64) uint64 { return mix(n ^ 1<<63) }

const benchAuthors = 100

// filled is a table kept for several benchmarks, since filling it takes its time.
var filled struct {
	table   *Table
	authors []Author
	owners  []uint8 // of each device, as an index of authors
	version uint64  // the highest so far
}

func filledTable(b *testing.B) (*Table, []Author) {
	if filled.table != nil {
		return filled.table, filled.authors
	}
	cfg := Default()
	cfg.EntriesMax, cfg.OwnEntries = *benchEntries+*benchEntries/4, 0
	table, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	var authors []Author
	for range benchAuthors {
		authors = append(authors, table.publish(b))
	}
	for n := range uint64(*benchEntries) {
		if err := table.Put(authors[n%benchAuthors], addressNo(n), accountNo(n), 1+n); err != nil {
			b.Fatal(err)
		}
		filled.owners = append(filled.owners, uint8(n%benchAuthors))
	}
	filled.table, filled.authors, filled.version = table, authors, 1<<40
	return table, authors
}

// churn opens and closes devices beyond the table's own as fast as it can until it is
// told to stop, and lets tombstones go; it counts its changes, some at a time.
func churn(table *Table, authors []Author, stop *atomic.Bool, count *atomic.Uint64) {
	const window = 100_000
	base, changes := uint64(1<<40), uint64(0)
	for n := base; !stop.Load(); n++ {
		_ = table.Put(authors[n%benchAuthors], addressNo(n), accountNo(n), 1+n)
		changes++
		if n >= base+window {
			old := n - window
			table.Remove(authors[old%benchAuthors], addressNo(old), accountNo(old), 1+old)
			changes++
		}
		if n%128 == 0 {
			count.Store(changes)
		}
		if n%1024 == 0 {
			table.Age()
			table.Sweep(1024)
		}
	}
}

// BenchmarkLookup looks devices up at random in a table of -entries, while a writer
// changes it as fast as it can. independent: one after the other, as a stream of pushes
// does, and beside the floor in slices of some milliseconds (slices_test.go); dependent:
// which one comes next is known only from the answer before; floor: one load from an array
// of that size, in the same run.
func BenchmarkLookup(b *testing.B) {
	table, authors := filledTable(b)
	var changes atomic.Uint64
	run := func(name string, writer bool, lookup func(b *testing.B)) {
		b.Run(name, func(b *testing.B) {
			var stop atomic.Bool
			var wg sync.WaitGroup
			changes.Store(0)
			if writer {
				wg.Go(func() { churn(table, authors, &stop, &changes) })
			}
			b.ReportAllocs()
			runtime.LockOSThread()
			lookup(b)
			runtime.UnlockOSThread()
			b.StopTimer()
			seconds := b.Elapsed().Seconds()
			stop.Store(true)
			wg.Wait()
			if writer {
				b.ReportMetric(float64(changes.Load())/seconds, "changes/s")
			}
		})
	}
	inOne := func(name string, writer bool, lookup func(b *testing.B)) {
		run(name, writer, func(b *testing.B) { onThread(b, func() { lookup(b) }) })
	}
	entries := uint64(*benchEntries)
	dependent := func(b *testing.B) {
		k := uint64(0)
		for n := uint64(0); b.Loop(); n++ {
			e, ok := table.Lookup(addressNo(k))
			if !ok {
				b.Fatal("a device is missing")
			}
			k = mix(n^e.Version) % entries // without n it would soon go round in a circle
		}
	}
	slots, err := openMemory(16 * *benchEntries * 100 / 80)
	if err != nil {
		b.Fatal(err)
	}
	defer slots.close()
	flat := unsafe.Slice((*pair)(slots.base), *benchEntries*100/80)
	for n := range flat {
		flat[n].val = uint64(n)
	}
	loaded := uint64(0)
	floor := func() {
		for range floorLoads {
			at, _ := bits.Mul64(addressNo(mix(loaded)%entries), uint64(len(flat)))
			atomic.LoadUint64(&flat[at].val)
			loaded++
		}
	}
	independent := func(b *testing.B) {
		s, n := newSlicing(floor, &changes), uint64(0)
		for ; b.Loop(); n++ {
			if n%sliceLookups == 0 && n > 0 {
				s.end(sliceLookups)
			}
			if _, ok := table.Lookup(addressNo(mix(n) % entries)); !ok {
				b.Fatal("a device is missing")
			}
		}
		if len(s.all) == 0 {
			s.end(n)
		}
		s.report(b)
	}
	inOne("floor/independent", false, func(b *testing.B) {
		for n := uint64(0); b.Loop(); n++ {
			at, _ := bits.Mul64(addressNo(mix(n)%entries), uint64(len(flat)))
			atomic.LoadUint64(&flat[at].val)
		}
	})
	inOne("floor/dependent", false, func(b *testing.B) {
		k := uint64(0)
		for n := uint64(0); b.Loop(); n++ {
			at, _ := bits.Mul64(addressNo(k), uint64(len(flat)))
			k = mix(n^atomic.LoadUint64(&flat[at].val)) % entries
		}
	})
	run("independent/writing", true, independent)
	inOne("dependent/writing", true, dependent)
	run("independent/quiet", false, independent)
	inOne("dependent/quiet", false, dependent)
	inOne("miss/writing", true, func(b *testing.B) {
		for n := uint64(0); b.Loop(); n++ {
			table.Lookup(mix(n ^ 1<<62))
		}
	})
	inOne("account/writing", true, func(b *testing.B) {
		var authors []Author
		for n := uint64(0); b.Loop(); n++ {
			if authors = table.AppendAccount(authors[:0], accountNo(mix(n)%entries)); len(authors) == 0 {
				b.Fatal("an account is missing")
			}
		}
	})
}

// onThread reports the processor time of an operation beside the time that passed.
func onThread(b *testing.B, run func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadTime()
	run()
	b.ReportMetric(float64(threadTime()-before)/float64(b.N), "cpu-ns/op")
}

// BenchmarkChange is what deltas do to a table of -entries, on one core: devices at
// random close at one node and open at another. An operation is one of the two;
// tombstones go as they would within some seconds. alone: one after the other; together:
// touched 16 at a time before they are made, as package replica does with a delta.
func BenchmarkChange(b *testing.B) {
	table, authors := filledTable(b)
	for _, bench := range []struct {
		name  string
		batch uint64
	}{{"alone", 1}, {"together", 16}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			onThread(b, func() {
				for n := uint64(0); b.Loop(); n++ {
					if n%bench.batch == 0 && bench.batch > 1 {
						for k := n; k < n+bench.batch; k++ {
							device := movingDevice(k)
							table.Touch(addressNo(device), accountNo(device))
						}
					}
					move(b, table, authors, n)
				}
			})
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
			if b.N%2 == 1 {
				move(b, table, authors, uint64(b.N))
			}
		})
	}
}

// movingDevice is the device of the n-th change: it closes, and then opens elsewhere.
func movingDevice(n uint64) uint64 { return mix(n/2^1<<61) % uint64(*benchEntries) }

func move(b *testing.B, table *Table, authors []Author, n uint64) {
	device := movingDevice(n)
	owner := &filled.owners[device]
	filled.version++
	if n%2 == 1 {
		*owner = (*owner + 1) % benchAuthors
		if err := table.Put(authors[*owner], addressNo(device), accountNo(device), filled.version); err != nil {
			b.Fatal(err)
		}
		return
	}
	if !table.Remove(authors[*owner], addressNo(device), accountNo(device), filled.version) {
		b.Fatal("a device is not where it was")
	}
	if n%(200_000) == 0 {
		table.Age()
	}
	if n%64 == 0 {
		table.Sweep(64)
	}
}

// BenchmarkBytes fills a table from nothing to 12 million entries and reports the most
// that an entry costs at any size from 5 million on, growth included: the table alone,
// and with the index when every device has an account of its own.
func BenchmarkBytes(b *testing.B) {
	for _, indexed := range []bool{false, true} {
		b.Run(fmt.Sprintf("indexed=%v", indexed), func(b *testing.B) {
			for b.Loop() {
				worst, at := worstBytes(b, indexed, 5_000_000, 12_000_000)
				b.ReportMetric(worst, "B/entry")
				b.ReportMetric(float64(at), "entries-at-worst")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

func worstBytes(tb testing.TB, indexed bool, from, to int) (worst float64, at int) {
	table := newTable(tb, func(c *Config) { c.EntriesMax = to })
	defer table.Close()
	a := table.publish(tb)
	for n := range uint64(to) {
		account := uint64(1)
		if indexed {
			account = accountNo(n)
		}
		if err := table.Put(a, addressNo(n), account, n); err != nil {
			tb.Fatal(err)
		}
		if size := int(n) + 1; size >= from && size%(to/2000) == 0 {
			if each := float64(table.bytes()) / float64(size); each > worst {
				worst, at = each, size
			}
		}
	}
	return worst, at
}

// BenchmarkHeld reports what each of -entries costs at rest, with an account of its
// own, as the table counts it and as the kernel does.
func BenchmarkHeld(b *testing.B) {
	table, _ := filledTable(b)
	for b.Loop() {
		table.Stats()
	}
	b.ReportMetric(float64(table.Stats().Bytes)/float64(table.Len()), "B/entry")
	b.ReportMetric(float64(table.Stats().Bytes)/1e9, "GB")
	b.ReportMetric(float64(residentBytes())/1e9, "GB-process")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFill is what a new node does: a snapshot of one author after the other,
// each published when it is whole.
func BenchmarkFill(b *testing.B) {
	const entries = 1_000_000
	for b.Loop() {
		b.StopTimer()
		table := newTable(b, func(c *Config) { c.EntriesMax = entries })
		runtime.GC()
		b.StartTimer()
		for first := uint64(0); first < entries; first += entries / 10 {
			a, err := table.NewSet()
			if err != nil {
				b.Fatal(err)
			}
			for n := first; n < first+entries/10; n++ {
				if err := table.Put(a, addressNo(n), accountNo(n), n); err != nil {
					b.Fatal(err)
				}
			}
			if err := table.Publish(a, 0); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		table.Close()
		b.StartTimer()
	}
	b.ReportMetric(entries*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkAddress hashes names of the usual length.
func BenchmarkAddress(b *testing.B) {
	k := Key{1, 2, 3}
	b.ReportAllocs()
	for b.Loop() {
		k.Address("account-12345678", "living-room-tv")
	}
}
