package tally

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// However values are spread over histograms, in whatever order those are merged
// and through JSON or not, the result is the histogram of all values.
func TestMergedHistogramIsTheHistogramOfAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(20*time.Minute)), 1, 200).Draw(t, "values")
		parts := make([]*Tally, 4)
		for i := range parts {
			parts[i] = &Tally{}
		}
		whole := NewHistogram()
		for _, v := range values {
			whole.Record(v)
			parts[rapid.IntRange(0, 3).Draw(t, "part")].Record(Echo, v)
		}
		merged := &Tally{}
		for _, p := range rapid.Permutation(parts).Draw(t, "order") {
			if rapid.Bool().Draw(t, "through JSON") {
				text, err := json.Marshal(p)
				if err != nil {
					t.Fatal(err)
				}
				p = &Tally{}
				if err := json.Unmarshal(text, p); err != nil {
					t.Fatal(err)
				}
			}
			merged.Merge(p)
		}
		got := merged.Timing(Echo)
		if got.Count() != whole.Count() {
			t.Fatalf("count %d, want %d", got.Count(), whole.Count())
		}
		for _, q := range []float64{0, 1, 50, 90, 99, 99.9, 100} {
			if got.Quantile(q) != whole.Quantile(q) {
				t.Fatalf("p%v = %v, want %v", q, got.Quantile(q), whole.Quantile(q))
			}
		}
	})
}

func TestQuantileIsWithinTheNamedPrecision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(1_000, int64(time.Minute)), 1, 300).Draw(t, "values")
		h := NewHistogram()
		for _, v := range values {
			h.Record(v)
		}
		slices.Sort(values)
		want := values[(len(values)*50+99)/100-1]
		got := int64(h.Quantile(50))
		if diff := got - want; diff > want/500+2*lowestNS || diff < -want/500-2*lowestNS {
			t.Fatalf("p50 = %d, want %d of %v", got, want, values)
		}
	})
}

func TestMergeAddsCountersClosesAndErrors(t *testing.T) {
	var a, b, total Tally
	a.Add(Sent, 3)
	a.Close(1001)
	a.Error("refused")
	b.Add(Sent, 4)
	b.Close(1001)
	b.Close(4001)
	b.Error("timeout")
	total.Merge(&a)
	total.Merge(&b)
	if total.Get(Sent) != 7 || total.Closes[1001] != 2 || total.Closes[4001] != 1 || total.ErrorCount() != 2 {
		t.Fatalf("merged wrongly: %+v", total)
	}
	if b.Closes[1001] != 1 || a.Get(Sent) != 3 {
		t.Fatal("Merge changed its argument")
	}
}

func TestEveryNameIsSetAndDifferent(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Counters() {
		if c.String() == "" || seen[c.String()] {
			t.Errorf("counter %d has the name %q", c, c)
		}
		seen[c.String()] = true
	}
	for _, timer := range Timers() {
		if timer.String() == "" || seen[timer.String()] {
			t.Errorf("timer %d has the name %q", timer, timer)
		}
		seen[timer.String()] = true
	}
}

// The oracle is a set. Displacements stay within the 64 numbers that Sequence
// remembers exactly.
func TestSequenceAgainstASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Sequence
		seen := map[uint32]bool{}
		highest := int64(-1)
		for range rapid.IntRange(1, 400).Draw(t, "arrivals") {
			n := uint32(max(0, highest+rapid.Int64Range(-62, 70).Draw(t, "step")))
			want := InOrder
			switch {
			case seen[n]:
				want = Again
			case int64(n) < highest:
				want = Behind
			case int64(n) > highest+1:
				want = Skipped
			}
			if got := s.Arrive(n); got != want {
				t.Fatalf("number %d after %d: %d, want %d", n, highest, got, want)
			}
			seen[n] = true
			highest = max(highest, int64(n))
		}
		sent := uint32(highest + 10)
		if got, want := s.Outstanding(sent), int64(sent)-int64(len(seen)); got != want {
			t.Fatalf("outstanding %d, want %d", got, want)
		}
	})
}
