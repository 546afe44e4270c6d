package api

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// The names of this package's metrics. Labels are route (see routes.go), class
// (2xx, 4xx, 5xx) and code (see codes.go); never a device, an account or a token.
const (
	// MetricRequests counts answered requests, by route and class of status.
	MetricRequests = "roost_api_requests_total"
	// MetricRequestSeconds is the time from a request's header to its answer, by route;
	// streams and profiles, which last as long as the client wants, are not in it.
	MetricRequestSeconds = "roost_api_request_seconds"
	// MetricRequestsInFlight is the number of requests being served.
	MetricRequestsInFlight = "roost_api_requests_in_flight"
	// MetricBodiesBytes is the size of all request bodies held at this moment.
	MetricBodiesBytes = "roost_api_bodies_bytes"
	// MetricPanics counts handlers that panicked: each is a defect.
	MetricPanics = "roost_api_panics_total"
	// MetricPushSeconds is the time from a push being accepted to its last outcome.
	MetricPushSeconds = "roost_api_push_seconds"
	// MetricStreams is the number of open NDJSON streams.
	MetricStreams = "roost_api_streams"
	// MetricStreamLines counts lines read from streams, malformed ones included.
	MetricStreamLines = "roost_api_stream_lines_total"
	// MetricStreamWaits counts how often a stream's reader waited for room in its window.
	MetricStreamWaits = "roost_api_stream_waits_total"
	// MetricStreamLineErrors counts lines that were answered with an error.
	MetricStreamLineErrors = "roost_api_stream_line_errors_total"
	// MetricProblems counts requests and lines of streams that were answered with a problem,
	// by its code: each kind of bad input has its own.
	MetricProblems = "roost_api_problems_total"
	// MetricStreamsCut counts streams that ended with an error line, by its code.
	MetricStreamsCut = "roost_api_streams_cut_total"
	// MetricIdempotencyReplays counts pushes that were answered from memory.
	MetricIdempotencyReplays = "roost_api_idempotency_replays_total"
	// MetricIdempotencyBytes is the size of all remembered answers.
	MetricIdempotencyBytes = "roost_api_idempotency_bytes"
)

// secondsBuckets are the upper bounds of both histograms: from a push that found its
// device on this node to the longest wait, five for each decade where people look.
var secondsBuckets = []float64{
	.0001, .00025, .0005, .001, .002, .004, .008, .015, .03, .06, .125, .25, .5, 1, 2.5, 5, 10, 30, 60,
}

// counters are the package's metrics, created once (LIBRARIES: creating is 20 ns and
// a lock, counting 5 ns).
type counters struct {
	set       *metrics.Set
	meters    map[string]*meter
	unrouted  *meter
	panics    *metrics.Counter
	push      *metrics.PrometheusHistogram
	lines     *metrics.Counter
	waits     *metrics.Counter
	lineErrs  *metrics.Counter
	replays   *metrics.Counter
	mu        sync.Mutex
	writers   []func(io.Writer)
	streamCut map[string]*metrics.Counter

	problemsMu sync.RWMutex
	problems   map[string]*metrics.Counter // by code, of which there are as many as codes.go and wire have
}

// meter counts one route.
type meter struct {
	classes [6]*metrics.Counter // by status / 100
	seconds *metrics.PrometheusHistogram
}

func newCounters(s *Server) *counters {
	set := metrics.NewSet()
	c := &counters{
		set:       set,
		meters:    map[string]*meter{},
		unrouted:  newMeter(set, "none"),
		panics:    set.NewCounter(MetricPanics),
		push:      set.NewPrometheusHistogramExt(MetricPushSeconds, secondsBuckets),
		lines:     set.NewCounter(MetricStreamLines),
		waits:     set.NewCounter(MetricStreamWaits),
		lineErrs:  set.NewCounter(MetricStreamLineErrors),
		replays:   set.NewCounter(MetricIdempotencyReplays),
		streamCut: map[string]*metrics.Counter{},
		problems:  map[string]*metrics.Counter{},
	}
	for _, rt := range s.routes {
		if c.meters[rt.name] == nil {
			c.meters[rt.name] = newMeter(set, rt.name)
		}
	}
	c.meters[routeStream] = newMeter(set, routeStream)
	for _, code := range []string{codeStreamCut, codeStreamIdle, codeResultBufferFull, codeDraining} {
		c.streamCut[code] = set.NewCounter(fmt.Sprintf("%s{code=%q}", MetricStreamsCut, code))
	}
	set.NewGauge(MetricRequestsInFlight, func() float64 { return float64(s.requests.Load()) })
	set.NewGauge(MetricBodiesBytes, func() float64 { return float64(s.bodies.Load()) })
	set.NewGauge(MetricStreams, func() float64 { return float64(s.streams.Load()) })
	set.NewGauge(MetricIdempotencyBytes, func() float64 { return float64(s.memory.size()) })
	return c
}

func newMeter(set *metrics.Set, name string) *meter {
	m := &meter{seconds: set.NewPrometheusHistogramExt(fmt.Sprintf("%s{route=%q}", MetricRequestSeconds, name), secondsBuckets)}
	for class := 2; class < len(m.classes); class++ {
		m.classes[class] = set.NewCounter(fmt.Sprintf(`%s{route=%q,class="%dxx"}`, MetricRequests, name, class))
	}
	return m
}

// problem counts an answer with that code. It allocates nothing but for a code's first.
func (c *counters) problem(code string) {
	c.problemsMu.RLock()
	n := c.problems[code]
	c.problemsMu.RUnlock()
	if n == nil {
		n = c.set.GetOrCreateCounter(fmt.Sprintf("%s{code=%q}", MetricProblems, code))
		c.problemsMu.Lock()
		c.problems[code] = n
		c.problemsMu.Unlock()
	}
	n.Inc()
}

// route returns the meter of a route; nil is a request that has none.
func (c *counters) route(rt *route) *meter {
	if rt == nil {
		return c.unrouted
	}
	return c.meters[rt.name]
}

func (m *meter) done(status int, took time.Duration, untimed bool) {
	class := status / 100
	if class < 2 || class >= len(m.classes) {
		class = 5 // nothing was answered: the connection was cut
	}
	m.classes[class].Inc()
	if !untimed {
		m.seconds.Update(took.Seconds())
	}
}

// Register adds a writer of further metrics to /metrics, in the Prometheus text
// format: package metrics' WriteGaugeUint64 and its siblings, or a Set's
// WritePrometheus. cmd/roost registers netpoll, registry, deliver, store and auth. It
// may be called from any goroutine; write is called at each scrape and must not block.
func (s *Server) Register(write func(io.Writer)) {
	s.metrics.mu.Lock()
	defer s.metrics.mu.Unlock()
	s.metrics.writers = append(s.metrics.writers, write)
}

// getMetrics answers GET /metrics. Go's and the process's own metrics are included;
// WriteFDMetrics is not, because it reads all of /proc/self/fd: 1.5 s at a million
// connections.
func (s *Server) getMetrics(w http.ResponseWriter, _ *http.Request) *Problem {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	s.metrics.set.WritePrometheus(w)
	s.metrics.mu.Lock()
	writers := s.metrics.writers[:len(s.metrics.writers):len(s.metrics.writers)]
	s.metrics.mu.Unlock()
	for _, write := range writers {
		write(w)
	}
	metrics.WriteProcessMetrics(w)
	return nil
}
