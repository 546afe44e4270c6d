package tally

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestBuckets holds our arithmetic to the library's geometry, bucket by bucket.
func TestBuckets(t *testing.T) {
	h := NewHistogram()
	for i := range uint64(buckets) {
		if valueOf(i) <= highestNS {
			h.Record(valueOf(i))
		}
	}
	counts := h.hdr.Export().Counts
	if len(counts) != buckets {
		t.Fatalf("the library has %d buckets, want %d", len(counts), buckets)
	}
	for i, n := range counts {
		if want := valueOf(uint64(i)) <= highestNS; (n == 1) != want || n > 1 {
			t.Fatalf("bucket %d of %d ns has %d values", i, valueOf(uint64(i)), n)
		}
	}
}

// TestDeltaIsTheTally: what a process is told is what the other one counted, added to
// what it had before.
func TestDeltaIsTheTally(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want, got, also Tally
		for range 3 {
			var part Tally
			for _, ns := range rapid.SliceOf(rapid.Int64Range(-1, 2*highestNS)).Draw(t, "latencies") {
				timer := rapid.SampledFrom([]Timer{0, Relay, timerCount - 1}).Draw(t, "timer")
				part.Record(timer, ns)
			}
			part.Add(Sent, rapid.Int64().Draw(t, "sent"))
			part.Close(1006)
			part.Error("connect timeout")
			part.Outcome([]byte("written"), 3)
			text, err := json.Marshal(Delta{Tally: &part})
			if err != nil {
				t.Fatal(err)
			}
			var d Delta
			if err := json.Unmarshal(text, &d); err != nil {
				t.Fatal(err)
			}
			want.Merge(&part)
			for _, into := range []*Tally{&got, &also} {
				if err := into.MergeDelta(d); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, into := range []*Tally{&got, &also} {
			a, err1 := json.Marshal(into)
			b, err2 := json.Marshal(&want)
			if err1 != nil || err2 != nil || string(a) != string(b) {
				t.Fatalf("got %s, want %s (%v, %v)", a, b, err1, err2)
			}
		}
	})
}

// TestDeltaOfSomethingElse: a worker of another version is told apart, not added up wrongly.
func TestDeltaOfSomethingElse(t *testing.T) {
	for what, timings := range map[string]string{
		"half a pair":           `{"0":"AQ=="}`,
		"a bucket too far":      `{"0":"/////wEB"}`,
		"a bucket past 64 bits": `{"0":"AQH///////////8BAQ=="}`,
		"a count of none":       `{"0":"AQA="}`,
		"a timer too many":      `{"250":"AQE="}`,
	} {
		var d Delta
		if err := json.Unmarshal([]byte(`{"timings":`+timings+`}`), &d); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := new(Tally).MergeDelta(d); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

// BenchmarkDelta is what one report of a loop costs: written, read and added up.
func BenchmarkDelta(b *testing.B) {
	var part, sum Tally
	for i := range int64(4_000) {
		for timer := range Timer(4) {
			part.Record(timer, i*i*int64(time.Microsecond)/100)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		text, err := json.Marshal(Delta{Tally: &part})
		if err != nil {
			b.Fatal(err)
		}
		var d Delta
		if err := json.Unmarshal(text, &d); err != nil {
			b.Fatal(err)
		}
		if err := sum.MergeDelta(d); err != nil {
			b.Fatal(err)
		}
	}
}
