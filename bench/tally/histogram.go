package tally

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The shape of every histogram. They must all have the same one, or a merge
// between processes would drop values.
const (
	lowestNS          = 64                                          // resolution at the low end; a clock read costs about as much
	highestNS         = int64(10 * time.Minute)                     // longer waits are recorded as this
	significantDigits = 3                                           // 0.1 % of the value
	latencyEncoding   = hdrhistogram.V2CompressedEncodingCookieBase // the only format the library writes
)

// Histogram is an HdrHistogram of nanoseconds that JSON can carry without loss.
// It has one owner at a time.
type Histogram struct{ hdr *hdrhistogram.Histogram }

// NewHistogram returns an empty histogram. It costs about 200 KB, whatever is
// recorded in it.
func NewHistogram() *Histogram {
	return &Histogram{hdrhistogram.New(lowestNS, highestNS, significantDigits)}
}

// Record adds one latency. A negative one counts as 0 and one beyond ten minutes
// as ten minutes: the count must be right whatever the clock did.
func (h *Histogram) Record(ns int64) {
	_ = h.hdr.RecordValue(min(max(ns, 0), highestNS))
}

// Merge adds all of other's values; other is left as it was.
func (h *Histogram) Merge(other *Histogram) {
	if dropped := h.hdr.Merge(other.hdr); dropped != 0 {
		panic(fmt.Sprintf("tally: %d values do not fit a histogram of the same shape", dropped))
	}
}

// Reset empties the histogram.
func (h *Histogram) Reset() { h.hdr.Reset() }

// Count returns how many values were recorded.
func (h *Histogram) Count() int64 { return h.hdr.TotalCount() }

// Max returns the largest value, 0 when empty.
func (h *Histogram) Max() time.Duration { return time.Duration(h.hdr.Max()) }

// Mean returns the average, 0 when empty.
func (h *Histogram) Mean() time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.hdr.Mean())
}

// Quantile returns the value at a percentile from 0 to 100, 0 when empty.
func (h *Histogram) Quantile(percent float64) time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.hdr.ValueAtPercentile(percent))
}

// MarshalJSON writes HdrHistogram's own compressed encoding as a string, which
// other HdrHistogram tools read too.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	text, err := h.hdr.Encode(latencyEncoding)
	if err != nil {
		return nil, fmt.Errorf("tally: encode histogram: %w", err)
	}
	return json.Marshal(string(text))
}

// appendPacked writes what was recorded in the fewest instructions: for each bucket that is
// not empty how many were passed over since the last such one, and its count, as varints.
func (h *Histogram) appendPacked(dst []byte) []byte {
	next := 0
	for i, n := range h.hdr.Export().Counts {
		if n != 0 {
			dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(i-next)), uint64(n))
			next = i + 1
		}
	}
	return dst
}

// mergePacked adds what appendPacked wrote.
func (h *Histogram) mergePacked(b []byte) error {
	next := uint64(0)
	for len(b) > 0 {
		gap, n1 := binary.Uvarint(b)
		count, n2 := binary.Uvarint(b[max(n1, 0):])
		at := next + gap
		if n1 <= 0 || n2 <= 0 || at < next || at >= buckets || count == 0 || count > math.MaxInt64 {
			return errors.New("tally: a packed histogram is not one of ours")
		}
		if err := h.hdr.RecordValues(valueOf(at), int64(count)); err != nil {
			return fmt.Errorf("tally: a packed histogram: %w", err)
		}
		next, b = at+1, b[n1+n2:]
	}
	return nil
}

// The geometry that HdrHistogram makes of our shape: 2,048 linear buckets of 64 ns, then
// 1,024 for each doubling, up to that of highestNS.
const (
	unitBits    = 6
	linearBits  = 11
	doublings   = 24
	buckets     = (doublings + 1) << (linearBits - 1)
	halfBuckets = 1 << (linearBits - 1)
)

// valueOf returns the least value of a bucket.
func valueOf(bucket uint64) int64 {
	if bucket < halfBuckets {
		return int64(bucket) << unitBits
	}
	doubling := bucket/halfBuckets - 1
	return int64(bucket%halfBuckets+halfBuckets) << (doubling + unitBits)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Histogram) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	decoded, err := hdrhistogram.Decode([]byte(text))
	if err != nil {
		return fmt.Errorf("tally: decode histogram: %w", err)
	}
	// The decoder makes its own geometry; ours keeps the merge exact.
	h.hdr = hdrhistogram.New(lowestNS, highestNS, significantDigits)
	h.hdr.Merge(decoded)
	return nil
}
