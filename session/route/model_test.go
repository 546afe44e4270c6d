package route

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is the table as one would write it down: slow and obviously right.
type model struct {
	entries map[uint64]map[Author]modelEntry
	state   map[Author]string
	age     int
}

type modelEntry struct {
	account, version uint64
	closed           bool
	age              int // when it was closed
}

func (m *model) lookup(address uint64) (best Entry, ok bool) {
	for a, e := range m.entries[address] {
		x := Entry{a, e.version, e.closed}
		if m.state[a] == "visible" && (!ok || newerThan(x, best)) {
			best, ok = x, true
		}
	}
	return best, ok
}

// newerThan orders by version, open before closed, then by number.
func newerThan(x, y Entry) bool {
	if x.Version != y.Version {
		return x.Version > y.Version
	}
	if x.Closed != y.Closed {
		return y.Closed
	}
	return x.Author > y.Author
}

func (m *model) put(a Author, address, account, version uint64) {
	old, ok := m.entries[address][a]
	if ok && version <= old.version {
		return
	}
	if m.entries[address] == nil {
		m.entries[address] = map[Author]modelEntry{}
	}
	m.entries[address][a] = modelEntry{account: account, version: version}
}

func (m *model) remove(a Author, address, version uint64) bool {
	e, ok := m.entries[address][a]
	if !ok || e.closed || version < e.version {
		return false
	}
	m.entries[address][a] = modelEntry{account: e.account, version: version, closed: true, age: m.age}
	return true
}

func (m *model) forget(a Author, address, version uint64) bool {
	if e, ok := m.entries[address][a]; !ok || e.closed || e.version != version {
		return false
	}
	delete(m.entries[address], a)
	return true
}

// sweep takes out tombstones older than ages and everything of dropped sets.
func (m *model) sweep(ages int) {
	for _, of := range m.entries {
		maps.DeleteFunc(of, func(a Author, e modelEntry) bool {
			return m.state[a] == "dropped" || e.closed && m.age-e.age > ages
		})
	}
	maps.DeleteFunc(m.state, func(_ Author, s string) bool { return s == "dropped" })
}

// accounts maps what the index can tell apart of an account to its visible authors.
func (m *model) accounts() map[uint64][]Author {
	found := map[uint64][]Author{}
	for _, of := range m.entries {
		for a, e := range of {
			if key := tagged(e.account); m.state[a] == "visible" && !e.closed && !slices.Contains(found[key], a) {
				found[key] = append(found[key], a)
			}
		}
	}
	return found
}

// universe are addresses that come close to each other: in a few shards, neighbours,
// the smallest and the largest.
func universe() (all []uint64) {
	for _, shard := range []uint64{0, 0x7f, 0xff} {
		for n := range uint64(8) {
			all = append(all, shard<<shardShift|n, shard<<shardShift|(1<<shardShift-1-n))
		}
		for n := range uint64(180) {
			all = append(all, shard<<shardShift|n*0x0001_3333_3333_3333|n&3)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// accountOf gives some neighbours an account in common, others accounts with one tag,
// and keeps the accounts in a few shards too.
func accountOf(address uint64) uint64 { return address - address%3 }

// TestModel plays random operations against the model.
func TestModel(t *testing.T) {
	addresses := universe()
	rapid.Check(t, func(rt *rapid.T) {
		table := newTable(t, func(c *Config) { c.AuthorsMax = 6 })
		defer table.Close()
		m := &model{entries: map[uint64]map[Author]modelEntry{}, state: map[Author]string{}}
		var seen []Author
		address := func() uint64 { return addresses[rapid.IntRange(0, len(addresses)-1).Draw(rt, "address")] }
		version := func() uint64 {
			return rapid.OneOf(rapid.Uint64Range(0, 12), rapid.Just[uint64](VersionMax)).Draw(rt, "version")
		}
		author := func() Author {
			if len(seen) == 0 {
				return Author(rapid.IntRange(0, 8).Draw(rt, "author"))
			}
			return seen[rapid.IntRange(max(0, len(seen)-6), len(seen)-1).Draw(rt, "author")]
		}
		writable := func(a Author) bool { return m.state[a] == "loading" || m.state[a] == "visible" }
		put := func(a Author, address, version uint64) {
			err := table.Put(a, address, accountOf(address), version)
			if !writable(a) {
				if !errors.Is(err, ErrNoSet) {
					rt.Fatalf("put into no set: %v", err)
				}
				return
			}
			if err != nil {
				rt.Fatal(err)
			}
			m.put(a, address, accountOf(address), version)
		}
		newSet := func(*rapid.T) {
			a, err := table.NewSet()
			if err != nil {
				rt.Skip("all numbers are taken")
			}
			if m.state[a] != "" {
				rt.Fatalf("number %d is used again while it is %s", a, m.state[a])
			}
			m.state[a], seen = "loading", append(seen, a)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"new set": newSet,
			"publish": func(*rapid.T) {
				a, replaces := author(), author()
				if rapid.Bool().Draw(rt, "alone") {
					replaces = 0
				}
				ok := writable(a) && a != replaces && (replaces == 0 || writable(replaces))
				if err := table.Publish(a, replaces); (err == nil) != ok {
					rt.Fatalf("publish %d for %d: %v", a, replaces, err)
				}
				if ok {
					m.state[a] = "visible"
					if replaces != 0 {
						m.state[replaces] = "dropped"
					}
				}
			},
			"drop": func(*rapid.T) {
				a := author()
				if got := table.Drop(a); got != writable(a) {
					rt.Fatalf("drop %d: %v", a, got)
				}
				if writable(a) {
					m.state[a] = "dropped"
				}
			},
			"put": func(*rapid.T) { put(author(), address(), version()) },
			"fill": func(*rapid.T) {
				a, v, from := author(), version(), rapid.IntRange(0, len(addresses)-1).Draw(rt, "from")
				for _, x := range addresses[from:min(from+400, len(addresses))] {
					put(a, x, v)
				}
			},
			"clear": func(*rapid.T) {
				a, v, from := author(), version(), rapid.IntRange(0, len(addresses)-1).Draw(rt, "from")
				for _, x := range addresses[from:min(from+400, len(addresses))] {
					if got, want := table.Remove(a, x, accountOf(x), v), writable(a) && m.remove(a, x, v); got != want {
						rt.Fatalf("remove %x: %v", x, got)
					}
				}
			},
			"remove": func(*rapid.T) {
				a, x, v := author(), address(), version()
				if got, want := table.Remove(a, x, accountOf(x), v), writable(a) && m.remove(a, x, v); got != want {
					rt.Fatalf("remove %x of %d: %v", x, a, got)
				}
			},
			"forget": func(*rapid.T) {
				a, x, v := author(), address(), version()
				if got, want := table.Forget(a, x, accountOf(x), v), writable(a) && m.forget(a, x, v); got != want {
					rt.Fatalf("forget %x of %d: %v", x, a, got)
				}
			},
			"age": func(*rapid.T) { table.Age(); m.age++ },
			"sweep": func(*rapid.T) {
				for table.Sweep(rapid.IntRange(1, 5000).Draw(rt, "budget")) {
				}
				m.sweep(table.cfg.TombstoneAges)
			},
			"": func(*rapid.T) { compare(rt, table, m, addresses) },
		})
	})
}

// compare asks the table everything that it can be asked.
func compare(t *rapid.T, table *Table, m *model, addresses []uint64) {
	if err := table.check(); err != nil {
		t.Fatal(err)
	}
	accounts := m.accounts()
	for _, x := range addresses {
		got, ok := table.Lookup(x)
		if want, wantOK := m.lookup(x); got != want || ok != wantOK {
			t.Fatalf("look-up of %x: %+v %v, want %+v %v", x, got, ok, want, wantOK)
		}
		authors := table.AppendAccount(nil, accountOf(x))
		if slices.Sort(authors); !slices.Equal(authors, slices.Sorted(slices.Values(accounts[tagged(accountOf(x))]))) {
			t.Fatalf("authors of the account of %x: %v, want %v", x, authors, accounts[tagged(accountOf(x))])
		}
	}
	for a, state := range m.state {
		if state == "dropped" {
			continue
		}
		type entry struct {
			address, version uint64
			closed           bool
		}
		var got, want []entry
		for from, more := uint64(0), true; more; {
			from, more = table.Each(a, from, 100, func(address, version uint64, closed bool) {
				got = append(got, entry{address, version, closed})
			})
		}
		for x, of := range m.entries {
			e, has := of[a]
			if has {
				want = append(want, entry{x, e.version, e.closed})
			}
			if v, closed, ok := table.Get(a, x); ok != has || v != e.version || closed != e.closed {
				t.Fatalf("get %x of %d: %d %v %v, want %+v", x, a, v, closed, ok, e)
			}
		}
		slices.SortFunc(want, func(a, b entry) int { return cmp.Compare(a.address, b.address) })
		if !slices.Equal(got, want) {
			t.Fatalf("set %d has\n%v, want\n%v", a, got, want)
		}
	}
}
