package tally

import (
	"encoding/json"
	"fmt"
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
