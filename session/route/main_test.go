package route

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newTable returns a table that holds what a test needs.
func newTable(t testing.TB, change func(*Config)) *Table {
	cfg := Default()
	cfg.EntriesMax, cfg.OwnEntries = 100_000, 0
	cfg.AuthorsMax = 64
	if change != nil {
		change(&cfg)
	}
	table, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// testTable is newTable, closed when the test is over.
func testTable(t testing.TB, change func(*Config)) *Table {
	table := newTable(t, change)
	t.Cleanup(func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	return table
}

// publish returns a new set that is visible.
func (t *Table) publish(tb testing.TB) Author {
	tb.Helper()
	a, err := t.NewSet()
	if err == nil {
		err = t.Publish(a, 0)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// sweepAll sweeps until nothing is left to do.
func (t *Table) sweepAll() {
	for t.Sweep(10_000) {
	}
}
