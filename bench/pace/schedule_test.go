package pace

import (
	"testing"

	"pgregory.net/rapid"
)

func TestScheduleAt(t *testing.T) {
	for _, c := range []struct {
		name string
		s    Schedule
		i    int64
		want int64
	}{
		{"first", Schedule{StartNS: 1000, PerSecond: 10, Stride: 1}, 0, 1000},
		{"tenth of a second each", Schedule{PerSecond: 10, Stride: 1}, 7, 700_000_000},
		{"second share of four", Schedule{PerSecond: 4, Stride: 4, Offset: 1}, 0, 250_000_000},
		{"second share of four, next", Schedule{PerSecond: 4, Stride: 4, Offset: 1}, 1, 1_250_000_000},
		{"thirds do not drift", Schedule{PerSecond: 3, Stride: 1}, 3_000_000, 1_000_000_000_000_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.s.At(c.i); got != c.want {
				t.Fatalf("At(%d) = %d, want %d", c.i, got, c.want)
			}
		})
	}
}

// Due must agree with At: item n-1 is due, item n is not.
func TestDueAgreesWithAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Schedule{
			StartNS:   rapid.Int64Range(0, 1e15).Draw(t, "start"),
			PerSecond: rapid.Float64Range(0.01, 2e6).Draw(t, "rate"),
			Stride:    rapid.Int64Range(1, 64).Draw(t, "stride"),
		}
		s.Offset = rapid.Int64Range(0, s.Stride-1).Draw(t, "offset")
		now := s.StartNS + rapid.Int64Range(-1e9, 1e12).Draw(t, "elapsed")
		n := s.Due(now)
		if n > 0 && s.At(n-1) > now {
			t.Fatalf("Due(%d) = %d, but item %d starts at %d", now, n, n-1, s.At(n-1))
		}
		if s.At(n) <= now {
			t.Fatalf("Due(%d) = %d, but item %d starts at %d too", now, n, n, s.At(n))
		}
	})
}

// Together the shares must produce each item exactly once, at the time that a
// single share would.
func TestSharesMakeTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stride := rapid.Int64Range(1, 16).Draw(t, "stride")
		total := rapid.Int64Range(0, 500).Draw(t, "total")
		rate := rapid.Float64Range(1, 1e5).Draw(t, "rate")
		whole := Schedule{PerSecond: rate, Stride: 1}
		seen := make([]int, total)
		for offset := range stride {
			s := Schedule{PerSecond: rate, Stride: stride, Offset: offset}
			for i := range Share(total, stride, offset) {
				item := s.Item(i)
				seen[item]++
				if s.At(i) != whole.At(item) {
					t.Fatalf("share %d item %d at %d, whole says %d", offset, item, s.At(i), whole.At(item))
				}
			}
		}
		for item, n := range seen {
			if n != 1 {
				t.Fatalf("item %d was produced %d times", item, n)
			}
		}
	})
}
