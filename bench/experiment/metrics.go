package experiment

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Metrics is one answer of /metrics, or several added up.
type Metrics struct {
	text   []byte
	values map[string]float64 // by name and labels
}

// Metrics asks for all metrics of the node.
func (n *Node) Metrics(ctx context.Context) (Metrics, error) {
	status, body, err := n.Get(ctx, "/metrics")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("HTTP %d", status)
	}
	if err != nil {
		return Metrics{}, fmt.Errorf("experiment: /metrics: %w", err)
	}
	m := Metrics{text: body, values: map[string]float64{}}
	for line := range strings.Lines(string(body)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				m.values[key] = v
			}
		}
	}
	return m, nil
}

// Metric reads one value from /metrics.
func (n *Node) Metric(ctx context.Context, name string) (float64, error) {
	m, err := n.Metrics(ctx)
	if err != nil {
		return 0, err
	}
	value, ok := m.values[name]
	if !ok {
		return 0, fmt.Errorf("experiment: /metrics has no %s", name)
	}
	return value, nil
}

// Value returns a metric by its name and labels, 0 when there is none.
func (m Metrics) Value(name string) float64 { return m.values[name] }

// Add adds another node's values to those of the same names.
func (m *Metrics) Add(other Metrics) {
	if m.values == nil {
		m.values = map[string]float64{}
	}
	for key, value := range other.values {
		m.values[key] += value
	}
}

// pausesMetric is how often and how long the collector stopped the process.
const pausesMetric = "go_gc_pauses_seconds"

// Distribution is what a histogram of times in buckets tells: a quantile is the upper
// bound of its bucket.
type Distribution struct {
	Count int64         `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P99   time.Duration `json:"p99_ns"`
	Max   time.Duration `json:"max_ns"`
}

// Since reads what came into a histogram of seconds after an earlier answer, which may
// be empty.
func (m Metrics) Since(before Metrics, histogram string) Distribution {
	prefix := histogram + `_bucket{le="`
	type bucket struct{ le, count float64 }
	var buckets []bucket
	for key, count := range m.values {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			if le, err := strconv.ParseFloat(strings.TrimSuffix(rest, `"}`), 64); err == nil {
				buckets = append(buckets, bucket{le, count - before.values[key]})
			}
		}
	}
	slices.SortFunc(buckets, func(a, b bucket) int { return int(math.Copysign(1, a.le-b.le)) })
	if len(buckets) == 0 {
		return Distribution{}
	}
	all := buckets[len(buckets)-1].count
	at := func(share float64) time.Duration {
		for i, b := range buckets {
			if all > 0 && b.count >= all*share {
				if math.IsInf(b.le, 1) && i > 0 {
					return time.Duration(buckets[i-1].le * float64(time.Second)) // at least
				}
				return time.Duration(b.le * float64(time.Second))
			}
		}
		return 0
	}
	return Distribution{Count: int64(all), P50: at(0.5), P99: at(0.99), Max: at(1)}
}
