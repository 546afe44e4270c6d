package otlp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/trace"
)

// Exporter turns the events of messages into spans and posts them:
//
//  1. Note, on any goroutine, queues an event.
//  2. Run gathers the events of each message into a span (span.go), which ends when nothing
//     was heard of it for linger.
//  3. Spans that have ended are posted, at most batch_max at a time. Those of a post that
//     the collector could not take now stay, and go again after a pause.
type Exporter struct {
	cfg      trace.ExportConfig
	resource resource
	client   *http.Client
	log      *slog.Logger
	wake     chan struct{} // holds one: the queue is half full

	mu    sync.Mutex
	queue []trace.Event // own their strings

	// Of Run alone.
	spare   []trace.Event
	open    map[session.ID]*span
	ended   []*span
	retryAt time.Time     // no post before
	pause   time.Duration // the next one after a failure
	said    string        // the failure that was logged last

	count counters
}

// Pauses after a post that failed; they double, and half of each is left to chance.
const (
	pauseMin = time.Second
	pauseMax = time.Minute
)

// answerBytesMax is how much of an answer is read.
const answerBytesMax = 64 << 10

// New returns an exporter of valid configuration, with a URL. node and version say whose
// spans they are. It opens no connection.
func New(cfg trace.ExportConfig, node, version string, log *slog.Logger) *Exporter {
	return &Exporter{
		cfg: cfg, resource: newResource(node, version), log: log, wake: make(chan struct{}, 1),
		client: &http.Client{Timeout: cfg.Timeout}, open: map[session.ID]*span{}, pause: pauseMin,
	}
}

// Note queues an event (trace.Exporter); all of it is borrowed. It does not block. Whether
// the message is sampled is known once the event with its traceparent is looked at.
func (x *Exporter) Note(e trace.Event) {
	if e.Trace != "" && !(session.ValidTraceparent(e.Trace) && sampled(e.Trace)) {
		return // other nodes hand traceparents on without a look at them
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.queue) >= x.cfg.EventsMax {
		x.count.eventsDropped.Add(1)
		return
	}
	e.ID.Node, e.Device, e.Peer, e.Trace = strings.Clone(e.ID.Node), strings.Clone(e.Device), strings.Clone(e.Peer), strings.Clone(e.Trace)
	x.queue = append(x.queue, e)
	if len(x.queue) == x.cfg.EventsMax/2 {
		select {
		case x.wake <- struct{}{}:
		default: // it is awake already
		}
	}
}

// Run exports until ctx ends. Then it waits for a post that is under way and posts once what
// there is, each within timeout; what the collector does not take is lost, and counted. Call
// it once.
func (x *Exporter) Run(ctx context.Context) {
	defer x.client.CloseIdleConnections()
	tick := time.NewTicker(x.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			x.gather(time.Now())
			x.end(time.Now(), 0)
			last, cancel := context.WithTimeout(context.Background(), x.cfg.Timeout)
			defer cancel()
			x.retryAt = time.Time{}
			x.flush(last, time.Now)
			x.count.spansDropped.Add(uint64(len(x.ended)))
			x.ended = nil
			x.count.waiting.Store(0)
			return
		case <-tick.C:
			x.gather(time.Now())
			x.end(time.Now(), x.cfg.Linger)
			x.flush(context.Background(), time.Now) // a post that is under way at the end is worth its answer
		case <-x.wake:
			x.gather(time.Now())
		}
	}
}

// gather puts the queued events into their spans.
func (x *Exporter) gather(now time.Time) {
	x.mu.Lock()
	list := x.queue
	x.queue, x.spare = x.spare[:0], list
	x.mu.Unlock()
	for i := range list {
		x.add(&list[i], now)
	}
	clear(list)
	x.count.open.Store(int64(len(x.open)))
}

// add puts an event into the span of its message, which begins with an event that has the
// traceparent.
func (x *Exporter) add(e *trace.Event, now time.Time) {
	s := x.open[e.ID]
	switch {
	case s == nil && e.Trace == "":
		x.count.eventsLate.Add(1)
		return
	case s == nil && len(x.open) >= x.cfg.SpansMax:
		x.count.eventsDropped.Add(1)
		return
	case s == nil:
		s = newSpan(e)
		x.open[e.ID] = s
	}
	s.heard = now
	if !s.add(e) {
		x.count.eventsDropped.Add(1)
	}
}

// end ends the spans of which nothing was heard for so long.
func (x *Exporter) end(now time.Time, linger time.Duration) {
	for id, s := range x.open {
		if now.Sub(s.heard) < linger {
			continue
		}
		delete(x.open, id)
		if len(x.ended) >= x.cfg.SpansMax {
			x.count.spansDropped.Add(1)
			continue
		}
		x.ended = append(x.ended, s)
	}
	x.count.open.Store(int64(len(x.open)))
	x.count.waiting.Store(int64(len(x.ended)))
}

// flush posts what has ended, until the collector cannot take more.
func (x *Exporter) flush(ctx context.Context, now func() time.Time) {
	for len(x.ended) > 0 && !now().Before(x.retryAt) {
		n := min(len(x.ended), x.cfg.BatchMax)
		rejected, again, err := x.post(ctx, x.ended[:n])
		if err != nil {
			x.count.failures.Add(1)
			x.complain(err)
		} else if x.said != "" {
			x.said = ""
			x.log.Info("otlp: spans are taken again", "url", x.cfg.URL)
		}
		if again != 0 {
			x.retryAt = now().Add(again)
			return
		}
		x.pause = pauseMin
		x.count.spansDropped.Add(uint64(rejected))
		x.count.spans.Add(uint64(n - rejected))
		x.ended = append(x.ended[:0], x.ended[n:]...)
		clear(x.ended[len(x.ended):cap(x.ended)])
		x.count.waiting.Store(int64(len(x.ended)))
	}
}

// post posts spans. rejected is how many of them the collector will never take; again, not
// zero, is the pause after which they may be posted again (OTLP, section "Failures").
func (x *Exporter) post(ctx context.Context, list []*span) (rejected int, again time.Duration, err error) {
	body, err := json.Marshal(x.resource.request(list))
	if err != nil {
		panic(err) // strings and numbers always have a JSON
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, x.cfg.URL, bytes.NewReader(body))
	if err != nil {
		panic(err) // Validate has looked at the URL
	}
	r.Header.Set("Content-Type", "application/json")
	if x.cfg.Authorization != "" {
		r.Header.Set("Authorization", x.cfg.Authorization)
	}
	answer, err := x.client.Do(r)
	if err != nil {
		return 0, x.nextPause(""), fmt.Errorf("otlp: no answer: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, answerBytesMax))
	switch {
	case answer.StatusCode/100 == 2:
		// It has the spans, whatever becomes of its answer.
		n, why := partial(text)
		if n = min(n, len(list)); n > 0 {
			return n, 0, fmt.Errorf("otlp: %d of %d spans are rejected: %.200s", n, len(list), why)
		}
		return 0, 0, nil
	case err != nil:
		return 0, x.nextPause(""), fmt.Errorf("otlp: the answer %s broke off: %w", answer.Status, err)
	}
	err = fmt.Errorf("otlp: answered %s: %.200q", answer.Status, text)
	switch answer.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return 0, x.nextPause(answer.Header.Get("Retry-After")), err
	}
	return len(list), 0, err
}

// nextPause is how long to wait after a failure; the collector may say it in seconds.
func (x *Exporter) nextPause(retryAfter string) time.Duration {
	pause := x.pause/2 + rand.N(x.pause/2)
	x.pause = min(2*x.pause, pauseMax)
	if s, err := strconv.Atoi(retryAfter); err == nil && s > 0 {
		pause = max(pause, min(time.Duration(s)*time.Second, pauseMax))
	}
	return pause
}

// complain logs a failure, the same one once in a row.
func (x *Exporter) complain(err error) {
	if text := err.Error(); text != x.said {
		x.said = text
		x.log.Warn("otlp: spans were not taken; what finds no room meanwhile is dropped, and counted", "url", x.cfg.URL, "error", err)
	}
}

// Stats is what an exporter has counted. Each field's metric tag is the name under which it
// is published.
type Stats struct {
	Spans         uint64 `metric:"roost_otlp_spans_total" doc:"spans that the collector has taken"`
	SpansDropped  uint64 `metric:"roost_otlp_spans_dropped_total" doc:"spans that went nowhere: the collector rejected them, took too few for spans_max, or had not taken them when the node ended"`
	EventsDropped uint64 `metric:"roost_otlp_events_dropped_total" doc:"events left out, because events_max waited, there were spans_max spans, or theirs had too many"`
	EventsLate    uint64 `metric:"roost_otlp_events_late_total" doc:"events left out because their message has no span: its traceparent is not sampled, or its span has ended"`
	Failures      uint64 `metric:"roost_otlp_failures_total" doc:"posts that failed, or were taken in part"`
	Open          int64  `metric:"roost_otlp_spans_open" doc:"spans that have not ended"`
	Waiting       int64  `metric:"roost_otlp_spans_waiting" doc:"spans that have ended and wait to be taken"`
}

type counters struct {
	spans, spansDropped, eventsDropped, eventsLate, failures atomic.Uint64

	open, waiting atomic.Int64
}

// Stats returns the counters. Each is exact; together they are not of one moment. Any
// goroutine may call it, also of a nil Exporter.
func (x *Exporter) Stats() (s Stats) {
	if x == nil {
		return s
	}
	c := &x.count
	return Stats{
		Spans: c.spans.Load(), SpansDropped: c.spansDropped.Load(), EventsDropped: c.eventsDropped.Load(),
		EventsLate: c.eventsLate.Load(), Failures: c.failures.Load(), Open: c.open.Load(), Waiting: c.waiting.Load(),
	}
}
