package route

import "testing"

// TestHides holds when an open entry is under a tombstone: in another set, visible, and older.
func TestHides(t *testing.T) {
	cfg := Default()
	cfg.EntriesMax, cfg.OwnEntries = 1000, 0
	table, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	set := func() Author {
		a, err := table.NewSet()
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a, b := set(), set()
	if err := table.Publish(b, 0); err != nil {
		t.Fatal(err)
	}
	const address = 1 << 40
	want := func(what string, hides bool) {
		t.Helper()
		if table.Hides(address) != hides {
			t.Errorf("%s: hides %v", what, !hides)
		}
	}
	want("nothing", false)
	put := func(a Author, version uint64) {
		if err := table.Put(a, address, 7, version); err != nil {
			t.Fatal(err)
		}
	}
	put(a, 10)
	put(b, 20)
	want("two open ones", false)
	table.Remove(b, address, 7, 20)
	want("one in a set that is not visible", false)
	if err := table.Publish(a, 0); err != nil {
		t.Fatal(err)
	}
	want("an older one", true)
	put(a, 30)
	want("a newer one", false)
	table.Remove(a, address, 7, 30)
	want("two tombstones", false)
	for range 8 {
		table.Age()
		table.Sweep(1000)
	}
	put(b, 40)
	want("one", false)
}
