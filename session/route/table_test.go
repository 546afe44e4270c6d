package route

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"entries_max is 0":     func(c *Config) { c.EntriesMax = 0 },
		"own_entries is 9":     func(c *Config) { c.EntriesMax, c.OwnEntries = 9, 9 },
		"authors_max is 65536": func(c *Config) { c.AuthorsMax = 1 << 16 },
		"authors_max is 1":     func(c *Config) { c.AuthorsMax = 1 },
		"tombstones_max is -1": func(c *Config) { c.TombstonesMax = -1 },
		"tombstone_ages is 0":  func(c *Config) { c.TombstoneAges = 0 },
	} {
		cfg := Default()
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	fields := reflect.TypeFor[Config]()
	for i := range fields.NumField() {
		if f := fields.Field(i); f.Tag.Get("yaml") == "" || f.Tag.Get("doc") == "" {
			t.Errorf("%s has no name or no doc", f.Name)
		}
	}
}

// TestNewest tells what a device that moves looks like, step by step.
func TestNewest(t *testing.T) {
	table := testTable(t, nil)
	a, b := table.publish(t), table.publish(t)
	hidden, _ := table.NewSet()
	const address, account = 42, 7
	put := func(author Author, version uint64) {
		if err := table.Put(author, address, account, version); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name string
		do   func()
		want Entry
		has  []Author
	}{
		{"nothing", func() {}, Entry{}, nil},
		{"opened", func() { put(a, 10) }, Entry{a, 10, false}, []Author{a}},
		{"an older opening", func() { put(a, 9) }, Entry{a, 10, false}, []Author{a}},
		{"an older one elsewhere", func() { put(b, 5) }, Entry{a, 10, false}, []Author{a, b}},
		{"moved", func() { put(b, 11) }, Entry{b, 11, false}, []Author{a, b}},
		{"the displaced one closes", func() { table.Remove(a, address, account, 10) }, Entry{b, 11, false}, []Author{b}},
		{"not visible yet", func() { put(hidden, 12) }, Entry{b, 11, false}, []Author{b}},
		{"an older close", func() { table.Remove(b, address, account, 10) }, Entry{b, 11, false}, []Author{b}},
		{"closed", func() { table.Remove(b, address, account, 11) }, Entry{b, 11, true}, nil},
		{"its opening comes late", func() { put(b, 11) }, Entry{b, 11, true}, nil},
		{"the same version, open elsewhere", func() { put(a, 11) }, Entry{a, 11, false}, []Author{a}},
		{"published", func() { _ = table.Publish(hidden, 0) }, Entry{hidden, 12, false}, []Author{a, hidden}},
		{"dropped", func() { table.Drop(hidden) }, Entry{a, 11, false}, []Author{a}},
		{"forgotten too late", func() { table.Forget(a, address, account, 10) }, Entry{a, 11, false}, []Author{a}},
		{"forgotten", func() { table.Forget(a, address, account, 11) }, Entry{b, 11, true}, nil},
		{"young", func() { table.Age(); table.Age(); table.sweepAll() }, Entry{b, 11, true}, nil},
		{"old", func() { table.Age(); table.sweepAll() }, Entry{}, nil},
	} {
		step.do()
		got, ok := table.Lookup(address)
		if got != step.want || ok != (step.want != Entry{}) {
			t.Errorf("%s: %+v %v, want %+v", step.name, got, ok, step.want)
		}
		if has := table.AppendAccount(nil, account); !sameAuthors(has, step.has) {
			t.Errorf("%s: authors %v, want %v", step.name, has, step.has)
		}
	}
	if table.Len() != 0 {
		t.Errorf("%d entries are left", table.Len())
	}
}

func sameAuthors(a, b []Author) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

func TestBadInput(t *testing.T) {
	table := testTable(t, nil)
	a := table.publish(t)
	gone := table.publish(t)
	table.Drop(gone)
	for name, err := range map[string]error{
		"version": table.Put(a, 1, 1, VersionMax+1),
		"no set":  table.Put(0, 1, 1, 1),
		"unused":  table.Put(9, 1, 1, 1),
		"beyond":  table.Put(65535, 1, 1, 1),
		"dropped": table.Put(gone, 1, 1, 1),
		"publish": table.Publish(gone, 0),
		"itself":  table.Publish(a, a),
		"for one": table.Publish(a, 9),
	} {
		want := ErrNoSet
		if name == "version" {
			want = ErrVersion
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if table.Drop(0) || table.Drop(gone) || table.Drop(65535) {
		t.Error("a set that is not there was dropped")
	}
	if table.Remove(a, 1, 1, VersionMax+1) || table.Remove(9, 1, 1, 1) || table.Forget(65535, 1, 1, 1) {
		t.Error("an entry that is not there was removed")
	}
	if _, _, ok := table.Get(65535, 1); ok || table.SetLen(65535) != 0 || table.Len() != 0 {
		t.Error("there is something")
	}
	if e, ok := table.Lookup(0); ok || e != (Entry{}) {
		t.Errorf("an empty table has %+v", e)
	}
}

// TestFull holds that a table at its size refuses what is new and nothing else.
func TestFull(t *testing.T) {
	const size = 1000
	table := testTable(t, func(c *Config) { c.EntriesMax = size })
	a := table.publish(t)
	for n := range uint64(size) {
		if err := table.Put(a, addressNo(n), accountNo(n), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Put(a, addressNo(size), accountNo(size), 1); !errors.Is(err, ErrFull) {
		t.Fatalf("one too many: %v", err)
	}
	if err := table.Put(a, addressNo(0), accountNo(0), 2); err != nil {
		t.Errorf("what is there cannot change: %v", err)
	}
	if len(table.AppendAccount(nil, accountNo(size))) != 0 {
		t.Error("a refused device left its account behind")
	}
	table.Remove(a, addressNo(1), accountNo(1), 1)
	if err := table.Put(a, addressNo(size), accountNo(size), 1); !errors.Is(err, ErrFull) {
		t.Errorf("a tombstone takes no room: %v", err)
	}
	for range 3 {
		table.Age()
	}
	table.sweepAll()
	if err := table.Put(a, addressNo(size), accountNo(size), 1); err != nil {
		t.Errorf("there is room again: %v", err)
	}
	for n := range uint64(size + 1) {
		if _, ok := table.Lookup(addressNo(n)); ok == (n == 1) {
			t.Errorf("device %d: %v", n, ok)
		}
	}
	if s := table.Stats(); s.Full != 2 || s.Entries != size {
		t.Errorf("stats %+v", s)
	}
	if err := table.check(); err != nil {
		t.Error(err)
	}
}

// TestOwnEntries holds that others leave to the own set what is its own.
func TestOwnEntries(t *testing.T) {
	const size, kept = 100, 10
	table := testTable(t, func(c *Config) { c.EntriesMax, c.OwnEntries = size, kept })
	own, err := table.NewOwnSet()
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Publish(own, 0); err != nil {
		t.Fatal(err)
	}
	other := table.publish(t)
	put := func(a Author, n uint64) error { return table.Put(a, addressNo(n), accountNo(n), 1) }
	for n := range uint64(size - kept) {
		if err := put(other, n); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(other, size); !errors.Is(err, ErrFull) || table.Room(other) != 0 || table.Room(own) != kept {
		t.Errorf("%v; room for others %d, for the own set %d", err, table.Room(other), table.Room(own))
	}
	for n := range uint64(kept) {
		if err := put(own, size+n); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(own, 2*size); !errors.Is(err, ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	if err := table.check(); err != nil {
		t.Error(err)
	}
}

// TestNoMemory fills one shard until the region is used up, which entries_max does
// not foresee: hashes are keyed, so nobody can do it from outside.
func TestNoMemory(t *testing.T) {
	table := testTable(t, func(c *Config) { c.EntriesMax = 1 << 20 })
	table.mem.limit = 40 // granules
	a := table.publish(t)
	n, err := uint64(0), error(nil)
	for ; err == nil; n++ {
		err = table.Put(a, addressNo(n)>>shardBits, accountNo(n), n)
	}
	if !errors.Is(err, ErrFull) || table.Stats().Full != 1 {
		t.Fatalf("%v after %d", err, n)
	}
	for k := range n - 1 {
		if _, ok := table.Lookup(addressNo(k) >> shardBits); !ok {
			t.Fatalf("device %d of %d is lost", k, n)
		}
	}
	for k := range n - 1 {
		table.Remove(a, addressNo(k)>>shardBits, accountNo(k), k)
	}
	if err := table.check(); err != nil {
		t.Error(err)
	}
}

func TestTooManySets(t *testing.T) {
	table := testTable(t, func(c *Config) { c.AuthorsMax = 3 })
	a, _, last := table.publish(t), table.publish(t), table.publish(t)
	if _, err := table.NewSet(); !errors.Is(err, ErrAuthors) {
		t.Errorf("one too many: %v", err)
	}
	for n := range uint64(1000) {
		_ = table.Put(a, addressNo(n), accountNo(n), 1)
	}
	table.Drop(a)
	if _, err := table.NewSet(); !errors.Is(err, ErrAuthors) {
		t.Errorf("a number is used again before its entries are gone: %v", err)
	}
	if s := table.Stats(); s.Dropped != 1000 || s.Entries != 0 || s.SetsRefused != 2 {
		t.Errorf("stats %+v", s)
	}
	table.sweepAll()
	if b, err := table.NewSet(); err != nil || b != a || table.SetLen(b) != 0 {
		t.Errorf("number %d: %v", b, err)
	}
	if table.Drop(last); table.Len() != 0 || table.Stats().Accounts != 0 {
		t.Errorf("stats %+v", table.Stats())
	}
}

// TestManyAuthorsOfOneAddress lets a run of one hash outgrow the tail of its array.
func TestManyAuthorsOfOneAddress(t *testing.T) {
	const authors = 2000
	for _, address := range []uint64{0, 1<<64 - 1, 1<<shardShift - 1, 12345} {
		table := testTable(t, func(c *Config) { c.AuthorsMax = authors })
		var all []Author
		for n := range uint64(authors) {
			a := table.publish(t)
			all = append(all, a)
			if err := table.Put(a, address, address, n); err != nil {
				t.Fatal(err)
			}
			if e, ok := table.Lookup(address); !ok || e.Author != a {
				t.Fatalf("%x: %+v after %d", address, e, n)
			}
		}
		if err := table.check(); err != nil {
			t.Fatal(err)
		}
		if got := table.AppendAccount(nil, address); !sameAuthors(got, all) {
			t.Errorf("%x: %d authors of the account", address, len(got))
		}
		for n, a := range slices.Backward(all) {
			if e, ok := table.Lookup(address); !ok || e.Author != a || e.Version != uint64(n) {
				t.Fatalf("%x: %+v, want %d", address, e, a)
			}
			table.Drop(a)
			table.Sweep(500)
		}
		table.sweepAll()
		if err := table.check(); err != nil || table.Len() != 0 {
			t.Errorf("%x: %d left, %v", address, table.Len(), err)
		}
	}
}

// TestCountedDevices holds that an author stays in the index until its last device
// goes, and for good when there were too many to count.
func TestCountedDevices(t *testing.T) {
	table := testTable(t, nil)
	a := table.publish(t)
	for _, devices := range []uint64{1, 3, devicesMax - 1, devicesMax + 10} {
		account := devices << 40
		for n := range devices {
			_ = table.Put(a, mix(account+n), account, 1)
		}
		for n := range devices {
			if len(table.AppendAccount(nil, account)) != 1 {
				t.Fatalf("%d devices: not found when %d are closed", devices, n)
			}
			table.Remove(a, mix(account+n), account, 1)
		}
		if got, lost := len(table.AppendAccount(nil, account)), devices >= devicesMax; got != 0 != lost {
			t.Errorf("%d devices: %d authors when all are closed", devices, got)
		}
	}
	table.Drop(a)
	table.sweepAll()
	if s := table.Stats(); s.Accounts != 0 || table.Len() != 0 {
		t.Errorf("stats %+v", s)
	}
}

// TestTombstonesMax holds that a closed entry goes at once when there are too many.
func TestTombstonesMax(t *testing.T) {
	table := testTable(t, func(c *Config) { c.TombstonesMax = 2 })
	a := table.publish(t)
	for n := range uint64(5) {
		_ = table.Put(a, n, n, 1)
		if !table.Remove(a, n, n, 1) {
			t.Fatal("not removed")
		}
		if e, ok := table.Lookup(n); ok != (n < 2) || ok && !e.Closed {
			t.Errorf("%d: %+v %v", n, e, ok)
		}
	}
	if s := table.Stats(); s.TombstonesSkipped != 3 || s.Tombstones != 2 || table.Len() != 2 {
		t.Errorf("stats %+v", s)
	}
}

// TestSwap holds that a set which replaces another takes its place in one step, and
// that the memory of a large one comes back.
func TestSwap(t *testing.T) {
	const entries = 400_000
	table := testTable(t, func(c *Config) { c.EntriesMax = 2 * entries })
	a := table.publish(t)
	for n := range uint64(entries) {
		_ = table.Put(a, addressNo(n), accountNo(n), 1)
	}
	b, _ := table.NewSet()
	for n := range uint64(entries / 10) {
		_ = table.Put(b, addressNo(n), accountNo(n), 2)
	}
	held := table.Stats().Bytes
	if err := table.Publish(b, a); err != nil {
		t.Fatal(err)
	}
	for n := range uint64(entries) {
		e, ok := table.Lookup(addressNo(n))
		if n < entries/10 && e != (Entry{b, 2, false}) || n >= entries/10 && ok {
			t.Fatalf("device %d: %+v", n, e)
		}
	}
	table.sweepAll()
	if err := table.check(); err != nil {
		t.Fatal(err)
	}
	s := table.Stats()
	if s.Entries != entries/10 || s.Dropped != 0 || s.Sets != 1 || s.Bytes > held/2 {
		t.Errorf("%d bytes, then %+v", held, s)
	}
	if table.Drop(b); table.Sweep(1) == false {
		t.Error("there is nothing to do after a drop")
	}
}

// TestBytes walks through sizes as BenchmarkBytes does, through smaller ones: the limits
// are 24 bytes an entry and 40 with the index.
func TestBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("millions of entries")
	}
	for _, c := range []struct {
		indexed bool
		limit   float64
	}{{false, 24}, {true, 40}} {
		if worst, at := worstBytes(t, c.indexed, 2_000_000, 4_800_000); worst > c.limit {
			t.Errorf("indexed %v: %.1f bytes an entry at %d entries", c.indexed, worst, at)
		} else {
			t.Logf("indexed %v: at most %.1f bytes an entry, at %d entries", c.indexed, worst, at)
		}
	}
}

// TestShrinking holds what array.go says of the way down: a load of loadMin, at which
// an entry and its account cost 38 bytes, and granules that are not full.
func TestShrinking(t *testing.T) {
	if testing.Short() {
		t.Skip("millions of changes")
	}
	const entries = 1_200_000
	table := testTable(t, func(c *Config) { c.EntriesMax = entries })
	a := table.publish(t)
	for n := range uint64(entries) {
		_ = table.Put(a, addressNo(n), accountNo(n), 1)
	}
	for n := range uint64(entries / 2) {
		table.Forget(a, addressNo(n), accountNo(n), 1)
	}
	table.sweepAll()
	surplus := float64(hugeBytes) * (1 + 1./32) // what the region keeps for the next arrays
	if each := (float64(table.Stats().Bytes) - surplus) / (entries / 2); each > 42 {
		t.Errorf("%.1f bytes an entry", each)
	}
	if err := table.check(); err != nil {
		t.Error(err)
	}
}

func TestReadersAllocateNothing(t *testing.T) {
	table := testTable(t, nil)
	a := table.publish(t)
	for n := range uint64(1000) {
		_ = table.Put(a, addressNo(n), accountNo(n), 1)
	}
	k, dst, n := Key{}, make([]Author, 0, 4), uint64(0)
	for name, f := range map[string]func(){
		"Lookup":        func() { table.Lookup(addressNo(n % 2000)) },
		"Get":           func() { table.Get(a, addressNo(n%2000)) },
		"AppendAccount": func() { dst = table.AppendAccount(dst[:0], accountNo(n%2000)) },
		"Address":       func() { k.Address("account-12345678", "living-room-tv") },
		"Put again":     func() { _ = table.Put(a, addressNo(n%1000), accountNo(n%1000), n) },
		"Each":          func() { table.Each(a, 0, 1000, func(_, _ uint64, _ bool) {}) },
	} {
		if allocs := testing.AllocsPerRun(1000, func() { n++; f() }); allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}
