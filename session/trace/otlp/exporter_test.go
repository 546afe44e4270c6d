package otlp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roostpush/roost/session"
	"github.com/roostpush/roost/session/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	traceID  = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID = "00f067aa0ba902b7"
	sampling = "00-" + traceID + "-" + parentID + "-01"
	silent   = "00-" + traceID + "-" + parentID + "-00"
)

// What the tests read of a post: the names are those of the specification, written here a
// second time.
type (
	postedAttr struct {
		Key   string
		Value struct{ StringValue, IntValue string }
	}
	postedSpan struct {
		TraceID, SpanID, ParentSpanID, Name string
		Kind, Flags                         int
		StartTimeUnixNano, EndTimeUnixNano  string
		DroppedEventsCount                  int
		Attributes                          []postedAttr
		Events                              []struct {
			TimeUnixNano, Name string
			Attributes         []postedAttr
		}
		Status struct {
			Code    int
			Message string
		}
	}
	posted struct {
		ResourceSpans []struct {
			Resource   struct{ Attributes []postedAttr }
			ScopeSpans []struct {
				Scope struct{ Name string }
				Spans []postedSpan
			}
		}
	}
)

// collector is an HTTP server that takes spans. answer, under mu, says how the next posts
// are answered.
type collector struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	answers []func(w http.ResponseWriter) // those of the next posts; then 200
	posts   int
	spans   []postedSpan // of those answered with 200
	attrs   []postedAttr // of the resource
	got     chan int     // the number of spans of each post
}

func newCollector(t *testing.T) *collector {
	c := &collector{t: t, got: make(chan int, 1000)}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var p posted
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err2 := d.Decode(&p); err != nil || err2 != nil || r.Method != "POST" || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Authorization") != "Bearer x" {
		c.t.Errorf("%s %s %v: %s: %v %v", r.Method, r.URL, r.Header, body, err, err2)
	}
	c.mu.Lock()
	c.posts++
	spans := p.ResourceSpans[0].ScopeSpans[0].Spans
	c.attrs = p.ResourceSpans[0].Resource.Attributes
	if len(c.answers) > 0 {
		answer := c.answers[0]
		c.answers = c.answers[1:]
		c.mu.Unlock()
		answer(w)
	} else {
		c.spans = append(c.spans, spans...)
		c.mu.Unlock()
		w.Write([]byte(`{}`))
	}
	c.got <- len(spans)
}

// answering answers with a status.
func answering(code int, retryAfter string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(code)
	}
}

func (c *collector) config() trace.ExportConfig {
	cfg := trace.Default().OTLP
	cfg.URL, cfg.Authorization = c.URL+"/v1/traces", "Bearer x"
	return cfg
}

func newExporter(cfg trace.ExportConfig) *Exporter {
	return New(cfg, "node-1", "v1", slog.New(slog.DiscardHandler))
}

func id(n session.MessageID) session.ID {
	return session.ID{Origin: session.Origin{Node: "node-1", Epoch: 2}, Number: n}
}

// note notes an event of a message.
func (x *Exporter) note(n session.MessageID, atUS int64, e session.Event) {
	e.ID, e.Traced = id(n), true
	x.Note(trace.Event{Event: e, AtUS: atUS})
}

// all posts everything there is, as at the end of Run.
func (x *Exporter) all(at time.Time) {
	x.gather(at)
	x.end(at, 0)
	x.flush(context.Background(), func() time.Time { return at })
}

func attrsOf(list []postedAttr) string {
	var parts []string
	for _, a := range list {
		parts = append(parts, a.Key+"="+a.Value.StringValue+a.Value.IntValue)
	}
	return strings.Join(parts, " ")
}

// TestSpan: what is posted of a message is a span below the caller's, with the steps as
// events.
func TestSpan(t *testing.T) {
	c := newCollector(t)
	x := newExporter(c.config())
	x.note(1, 1_700_000_000_000_001, session.Event{Step: session.StepAccepted, Trace: sampling, Device: "phone"})
	x.note(2, 1_700_000_000_000_002, session.Event{Step: session.StepAccepted, Trace: silent})
	x.note(1, 1_700_000_000_000_009, session.Event{Step: session.StepForwarded, Device: "phone", Peer: "node-2"})
	x.note(1, 1_700_000_000_000_005, session.Event{Step: session.StepSent, Devices: 3})
	x.note(1, 1_700_000_000_000_007, session.Event{Step: session.StepBecame, Outcome: session.Written, Device: "phone"})
	x.note(2, 1_700_000_000_000_008, session.Event{Step: session.StepBecame, Outcome: session.Written})
	x.note(3, 1_700_000_000_000_008, session.Event{Step: session.StepAttempted, Trace: sampling})
	x.note(3, 1_700_000_000_000_009, session.Event{Step: session.StepBecame, Outcome: session.Lost})
	x.note(3, 1_700_000_000_000_010, session.Event{Step: session.StepBecame, Outcome: session.Acked})
	x.note(4, 1_700_000_000_000_010, session.Event{Step: session.StepAccepted, Trace: "00-nothing"})
	x.all(time.Now())
	if len(c.spans) != 2 {
		t.Fatalf("%d spans: %+v", len(c.spans), c.spans)
	}
	one, three := c.spans[0], c.spans[1]
	if one.StartTimeUnixNano != "1700000000000001000" {
		one, three = three, one
	}
	if one.TraceID != traceID || one.ParentSpanID != parentID || len(one.SpanID) != 16 || one.SpanID == three.SpanID || one.SpanID == parentID ||
		one.Name != "roost message" || one.Kind != 5 || one.Flags != 0x301 || one.EndTimeUnixNano != "1700000000000009000" || one.Status.Code != 0 {
		t.Errorf("%+v", one)
	}
	if got, want := attrsOf(one.Attributes), "messaging.system=roost messaging.message.id=node-1.2.1"; got != want {
		t.Errorf("attributes %s, want %s", got, want)
	}
	if got, want := attrsOf(c.attrs), "service.name=roost service.instance.id=node-1 service.version=v1"; got != want {
		t.Errorf("attributes of the resource %s, want %s", got, want)
	}
	var events []string
	for _, e := range one.Events {
		events = append(events, fmt.Sprintf("%s %s [%s]", e.TimeUnixNano[13:16], e.Name, attrsOf(e.Attributes)))
	}
	want := "001 accepted [roost.device=phone]\n009 forwarded [roost.device=phone roost.peer=node-2]\n005 sent [roost.devices=3]\n007 became [roost.device=phone roost.outcome=written]"
	if got := strings.Join(events, "\n"); got != want {
		t.Errorf("events\n%s, want\n%s", got, want)
	}
	if three.Status.Code != 2 || three.Status.Message != "lost" {
		t.Errorf("the status of one that was lost: %+v", three.Status)
	}
	if s := x.Stats(); s != (Stats{Spans: 2, EventsLate: 1}) {
		t.Errorf("%+v", s)
	}
}

// TestSpanEndsByItself: after linger without an event a span is posted; what comes of the
// message later begins another one when it says its traceparent, and is counted when not.
func TestSpanEndsByItself(t *testing.T) {
	c := newCollector(t)
	cfg := c.config()
	cfg.Linger = time.Second
	x := newExporter(cfg)
	at := time.Unix(1_700_000_000, 0)
	step := func(after time.Duration) {
		at = at.Add(after)
		x.gather(at)
		x.end(at, cfg.Linger)
		x.flush(context.Background(), func() time.Time { return at })
	}
	x.note(1, 1, session.Event{Step: session.StepAccepted, Trace: sampling})
	step(0)
	x.note(1, 2, session.Event{Step: session.StepStored})
	step(900 * time.Millisecond)
	step(999 * time.Millisecond)
	if len(c.spans) != 0 || x.Stats().Open != 1 {
		t.Fatalf("%+v", x.Stats())
	}
	step(time.Millisecond)
	if len(c.spans) != 1 || len(c.spans[0].Events) != 2 || x.Stats().Open != 0 {
		t.Fatalf("%+v, %+v", c.spans, x.Stats())
	}
	x.note(1, 3, session.Event{Step: session.StepBecame, Outcome: session.Acked})
	x.note(1, 4, session.Event{Step: session.StepAttempted, Trace: sampling})
	step(0)
	step(time.Second)
	if len(c.spans) != 2 || len(c.spans[1].Events) != 1 || x.Stats().EventsLate != 1 {
		t.Errorf("%+v, %+v", c.spans, x.Stats())
	}
}

// TestWhatTheCollectorCannotTakeNow goes again after a pause, and no sooner; what it never
// takes does not.
func TestWhatTheCollectorCannotTakeNow(t *testing.T) {
	c := newCollector(t)
	x := newExporter(c.config())
	at := time.Unix(1_700_000_000, 0)
	flush := func() { x.flush(context.Background(), func() time.Time { return at }) }
	c.answers = append(c.answers, answering(503, ""), answering(429, "30"), answering(200, ""))
	x.note(1, 1, session.Event{Step: session.StepAccepted, Trace: sampling})
	x.all(at)
	flush()
	if c.posts != 1 || x.Stats().Waiting != 1 || x.Stats().Failures != 1 {
		t.Fatalf("%d posts, %+v", c.posts, x.Stats())
	}
	at = at.Add(pauseMin)
	flush()
	at = at.Add(29 * time.Second)
	flush()
	if c.posts != 2 {
		t.Fatalf("%d posts: it asked for 30 s", c.posts)
	}
	at = at.Add(time.Second)
	flush()
	if s := x.Stats(); c.posts != 3 || s.Spans != 1 || s.Waiting != 0 || s.SpansDropped != 0 {
		t.Fatalf("%d posts, %+v", c.posts, s)
	}
	c.answers = append(c.answers, answering(400, ""), func(w http.ResponseWriter) {
		w.Write([]byte(`{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}`))
	})
	for n := session.MessageID(2); n < 5; n++ {
		x.note(n, 1, session.Event{Step: session.StepAccepted, Trace: sampling})
		if n != 3 {
			x.all(at)
		}
	}
	if s := x.Stats(); c.posts != 5 || s.Spans != 2 || s.SpansDropped != 2 || s.Waiting != 0 || s.Failures != 4 {
		t.Errorf("%d posts, %+v", c.posts, s)
	}
}

// TestEverythingIsBounded: events that wait, spans that are open, spans that wait, events
// of a span; what is left out is counted.
func TestEverythingIsBounded(t *testing.T) {
	c := newCollector(t)
	cfg := c.config()
	cfg.EventsMax, cfg.SpansMax, cfg.BatchMax = 10, 4, 3
	x := newExporter(cfg)
	at := time.Unix(1_700_000_000, 0)
	for n := range session.MessageID(12) {
		x.note(n, 1, session.Event{Step: session.StepAccepted, Trace: sampling})
	}
	x.gather(at)
	if s := x.Stats(); s.EventsDropped != 2+6 || s.Open != 4 {
		t.Errorf("%+v", s)
	}
	x.end(at, 0)
	for n := range session.MessageID(3) {
		x.note(n, 1, session.Event{Step: session.StepAccepted, Trace: sampling})
	}
	x.gather(at)
	x.end(at, 0)
	if s := x.Stats(); s.SpansDropped != 3 || s.Waiting != 4 {
		t.Errorf("%+v", s)
	}
	x.flush(context.Background(), func() time.Time { return at })
	if a, b := <-c.got, <-c.got; a != 3 || b != 1 {
		t.Errorf("posts of %d and %d spans", a, b)
	}
	x.note(1, 1, session.Event{Step: session.StepAccepted, Trace: sampling})
	for range spanEventsMax + 4 {
		x.note(1, 1, session.Event{Step: session.StepSent})
		x.gather(at)
	}
	x.all(at)
	last := c.spans[len(c.spans)-1]
	if len(last.Events) != spanEventsMax || last.DroppedEventsCount != 5 || x.Stats().EventsDropped != 8+5 {
		t.Errorf("%d events and %d dropped; %+v", len(last.Events), last.DroppedEventsCount, x.Stats())
	}
}

// TestRun exports by itself, and posts at its end what has not ended.
func TestRun(t *testing.T) {
	c := newCollector(t)
	cfg := c.config()
	cfg.Interval, cfg.Linger, cfg.EventsMax = 10*time.Millisecond, 10*time.Millisecond, 8
	x := newExporter(cfg)
	ctx, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { x.Run(ctx) })
	x.note(1, 1, session.Event{Step: session.StepAccepted, Trace: sampling})
	<-c.got
	end()
	running.Wait()

	cfg.Interval, cfg.Linger = time.Minute, time.Minute
	x = newExporter(cfg)
	ctx, end = context.WithCancel(context.Background())
	running.Go(func() { x.Run(ctx) })
	x.note(2, 1, session.Event{Step: session.StepAccepted, Trace: sampling})
	end()
	running.Wait()
	if len(c.spans) != 2 || x.Stats() != (Stats{Spans: 1}) {
		t.Errorf("%d spans, %+v", len(c.spans), x.Stats())
	}

	c.Close()
	x = newExporter(cfg)
	x.note(3, 1, session.Event{Step: session.StepAccepted, Trace: sampling})
	x.Run(ctx) // it has ended
	if s := x.Stats(); s != (Stats{SpansDropped: 1, Failures: 1}) {
		t.Errorf("nobody is there: %+v", s)
	}
}
